import { build, type Histogram } from "hdr-histogram-js";
import { assert } from "../../base/assert.ts";
import { PaxlogError, toPaxlogError } from "../../base/errors.ts";
import type { Log } from "../../client/log.ts";
import type { RecordInput } from "../../format/batch-encode.ts";
import { numberOf } from "./flights.ts";

const batchRecords = 250;
const batchesInFlight = 16;

interface Batch {
  readonly numbers: readonly number[];
  readonly sentMs: number;
}

export interface WriterHooks {
  /** After each acknowledgement: how many records are acknowledged so far, and when this batch was sent. */
  readonly onAcknowledged: (count: number, sentMs: number) => void;
}

/**
 * Appends every record once, several batches at a time. When answers fail to come because a leader was lost, the outcome of what
 * was sent is unknown; the writer then reads the log back, and sends again only what is proven not to be there: with the old
 * leader gone and its successor's tail known, what is not in the log will never be.
 */
export class Writer {
  readonly #log: Log;
  readonly #records: readonly RecordInput[];
  readonly #hooks: WriterHooks;
  /** By number of the record: the position that was acknowledged for it, 0 for none. */
  readonly acknowledgedAt: Float64Array;
  /** In microseconds, by batch. */
  readonly latency: Histogram = build({ numberOfSignificantValueDigits: 3 });
  acknowledged = 0;
  /** Records whose outcome was unknown, and how many of them the log turned out to hold. */
  unknown = 0;
  unknownFound = 0;
  #unresolved: Batch[] = [];

  constructor(log: Log, records: readonly RecordInput[], hooks: WriterHooks) {
    this.#log = log;
    this.#records = records;
    this.#hooks = hooks;
    this.acknowledgedAt = new Float64Array(records.length);
  }

  /** Resolves when every record is in the log. */
  async run(): Promise<void> {
    let numbers: readonly number[] = this.#records.map((_, number) => number);
    while (numbers.length > 0) {
      const unsent = await this.#send(numbers);
      numbers = [...(await this.#missing()), ...unsent];
    }
  }

  /** Sends until all is acknowledged or something fails; returns what was not sent. */
  async #send(numbers: readonly number[]): Promise<readonly number[]> {
    let next = 0;
    let failed = false;
    const worker = async () => {
      while (next < numbers.length && !failed) {
        const batch = { numbers: numbers.slice(next, next + batchRecords), sentMs: performance.now() };
        next += batch.numbers.length;
        if (!(await this.#append(batch))) failed = true;
      }
    };
    await Promise.all(Array.from({ length: batchesInFlight }, worker));
    return numbers.slice(next);
  }

  async #append(batch: Batch): Promise<boolean> {
    try {
      const { first } = await this.#log.append(batch.numbers.map((number) => this.#records[number]!));
      this.latency.recordValue(Math.max(1, Math.round((performance.now() - batch.sentMs) * 1000)));
      for (const [index, number] of batch.numbers.entries()) this.acknowledgedAt[number] = first + index;
      this.acknowledged += batch.numbers.length;
      this.#hooks.onAcknowledged(this.acknowledged, batch.sentMs);
      return true;
    } catch (cause) {
      const error = toPaxlogError(cause);
      if (!error.retryable) throw error;
      this.#unresolved.push(batch);
      if (error.outcome === "unknown") this.unknown += batch.numbers.length;
      return false;
    }
  }

  /** Reads back what may hold the unresolved records; returns those that are not in the log. */
  async #missing(): Promise<number[]> {
    if (this.#unresolved.length === 0) return [];
    const wanted = new Set(this.#unresolved.flatMap((batch) => batch.numbers));
    this.#unresolved = [];
    const { tail } = await this.#log.tail();
    // Whatever is unresolved was sent after its neighbours, so it lies behind the acknowledged records that came long before.
    const from = Math.max(1, tail - 4 * batchRecords * batchesInFlight);
    for await (const record of this.#log.read({ from, limit: Math.max(1, tail - from) })) {
      const number = numberOf(record.metadata);
      if (!wanted.delete(number)) continue;
      assert(this.acknowledgedAt[number] === 0, `record ${number} was acknowledged and is unresolved`);
      this.unknownFound += 1;
    }
    return [...wanted];
  }
}

/** The error of a demonstration that did not show what it should. */
export function demoFailed(message: string): PaxlogError {
  return new PaxlogError("INVARIANT_BROKEN", `the demonstration failed: ${message}`);
}
