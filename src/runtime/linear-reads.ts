import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { ReadEvent } from "../core/event.ts";

interface Waiter {
  readonly deadlineMs: number;
  /** Ends the wait; later calls do nothing. */
  readonly settle: (error: PaxlogError | undefined) => void;
  settled: boolean;
}

interface Round {
  readonly requestId: number;
  readonly askedMs: number;
  readonly waiters: readonly Waiter[];
}

/**
 * Reads that wait until what is visible here includes all that was acknowledged before they began. All that arrive before a turn
 * share one read request to the core (PROTOCOL 13). A request that is refused, or that nobody answers, is asked again under a new
 * id, since an id is never used twice; a waiter gives up at its deadline.
 */
export class LinearReads {
  readonly #nextRequestId: () => number;
  readonly #deadlineMs: number;
  /** Those that no running request covers. */
  #waiting: Waiter[] = [];
  /** By request id. A request covers only waiters that were there before it was made. */
  readonly #rounds = new Map<number, Round>();
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
      return Promise.reject(new PaxlogError("OVERLOADED", "too many reads wait on this node; try again, or read from another node"));
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
  next(nowMs: number): ReadEvent | undefined {
    if (!this.asks) return undefined;
    const waiters = this.#waiting.filter((waiter) => !waiter.settled);
    this.#waiting = [];
    if (waiters.length === 0) return undefined;
    const requestId = this.#nextRequestId();
    this.#rounds.set(requestId, { requestId, askedMs: nowMs, waiters });
    return { kind: "read", requestId };
  }

  ready(requestId: number): void {
    const round = this.#rounds.get(requestId);
    this.#rounds.delete(requestId);
    for (const waiter of round?.waiters ?? []) waiter.settle(undefined);
  }

  refused(requestId: number): void {
    const round = this.#rounds.get(requestId);
    if (round === undefined) return;
    this.#askAgain(round);
    this.#paused = true;
  }

  /** Ends what is past its deadline and asks again what nobody answered for a round. */
  tick(nowMs: number): void {
    this.#paused = false;
    for (const round of [...this.#rounds.values()]) {
      if (nowMs - round.askedMs >= limits.readAgainMs) this.#askAgain(round);
      else expire(round.waiters, nowMs);
    }
    expire(this.#waiting, nowMs);
    this.#waiting = this.#waiting.filter((waiter) => !waiter.settled);
  }

  /** Rejects all that wait. */
  fail(error: PaxlogError): void {
    const waiters = [...this.#waiting, ...[...this.#rounds.values()].flatMap((round) => round.waiters)];
    this.#waiting = [];
    this.#rounds.clear();
    for (const waiter of waiters) waiter.settle(error);
  }

  #askAgain(round: Round): void {
    this.#rounds.delete(round.requestId);
    for (const waiter of round.waiters) if (!waiter.settled) this.#waiting.push(waiter);
  }
}

function expire(waiters: readonly Waiter[], nowMs: number): void {
  for (const waiter of waiters) {
    if (!waiter.settled && nowMs >= waiter.deadlineMs) {
      waiter.settle(
        new PaxlogError("UNAVAILABLE", "no leader confirmed the read in time; try again, or read what this node has (freshness local)"),
      );
    }
  }
}

const cancelled = () => new PaxlogError("CANCELLED", "the caller gave the read up");
