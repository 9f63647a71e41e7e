import { limits } from "../base/limits.ts";
import { fromMs, type Timer, type VirtualClock } from "./clock.ts";
import type { Random } from "./random.ts";

export const tickMs = limits.roundMs / limits.ticksPerRound;

/**
 * The event loop of one simulated process: turns on request, ticks by themselves, and pauses in which neither happens. Ticks that
 * are missed in a pause are not made up for, as in the engine: the one after it says how late it is.
 */
export class SimLoop {
  readonly #clock: VirtualClock;
  readonly #random: Random;
  readonly #turnDelayUs: number;
  readonly #tickPeriodUs: number;
  readonly #onTurn: () => void;
  readonly #onTick: (lagMs: number) => void;
  #turn: Timer | undefined;
  #tick: Timer | undefined;
  #tickDueUs = 0;
  #pausedUntilUs = 0;
  #isStopped = false;

  constructor(options: {
    readonly clock: VirtualClock;
    readonly random: Random;
    readonly turnDelayUs: number;
    /** Length of this process's second, in seconds. */
    readonly drift: number;
    readonly onTurn: () => void;
    readonly onTick: (lagMs: number) => void;
  }) {
    this.#clock = options.clock;
    this.#random = options.random;
    this.#turnDelayUs = options.turnDelayUs;
    this.#tickPeriodUs = Math.round(fromMs(tickMs) * options.drift);
    this.#onTurn = options.onTurn;
    this.#onTick = options.onTick;
  }

  /** The first tick is due at once. */
  start(): void {
    this.#tickDueUs = this.#clock.nowUs;
    this.#awaitTick();
    this.askForTurn();
  }

  stop(): void {
    this.#isStopped = true;
    if (this.#turn !== undefined) this.#turn.cancelled = true;
    if (this.#tick !== undefined) this.#tick.cancelled = true;
  }

  /** A turn soon; one is enough for all that asked. */
  askForTurn(): void {
    if (this.#turn !== undefined || this.#isStopped) return;
    const delayUs = this.#random.below(this.#turnDelayUs + 1);
    this.#turn = this.#afterPause(delayUs, () => {
      this.#turn = undefined;
      this.#onTurn();
    });
  }

  get isPaused(): boolean {
    return this.#pausedUntilUs > this.#clock.nowUs;
  }

  pause(durationUs: number): void {
    this.#pausedUntilUs = Math.max(this.#pausedUntilUs, this.#clock.nowUs + durationUs);
    this.#reschedule();
  }

  /** Ends a pause. */
  resume(): void {
    this.#pausedUntilUs = 0;
    this.#reschedule();
  }

  /** What waits is due when the pause is over. */
  #reschedule(): void {
    if (this.#isStopped) return;
    if (this.#turn !== undefined) {
      this.#turn.cancelled = true;
      this.#turn = undefined;
      this.askForTurn();
    }
    if (this.#tick !== undefined) {
      this.#tick.cancelled = true;
      this.#awaitTick();
    }
  }

  #awaitTick(): void {
    this.#tick = this.#afterPause(Math.max(0, this.#tickDueUs - this.#clock.nowUs), () => {
      const lagUs = this.#clock.nowUs - this.#tickDueUs;
      this.#tickDueUs = this.#clock.nowUs + this.#tickPeriodUs;
      this.#awaitTick();
      const lagMs = Math.round(lagUs / 1000);
      // After a pause what waits in the sockets comes first.
      if (lagMs <= limits.roundMs / 2) this.#onTick(lagMs);
      else this.#afterPause(this.#turnDelayUs * 2, () => !this.#isStopped && this.#onTick(lagMs));
    });
  }

  #afterPause(delayUs: number, action: () => void): Timer {
    return this.#clock.after(Math.max(delayUs, this.#pausedUntilUs - this.#clock.nowUs), action);
  }
}
