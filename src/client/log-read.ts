import type { LogBatch, LogRecord } from "./log-batch.ts";
import type { LogRead, ReadOptions } from "./read-options.ts";
import { planOf } from "./read-plan.ts";
import { type ReadContext, Reader } from "./reader.ts";

/** Throws INVALID_ARGUMENT; anything else is found out by iterating. */
export function openRead(context: ReadContext, options: ReadOptions): LogRead {
  const plan = planOf(options);
  const backward = plan.direction === "backward";
  return {
    [Symbol.asyncIterator]: () => new RecordIterator(new BatchIterator(new Reader(context, plan)), backward),
    batches: () => ({ [Symbol.asyncIterator]: () => new BatchIterator(new Reader(context, plan)) }),
  };
}

/** The batches of one read. `return` (a `break` in the loop) ends it even while `next` waits. */
class BatchIterator implements AsyncIterableIterator<LogBatch, void, void> {
  readonly #reader: Reader;
  readonly #batches: AsyncGenerator<LogBatch, void, void>;

  constructor(reader: Reader) {
    this.#reader = reader;
    this.#batches = reader.batches();
  }

  get stopped(): boolean {
    return this.#reader.stopped;
  }

  next(): Promise<IteratorResult<LogBatch, void>> {
    return this.#batches.next();
  }

  return(): Promise<IteratorResult<LogBatch, void>> {
    this.#reader.stop();
    return this.#batches.return();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** The records of one read: those of a batch that is here are handed out without another turn through the generator. */
class RecordIterator implements AsyncIterableIterator<LogRecord, void, void> {
  readonly #batches: BatchIterator;
  readonly #backward: boolean;
  #batch: LogBatch | undefined;
  /** How many records of the batch were handed out. */
  #index = 0;
  /** The call that waits for a batch, if there is one: later calls must come after it. */
  #waiting: Promise<IteratorResult<LogRecord, void>> | undefined;

  constructor(batches: BatchIterator, backward: boolean) {
    this.#batches = batches;
    this.#backward = backward;
  }

  next(): Promise<IteratorResult<LogRecord, void>> {
    if (this.#waiting === undefined && this.#hasRecord) return this.#take();
    const before = this.#waiting ?? Promise.resolve();
    const own = before
      .then(() => this.#advance())
      .finally(() => {
        if (this.#waiting === own) this.#waiting = undefined;
      });
    this.#waiting = own;
    return own;
  }

  async return(): Promise<IteratorResult<LogRecord, void>> {
    this.#batch = undefined;
    await this.#batches.return();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  get #hasRecord(): boolean {
    return this.#batch !== undefined && this.#index < this.#batch.count && !this.#batches.stopped;
  }

  async #take(): Promise<IteratorResult<LogRecord, void>> {
    const batch = this.#batch!;
    const value = batch.record(this.#backward ? batch.count - 1 - this.#index : this.#index);
    this.#index += 1;
    return { done: false, value };
  }

  async #advance(): Promise<IteratorResult<LogRecord, void>> {
    if (this.#hasRecord) return this.#take();
    const { done, value } = await this.#batches.next();
    if (done) {
      this.#batch = undefined;
      return { done: true, value: undefined };
    }
    this.#batch = value;
    this.#index = 0;
    return this.#take();
  }
}
