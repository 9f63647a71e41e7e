import { randomBytes } from "node:crypto";
import type { RecordInput } from "../../format/batch-encode.ts";

/** How a load is cut into batches. */
export interface BatchPlan {
  readonly records: number;
  /** Batches that are sent and not answered, at most. */
  readonly inFlight: number;
}

const batchBytesWanted = 128 * 1024;
const batchesWanted = 32;
const batchRecordsWanted = 1000;

/**
 * So many batches are in flight that one is always on its way to a disk, and each is as large as that allows: the cost of an
 * append is per batch.
 */
export function planBatches(inFlightRecords: number, recordBytes: number): BatchPlan {
  const bySize = Math.max(1, Math.floor(batchBytesWanted / Math.max(1, recordBytes)));
  const byCount = Math.max(1, Math.floor(inFlightRecords / batchesWanted));
  const records = Math.min(batchRecordsWanted, bySize, byCount);
  return { records, inFlight: Math.max(1, Math.floor(inFlightRecords / records)) };
}

/** Batches of records with random values, used in turn: no two neighbours are equal, and making them costs no time in the run. */
export function makeBatches(plan: BatchPlan, recordBytes: number, count: number): RecordInput[][] {
  return Array.from({ length: count }, () => {
    const bytes = randomBytes(plan.records * recordBytes);
    return Array.from({ length: plan.records }, (_, index) => ({
      value: bytes.subarray(index * recordBytes, (index + 1) * recordBytes),
    }));
  });
}
