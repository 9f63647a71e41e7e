import { PaxlogError } from "../../src/base/errors.ts";
import type { Log } from "../../src/client/log.ts";
import { pause } from "./harness.ts";

const inFlight = 16;
/** Between two appends of a loop: what is killed matters, and a machine that is full of appends starts nodes slowly. */
const restMs = 5;

/** Appends numbered records from several loops at once, never sends one twice, and remembers what was acknowledged where. */
export class Load {
  /** By value: the position that was acknowledged. */
  readonly acknowledged = new Map<string, number>();
  readonly unknown = new Set<string>();
  /** When the last acknowledgement came; and each that came after `mark`. */
  lastAcknowledgedMs = 0;
  readonly #log: Log;
  #next = 0;
  #stopping = false;
  #failure: unknown;
  #loops: Promise<void>[] = [];
  #markedMs = Number.POSITIVE_INFINITY;
  #onAfterMark: (ms: number) => void = () => {};

  constructor(log: Log) {
    this.#log = log;
  }

  start(): void {
    this.#loops = Array.from({ length: inFlight }, () => this.#loop());
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#loops);
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Resolves once so many records are acknowledged. */
  async until(count: number): Promise<void> {
    while (this.acknowledged.size < count) await pause(5);
  }

  /** Milliseconds from now to the first acknowledgement of a record that is sent after now. */
  nextAcknowledgement(): Promise<number> {
    this.#markedMs = performance.now();
    const markedMs = this.#markedMs;
    return new Promise((resolve) => {
      this.#onAfterMark = (ms) => resolve(ms - markedMs);
    });
  }

  async #loop(): Promise<void> {
    while (!this.#stopping) {
      this.#next += 1;
      const value = `record ${this.#next}`;
      const sentMs = performance.now();
      try {
        const { position } = await this.#log.append({ value });
        this.acknowledged.set(value, position);
        this.lastAcknowledgedMs = performance.now();
        if (sentMs >= this.#markedMs) this.#onAfterMark(this.lastAcknowledgedMs);
        await pause(restMs);
      } catch (error) {
        if (!(error instanceof PaxlogError) || !error.retryable) {
          this.#failure ??= error;
          return;
        }
        if (error.outcome === "unknown") this.unknown.add(value);
      }
    }
  }
}

/** Follows the log from position 1 and checks that no reader ever sees a gap, a repetition or a change. */
export class Follower {
  readonly values: string[] = [];
  readonly #log: Log;
  readonly #abort = new AbortController();
  readonly #done: Promise<void>;

  /** The log is this reader's own: stop() closes it. */
  constructor(log: Log) {
    this.#log = log;
    this.#done = this.#follow(log);
    this.#done.catch(() => {});
  }

  async #follow(log: Log): Promise<void> {
    for await (const record of log.read({ from: 1, follow: true, signal: this.#abort.signal })) {
      if (record.position !== this.values.length + 1) {
        throw new Error(`after position ${this.values.length} came ${record.position}`);
      }
      this.values.push(Buffer.from(record.value).toString());
    }
  }

  async until(count: number): Promise<void> {
    while (this.values.length < count) await Promise.race([this.#done, pause(5)]);
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#done;
    await this.#log.close();
  }
}

/** All values of the log as this log's nodes have it, checked to be dense. */
export async function readAll(log: Log, freshness: "linearizable" | "local" = "linearizable"): Promise<string[]> {
  const values: string[] = [];
  for await (const record of log.read({ from: 1, freshness })) {
    if (record.position !== values.length + 1)
      throw new Error(`after position ${values.length} came ${record.position}`);
    values.push(Buffer.from(record.value).toString());
  }
  return values;
}

/** Every acknowledged record is at its position, and nothing is in the log twice or unasked for. */
export function checkHistory(values: readonly string[], load: Load): void {
  for (const [value, position] of load.acknowledged) {
    if (values[position - 1] !== value) {
      throw new Error(`${value} was acknowledged at ${position}, where ${values[position - 1] ?? "nothing"} is`);
    }
  }
  const seen = new Set(values);
  if (seen.size !== values.length) throw new Error("a record is in the log twice");
  for (const value of values) {
    if (!load.acknowledged.has(value) && !load.unknown.has(value))
      throw new Error(`${value} failed for certain, and is there`);
  }
}
