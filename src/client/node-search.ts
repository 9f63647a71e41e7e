import type { PaxlogError } from "../base/errors.ts";
import { pause, roundDelay } from "./abort.ts";
import type { Nodes } from "./nodes.ts";

export interface NodeSearchOptions {
  readonly nodes: Nodes;
  /** For how long failures in a row are put up with. */
  readonly deadlineMs: number;
  /** The node that is asked first; without it the first that is known. */
  readonly address?: string;
  /** From when on the deadline counts, by the monotonic clock; without it from the first of the failures in a row. */
  readonly since?: number;
}

/**
 * Which node is asked next for what any of them can answer, after which pause, and when to give up. LeaderSearch is its like for what
 * only the leader does.
 */
export class NodeSearch {
  readonly #nodes: Nodes;
  readonly #deadlineMs: number;
  #address: string;
  /** In a row. */
  #failures = 0;
  #since: number | undefined;

  constructor({ nodes, deadlineMs, address, since }: NodeSearchOptions) {
    this.#nodes = nodes;
    this.#deadlineMs = deadlineMs;
    this.#address = address ?? nodes.addresses[0]!;
    this.#since = since;
  }

  get address(): string {
    return this.#address;
  }

  /** The node at `address` was of use: failures count from none again. */
  answered(): void {
    this.#failures = 0;
    this.#since = undefined;
  }

  /**
   * The node at `address` was not: it is left for the next one at once, and where all were tried, this resolves after a pause. Throws
   * `error` where the pause would end after the deadline, which whoever is patient does not have. Never rejects for the signal.
   */
  async failed(error: PaxlogError, signal: AbortSignal | undefined, patient = false): Promise<void> {
    this.#failures += 1;
    this.#since ??= performance.now();
    this.#address = this.#nodes.after(this.#address);
    const delayMs = roundDelay(this.#failures, this.#nodes.addresses.length);
    if (!patient && performance.now() + delayMs >= this.#since + this.#deadlineMs) throw error;
    if (delayMs > 0) await pause(delayMs, signal);
  }
}
