import { equalBytes } from "../../base/bytes.ts";
import type { Log } from "../../client/log.ts";
import type { RecordInput } from "../../format/batch-encode.ts";
import { numberOf } from "./flights.ts";
import { demoFailed } from "./writer.ts";

/** Reads the log and compares every record, byte by byte, with what was to be appended. */
export class Checker {
  readonly #records: readonly RecordInput[];
  /** By number of the record: where it was read; 0 for not yet. */
  readonly readAt: Float64Array;
  count = 0;

  constructor(records: readonly RecordInput[]) {
    this.#records = records;
    this.readAt = new Float64Array(records.length);
  }

  /** Reads from position 1 until every record was there, following the log as it grows. */
  async follow(log: Log, freshness: "linearizable" | "local", signal: AbortSignal): Promise<void> {
    for await (const batch of log.read({ from: 1, follow: true, freshness, signal }).batches()) {
      for (const record of batch.records()) {
        if (record.position !== this.count + 1) {
          throw demoFailed(`after position ${this.count} came ${record.position}`);
        }
        this.count += 1;
        this.#check(numberOf(record.metadata), record.position, record.value);
      }
      if (this.count === this.#records.length) return;
    }
  }

  #check(number: number, position: number, value: Uint8Array): void {
    const expected = this.#records[number];
    if (expected === undefined) throw demoFailed(`position ${position} holds what nobody appended`);
    if (this.readAt[number] !== 0) throw demoFailed(`record ${number} is at ${this.readAt[number]} and at ${position}`);
    if (!equalBytes(value, expected.value as Uint8Array))
      throw demoFailed(`the bytes at position ${position} were changed`);
    this.readAt[number] = position;
  }

  /** Every acknowledged record stands where its acknowledgement said. */
  verify(acknowledgedAt: Float64Array): void {
    for (const [number, position] of acknowledgedAt.entries()) {
      if (position !== 0 && this.readAt[number] !== position) {
        throw demoFailed(
          `record ${number} was acknowledged at ${position} and is at ${this.readAt[number] || "no position"}`,
        );
      }
    }
  }
}
