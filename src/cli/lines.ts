import { limits } from "../base/limits.ts";

const newline = 0x0a;

/**
 * The lines of a stream as bytes, without their newlines; what they mean is not looked at. A line that is longer than any record
 * may be is cut behind that length, so that it is refused for its size without filling the memory.
 */
export async function* linesOf(input: AsyncIterable<Buffer | string>): AsyncGenerator<Buffer> {
  const line = new LineBuffer();
  for await (const piece of input) {
    const bytes = typeof piece === "string" ? Buffer.from(piece) : piece;
    let begin = 0;
    for (let end = bytes.indexOf(newline, begin); end >= 0; end = bytes.indexOf(newline, begin)) {
      line.add(bytes.subarray(begin, end));
      yield line.take();
      begin = end + 1;
    }
    line.add(bytes.subarray(begin));
  }
  if (line.length > 0) yield line.take();
}

class LineBuffer {
  #pieces: Buffer[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  add(piece: Buffer): void {
    const room = limits.recordBytesMax + 1 - this.#length;
    if (piece.length === 0 || room <= 0) return;
    this.#pieces.push(piece.subarray(0, room));
    this.#length += Math.min(piece.length, room);
  }

  take(): Buffer {
    const line = this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.#length = 0;
    return line;
  }
}
