import { assert } from "../base/assert.ts";
import type { Query, QueryItem } from "../core/guards.ts";
import { type BatchColumns, batchFields, type Column, idBytes, type Range, readColumns } from "./batch.ts";
import { keyOf, Sink } from "./batch-sink.ts";

/** Which records are wanted: those with ordinals in [begin, end), so many of them, the first or the last ones. */
export interface Selection {
  readonly begin: number;
  readonly end: number;
  readonly max: number;
  readonly want: "first" | "last";
}

/**
 * A batch whose records are found by their types and tags, for many queries: its columns are turned into lists of the records that
 * bear each tag once, so that a query costs what it finds and not what the batch holds. Texts are compared whole, never hashes.
 */
export class SelectableBatch {
  readonly bytes: Uint8Array;
  readonly recordCount: number;
  /** Whether a batch can be made of some of the records: not where their values are compressed as one. */
  readonly divides: boolean;
  readonly #valueLengths: Uint32Array;
  readonly #values: Range;
  readonly #metadataLengths: Uint32Array;
  readonly #metadata: Range;
  readonly #ids: Range;
  readonly #types: Dictionary;
  /** Of each record the number of its type, from 1; 0: none. Empty: no record has a type. */
  readonly #typeIndexes: Uint32Array;
  readonly #tags: Dictionary;
  /** Where each record's tags begin in #tagIndexes, one more for the end. Empty where no record has tags. */
  readonly #tagOffsets: Uint32Array;
  readonly #tagIndexes: Uint32Array;
  #recordsOfType: Postings | undefined;
  #recordsOfTag: Postings | undefined;

  /** The batch has passed `scanBatch`; its bytes must not change. */
  constructor(bytes: Uint8Array) {
    const columns = readColumns(bytes);
    assert(!("kind" in columns), "a batch in the log was scanned before it was ordered");
    this.bytes = bytes;
    this.recordCount = columns.valueLengths.length;
    this.divides = columns.codec === undefined;
    this.#valueLengths = columns.valueLengths.copy();
    this.#values = { ...columns.values };
    this.#metadataLengths = columns.metadataLengths.copy();
    this.#metadata = { ...columns.metadata };
    this.#ids = { ...columns.ids };
    this.#types = new Dictionary(bytes, columns.typeBegins, columns.typeEnds);
    this.#typeIndexes = columns.typeIndexes.copy();
    this.#tags = new Dictionary(bytes, columns.tagBegins, columns.tagEnds);
    this.#tagOffsets = tagOffsetsOf(columns);
    this.#tagIndexes = columns.tagIndexes.copy();
  }

  /** What it takes in memory beside the bytes of the batch, about. */
  get indexBytes(): number {
    const columns = this.#valueLengths.length + this.#metadataLengths.length + this.#typeIndexes.length;
    return 8 * (columns + 2 * this.#tagIndexes.length + this.#tagOffsets.length) + 64 * this.#tags.length + 1024;
  }

  /** Ordinals of records that match, ascending. */
  select(query: Query, selection: Selection): number[] {
    const found = query.items.map((item) => this.#recordsOf(item, selection));
    const all = union(found);
    if (all.length <= selection.max) return all;
    return selection.want === "first" ? all.slice(0, selection.max) : all.slice(all.length - selection.max);
  }

  /** Those of one item, ascending, without regard to `max`. */
  #recordsOf(item: QueryItem, { begin, end }: Selection): number[] {
    const types = item.types.length === 0 ? undefined : this.#types.numbersOf(item.types);
    const tags = item.tags.map((tag) => this.#tags.numbersOf([tag]));
    if (types?.size === 0 || tags.some((numbers) => numbers.size === 0)) return [];
    const found: number[] = [];
    let last = -1;
    for (const ordinal of this.#fewest(types, tags) ?? range(begin, Math.min(end, this.recordCount))) {
      // A record that bears a tag twice is listed twice.
      if (ordinal < begin || ordinal >= end || ordinal === last) continue;
      last = ordinal;
      // In type_indexes 0 stands for no type.
      if (types !== undefined && !types.has(this.#typeIndexes[ordinal]! - 1)) continue;
      if (tags.every((numbers) => this.#bearsOne(ordinal, numbers))) found.push(ordinal);
    }
    return found;
  }

  /** Of the lists that hold every match the shortest one, ascending; undefined where the item asks for nothing. */
  #fewest(types: ReadonlySet<number> | undefined, tags: readonly ReadonlySet<number>[]): Ascending | undefined {
    let fewest: Ascending | undefined;
    const consider = (postings: Postings, numbers: ReadonlySet<number>): void => {
      if (fewest === undefined || postings.countOf(numbers) < fewest.length) fewest = postings.of(numbers);
    };
    for (const numbers of tags) {
      this.#recordsOfTag ??= Postings.ofTags(this.#tags.length, this.#tagOffsets, this.#tagIndexes);
      consider(this.#recordsOfTag, numbers);
    }
    if (types !== undefined) {
      this.#recordsOfType ??= Postings.ofTypes(this.#types.length, this.#typeIndexes);
      consider(this.#recordsOfType, types);
    }
    return fewest;
  }

  #bearsOne(ordinal: number, numbers: ReadonlySet<number>): boolean {
    for (let at = this.#tagOffsets[ordinal]!; at < this.#tagOffsets[ordinal + 1]!; at += 1) {
      if (numbers.has(this.#tagIndexes[at]!)) return true;
    }
    return false;
  }

  /** A batch of these records alone, in this order, as `encodeBatch` would make it of them. Ordinals ascend; the batch `divides`. */
  encode(ordinals: readonly number[]): Uint8Array {
    assert(this.divides, "values that are compressed stay together");
    assert(ordinals.length > 0, "a batch has a record");
    scratch.message.length = 0;
    this.#putLengths(batchFields.valueLengths, this.#valueLengths, ordinals);
    this.#putTypes(ordinals);
    this.#putTags(ordinals);
    this.#putLengths(batchFields.metadataLengths, this.#metadataLengths, ordinals);
    this.#putBodies(batchFields.metadata, this.#metadata, this.#metadataLengths, ordinals);
    this.#putIds(ordinals);
    this.#putBodies(batchFields.values, this.#values, this.#valueLengths, ordinals);
    return new Uint8Array(scratch.message.bytes);
  }

  #putLengths(field: number, lengths: Uint32Array, ordinals: readonly number[]): void {
    const column = cleared(scratch.column);
    if (lengths.length > 0) for (const ordinal of ordinals) column.varint(lengths[ordinal]!);
    putField(field, column);
  }

  #putBodies(field: number, from: Range, lengths: Uint32Array, ordinals: readonly number[]): void {
    const column = cleared(scratch.column);
    let next = 0;
    let at = from.begin;
    for (const ordinal of ordinals) {
      if (from.end <= from.begin) break;
      for (; next < ordinal; next += 1) at += lengths[next]!;
      column.append(this.bytes.subarray(at, at + lengths[ordinal]!));
    }
    putField(field, column);
  }

  #putIds(ordinals: readonly number[]): void {
    const column = cleared(scratch.column);
    const { begin, end } = this.#ids;
    if (end > begin) {
      for (const ordinal of ordinals) {
        column.append(this.bytes.subarray(begin + ordinal * idBytes, begin + (ordinal + 1) * idBytes));
      }
    }
    putField(batchFields.ids, column);
  }

  #putTypes(ordinals: readonly number[]): void {
    if (!ordinals.some((ordinal) => (this.#typeIndexes[ordinal] ?? 0) > 0)) return;
    const kept = new Renumbered(batchFields.types, this.#types);
    const indexes = cleared(scratch.column);
    for (const ordinal of ordinals) {
      const type = this.#typeIndexes[ordinal]!;
      indexes.varint(type === 0 ? 0 : kept.numberOf(type - 1) + 1);
    }
    putField(batchFields.typeIndexes, indexes);
  }

  #putTags(ordinals: readonly number[]): void {
    if (this.#tagOffsets.length === 0) return;
    const kept = new Renumbered(batchFields.tags, this.#tags);
    const counts = cleared(scratch.otherColumn);
    const indexes = cleared(scratch.column);
    for (const ordinal of ordinals) {
      const [begin, end] = [this.#tagOffsets[ordinal]!, this.#tagOffsets[ordinal + 1]!];
      counts.varint(end - begin);
      for (let at = begin; at < end; at += 1) indexes.varint(kept.numberOf(this.#tagIndexes[at]!));
    }
    if (indexes.length === 0) return;
    putField(batchFields.tagCounts, counts);
    putField(batchFields.tagIndexes, indexes);
  }
}

/** What batches are made in, one after the other: a thousand readers that follow have a small one made each. */
const scratch = { message: new Sink(), column: new Sink(), otherColumn: new Sink() };

function cleared(sink: Sink): Sink {
  sink.length = 0;
  return sink;
}

/** Adds the field that holds a column; nothing where the column is empty, as protobuf does. */
function putField(number: number, column: Sink): void {
  if (column.length === 0) return;
  scratch.message.varint(keyOf(number));
  scratch.message.varint(column.length);
  scratch.message.append(column.bytes);
}

function tagOffsetsOf(columns: BatchColumns): Uint32Array {
  return columns.tagIndexes.length === 0 ? new Uint32Array(0) : columns.tagCounts.offsets();
}

/** The strings of a batch, found by what they say. */
class Dictionary {
  readonly length: number;
  readonly #bytes: Buffer;
  readonly #begins: Uint32Array;
  readonly #ends: Uint32Array;
  /** More than one number where the dictionary repeats a string. */
  #numbers: Map<string, number | number[]> | undefined;
  #asked = false;

  constructor(bytes: Uint8Array, begins: Column, ends: Column) {
    this.length = begins.length;
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#begins = begins.copy();
    this.#ends = ends.copy();
  }

  numbersOf(texts: readonly string[]): ReadonlySet<number> {
    const numbers = new Set<number>();
    // Most batches are asked once, by a read of the history, and that is no reason to make a table of all that they say.
    if (!this.#asked) {
      this.#asked = true;
      for (const text of texts) this.#look(Buffer.from(text), numbers);
      return numbers;
    }
    this.#numbers ??= this.#byText();
    for (const text of texts) {
      const found = this.#numbers.get(text);
      if (typeof found === "number") numbers.add(found);
      else for (const number of found ?? []) numbers.add(number);
    }
    return numbers;
  }

  entry(number: number): Uint8Array {
    return this.#bytes.subarray(this.#begins[number]!, this.#ends[number]!);
  }

  #look(wanted: Buffer, into: Set<number>): void {
    const last = wanted.length - 1;
    for (let number = 0; number < this.length; number += 1) {
      const [begin, end] = [this.#begins[number]!, this.#ends[number]!];
      if (end - begin !== wanted.length || (last >= 0 && this.#bytes[end - 1] !== wanted[last])) continue;
      if (this.#bytes.compare(wanted, 0, wanted.length, begin, end) === 0) into.add(number);
    }
  }

  /** Equal texts have equal bytes and the other way round: the scan took nothing but UTF-8. */
  #byText(): Map<string, number | number[]> {
    const numbers = new Map<string, number | number[]>();
    for (let number = 0; number < this.length; number += 1) {
      const text = this.#bytes.toString("utf8", this.#begins[number], this.#ends[number]);
      const before = numbers.get(text);
      if (before === undefined) numbers.set(text, number);
      else if (typeof before === "number") numbers.set(text, [before, number]);
      else before.push(number);
    }
    return numbers;
  }
}

/** The strings of a dictionary that a selection needs, numbered by first use and put into the message as they come. */
class Renumbered {
  readonly #field: number;
  readonly #from: Dictionary;
  readonly #numbers = new Map<number, number>();

  constructor(field: number, from: Dictionary) {
    this.#field = field;
    this.#from = from;
  }

  numberOf(number: number): number {
    const known = this.#numbers.get(number);
    if (known !== undefined) return known;
    const entry = this.#from.entry(number);
    scratch.message.varint(keyOf(this.#field));
    scratch.message.varint(entry.length);
    scratch.message.append(entry);
    const own = this.#numbers.size;
    this.#numbers.set(number, own);
    return own;
  }
}

type Ascending = Uint32Array | readonly number[];

/** For each string of a dictionary the records that bear it, ascending, one list behind the other. */
class Postings {
  readonly #begins: Uint32Array;
  readonly #ordinals: Uint32Array;

  /** `each` calls back with every string and record that belong together, records ascending; twice with the same. */
  private constructor(count: number, each: (visit: (number: number, ordinal: number) => void) => void) {
    const begins = new Uint32Array(count + 1);
    each((number) => {
      begins[number + 1]! += 1;
    });
    for (let number = 0; number < count; number += 1) begins[number + 1]! += begins[number]!;
    const ordinals = new Uint32Array(begins[count]!);
    const ends = begins.slice();
    each((number, ordinal) => {
      ordinals[ends[number]!] = ordinal;
      ends[number]! += 1;
    });
    this.#begins = begins;
    this.#ordinals = ordinals;
  }

  static ofTypes(count: number, typeIndexes: Uint32Array): Postings {
    return new Postings(count, (visit) => {
      for (let ordinal = 0; ordinal < typeIndexes.length; ordinal += 1) {
        if (typeIndexes[ordinal]! > 0) visit(typeIndexes[ordinal]! - 1, ordinal);
      }
    });
  }

  static ofTags(count: number, tagOffsets: Uint32Array, tagIndexes: Uint32Array): Postings {
    return new Postings(count, (visit) => {
      for (let ordinal = 0; ordinal + 1 < tagOffsets.length; ordinal += 1) {
        for (let at = tagOffsets[ordinal]!; at < tagOffsets[ordinal + 1]!; at += 1) visit(tagIndexes[at]!, ordinal);
      }
    });
  }

  /** At least as many as `of` has. */
  countOf(numbers: ReadonlySet<number>): number {
    let count = 0;
    for (const number of numbers) count += this.#begins[number + 1]! - this.#begins[number]!;
    return count;
  }

  of(numbers: ReadonlySet<number>): Ascending {
    return union(
      [...numbers].map((number) => this.#ordinals.subarray(this.#begins[number]!, this.#begins[number + 1]!)),
    );
  }
}

/** The elements of ascending lists, ascending; of equal ones in several lists one. */
function union<List extends ArrayLike<number>>(lists: readonly List[]): List | number[] {
  // Most queries find something by one of their items alone: a machine's own, and what only now and then concerns it.
  const some = lists.filter((list) => list.length > 0);
  if (some.length === 0) return [];
  return some.slice(1).reduce<List | number[]>(merged, some[0]!);
}

function merged(left: ArrayLike<number>, right: ArrayLike<number>): number[] {
  const all: number[] = [];
  for (let [l, r] = [0, 0]; l < left.length || r < right.length; ) {
    const next = Math.min(left[l] ?? Number.POSITIVE_INFINITY, right[r] ?? Number.POSITIVE_INFINITY);
    if (left[l] === next) l += 1;
    if (right[r] === next) r += 1;
    all.push(next);
  }
  return all;
}

function* range(begin: number, end: number): Generator<number> {
  for (let each = begin; each < end; each += 1) yield each;
}
