import { limits } from "../base/limits.ts";
import { DiskError, type DiskFile } from "./disk.ts";

/**
 * Reads `length` bytes at `offset`, fewer where the file ends. A block that the disk cannot read (EIO) is as good as a rotten
 * one (STORAGE 8): it comes back as bytes that no checksum accepts and that are not zeros.
 */
export function readSound(file: DiskFile, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  try {
    return bytes.subarray(0, file.read(offset, bytes));
  } catch (error) {
    if (!isReadFault(error)) throw error;
  }
  let end = 0;
  for (let begin = 0; begin < length; begin += limits.blockBytes) {
    const block = bytes.subarray(begin, Math.min(begin + limits.blockBytes, length));
    try {
      const count = file.read(offset + begin, block);
      end = begin + count;
      if (count < block.length) break;
    } catch (error) {
      if (!isReadFault(error)) throw error;
      block.fill(0xff);
      end = begin + block.length;
    }
  }
  return bytes.subarray(0, end);
}

const isReadFault = (error: unknown): boolean => error instanceof DiskError && error.errno === "EIO";

/** A file read from front to back through a window of at least readAheadBytes. What it returns stays valid. */
export class BlockReader {
  readonly #file: DiskFile;
  readonly #size: number;
  #chunk: Uint8Array = new Uint8Array(0);
  #chunkOffset = 0;

  constructor(file: DiskFile, size: number) {
    this.#file = file;
    this.#size = size;
  }

  /** The bytes [offset, offset + length), fewer where the file ends: a view of a chunk that is never reused. */
  read(offset: number, length: number): Uint8Array {
    const within = offset - this.#chunkOffset;
    if (within >= 0 && within + length <= this.#chunk.length) return this.#chunk.subarray(within, within + length);
    const wanted = Math.max(length, limits.readAheadBytes);
    this.#chunk = readSound(this.#file, offset, Math.min(wanted, Math.max(0, this.#size - offset)));
    this.#chunkOffset = offset;
    return this.#chunk.subarray(0, Math.min(length, this.#chunk.length));
  }
}

/** Whether every byte is zero. */
export function isZero(bytes: Uint8Array): boolean {
  for (let begin = 0; begin < bytes.length; begin += zeros.length) {
    const length = Math.min(zeros.length, bytes.length - begin);
    const piece = Buffer.from(bytes.buffer, bytes.byteOffset + begin, length);
    if (piece.compare(zeros, 0, length) !== 0) return false;
  }
  return true;
}

/** One block of zeros: padding, and what padding is compared with. */
export const zeros: Uint8Array = new Uint8Array(limits.blockBytes);
