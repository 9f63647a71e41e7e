/**
 * How the built-in machines save their states: numbers as varints of seven bits, low ones first; bytes, and texts in UTF-8, behind their
 * length. One after another, in pieces that are cut anywhere.
 */
import { assertSafe } from "../base/assert.ts";
import { asBuffer, concat } from "../base/bytes.ts";
import { type ByteString, byteStringOf } from "./byte-string.ts";

const pieceBytes = 64 * 1024;
/** Whose length is one byte, and whose characters are written one by one. */
const shortTextMax = 0x7f;
/** Of the largest number. */
const numberBytesMax = 8;

/** Gathers a state. Whoever saves a large one hands on `full()` now and then, so that no more than a few pieces are in memory. */
export class StateWriter {
  #buffer = Buffer.allocUnsafeSlow(pieceBytes);
  #length = 0;
  readonly #full: Uint8Array[] = [];
  /** Of all pieces that were full. */
  #fullLength = 0;

  /** Of everything that was written. */
  get length(): number {
    return this.#fullLength + this.#length;
  }

  /** From 0 to below 2^53. */
  number(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) assertSafe(value, "a number of a state");
    this.#room(numberBytesMax);
    let rest = value;
    while (rest > 0x7fff_ffff) {
      this.#buffer[this.#length++] = (rest % 0x80) + 0x80;
      rest = Math.floor(rest / 0x80);
    }
    // From here on 32 bits are enough, which is faster by far: a state of a million keys has millions of small numbers.
    while (rest >= 0x80) {
      this.#buffer[this.#length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#buffer[this.#length++] = rest;
  }

  /** From -2^53 + 1 to 2^53 - 1. */
  signed(value: number): void {
    this.number(value < 0 ? 1 : 0);
    this.number(Math.abs(value));
  }

  flag(value: boolean): void {
    this.number(value ? 1 : 0);
  }

  bytes(value: Uint8Array): void {
    this.number(value.length);
    if (!this.#fits(value.length)) {
      this.#piece(Uint8Array.from(value));
      return;
    }
    this.#buffer.set(value, this.#length);
    this.#length += value.length;
  }

  byteString(value: ByteString): void {
    this.number(value.length);
    if (!this.#fits(value.length)) {
      this.#piece(Buffer.from(value, "latin1"));
      return;
    }
    this.#length += this.#buffer.write(value, this.#length, "latin1");
  }

  text(value: string): void {
    if (value.length > shortTextMax || !this.#ascii(value)) this.bytes(encoder.encode(value));
  }

  /** Writes a text that is short and all ASCII, as most names are, where it belongs: a log of changes has 65,536 of them in each save. */
  #ascii(value: string): boolean {
    this.#room(1 + value.length);
    const begin = this.#length + 1;
    for (let index = 0; index < value.length; index += 1) {
      const code = value.charCodeAt(index);
      if (code >= 0x80) return false;
      this.#buffer[begin + index] = code;
    }
    this.#buffer[this.#length] = value.length;
    this.#length = begin + value.length;
    return true;
  }

  get hasFull(): boolean {
    return this.#full.length > 0;
  }

  /** The pieces that are full, once. */
  full(): readonly Uint8Array[] {
    return this.#full.length === 0 ? none : this.#full.splice(0);
  }

  /** All that was written and not handed on yet. */
  rest(): readonly Uint8Array[] {
    this.#flush();
    return this.full();
  }

  #room(count: number): void {
    if (this.#buffer.length - this.#length < count) this.#flush();
  }

  /** Whether so many bytes fit the buffer, which is emptied if need be; otherwise they are a piece of their own. */
  #fits(count: number): boolean {
    this.#room(count);
    if (count <= this.#buffer.length) return true;
    this.#flush();
    return false;
  }

  #flush(): void {
    if (this.#length === 0) return;
    const piece = Uint8Array.prototype.slice.call(this.#buffer, 0, this.#length);
    this.#length = 0;
    this.#piece(piece);
  }

  #piece(piece: Uint8Array): void {
    this.#full.push(piece);
    this.#fullLength += piece.length;
  }
}

/** Reads what a StateWriter wrote, piece by piece. Throws RangeError where the bytes end too early, or go on. */
export class StateReader {
  readonly #pieces: Iterator<Uint8Array>;
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;

  constructor(pieces: Iterable<Uint8Array>) {
    this.#pieces = pieces[Symbol.iterator]();
  }

  number(): number {
    let value = 0;
    let unit = 1;
    for (let count = 0; count < numberBytesMax; count += 1) {
      if (this.#at === this.#bytes.length) this.#gather(1, "a number");
      const byte = this.#bytes[this.#at]!;
      this.#at += 1;
      value += (byte & 0x7f) * unit;
      if (byte < 0x80) {
        if (!Number.isSafeInteger(value)) break;
        return value;
      }
      unit *= 0x80;
    }
    throw new RangeError("a number of the state is out of range");
  }

  signed(): number {
    const isNegative = this.flag();
    const value = this.number();
    return isNegative ? -value : value;
  }

  flag(): boolean {
    const value = this.number();
    if (value > 1) throw new RangeError(`${value} is neither yes nor no`);
    return value === 1;
  }

  /** A view. */
  bytes(): Uint8Array {
    const length = this.number();
    if (length > this.#bytes.length - this.#at) this.#gather(length, "bytes");
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  byteString(): ByteString {
    return byteStringOf(this.bytes());
  }

  text(): string {
    return decoder.decode(this.bytes());
  }

  end(): void {
    for (;;) {
      if (this.#at < this.#bytes.length) throw new RangeError("the state goes on behind its end");
      const next = this.#pieces.next();
      if (next.done === true) return;
      this.#bytes = next.value;
      this.#at = 0;
    }
  }

  /** Has the next `count` bytes stand together. What a broken length claims is never allocated: the pieces end before. */
  #gather(count: number, what: string): void {
    const parts = [this.#bytes.subarray(this.#at)];
    for (let have = parts[0]!.length; have < count; ) {
      const next = this.#pieces.next();
      if (next.done === true) throw new RangeError(`the state ends inside of ${what}`);
      parts.push(next.value);
      have += next.value.length;
    }
    this.#bytes = asBuffer(concat(parts.filter((part) => part.length > 0)));
    this.#at = 0;
  }
}

const none: readonly Uint8Array[] = [];
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });
