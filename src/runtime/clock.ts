/** The two clocks of a node, injected so that tests and the simulator can bring their own. */
export interface Clock {
  /** Milliseconds that never go back; only differences mean something. */
  monotonicMs(): number;
  /** Milliseconds since 1970. May jump: it only enters the time of entries, never a decision. */
  wallMs(): number;
}

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
};

/**
 * Calls `onTick` once each period with how late this call was. When the loop was held up, the ticks that were missed are not made
 * up for: logical time then runs slower than the clock, which delays elections and endangers nothing.
 */
export class Ticker {
  readonly #periodMs: number;
  readonly #clock: Clock;
  readonly #onTick: (lagMs: number) => void;
  #timer: NodeJS.Timeout | undefined;
  #dueMs = 0;

  constructor(options: { readonly periodMs: number; readonly clock: Clock; readonly onTick: (lagMs: number) => void }) {
    this.#periodMs = options.periodMs;
    this.#clock = options.clock;
    this.#onTick = options.onTick;
  }

  start(): void {
    if (this.#timer !== undefined) return;
    this.#dueMs = this.#clock.monotonicMs() + this.#periodMs;
    this.#timer = setInterval(() => this.#tick(), this.#periodMs);
  }

  /** Does not keep the process alive from now on. */
  unref(): void {
    this.#timer?.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    const now = this.#clock.monotonicMs();
    // Timers may fire a fraction of a millisecond early: that is not a negative lag.
    const lagMs = Math.max(0, now - this.#dueMs);
    // The next tick is due a period after this one was, or after now if that is already past.
    this.#dueMs = lagMs < this.#periodMs ? this.#dueMs + this.#periodMs : now + this.#periodMs;
    this.#onTick(lagMs);
  }
}
