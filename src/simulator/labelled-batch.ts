import { readU64, viewOf, writeU64 } from "../base/bytes.ts";
import type { Hashing } from "../base/hashing.ts";
import type { Entry } from "../core/entry.ts";
import type { AppendProposal } from "../core/event.ts";
import { decodeBatch } from "../format/batch-decode.ts";
import { encodeBatch } from "../format/batch-encode.ts";
import { guardsOfBatch } from "../format/batch-guards.ts";
import { batchOf } from "../format/entry.ts";
import type { RecordLabels } from "../linearizability/log-model.ts";

const numberBytes = 8;

/** A real batch of records with types and tags, which the number of its append is the value of. */
export function labelledBatch(
  number: number,
  records: readonly RecordLabels[],
  hashing: Hashing,
): Pick<AppendProposal, "kind" | "payload" | "batchChecksum" | "recordCount"> {
  const value = new Uint8Array(numberBytes);
  writeU64(viewOf(value), 0, number);
  const batch = encodeBatch(records.map(({ type, tags }) => ({ type, tags, value })));
  const payload = { batch, guards: guardsOfBatch(batch) };
  return { kind: "append", payload, batchChecksum: hashing.crc32c(batch), recordCount: records.length };
}

/** Whether the entry's batch was made so, and not by the workload: those carry hashes, or belong to a session. */
export function isLabelled(entry: Entry): boolean {
  return entry.guardLength > 0 || entry.session > 0;
}

/** The number of its append. */
export function numberOf(entry: Entry): number {
  return readU64(viewOf(decodeBatch(batchOf(entry)).record(0).value), 0);
}
