import { PaxlogError } from "../base/errors.ts";
import { type BatchView, decodeBatch } from "../format/batch-decode.ts";
import { decompress } from "./compression.ts";

/** One record of the log. `value` and `metadata` are views of the bytes that came; copy them to keep one without its batch. */
export interface LogRecord {
  readonly position: number;
  /** Milliseconds since 1970 as the log counts them: never smaller at a later position. */
  readonly time: number;
  readonly type: string | undefined;
  readonly tags: readonly string[];
  readonly value: Uint8Array;
  readonly metadata: Uint8Array | undefined;
}

/** Records at consecutive positions that were appended together, or a piece of them. Decoded when the first one is asked for. */
export class LogBatch {
  /** Position of the first record. */
  readonly first: number;
  readonly count: number;
  readonly time: number;
  readonly #bytes: Uint8Array;
  /** How many records stand in the bytes before the first one of this batch, and how many in all. */
  readonly #skip: number;
  readonly #encodedCount: number;
  #view: BatchView | undefined;

  constructor(stored: {
    bytes: Uint8Array;
    encodedCount: number;
    skip: number;
    first: number;
    count: number;
    time: number;
  }) {
    this.first = stored.first;
    this.count = stored.count;
    this.time = stored.time;
    this.#bytes = stored.bytes;
    this.#skip = stored.skip;
    this.#encodedCount = stored.encodedCount;
  }

  /** Position of the last record. */
  get last(): number {
    return this.first + this.count - 1;
  }

  /**
   * The record at `index`, 0 to count - 1. Throws INVALID_ARGUMENT elsewhere, BATCH_MALFORMED where the bytes are no batch, or its
   * values cannot be decompressed.
   */
  record(index: number): LogRecord {
    if (!(Number.isInteger(index) && index >= 0 && index < this.count)) {
      throw new PaxlogError("INVALID_ARGUMENT", `the batch has records 0 to ${this.count - 1}, not ${index}`);
    }
    const view = this.#decoded();
    const at = this.#skip + index;
    return {
      position: this.first + index,
      time: this.time,
      type: view.type(at),
      tags: view.tags(at),
      value: view.value(at),
      metadata: view.metadata(at),
    };
  }

  *records(): IterableIterator<LogRecord> {
    for (let index = 0; index < this.count; index += 1) yield this.record(index);
  }

  #decoded(): BatchView {
    if (this.#view !== undefined) return this.#view;
    const view = decodeBatch(this.#bytes, decompress);
    if (view.recordCount !== this.#encodedCount) {
      const message = `the batch at ${this.first} holds ${view.recordCount} records and was announced with ${this.#encodedCount}`;
      throw new PaxlogError("BATCH_MALFORMED", message);
    }
    this.#view = view;
    return view;
  }
}
