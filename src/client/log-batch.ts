import { PaxlogError } from "../base/errors.ts";
import { type BatchView, decodeBatch } from "../format/batch-decode.ts";
import { decompress } from "./compression.ts";

/** One record of the log. `value` and `metadata` are views of the bytes that came; copy them to keep one without its batch. */
export interface LogRecord {
  readonly position: number;
  /** Milliseconds since 1970 as the log counts them: never smaller at a later position. */
  readonly time: number;
  /** The session in which it was appended; 0: none. Nobody else can append in its name. */
  readonly session: number;
  readonly type: string | undefined;
  readonly tags: readonly string[];
  readonly value: Uint8Array;
  readonly metadata: Uint8Array | undefined;
}

/** Which records of an encoded batch are handed out, and where they are in the log. */
export interface LogBatchParts {
  readonly bytes: Uint8Array;
  /** How many records the bytes hold. */
  readonly encodedCount: number;
  readonly time: number;
  readonly session: number;
  /** Those that are handed out, by their ordinals in the bytes: neighbours, or any of them. */
  readonly at: { readonly begin: number; readonly count: number } | readonly number[];
  /** Of the first one. */
  readonly first: number;
  /** Where they are any: the positions of all of them, ascending. */
  readonly positions?: readonly number[];
}

/**
 * Records that were appended together, or some of them: at consecutive positions, unless a query chose them. Decoded when the first
 * one is asked for.
 */
export class LogBatch {
  /** Position of the first record. */
  readonly first: number;
  readonly count: number;
  readonly time: number;
  readonly #parts: LogBatchParts;
  #view: BatchView | undefined;

  constructor(parts: LogBatchParts) {
    this.first = parts.first;
    this.count = "count" in parts.at ? parts.at.count : parts.at.length;
    this.time = parts.time;
    this.#parts = parts;
  }

  /** Position of the last record. */
  get last(): number {
    return this.#positionOf(this.count - 1);
  }

  /** Position of the record at `index`, 0 to count - 1. Throws INVALID_ARGUMENT elsewhere. */
  position(index: number): number {
    this.#check(index);
    return this.#positionOf(index);
  }

  #positionOf(index: number): number {
    return this.#parts.positions?.[index] ?? this.first + index;
  }

  #check(index: number): void {
    if (Number.isInteger(index) && index >= 0 && index < this.count) return;
    throw new PaxlogError("INVALID_ARGUMENT", `the batch has records 0 to ${this.count - 1}, not ${index}`);
  }

  /**
   * The record at `index`, 0 to count - 1. Throws INVALID_ARGUMENT elsewhere, BATCH_MALFORMED where the bytes are no batch, or its
   * values cannot be decompressed.
   */
  record(index: number): LogRecord {
    this.#check(index);
    const view = this.#decoded();
    const { at: ordinals } = this.#parts;
    const at = "count" in ordinals ? ordinals.begin + index : ordinals[index]!;
    return {
      position: this.#positionOf(index),
      time: this.time,
      session: this.#parts.session,
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
    const { bytes, encodedCount } = this.#parts;
    const view = decodeBatch(bytes, decompress);
    if (view.recordCount !== encodedCount) {
      const message = `the batch at ${this.first} holds ${view.recordCount} records and was announced with ${encodedCount}`;
      throw new PaxlogError("BATCH_MALFORMED", message);
    }
    this.#view = view;
    return view;
  }
}
