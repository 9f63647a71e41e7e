/**
 * Pieces of protobuf messages whose one large field is written without a copy: the other fields by the generated code, then the
 * field's tag and length, then its bytes as they are. Protobuf allows fields in any order.
 */

/**
 * Writes fields of messages that are too frequent for objects and generated code, into memory that is used again and again: what
 * `piece` gives is valid until the next `clear`. As in proto3, a field that is zero, false or empty takes no bytes.
 */
export class FieldWriter {
  #bytes = new Uint8Array(256);
  #length = 0;

  clear(): void {
    this.#length = 0;
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
    const larger = new Uint8Array(2 * this.#bytes.length);
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}

function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 128)) length += 1;
  return length;
}

/** Tag and length in front of a length-delimited field (wire type 2). Field numbers up to 2^20, lengths up to 2^28. */
export function bytesFieldHead(field: number, length: number): Uint8Array {
  const head = new Uint8Array(8);
  let end = writeVarint(head, 0, field * 8 + 2);
  end = writeVarint(head, end, length);
  return head.subarray(0, end);
}

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
