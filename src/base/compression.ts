/**
 * Compression of a batch's values. Clients compress and decompress; nodes keep the bytes as they came, and no node decompresses
 * anything that was not asked for by a reader.
 */

/** Stored in batches (batch.proto, enum Compression): never renumber. */
export const codecNumbers = { gzip: 1, zstd: 2 } as const;
export type Codec = keyof typeof codecNumbers;

const codecOfNumber: readonly (Codec | undefined)[] = [undefined, "gzip", "zstd"];

/** undefined for 0 (not compressed) and for what this version does not know. */
export const codecOf = (number: number): Codec | undefined => codecOfNumber[number];

export interface Compressor {
  readonly codec: Codec;
  compress(bytes: Uint8Array): Uint8Array;
}

/**
 * Exactly `size` bytes, or a throw: where the bytes are not of the codec, or make more or fewer. Never allocates for more than was
 * claimed, whatever the bytes are.
 */
export type Decompress = (codec: Codec, bytes: Uint8Array, size: number) => Uint8Array;
