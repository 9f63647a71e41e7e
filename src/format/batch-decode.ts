import type { Codec, Decompress } from "../base/compression.ts";
import { PaxlogError } from "../base/errors.ts";
import { type BatchColumns, type BatchFault, type Column, type Range, readColumns } from "./batch.ts";

/** One record of a batch. `value` and `metadata` are views of the batch's bytes, or of what they were decompressed to. */
export interface BatchRecord {
  readonly value: Uint8Array;
  readonly type: string | undefined;
  readonly tags: readonly string[];
  /** Absent where it is empty too: the format does not tell them apart. */
  readonly metadata: Uint8Array | undefined;
}

/**
 * A checked batch whose records are made when they are asked for. Values are decompressed when the first one is asked for, which
 * throws BATCH_MALFORMED where they cannot be: the log does not look into them.
 * Throws BATCH_MALFORMED, RECORD_TOO_LARGE or BATCH_TOO_LARGE where scanBatch has a fault to name.
 */
export function decodeBatch(bytes: Uint8Array, decompress: Decompress = undecodable): BatchView {
  const columns = readColumns(bytes);
  if ("kind" in columns) throw faultError(columns);
  return new BatchView(bytes, columns, decompress);
}

const undecodable: Decompress = () => {
  throw new RangeError("this reader takes no compressed values");
};

/** The error that tells a caller of a batch's fault. Nothing was written for it. */
export function faultError(fault: BatchFault): PaxlogError {
  if (fault.kind === "tooLarge") return new PaxlogError(fault.code, fault.reason);
  return new PaxlogError("BATCH_MALFORMED", `not a legal RecordBatch: ${fault.reason}`);
}

const noTags: readonly string[] = Object.freeze([]);

/** Values that are not decompressed yet. */
interface PackedValues {
  readonly codec: Codec;
  readonly bytes: Uint8Array;
  readonly size: number;
  readonly decompress: Decompress;
}

export class BatchView {
  readonly recordCount: number;
  readonly #bytes: Uint8Array;
  readonly #values: Spans;
  #packed: PackedValues | undefined;
  /** What the values lie in: the batch, or what they were decompressed to. */
  #valueBytes: Uint8Array;
  readonly #metadata: Spans | undefined;
  readonly #types: Strings | undefined;
  readonly #typeIndexes: Uint32Array;
  readonly #tags: Strings | undefined;
  /** Where each record's tags begin in #tagIndexes; one more for the end. */
  readonly #tagOffsets: Uint32Array;
  readonly #tagIndexes: Uint32Array;

  /** Use decodeBatch. Copies out of the columns, which the next batch overwrites. */
  constructor(bytes: Uint8Array, columns: BatchColumns, decompress: Decompress) {
    const { codec, values, uncompressedSize } = columns;
    this.recordCount = columns.valueLengths.length;
    this.#bytes = bytes;
    this.#valueBytes = bytes;
    this.#values = spansOf(columns.valueLengths, codec === undefined ? values : noRange);
    if (codec !== undefined) {
      this.#packed = { codec, bytes: bytes.subarray(values.begin, values.end), size: uncompressedSize, decompress };
    }
    this.#metadata =
      columns.metadataLengths.length > 0 ? spansOf(columns.metadataLengths, columns.metadata) : undefined;
    this.#typeIndexes = columns.typeIndexes.copy();
    this.#types = columns.typeIndexes.length > 0 ? new Strings(bytes, columns.typeBegins, columns.typeEnds) : undefined;
    this.#tagOffsets = columns.tagCounts.offsets();
    this.#tagIndexes = columns.tagIndexes.copy();
    this.#tags = columns.tagIndexes.length > 0 ? new Strings(bytes, columns.tagBegins, columns.tagEnds) : undefined;
  }

  /** The record at `index`, 0 to recordCount - 1. Throws INVALID_ARGUMENT elsewhere. */
  record(index: number): BatchRecord {
    this.#check(index);
    return { value: this.value(index), type: this.type(index), tags: this.tags(index), metadata: this.metadata(index) };
  }

  *[Symbol.iterator](): IterableIterator<BatchRecord> {
    for (let index = 0; index < this.recordCount; index += 1) yield this.record(index);
  }

  value(index: number): Uint8Array {
    this.#check(index);
    if (this.#packed !== undefined) this.#unpack(this.#packed);
    return span(this.#valueBytes, this.#values, index);
  }

  #unpack({ codec, bytes, size, decompress }: PackedValues): void {
    try {
      this.#valueBytes = decompress(codec, bytes, size);
      this.#packed = undefined;
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      const message = `the values of the batch are not ${size} bytes compressed with ${codec} (${reason}): whoever wrote it must mend it`;
      throw new PaxlogError("BATCH_MALFORMED", message, { cause, facts: { codec, size } });
    }
  }

  metadata(index: number): Uint8Array | undefined {
    this.#check(index);
    if (this.#metadata === undefined) return undefined;
    const bytes = span(this.#bytes, this.#metadata, index);
    return bytes.length === 0 ? undefined : bytes;
  }

  type(index: number): string | undefined {
    this.#check(index);
    const type = this.#types === undefined ? 0 : this.#typeIndexes[index]!;
    return type === 0 ? undefined : this.#types?.at(type - 1);
  }

  tags(index: number): readonly string[] {
    this.#check(index);
    if (this.#tags === undefined) return noTags;
    const begin = this.#tagOffsets[index]!;
    const end = this.#tagOffsets[index + 1]!;
    if (begin === end) return noTags;
    const tags: string[] = [];
    for (let at = begin; at < end; at += 1) tags.push(this.#tags.at(this.#tagIndexes[at]!));
    return tags;
  }

  #check(index: number): void {
    if (index >= 0 && index < this.recordCount && Number.isInteger(index)) return;
    throw new PaxlogError("INVALID_ARGUMENT", `the batch has records 0 to ${this.recordCount - 1}, not ${index}`);
  }
}

/** Byte ranges one after another, from `base`. */
interface Spans {
  readonly base: number;
  readonly offsets: Uint32Array;
}

const noRange: Range = { begin: 0, end: 0 };

function spansOf(lengths: Column, range: Range): Spans {
  // A column whose lengths are all 0 may come without its bytes.
  return { base: Math.max(0, range.begin), offsets: lengths.offsets() };
}

function span(bytes: Uint8Array, spans: Spans, index: number): Uint8Array {
  return bytes.subarray(spans.base + spans.offsets[index]!, spans.base + spans.offsets[index + 1]!);
}

/** A dictionary that turns bytes into a string at its first use. */
class Strings {
  readonly #bytes: Buffer;
  readonly #begins: Uint32Array;
  readonly #ends: Uint32Array;
  readonly #decoded: (string | undefined)[];

  constructor(bytes: Uint8Array, begins: Column, ends: Column) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#begins = begins.copy();
    this.#ends = ends.copy();
    this.#decoded = new Array<string | undefined>(begins.length).fill(undefined);
  }

  at(index: number): string {
    const decoded = this.#decoded[index];
    if (decoded !== undefined) return decoded;
    const text = this.#bytes.toString("utf8", this.#begins[index], this.#ends[index]);
    this.#decoded[index] = text;
    return text;
  }
}
