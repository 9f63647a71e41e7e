import { limits } from "../base/limits.ts";

/** Sizes are powers of two from this one on, so that a returned buffer fits the next need of about its size. */
const bufferBytesMin = 64 * 1024;

/**
 * Buffers that travel to the storage thread and come back. Fresh memory costs more than the copy into it (the system clears every
 * page of it first), and what is thrown away waits for a garbage collector that does not see its size; so buffers go round.
 */
export class BufferPool {
  /** By size. */
  readonly #free = new Map<number, ArrayBuffer[]>();
  #freeBytes = 0;

  /** A buffer of at least this many bytes, with whatever it held before. */
  take(length: number): ArrayBuffer {
    const size = sizeFor(length);
    const buffer = this.#free.get(size)?.pop();
    if (buffer === undefined) return new ArrayBuffer(size);
    this.#freeBytes -= size;
    return buffer;
  }

  /** Takes a buffer back; lets go of it where enough are free. */
  give(buffer: ArrayBuffer): void {
    const size = buffer.byteLength;
    if (size !== sizeFor(size) || this.#freeBytes + size > limits.freeBufferBytes) return;
    const free = this.#free.get(size);
    if (free === undefined) this.#free.set(size, [buffer]);
    else free.push(buffer);
    this.#freeBytes += size;
  }

  get freeBytes(): number {
    return this.#freeBytes;
  }
}

function sizeFor(length: number): number {
  let size = bufferBytesMin;
  while (size < length) size *= 2;
  return size;
}
