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

  constructor(machine: string) {
    this.#machine = machine;
  }

  /** The furthest position that anybody waits for; 0: nobody does. */
  get furthest(): number {
    let furthest = 0;
    for (const { until } of this.#waits) if (until > furthest) furthest = until;
    return furthest;
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
          signal?.removeEventListener("abort", onAbort);
          if (end === undefined) resolve();
          else reject(end);
        },
      };
      this.#waits.add(wait);
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** Every record below it is applied. */
  reached(position: number): void {
    for (const wait of this.#waits) if (wait.until <= position) wait.settle();
  }

  end(error: PaxlogError): void {
    for (const wait of this.#waits) wait.settle(error);
  }
}
