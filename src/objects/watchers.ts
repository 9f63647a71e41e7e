import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";

/** Those who wait until a machine has applied something, whatever it is. */
export class Watchers {
  readonly #machine: string;
  readonly #waiting = new Set<() => void>();

  constructor(machine: string) {
    this.#machine = machine;
  }

  get count(): number {
    return this.#waiting.size;
  }

  wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  /** Until something was applied, the time is over or the signal aborts. @throws PaxlogError OVERLOADED where too many wait. */
  async moved(timeMs: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.#waiting.size >= limits.machineWaitsMax) {
      throw new PaxlogError("OVERLOADED", `${this.#waiting.size} watches wait for the machine ${this.#machine} here`);
    }
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", wake);
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, timeMs);
      timer.unref();
      signal?.addEventListener("abort", wake, { once: true });
      this.#waiting.add(wake);
    });
  }
}
