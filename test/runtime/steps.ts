import { position } from "../../src/base/types.ts";
import type { ReadPiece, ReadStep, StoredBatch } from "../../src/transport/backend.ts";

type PlainStep = ReadStep & { readonly query: undefined };

/** A step forward over everything that is there, but for what `given` says. */
export function step(from: number, given: Partial<PlainStep> = {}): PlainStep {
  return {
    direction: "forward",
    from: position(from),
    end: position(Number.MAX_SAFE_INTEGER),
    query: undefined,
    bytesMax: 1_000_000,
    recordsMax: Number.POSITIVE_INFINITY,
    ...given,
  };
}

/** The batches of one step forward. */
export async function batchesFrom(
  backend: { read(step: ReadStep): ReadPiece | Promise<ReadPiece> },
  from: number,
  bytesMax: number,
): Promise<readonly StoredBatch[]> {
  return (await backend.read(step(from, { bytesMax }))).batches;
}
