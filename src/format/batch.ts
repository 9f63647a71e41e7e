/**
 * The record batch: the protobuf message RecordBatch of proto/paxlog/v1/batch.proto, which says what each column means.
 * The client encodes it once and the log stores those bytes, so whatever any protobuf library makes of the message is legal:
 *
 *   field  column            wire form
 *       1  value_lengths     varints; one per record: their number is the record count, 1 to 65,536
 *       2  types             UTF-8, at most 256 bytes each, repeated
 *       3  type_indexes      varints; absent, or one per record: 0 = none, k = types[k - 1]
 *       4  tags              UTF-8, at most 256 bytes each, repeated
 *       5  tag_counts        varints; absent, or one per record, at most 64
 *       6  tag_indexes       varints; as many as tag_counts add up to: k = tags[k]
 *       7  metadata_lengths  varints; absent, or one per record
 *       8  metadata          bytes; as long as metadata_lengths add up to
 *       9  ids               bytes; absent, or 16 per record
 *      10  compression       varint; absent or 0: none, 1 gzip, 2 zstd
 *      11  uncompressed_size varint; absent or 0 without compression, otherwise what value_lengths add up to
 *      15  values            bytes; as long as value_lengths add up to, or what that many bytes were compressed to
 *
 * Fields come in any order. A column of varints may be packed, packed in several pieces, one field for each element, or any mix.
 * A varint has at most ten bytes and may be longer than it need be; its value is below 2^32. Refused, since two readers could
 * understand it differently: a field that the table does not have, a wire type that is not the field's, and a second occurrence
 * of a field that is not repeated. Tolerated: a dictionary that repeats a string or holds one that no record uses.
 */
import type { BatchFault, BatchScan } from "../base/batch-tools.ts";
import { type Codec, codecOf } from "../base/compression.ts";
import { limits } from "../base/limits.ts";
import { isUtf8 } from "./utf8.ts";

/** Field numbers of RecordBatch. Stored: never renumber. */
export const batchFields = {
  valueLengths: 1,
  types: 2,
  typeIndexes: 3,
  tags: 4,
  tagCounts: 5,
  tagIndexes: 6,
  metadataLengths: 7,
  metadata: 8,
  ids: 9,
  compression: 10,
  uncompressedSize: 11,
  values: 15,
} as const;

export const idBytes = 16;

const wireVarint = 0;
const wireBytes = 2;

export type { BatchFault, BatchScan } from "../base/batch-tools.ts";

/**
 * Checks a batch from end to end without an object per record: everything that batch.proto says, and all limits. Never throws.
 * What it finds "ok" every reader can decode. The addon's scan (native/src/batch.rs) has the same verdicts, word for word.
 */
export function scanBatch(bytes: Uint8Array): BatchScan {
  const fault = scratch.read(bytes);
  return fault ?? { kind: "ok", recordCount: scratch.valueLengths.length };
}

const malformed = (reason: string): BatchFault => ({ kind: "malformed", reason });

/** Numbers of one column. It is used again for every batch, so that a scan allocates nothing. */
export class Column {
  values: Uint32Array = new Uint32Array(1024);
  length = 0;

  /** Makes room for `count` more. A column of `limits.batchBytesMax` elements is the largest that a batch can hold. */
  reserve(count: number): void {
    const needed = this.length + count;
    if (needed <= this.values.length) return;
    const larger = new Uint32Array(Math.max(needed, 2 * this.values.length));
    larger.set(this.values.subarray(0, this.length));
    this.values = larger;
  }

  push(value: number): void {
    this.reserve(1);
    this.values[this.length] = value;
    this.length += 1;
  }

  sum(): number {
    let sum = 0;
    for (let index = 0; index < this.length; index += 1) sum += this.values[index]!;
    return sum;
  }

  copy(): Uint32Array {
    return this.values.slice(0, this.length);
  }

  /** Where each element's bytes begin if each element is a length; one more for the end of the last. */
  offsets(): Uint32Array {
    const offsets = new Uint32Array(this.length + 1);
    let offset = 0;
    for (let index = 0; index < this.length; index += 1) {
      offset += this.values[index]!;
      offsets[index + 1] = offset;
    }
    return offsets;
  }

  clear(): void {
    this.length = 0;
    // The rare huge column is given back rather than kept for ever.
    if (this.values.length > 4 * limits.batchRecordsMax) this.values = new Uint32Array(1024);
  }
}

/** A byte range of the batch; `begin` is -1 where the field is absent. */
export interface Range {
  begin: number;
  end: number;
}

/**
 * The columns of one batch, read and checked. One instance serves all scans: `read` never yields, and what must outlive it is
 * copied out by whoever decodes.
 */
export class BatchColumns {
  readonly valueLengths = new Column();
  readonly typeBegins = new Column();
  readonly typeEnds = new Column();
  readonly typeIndexes = new Column();
  readonly tagBegins = new Column();
  readonly tagEnds = new Column();
  readonly tagCounts = new Column();
  readonly tagIndexes = new Column();
  readonly metadataLengths = new Column();
  readonly metadata: Range = { begin: -1, end: -1 };
  readonly ids: Range = { begin: -1, end: -1 };
  readonly values: Range = { begin: -1, end: -1 };
  #compression = -1;
  #uncompressedSize = -1;
  #bytes: Uint8Array = new Uint8Array(0);
  /** Offset of the next byte to parse. */
  #at = 0;
  #end = 0;

  /** How values is compressed; undefined: it is not. */
  get codec(): Codec | undefined {
    return codecOf(this.#compression);
  }

  /** What values would be without compression; 0 where it is not compressed. */
  get uncompressedSize(): number {
    return Math.max(0, this.#uncompressedSize);
  }

  /** Reads all columns of `bytes` and checks them; afterwards they hold this batch, or nothing to rely on if there is a fault. */
  read(bytes: Uint8Array): BatchFault | undefined {
    if (bytes.length > limits.batchBytesMax) {
      const reason = `the batch has ${bytes.length} bytes, the limit is ${limits.batchBytesMax}`;
      return { kind: "tooLarge", code: "BATCH_TOO_LARGE", reason };
    }
    this.#reset(bytes);
    const fault = this.#parse() ?? this.#checkColumns() ?? this.#checkDictionaries() ?? this.#checkRecords();
    // The bytes must not live as long as the scratch does.
    this.#bytes = noBytes;
    return fault;
  }

  #reset(bytes: Uint8Array): void {
    for (const column of this.#columns()) column.clear();
    for (const range of [this.metadata, this.ids, this.values]) range.begin = range.end = -1;
    this.#compression = -1;
    this.#uncompressedSize = -1;
    this.#bytes = bytes;
    this.#at = 0;
    this.#end = bytes.length;
  }

  #columns(): Column[] {
    const dictionaries = [this.typeBegins, this.typeEnds, this.tagBegins, this.tagEnds];
    return [
      this.valueLengths,
      this.typeIndexes,
      this.tagCounts,
      this.tagIndexes,
      this.metadataLengths,
      ...dictionaries,
    ];
  }

  #parse(): BatchFault | undefined {
    while (this.#at < this.#end) {
      const key = this.#varint(this.#end);
      if (key < 0) return malformed("a field's number is cut short or out of range");
      const fault = this.#field(key >>> 3, key & 7);
      if (fault !== undefined) return fault;
    }
    return undefined;
  }

  #field(number: number, wireType: number): BatchFault | undefined {
    switch (number) {
      case batchFields.valueLengths:
        return this.#column(this.valueLengths, "value_lengths", wireType);
      case batchFields.types:
        return this.#dictionaryEntry(this.typeBegins, this.typeEnds, "types", wireType);
      case batchFields.typeIndexes:
        return this.#column(this.typeIndexes, "type_indexes", wireType);
      case batchFields.tags:
        return this.#dictionaryEntry(this.tagBegins, this.tagEnds, "tags", wireType);
      case batchFields.tagCounts:
        return this.#column(this.tagCounts, "tag_counts", wireType);
      case batchFields.tagIndexes:
        return this.#column(this.tagIndexes, "tag_indexes", wireType);
      case batchFields.metadataLengths:
        return this.#column(this.metadataLengths, "metadata_lengths", wireType);
      case batchFields.metadata:
        return this.#singularBytes(this.metadata, "metadata", wireType);
      case batchFields.ids:
        return this.#singularBytes(this.ids, "ids", wireType);
      case batchFields.values:
        return this.#singularBytes(this.values, "values", wireType);
      case batchFields.compression:
        if (this.#compression >= 0) return malformed("compression occurs twice");
        this.#compression = wireType === wireVarint ? this.#varint(this.#end) : -1;
        return this.#compression === 0 || this.codec !== undefined
          ? undefined
          : malformed("the compression is not one that this version knows");
      case batchFields.uncompressedSize:
        if (this.#uncompressedSize >= 0) return malformed("uncompressed_size occurs twice");
        this.#uncompressedSize = wireType === wireVarint ? this.#varint(this.#end) : -1;
        return this.#uncompressedSize >= 0 ? undefined : malformed("uncompressed_size is cut short or out of range");
      default:
        return malformed(`field ${number} is not one of RecordBatch`);
    }
  }

  /** A piece of a column: many elements packed, or one alone. */
  #column(column: Column, name: string, wireType: number): BatchFault | undefined {
    if (wireType === wireVarint) {
      const value = this.#varint(this.#end);
      if (value < 0) return malformed(`an element of ${name} is cut short or out of range`);
      column.push(value);
      return undefined;
    }
    if (wireType !== wireBytes) return malformed(`${name} has wire type ${wireType}`);
    const length = this.#length();
    if (length < 0) return malformed(`${name} is longer than the batch`);
    return this.#packed(column, this.#at + length)
      ? undefined
      : malformed(`an element of ${name} is cut short or out of range`);
  }

  #packed(column: Column, end: number): boolean {
    // Each element has a byte or more, so this is room enough.
    column.reserve(end - this.#at);
    const { values } = column;
    const bytes = this.#bytes;
    let count = column.length;
    while (this.#at < end) {
      const first = bytes[this.#at]!;
      if (first < 0x80) {
        values[count] = first;
        this.#at += 1;
      } else {
        const value = this.#varint(end);
        if (value < 0) return false;
        values[count] = value;
      }
      count += 1;
    }
    column.length = count;
    return true;
  }

  #dictionaryEntry(begins: Column, ends: Column, name: string, wireType: number): BatchFault | undefined {
    if (wireType !== wireBytes) return malformed(`${name} has wire type ${wireType}`);
    const length = this.#length();
    if (length < 0) return malformed(`an element of ${name} is longer than the batch`);
    begins.push(this.#at);
    this.#at += length;
    ends.push(this.#at);
    return undefined;
  }

  #singularBytes(range: Range, name: string, wireType: number): BatchFault | undefined {
    if (wireType !== wireBytes) return malformed(`${name} has wire type ${wireType}`);
    if (range.begin >= 0) return malformed(`${name} occurs twice`);
    const length = this.#length();
    if (length < 0) return malformed(`${name} is longer than the batch`);
    range.begin = this.#at;
    this.#at += length;
    range.end = this.#at;
    return undefined;
  }

  /** The length of a field that follows, or -1 where the batch ends before it does. */
  #length(): number {
    const length = this.#varint(this.#end);
    return length <= this.#end - this.#at ? length : -1;
  }

  /** Reads one varint of at most ten bytes that ends at or before `end`; -1 where there is none or it is 2^32 or more. */
  #varint(end: number): number {
    let value = 0;
    let shift = 1;
    for (let count = 0; count < 10; count += 1) {
      if (this.#at >= end) return -1;
      const byte = this.#bytes[this.#at]!;
      this.#at += 1;
      value += (byte & 0x7f) * shift;
      if (byte < 0x80) return value < 0x1_0000_0000 ? value : -1;
      shift *= 128;
    }
    return -1;
  }

  /** Lengths of the columns against each other. */
  #checkColumns(): BatchFault | undefined {
    const count = this.valueLengths.length;
    if (count === 0) return malformed("the batch has no record");
    if (count > limits.batchRecordsMax) {
      const reason = `the batch has ${count} records, the limit is ${limits.batchRecordsMax}`;
      return { kind: "tooLarge", code: "BATCH_TOO_LARGE", reason };
    }
    const perRecord = [
      ["type_indexes", this.typeIndexes],
      ["tag_counts", this.tagCounts],
      ["metadata_lengths", this.metadataLengths],
    ] as const;
    for (const [name, column] of perRecord) {
      if (column.length !== 0 && column.length !== count) {
        return malformed(`${name} has ${column.length} elements for ${count} records`);
      }
    }
    if (this.tagCounts.sum() !== this.tagIndexes.length) {
      return malformed(`tag_indexes has ${this.tagIndexes.length} elements and tag_counts asks for another number`);
    }
    const valuesFault = this.#checkValues();
    if (valuesFault !== undefined) return valuesFault;
    if (this.metadataLengths.sum() !== this.metadata.end - this.metadata.begin) {
      return malformed("metadata_lengths do not add up to the length of metadata");
    }
    const idsLength = this.ids.end - this.ids.begin;
    if (idsLength !== 0 && idsLength !== count * idBytes)
      return malformed(`ids has not ${idBytes} bytes for each record`);
    return undefined;
  }

  #checkValues(): BatchFault | undefined {
    const sum = this.valueLengths.sum();
    const length = this.values.end - this.values.begin;
    if (this.codec === undefined) {
      if (this.#uncompressedSize > 0) return malformed("uncompressed_size is not 0 and nothing is compressed");
      return sum === length ? undefined : malformed("value_lengths do not add up to the length of values");
    }
    if (sum !== this.uncompressedSize) return malformed("value_lengths do not add up to uncompressed_size");
    if (sum > limits.uncompressedBytesMax) {
      const reason = `the batch has ${sum} bytes of values before compression, the limit is ${limits.uncompressedBytesMax}`;
      return { kind: "tooLarge", code: "BATCH_TOO_LARGE", reason };
    }
    return length > 0 ? undefined : malformed("values is compressed and empty");
  }

  #checkDictionaries(): BatchFault | undefined {
    const dictionaries = [
      ["type", this.typeBegins, this.typeEnds, limits.typeBytesMax],
      ["tag", this.tagBegins, this.tagEnds, limits.tagBytesMax],
    ] as const;
    for (const [name, begins, ends, bytesMax] of dictionaries) {
      for (let index = 0; index < begins.length; index += 1) {
        const begin = begins.values[index]!;
        const end = ends.values[index]!;
        if (end - begin > bytesMax)
          return malformed(`${name} ${index} has ${end - begin} bytes, the limit is ${bytesMax}`);
        if (!isUtf8(this.#bytes, begin, end)) return malformed(`${name} ${index} is not valid UTF-8`);
      }
    }
    return undefined;
  }

  /** Indexes and sizes, record by record. */
  #checkRecords(): BatchFault | undefined {
    const typed = this.typeIndexes.length > 0;
    const tagged = this.tagCounts.length > 0;
    const described = this.metadataLengths.length > 0;
    let tagAt = 0;
    for (let index = 0; index < this.valueLengths.length; index += 1) {
      let size = this.valueLengths.values[index]!;
      if (described) size += this.metadataLengths.values[index]!;
      if (typed) {
        const type = this.typeIndexes.values[index]!;
        if (type > this.typeBegins.length)
          return malformed(`record ${index} names type ${type}, which the batch does not have`);
        if (type > 0) size += this.typeEnds.values[type - 1]! - this.typeBegins.values[type - 1]!;
      }
      if (tagged) {
        const count = this.tagCounts.values[index]!;
        if (count > limits.tagsPerRecordMax) {
          return malformed(`record ${index} has ${count} tags, the limit is ${limits.tagsPerRecordMax}`);
        }
        for (const tagEnd = tagAt + count; tagAt < tagEnd; tagAt += 1) {
          const tag = this.tagIndexes.values[tagAt]!;
          if (tag >= this.tagBegins.length)
            return malformed(`record ${index} names tag ${tag}, which the batch does not have`);
          size += this.tagEnds.values[tag]! - this.tagBegins.values[tag]!;
        }
      }
      if (size > limits.recordBytesMax) {
        const reason = `record ${index} has ${size} bytes, the limit is ${limits.recordBytesMax}`;
        return { kind: "tooLarge", code: "RECORD_TOO_LARGE", reason };
      }
    }
    return undefined;
  }
}

const noBytes = new Uint8Array(0);
const scratch = new BatchColumns();

/** For the decoder: the columns of a batch that passed, valid until the next scan or decode. */
export function readColumns(bytes: Uint8Array): BatchColumns | BatchFault {
  return scratch.read(bytes) ?? scratch;
}
