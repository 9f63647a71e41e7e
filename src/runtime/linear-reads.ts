import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { ReadEvent } from "../core/event.ts";

interface Waiter {
  readonly deadlineMs: number;
  /** Ends the wait; later calls do nothing. */
  readonly settle: (error: PaxlogError | undefined) => void;
  settled: boolean;
}

/**
 * Reads that wait until what is visible here includes all that was acknowledged before they began. All that arrive before a turn
 * share one read request to the core (PROTOCOL 13), which asks on until it has an answer or finds no leader for long. A refused
 * request is made again under a new id, since an id is never used twice; a waiter gives up at its deadline.
 */
export class LinearReads {
  readonly #nextRequestId: () => number;
  readonly #deadlineMs: number;
  /** Those that no running request covers. */
  #waiting: Waiter[] = [];
  /** By request id. A request covers only waiters that were there before it was made. */
  readonly #requests = new Map<number, readonly Waiter[]>();
  /** After a refusal the next request waits for the next tick, so that a node without a leader does not spin. */
  #paused = false;
  #count = 0;

  constructor(nextRequestId: () => number, deadlineMs: number = limits.linearizeMs) {
    this.#nextRequestId = nextRequestId;
    this.#deadlineMs = deadlineMs;
  }

  /** Resolves when a request that began after this call is ready; rejects with UNAVAILABLE at the deadline. */
  wait(nowMs: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.reject(cancelled());
    if (this.#count >= limits.linearReadsMax) {
      return Promise.reject(
        new PaxlogError("OVERLOADED", "too many reads wait on this node; try again, or read from another node"),
      );
    }
    return new Promise((resolve, reject) => {
      const onAbort = () => waiter.settle(cancelled());
      const waiter: Waiter = {
        deadlineMs: nowMs + this.#deadlineMs,
        settled: false,
        settle: (error) => {
          if (waiter.settled) return;
          waiter.settled = true;
          this.#count -= 1;
          signal?.removeEventListener("abort", onAbort);
          if (error === undefined) resolve();
          else reject(error);
        },
      };
      this.#count += 1;
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#waiting.push(waiter);
    });
  }

  /** Whether `next` would ask. */
  get asks(): boolean {
    return this.#waiting.length > 0 && !this.#paused;
  }

  /** The request for all that wait now, if any do. */
  next(): ReadEvent | undefined {
    if (!this.asks) return undefined;
    const waiters = this.#waiting.filter((waiter) => !waiter.settled);
    this.#waiting = [];
    if (waiters.length === 0) return undefined;
    const requestId = this.#nextRequestId();
    this.#requests.set(requestId, waiters);
    return { kind: "read", requestId };
  }

  ready(requestId: number): void {
    const waiters = this.#requests.get(requestId) ?? [];
    this.#requests.delete(requestId);
    for (const waiter of waiters) waiter.settle(undefined);
  }

  refused(requestId: number): void {
    const waiters = this.#requests.get(requestId) ?? [];
    this.#requests.delete(requestId);
    this.#waiting.push(...waiters.filter((waiter) => !waiter.settled));
    this.#paused = true;
  }

  /** Ends what is past its deadline. */
  tick(nowMs: number): void {
    this.#paused = false;
    for (const waiters of this.#requests.values()) expire(waiters, nowMs);
    expire(this.#waiting, nowMs);
    this.#waiting = this.#waiting.filter((waiter) => !waiter.settled);
  }

  /** Rejects all that wait. */
  fail(error: PaxlogError): void {
    const waiters = [...this.#waiting, ...[...this.#requests.values()].flat()];
    this.#waiting = [];
    this.#requests.clear();
    for (const waiter of waiters) waiter.settle(error);
  }
}

function expire(waiters: readonly Waiter[], nowMs: number): void {
  for (const waiter of waiters) {
    if (!waiter.settled && nowMs >= waiter.deadlineMs) {
      waiter.settle(
        new PaxlogError(
          "UNAVAILABLE",
          "no leader confirmed the read in time; try again, or read what this node has (freshness local)",
        ),
      );
    }
  }
}

const cancelled = () => new PaxlogError("CANCELLED", "the caller gave the read up");
