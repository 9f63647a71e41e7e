/**
 * Protobuf by hand, for messages that are too frequent for objects and generated code, and for those whose one large field is written
 * without a copy: tag and length in front of its bytes as they are.
 */
import { asBuffer } from "../base/bytes.ts";

/** Texts and bytes up to this length are copied one by one: a call out of the engine costs more. */
const shortMax = 64;
/** More memory than this is not kept for the next message. */
const keptBytesMax = 1024 * 1024;

/**
 * Writes fields into memory that is used again and again: what `piece` gives is valid until the next `clear`. As in proto3, a field that
 * is zero, false or empty takes no bytes, where its method does not say otherwise.
 */
export class FieldWriter {
  #bytes = Buffer.allocUnsafeSlow(256);
  #length = 0;

  clear(): void {
    this.#length = 0;
    if (this.#bytes.length > keptBytesMax) this.#bytes = Buffer.allocUnsafeSlow(256);
  }

  /** Where the next field begins. */
  get length(): number {
    return this.#length;
  }

  /** A field of a type that is a varint on the wire: uint32, uint64, bool, an enum. Safe integers only. */
  varint(field: number, value: number): void {
    if (value === 0) return;
    this.#number(field * 8);
    this.#number(value);
  }

  /** As `varint`, but a zero is written too: of a oneof it is the choice. */
  choice(field: number, value: number): void {
    this.#number(field * 8);
    this.#number(value);
  }

  /** A sint64 from -2^53 + 1 to 2^53 - 1. */
  signed(field: number, value: number): void {
    if (value !== 0) this.signedChoice(field, value);
  }

  /** As `signed`, but a zero is written too. */
  signedChoice(field: number, value: number): void {
    this.#number(field * 8);
    // ZigZag: 0, -1, 1, -2 ... are 0, 1, 2, 3. The double of a number may be above 2^53, so its lowest seven bits are taken apart.
    const magnitude = value < 0 ? -value - 1 : value;
    const low = (magnitude % 64) * 2 + (value < 0 ? 1 : 0);
    const rest = Math.floor(magnitude / 64);
    this.#reserve(1);
    this.#bytes[this.#length++] = rest === 0 ? low : low | 0x80;
    if (rest > 0) this.#number(rest);
  }

  text(field: number, value: string): void {
    if (value === "") return;
    if (value.length > shortMax || !this.#ascii(field, value)) this.bytes(field, asBuffer(encoder.encode(value)));
  }

  bytes(field: number, value: Uint8Array): void {
    if (value.length > 0) this.bytesChoice(field, value);
  }

  /** As `bytes`, but empty ones are written too. */
  bytesChoice(field: number, value: Uint8Array): void {
    const { length } = value;
    this.bytesHead(field, length);
    this.#reserve(length);
    if (length > shortMax) this.#bytes.set(value, this.#length);
    else for (let index = 0; index < length; index += 1) this.#bytes[this.#length + index] = value[index]!;
    this.#length += length;
  }

  /** What follows until `end` is a message in this field, which is written also if it is empty. @returns what `end` wants. */
  begin(field: number): number {
    this.#number(field * 8 + 2);
    this.#reserve(1);
    this.#length += 1;
    return this.#length;
  }

  end(begin: number): void {
    const length = this.#length - begin;
    if (length < 0x80) {
      this.#bytes[begin - 1] = length;
      return;
    }
    const more = varintLength(length) - 1;
    this.#reserve(more);
    this.#bytes.copyWithin(begin + more, begin, this.#length);
    writeVarint(this.#bytes, begin - 1, length);
    this.#length += more;
  }

  /** A copy of all that was written. */
  finish(): Buffer {
    const length = this.#length;
    const copy = Buffer.allocUnsafe(length);
    if (length > shortMax) this.#bytes.copy(copy, 0, 0, length);
    else for (let index = 0; index < length; index += 1) copy[index] = this.#bytes[index]!;
    return copy;
  }

  fixed32(field: number, value: number): void {
    if (value === 0) return;
    this.#number(field * 8 + 5);
    this.#reserve(4);
    for (let shift = 0; shift < 32; shift += 8) this.#bytes[this.#length++] = value >>> shift;
  }

  /** A repeated field of varints, packed. */
  packed(field: number, values: readonly number[]): void {
    if (values.length === 0) return;
    let length = 0;
    for (const value of values) length += varintLength(value);
    this.bytesHead(field, length);
    for (const value of values) this.#number(value);
  }

  /** Tag and length of a length-delimited field, whose bytes follow. */
  bytesHead(field: number, length: number): void {
    this.#number(field * 8 + 2);
    this.#number(length);
  }

  /** What was written from there on, without a copy. */
  piece(begin: number): Uint8Array {
    return this.#bytes.subarray(begin, this.#length);
  }

  #ascii(field: number, value: string): boolean {
    this.#reserve(value.length + 16);
    const before = this.#length;
    this.bytesHead(field, value.length);
    let end = this.#length;
    for (let index = 0; index < value.length; index += 1) {
      const code = value.charCodeAt(index);
      if (code >= 0x80) {
        this.#length = before;
        return false;
      }
      this.#bytes[end++] = code;
    }
    this.#length = end;
    return true;
  }

  #number(value: number): void {
    this.#reserve(8);
    let rest = value;
    // Bits above the 32nd are beyond the operators on bits.
    for (; rest > 0x7fff_ffff; rest = Math.floor(rest / 128)) this.#bytes[this.#length++] = (rest % 128) | 0x80;
    this.#length = writeVarint(this.#bytes, this.#length, rest);
  }

  /** Pieces that were given out keep the memory that they are in. */
  #reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.#bytes.length, this.#length + count));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}

/**
 * Reads a message whose fields stand in the order of their numbers, each at most once, as FieldWriter and the generated code write them.
 * Whatever is otherwise, or out of range, is not found, and `isDone` is false in the end: then it is for the generated code to judge.
 * Fields from 1 to 15, whose tag is one byte.
 */
export class FieldReader {
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  #end = 0;

  /** Begins to read these. */
  over(bytes: Uint8Array): this {
    this.#bytes = asBuffer(bytes);
    this.#at = 0;
    this.#end = bytes.length;
    return this;
  }

  /** Every field was taken. */
  get isDone(): boolean {
    return this.#at === this.#end;
  }

  /** A whole number from 0 to below 2^53, if it comes next. */
  varint(field: number): number | undefined {
    if (!this.#take(field * 8)) return undefined;
    const value = this.#number();
    return value <= Number.MAX_SAFE_INTEGER ? value : this.#lost();
  }

  /** A sint64 from -2^53 + 1 to 2^53 - 1. */
  signed(field: number): number | undefined {
    if (!this.#take(field * 8)) return undefined;
    const low = this.#bytes[this.#at]!;
    const isNegative = low % 2 === 1;
    this.#at += 1;
    const rest = low < 0x80 ? 0 : this.#number();
    const magnitude = rest * 64 + ((low & 0x7f) >>> 1);
    const value = isNegative ? -magnitude - 1 : magnitude;
    return this.#at <= this.#end && Number.isSafeInteger(value) ? value : this.#lost();
  }

  /** A view. */
  bytes(field: number): Uint8Array | undefined {
    const end = this.#lengthDelimited(field);
    if (end < 0) return undefined;
    const begin = this.#at;
    this.#at = end;
    return this.#bytes.subarray(begin, end);
  }

  /** A text of ASCII characters; any other is not found. */
  ascii(field: number): string | undefined {
    const end = this.#lengthDelimited(field);
    if (end < 0) return undefined;
    for (let index = this.#at; index < end; index += 1) if (this.#bytes[index]! >= 0x80) return this.#lost();
    const begin = this.#at;
    this.#at = end;
    return this.#bytes.toString("latin1", begin, end);
  }

  /** What follows until `leave` is in the message of this field. @returns what `leave` wants; undefined where it does not come next. */
  enter(field: number): number | undefined {
    const end = this.#lengthDelimited(field);
    if (end < 0) return undefined;
    const outer = this.#end;
    this.#end = end;
    return outer;
  }

  /** @returns whether all of the message was read. */
  leave(outer: number): boolean {
    const { isDone } = this;
    this.#end = outer;
    if (!isDone) this.#lost();
    return isDone;
  }

  /** Whether this tag comes next, which is passed. */
  #take(tag: number): boolean {
    if (this.#at >= this.#end || this.#bytes[this.#at] !== tag) return false;
    this.#at += 1;
    return true;
  }

  /** Where the field ends that begins now; below 0: it does not come next. */
  #lengthDelimited(field: number): number {
    if (!this.#take(field * 8 + 2)) return -1;
    const end = this.#number() + this.#at;
    if (end <= this.#end) return end;
    this.#lost();
    return -1;
  }

  /** Infinity where it is no number. */
  #number(): number {
    let value = 0;
    for (let unit = 1; this.#at < this.#end; unit *= 0x80) {
      const byte = this.#bytes[this.#at]!;
      this.#at += 1;
      value += (byte & 0x7f) * unit;
      if (byte < 0x80) return value;
    }
    return Number.POSITIVE_INFINITY;
  }

  /** Nothing of it is found any more, and it is never done. */
  #lost(): undefined {
    this.#at = Number.POSITIVE_INFINITY;
    return undefined;
  }
}

const encoder = new TextEncoder();

function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 128)) length += 1;
  return length;
}

/** Tag and length in front of a length-delimited field (wire type 2). Field numbers up to 2^20, lengths up to 2^28. */
export function bytesFieldHead(field: number, length: number): Uint8Array {
  heads.clear();
  heads.bytesHead(field, length);
  return heads.finish();
}

const heads = new FieldWriter();

function writeVarint(bytes: Uint8Array, offset: number, value: number): number {
  let end = offset;
  let rest = value;
  while (rest >= 0x80) {
    bytes[end] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
    end += 1;
  }
  bytes[end] = rest;
  return end + 1;
}
