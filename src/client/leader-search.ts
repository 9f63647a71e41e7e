import type { ErrorCode, PaxlogError } from "../base/errors.ts";
import { pause, roundDelay } from "./abort.ts";
import type { Nodes } from "./nodes.ts";

/** The leader itself says that it has no room for now. */
const roomless: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["OVERLOADED", "SESSION_OVERFLOW"]);

/** Where the leader is looked for next, and how long to pause before. */
export class LeaderSearch {
  readonly #nodes: Nodes;
  #address: string;
  /** Attempts in a row that did not find a leader. */
  #failures = 0;
  /** Attempts in a row that went where a refusal pointed to. */
  #hops = 0;
  #lost: { readonly error: PaxlogError; readonly since: number } | undefined;
  #next: "pointed" | "elsewhere" | "same" = "elsewhere";

  constructor(nodes: Nodes) {
    this.#nodes = nodes;
    this.#address = nodes.leader;
  }

  get address(): string {
    return this.#address;
  }

  /** Why there is no leader, and since when by the monotonic clock; undefined from an answer to the next failure. */
  get lost(): { readonly error: PaxlogError; readonly since: number } | undefined {
    return this.#lost;
  }

  /** The node at `address` did what only a leader does. */
  found(): void {
    this.#failures = 0;
    this.#hops = 0;
    this.#lost = undefined;
    this.#nodes.leader = this.#address;
  }

  /** The node did not do it; `error` says why, and perhaps where the leader is. */
  failed(error: PaxlogError): void {
    this.#failures += 1;
    this.#lost = { error, since: this.#lost?.since ?? performance.now() };
    const leader = error.facts.leader;
    if (typeof leader === "string" && leader !== this.#address && this.#nodes.learn(leader)) {
      this.#address = leader;
      this.#next = "pointed";
    } else if (roomless.has(error.code)) {
      this.#next = "same";
    } else {
      this.#address = this.#nodes.after(this.#address);
      this.#next = "elsewhere";
    }
    this.#hops = this.#next === "pointed" ? this.#hops + 1 : 0;
  }

  /** Waits before the next attempt: not where a refusal named the leader, and not before every node was tried once. */
  async pause(leftMs: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.#next === "pointed" && this.#hops <= 2) return;
    const delayMs = roundDelay(this.#failures, this.#next === "same" ? 1 : this.#nodes.addresses.length);
    if (delayMs === 0 || leftMs <= 0) return;
    await pause(Math.min(leftMs, delayMs), signal);
  }
}
