import { limits } from "../base/limits.ts";
import { claimedEntryLength, entryHeaderBytes } from "../format/entry.ts";
import { readSound } from "./block-reader.ts";
import type { DiskFile } from "./disk.ts";

/** Reads this much at once, at least: entries are small more often than not. */
export const readBytesMin = 64 * 1024;

/** A moving window over the bytes of entries up to `end`. What it returns stays valid. */
export class Chunk {
  readonly #file: DiskFile;
  readonly #end: number;
  #bytes: Uint8Array = new Uint8Array(0);
  #offset = 0;

  constructor(file: DiskFile, end: number) {
    this.#file = file;
    this.#end = end;
  }

  /** [offset, offset + length), fewer where they end; reads `ahead` bytes where it has to read. */
  bytes(offset: number, length: number, ahead: number): Uint8Array {
    const within = offset - this.#offset;
    if (within < 0 || within + length > this.#bytes.length) {
      const wanted = Math.max(length, Math.min(ahead, limits.readAheadBytes), readBytesMin);
      const count = Math.max(0, Math.min(wanted, this.#end - offset));
      this.#bytes = readSound(this.#file, offset, count);
      this.#offset = offset;
      return this.#bytes.subarray(0, length);
    }
    return this.#bytes.subarray(within, within + length);
  }

  /** Length that the entry at `offset` claims; undefined where it does not fit. */
  lengthAt(offset: number): number | undefined {
    const length = claimedEntryLength(this.bytes(offset, entryHeaderBytes, readBytesMin), 0);
    return length === undefined || offset + length > this.#end ? undefined : length;
  }
}
