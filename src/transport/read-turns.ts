import { limits } from "../base/limits.ts";

/** live: at the tail, with what has just come. history: everything else, which costs more and can wait. */
export type ReadUrgency = "live" | "history";

/**
 * Divides the time of one thread between its reads and everything else. All reads together take limits.readTurnMs of a turn of the
 * event loop, about (a step is not cut short), and then the others have theirs: a thousand readers that an append wakes at once, or
 * that are all far behind, hold up neither heartbeats nor appends. Those who wait are served in the order in which they came, live
 * ones first, but in every turn one of the history; where that one's step took all of the turn, the next one begins with a live one.
 * So neither can shut out the other.
 */
export class ReadTurns {
  readonly #live: (() => void)[] = [];
  readonly #history: (() => void)[] = [];
  /** The turn before had time for one of the history only. */
  #owesLive = false;
  /** When the reads of this turn have had their time; undefined where none has begun in it. */
  #endMs: number | undefined;

  /** Whether a read may take a step now. False: `turn` says when. */
  hasTime(): boolean {
    if (this.#live.length + this.#history.length > 0) return false;
    if (this.#endMs === undefined) this.#begin();
    return this.#isWithin();
  }

  /** Resolves when it is the caller's turn: for one step, to be taken before anything else is awaited. */
  turn(urgency: ReadUrgency): Promise<void> {
    return new Promise((resolve) => {
      (urgency === "live" ? this.#live : this.#history).push(resolve);
      if (this.#endMs === undefined) this.#begin();
    });
  }

  #begin(): void {
    this.#endMs = performance.now() + limits.readTurnMs;
    setImmediate(() => this.#next());
  }

  #isWithin(): boolean {
    return performance.now() < this.#endMs!;
  }

  /** The loop has turned. */
  #next(): void {
    this.#endMs = undefined;
    const isLive = this.#history.length === 0 || (this.#owesLive && this.#live.length > 0);
    const waiting = (isLive ? this.#live : this.#history).shift();
    if (waiting === undefined) return;
    this.#begin();
    this.#owesLive = !isLive;
    this.#serve(waiting);
  }

  /** Each step is taken before the next one is thought of: microtasks keep their order. */
  #serve(resolve: () => void): void {
    resolve();
    queueMicrotask(() => {
      if (!this.#isWithin()) return;
      this.#owesLive = false;
      const waiting = this.#live.shift() ?? this.#history.shift();
      if (waiting !== undefined) this.#serve(waiting);
    });
  }
}
