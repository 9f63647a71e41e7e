import { type Compressor, codecNumbers } from "../base/compression.ts";
import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import { batchFields } from "./batch.ts";
import { Dictionary, invalid, keyOf, keyOfNumber, Sink } from "./batch-sink.ts";
import { isWellFormed } from "./utf8.ts";

/** One record to append. Strings become UTF-8. Its parts together have at most `limits.recordBytesMax` bytes. */
export interface RecordInput {
  readonly value: Uint8Array | string;
  /** What kind of record this is; at most 256 bytes. */
  readonly type?: string | undefined;
  /** What the record is about; at most 64 of at most 256 bytes each. */
  readonly tags?: readonly string[] | undefined;
  /** Bytes beside the value. Empty metadata is read back as none. */
  readonly metadata?: Uint8Array | string | undefined;
}

/**
 * One encoded batch of these records, 1 to 65,536 of them, its values compressed where a compressor is given and it pays.
 * Throws INVALID_ARGUMENT, RECORD_TOO_LARGE or BATCH_TOO_LARGE; each says which record and which limit.
 */
export function encodeBatch(records: readonly RecordInput[], compressor?: Compressor): Uint8Array {
  if (records.length === 0) throw new PaxlogError("INVALID_ARGUMENT", "a batch needs at least one record");
  shared.clear();
  shared.addAll(records);
  return shared.finish(compressor);
}

/**
 * Gathers records, column by column, into bytes that only need to be joined: each record is encoded once, when it is added, and
 * from then on the caller may use its bytes again. `finish` makes the batch with one allocation and clears the builder.
 */
export class BatchBuilder {
  readonly #valueLengths = new Sink();
  readonly #types: Dictionary;
  readonly #typeIndexes = new Sink();
  readonly #tags = new Dictionary(batchFields.tags, "tag", limits.tagBytesMax);
  readonly #tagCounts = new Sink();
  readonly #tagIndexes = new Sink();
  readonly #metadataLengths = new Sink();
  readonly #metadata = new Sink();
  readonly #values = new Sink();
  readonly #sinks: readonly Sink[];
  readonly #compression = new Sink();
  #recordCount = 0;
  /** Records of the calls that succeeded. */
  #keptCount = 0;

  /** `checkType` throws for types that must not be written; it is given each once in a batch. */
  constructor(checkType?: (type: string, recordIndex: number) => void) {
    this.#types = new Dictionary(batchFields.types, "type", limits.typeBytesMax, checkType);
    this.#sinks = [
      this.#valueLengths,
      this.#types.sink,
      this.#typeIndexes,
      this.#tags.sink,
      this.#tagCounts,
      this.#tagIndexes,
      this.#metadataLengths,
      this.#metadata,
      this.#values,
    ];
  }

  get recordCount(): number {
    return this.#recordCount;
  }

  /** Exactly the length of what `finish` would return now without compression: with it the batch is never longer. */
  get encodedSize(): number {
    return (
      fieldSize(this.#valueLengths.length) +
      this.#types.sink.length +
      fieldSize(this.#typeIndexes.length) +
      this.#tags.sink.length +
      fieldSize(this.#tagCounts.length) +
      fieldSize(this.#tagIndexes.length) +
      fieldSize(this.#metadataLengths.length) +
      fieldSize(this.#metadata.length) +
      fieldSize(this.#values.length)
    );
  }

  /**
   * Adds all of the records or none. False: they do not fit beside what is there already, and the builder is unchanged.
   * Throws where they would not fit an empty batch or are not legal; the builder is unchanged then too.
   */
  addAll(records: readonly RecordInput[]): boolean {
    try {
      for (let index = 0; index < records.length; index += 1) {
        this.#append(records[index]!, index);
        if (!this.#fits()) return this.#refuse(records.length);
      }
      this.#keep();
      return true;
    } catch (error) {
      this.#rewind();
      throw error;
    }
  }

  /**
   * The encoded batch of all records added since the last one. There must be at least one. Its values are compressed if that saves
   * a tenth of them or more.
   */
  finish(compressor?: Compressor): Uint8Array {
    if (this.#recordCount === 0) throw new PaxlogError("INVARIANT_BROKEN", "an empty batch was finished");
    const plain = this.#values.bytes;
    const packed =
      compressor !== undefined && plain.length >= limits.compressBytesMin ? compressor.compress(plain) : undefined;
    const pays = packed !== undefined && packed.length <= 0.9 * plain.length;
    const bytes = pays
      ? this.#write(packed, { codec: codecNumbers[compressor!.codec], plainSize: plain.length })
      : this.#write(plain);
    this.clear();
    return bytes;
  }

  #write(values: Uint8Array, compressed?: { readonly codec: number; readonly plainSize: number }): Uint8Array {
    this.#compression.length = 0;
    if (compressed !== undefined) {
      this.#compression.varint(keyOfNumber(batchFields.compression));
      this.#compression.varint(compressed.codec);
      this.#compression.varint(keyOfNumber(batchFields.uncompressedSize));
      this.#compression.varint(compressed.plainSize);
    }
    const size =
      this.encodedSize - fieldSize(this.#values.length) + fieldSize(values.length) + this.#compression.length;
    const bytes = Buffer.allocUnsafeSlow(size);
    let at = 0;
    at = writeField(bytes, at, batchFields.valueLengths, this.#valueLengths);
    at = this.#types.sink.writeTo(bytes, at);
    at = writeField(bytes, at, batchFields.typeIndexes, this.#typeIndexes);
    at = this.#tags.sink.writeTo(bytes, at);
    at = writeField(bytes, at, batchFields.tagCounts, this.#tagCounts);
    at = writeField(bytes, at, batchFields.tagIndexes, this.#tagIndexes);
    at = writeField(bytes, at, batchFields.metadataLengths, this.#metadataLengths);
    at = writeField(bytes, at, batchFields.metadata, this.#metadata);
    at = this.#compression.writeTo(bytes, at);
    writeBytes(bytes, at, batchFields.values, values);
    return bytes;
  }

  clear(): void {
    for (const sink of this.#sinks) sink.length = sink.kept = 0;
    this.#types.clear();
    this.#tags.clear();
    this.#recordCount = this.#keptCount = 0;
  }

  #append(record: RecordInput, index: number): void {
    if (typeof record !== "object" || record === null) throw invalid(index, "must be an object with a value");
    let size = this.#appendBytes(record.value, this.#valueLengths, this.#values, "value", index);
    // A column stays away until a record needs it; then the records before get their zeros.
    if (record.metadata !== undefined) {
      this.#metadataLengths.startAt(this.#recordCount);
      size += this.#appendBytes(record.metadata, this.#metadataLengths, this.#metadata, "metadata", index);
    } else if (this.#metadataLengths.length > 0) this.#metadataLengths.varint(0);
    if (record.type !== undefined) {
      this.#typeIndexes.startAt(this.#recordCount);
      const type = this.#types.indexOf(record.type, index);
      this.#typeIndexes.varint(type + 1);
      size += this.#types.sizes[type]!;
    } else if (this.#typeIndexes.length > 0) this.#typeIndexes.varint(0);
    if (record.tags !== undefined) size += this.#appendTags(record.tags, index);
    else if (this.#tagCounts.length > 0) this.#tagCounts.varint(0);
    if (size > limits.recordBytesMax) throw recordTooLarge(index, size);
    this.#recordCount += 1;
  }

  #appendTags(tags: readonly string[], index: number): number {
    if (!Array.isArray(tags)) throw invalid(index, "has tags that are not an array of strings");
    if (tags.length > limits.tagsPerRecordMax) {
      throw invalid(index, `has ${tags.length} tags; a record has at most ${limits.tagsPerRecordMax}`);
    }
    if (tags.length > 0) this.#tagCounts.startAt(this.#recordCount);
    if (tags.length > 0 || this.#tagCounts.length > 0) this.#tagCounts.varint(tags.length);
    let size = 0;
    for (const text of tags) {
      const tag = this.#tags.indexOf(text, index);
      this.#tagIndexes.varint(tag);
      size += this.#tags.sizes[tag]!;
    }
    return size;
  }

  /** Writes the bytes behind those of the records before, and their length into its column. */
  #appendBytes(value: Uint8Array | string, lengths: Sink, sink: Sink, name: string, index: number): number {
    // A string has at least as many bytes as UTF-16 units; what is far too large is refused before it is written anywhere.
    if (value?.length > limits.recordBytesMax) throw recordTooLarge(index, value.length);
    let size: number;
    if (typeof value === "string") {
      if (!isWellFormed(value))
        throw invalid(index, `has a ${name} with half a surrogate pair, which UTF-8 cannot hold`);
      size = sink.text(value);
    } else if (value instanceof Uint8Array) {
      size = sink.append(value);
    } else throw invalid(index, `has a ${name} that is neither a Uint8Array nor a string`);
    lengths.varint(size);
    return size;
  }

  #fits(): boolean {
    return this.#recordCount <= limits.batchRecordsMax && this.encodedSize <= limits.batchBytesMax;
  }

  #refuse(count: number): boolean {
    const alone = this.#keptCount === 0;
    this.#rewind();
    if (!alone) return false;
    const message =
      `${count} records do not fit one batch of at most ${limits.batchRecordsMax} records and ` +
      `${limits.batchBytesMax} bytes: append them in several calls`;
    throw new PaxlogError("BATCH_TOO_LARGE", message, { facts: { limit: limits.batchBytesMax } });
  }

  #keep(): void {
    for (const sink of this.#sinks) sink.kept = sink.length;
    this.#types.keep();
    this.#tags.keep();
    this.#keptCount = this.#recordCount;
  }

  #rewind(): void {
    for (const sink of this.#sinks) sink.length = sink.kept;
    this.#types.rewind();
    this.#tags.rewind();
    this.#recordCount = this.#keptCount;
  }
}

/** An empty column is left out, as protobuf does. */
function fieldSize(length: number): number {
  return length === 0 ? 0 : 1 + varintSize(length) + length;
}

const writeField = (target: Uint8Array, at: number, field: number, sink: Sink): number =>
  writeBytes(target, at, field, sink.bytes);

function writeBytes(target: Uint8Array, at: number, field: number, source: Uint8Array): number {
  if (source.length === 0) return at;
  let offset = at;
  target[offset++] = keyOf(field);
  let rest = source.length;
  while (rest >= 0x80) {
    target[offset++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  target[offset++] = rest;
  target.set(source, offset);
  return offset + source.length;
}

/** Of a number below 2^28: a column is never longer. */
function varintSize(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  return value < 0x20_0000 ? 3 : 4;
}

function recordTooLarge(index: number, size: number): PaxlogError {
  const message =
    `record ${index} has ${size} bytes; value, type, tags and metadata together may have ${limits.recordBytesMax}: ` +
    "split it, or keep the bulk elsewhere and append a reference";
  return new PaxlogError("RECORD_TOO_LARGE", message, { facts: { record: index, limit: limits.recordBytesMax } });
}

/** Behind everything it is made of. */
const shared = new BatchBuilder();
