import type { Hash } from "./types.ts";

/**
 * Checksums and hashes, passed as an argument to whoever needs them. Two implementations give the same values: the addon
 * and its portable twin (src/native/). They detect accidents, not attackers.
 */
export interface Hashing {
  readonly implementation: "native" | "portable";
  /** CRC32C (Castagnoli) as an unsigned number; `seed` is the checksum of the bytes before these. */
  crc32c(bytes: Uint8Array, seed?: number): number;
  /** XXH3-128 with seed 0, canonical (big-endian) form. */
  xxh3(bytes: Uint8Array): Hash;
}
