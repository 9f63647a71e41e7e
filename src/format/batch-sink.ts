import { PaxlogError } from "../base/errors.ts";
import { isWellFormed } from "./utf8.ts";

/** Bytes of one column that grow; `kept` is how many of them belong to calls that succeeded. */
export class Sink {
  length = 0;
  kept = 0;
  #bytes = Buffer.allocUnsafeSlow(256);

  varint(value: number): void {
    this.#reserve(5);
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#bytes[this.length++] = rest;
  }

  /** How many bytes were added. */
  append(value: Uint8Array): number {
    this.#reserve(value.length);
    this.#bytes.set(value, this.length);
    this.length += value.length;
    return value.length;
  }

  /** How many bytes the string has in UTF-8. */
  text(value: string): number {
    // Three bytes for each unit are always enough; measuring pays only where that would be much too much.
    this.#reserve(value.length <= 1024 ? 3 * value.length : Buffer.byteLength(value));
    const size = this.#bytes.write(value, this.length, "utf8");
    this.length += size;
    return size;
  }

  /** A column that begins late says 0 for each of the `count` records before. */
  startAt(count: number): void {
    if (this.length > 0) return;
    this.#reserve(count);
    this.#bytes.fill(0, 0, count);
    this.length = count;
  }

  /** What was gathered: valid until something is added. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  /** Returns the offset after what was written. */
  writeTo(target: Uint8Array, at: number): number {
    target.set(this.bytes, at);
    return at + this.length;
  }

  #reserve(count: number): void {
    const needed = this.length + count;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#bytes.length));
    larger.set(this.#bytes.subarray(0, this.length));
    this.#bytes = larger;
  }
}

/** Distinct strings by first use, written as the elements of a repeated field. */
export class Dictionary {
  readonly sink = new Sink();
  /** Bytes of each string. */
  readonly sizes: number[] = [];
  readonly #texts: string[] = [];
  readonly #indexes = new Map<string, number>();
  readonly #field: number;
  readonly #name: string;
  readonly #bytesMax: number;
  readonly #check: (text: string, recordIndex: number) => void;
  #keptCount = 0;

  /** `check` throws for a string that must not be added; it is given each once. */
  constructor(
    field: number,
    name: string,
    bytesMax: number,
    check: (text: string, recordIndex: number) => void = () => {},
  ) {
    this.#check = check;
    this.#field = field;
    this.#name = name;
    this.#bytesMax = bytesMax;
  }

  indexOf(text: string, recordIndex: number): number {
    return this.#indexes.get(text) ?? this.#add(text, recordIndex);
  }

  #add(text: string, recordIndex: number): number {
    if (typeof text !== "string") throw invalid(recordIndex, `has a ${this.#name} that is not a string`);
    const size = text.length > this.#bytesMax ? text.length : Buffer.byteLength(text);
    if (size > this.#bytesMax) throw invalid(recordIndex, `has a ${this.#name} of more than ${this.#bytesMax} bytes`);
    if (!isWellFormed(text)) {
      throw invalid(recordIndex, `has a ${this.#name} with half a surrogate pair, which UTF-8 cannot hold`);
    }
    this.#check(text, recordIndex);
    this.sink.varint(keyOf(this.#field));
    this.sink.varint(size);
    this.sink.text(text);
    const index = this.sizes.push(size) - 1;
    this.#texts.push(text);
    this.#indexes.set(text, index);
    return index;
  }

  keep(): void {
    this.#keptCount = this.sizes.length;
  }

  /** Forgets what was added since `keep`; the sink is rewound by its owner. */
  rewind(): void {
    for (let index = this.#keptCount; index < this.#texts.length; index += 1) this.#indexes.delete(this.#texts[index]!);
    this.#texts.length = this.#keptCount;
    this.sizes.length = this.#keptCount;
  }

  clear(): void {
    this.#keptCount = 0;
    this.#indexes.clear();
    this.#texts.length = 0;
    this.sizes.length = 0;
  }
}

/** Every column is a length-delimited field. */
export const keyOf = (field: number): number => field * 8 + 2;
/** Key of a field that is one number. */
export const keyOfNumber = (field: number): number => field * 8;

export function invalid(index: number, what: string): PaxlogError {
  return new PaxlogError("INVALID_ARGUMENT", `record ${index} ${what}`, { facts: { record: index } });
}
