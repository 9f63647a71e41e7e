import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";

interface Wait {
  readonly until: number;
  settle(end?: unknown): void;
}

/** Those who wait for a machine to have applied up to a position. */
export class AppliedWaits {
  readonly #machine: string;
  readonly #waits = new Set<Wait>();
  /** Nobody waits for less than the one, or for more than the other: they are asked at each step of the machine. */
  #nearest = Number.POSITIVE_INFINITY;
  #furthest = 0;
  /** The furthest one gave up: who is next is found when it is asked for. */
  #isStale = false;

  constructor(machine: string) {
    this.#machine = machine;
  }

  /** The furthest position that anybody waits for; 0: nobody does. */
  get furthest(): number {
    if (this.#isStale) this.#bound();
    return this.#furthest;
  }

  /** @throws PaxlogError OVERLOADED, what ends all waits, or the signal's reason. */
  until(position: number, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    if (this.#waits.size >= limits.machineWaitsMax) {
      const message = `${this.#waits.size} calls wait for the machine ${this.#machine} on this node: it is slow, or stands still`;
      throw new PaxlogError("OVERLOADED", message, { facts: { machine: this.#machine } });
    }
    return new Promise((resolve, reject) => {
      const onAbort = (): void => wait.settle(signal?.reason);
      const wait: Wait = {
        until: position,
        settle: (end) => {
          this.#waits.delete(wait);
          if (position === this.#furthest) this.#isStale = true;
          signal?.removeEventListener("abort", onAbort);
          if (end === undefined) resolve();
          else reject(end);
        },
      };
      this.#waits.add(wait);
      this.#nearest = Math.min(this.#nearest, position);
      this.#furthest = Math.max(this.#furthest, position);
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** Every record below it is applied. */
  reached(position: number): void {
    if (position < this.#nearest) return;
    const due = [...this.#waits].filter(({ until }) => until <= position);
    for (const wait of due) this.#waits.delete(wait);
    this.#bound();
    for (const wait of due) wait.settle();
  }

  end(error: PaxlogError): void {
    for (const wait of this.#waits) wait.settle(error);
  }

  #bound(): void {
    this.#isStale = false;
    this.#nearest = Number.POSITIVE_INFINITY;
    this.#furthest = 0;
    for (const { until } of this.#waits) {
      if (until < this.#nearest) this.#nearest = until;
      if (until > this.#furthest) this.#furthest = until;
    }
  }
}
