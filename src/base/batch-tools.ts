import type { Hash } from "./types.ts";

/** The verdict over the bytes of a RecordBatch. */
export type BatchScan = { readonly kind: "ok"; readonly recordCount: number } | BatchFault;

export type BatchFault =
  | { readonly kind: "malformed"; readonly reason: string }
  | {
      readonly kind: "tooLarge";
      readonly code: "RECORD_TOO_LARGE" | "BATCH_TOO_LARGE";
      readonly reason: string;
    };

/** What a copy found of the bytes that it copied. */
export interface CopiedBytes {
  /** CRC32C as an unsigned number, going on from the seed. */
  readonly crc32c: number;
  /** XXH3-128 with seed 0, canonical form. */
  readonly xxh3: Hash;
}

/**
 * What happens once to every batch on its way into a node. Two implementations give the same bytes, values and verdicts: the
 * addon and its portable twin (src/native/).
 */
export interface BatchTools {
  readonly implementation: "native" | "portable";
  /**
   * Copies `source` into `target` at `offset` and names what was copied, in one pass; `seed` is the checksum of the bytes before
   * these, 0 unless given. Throws where the target is too short, or where both share bytes.
   */
  copyAndHash(source: Uint8Array, target: Uint8Array, offset: number, seed?: number): CopiedBytes;
  /** Checks a batch from end to end against batch.proto and all limits. Never throws, whatever the bytes are. */
  scanBatch(bytes: Uint8Array): BatchScan;
}
