import { concat, writeHex } from "../base/bytes.ts";
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";

const hashBytes = 16;

/**
 * The hash of a state, however its pieces are cut: XXH3-128 of the XXH3-128s of its pieces of limits.snapshotChunkBytes, the last of which
 * may be shorter. So no more than one of them is in memory.
 */
export class HashedPieces {
  readonly #hashing: Hashing;
  readonly #onChunk: (chunk: Uint8Array) => void;
  readonly #chunk = new Uint8Array(limits.snapshotChunkBytes);
  #filled = 0;
  readonly #hashes: Uint8Array[] = [];
  /** Of all that was added. */
  length = 0;

  /** `onChunk` is given the pieces of limits.snapshotChunkBytes, each good until it returns. */
  constructor(hashing: Hashing, onChunk: (chunk: Uint8Array) => void = () => {}) {
    this.#hashing = hashing;
    this.#onChunk = onChunk;
  }

  add(piece: Uint8Array): void {
    this.length += piece.length;
    for (let begin = 0; begin < piece.length; ) {
      const end = Math.min(piece.length, begin + this.#chunk.length - this.#filled);
      this.#chunk.set(piece.subarray(begin, end), this.#filled);
      this.#filled += end - begin;
      begin = end;
      if (this.#filled === this.#chunk.length) this.#endChunk();
    }
  }

  /** Of everything that was added. Nothing more may be. */
  hash(): Uint8Array {
    if (this.#filled > 0) this.#endChunk();
    return bytesOf(this.#hashing.xxh3(concat(this.#hashes)));
  }

  #endChunk(): void {
    const chunk = this.#chunk.subarray(0, this.#filled);
    this.#hashes.push(bytesOf(this.#hashing.xxh3(chunk)));
    this.#filled = 0;
    this.#onChunk(chunk);
  }
}

function bytesOf(hex: string): Uint8Array {
  const bytes = Buffer.alloc(hashBytes);
  writeHex(bytes, 0, hex);
  return bytes;
}
