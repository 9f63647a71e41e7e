import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";

/** A moment on both clocks of this process: the monotonic one may stand still while a machine sleeps, the other one may be set. */
export interface Moment {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

export const momentNow = (): Moment => ({ monotonicMs: performance.now(), wallMs: Date.now() });

/** How long ago it was by the clock that says more: who waits for something to be over must not go by the one that stood still. */
const elapsedMs = ({ monotonicMs, wallMs }: Moment): number =>
  Math.max(performance.now() - monotonicMs, Date.now() - wallMs);

/**
 * How long a session surely lives, as far as this process can tell: its time to live, less a margin for clocks that run at different
 * speeds, from when the last sign of life was sent that the log confirmed. It is looked at when it is asked, not only when a timer
 * runs: a process that was stopped finds it over before anything else tells it. Over once is over for good.
 */
export class SessionLife {
  readonly #session: number;
  readonly #lengthMs: number;
  #confirmed: Moment;
  #timer: NodeJS.Timeout | undefined;
  readonly #over = new AbortController();
  #tellLost: (reason: PaxlogError) => void = () => {};
  /** Resolves once it is over, with the reason. */
  readonly lost: Promise<PaxlogError>;

  constructor(session: number, ttlMs: number, confirmed: Moment) {
    this.#session = session;
    this.#lengthMs = ttlMs - Math.ceil(ttlMs / limits.clientLifeMarginPart);
    this.#confirmed = confirmed;
    this.lost = new Promise((resolve) => {
      this.#tellLost = resolve;
    });
    this.#watch();
  }

  get held(): boolean {
    if (!this.#over.signal.aborted && this.#leftMs <= 0) this.end(this.#expired());
    return !this.#over.signal.aborted;
  }

  /** Aborted when it is over, with the reason. */
  get signal(): AbortSignal {
    return this.#over.signal;
  }

  /** The log confirmed a sign of life that was sent at this moment, or later. */
  confirm(sent: Moment): void {
    if (!this.held) return;
    if (elapsedMs(sent) < elapsedMs(this.#confirmed)) this.#confirmed = sent;
    this.#watch();
  }

  end(reason: PaxlogError): void {
    if (this.#over.signal.aborted) return;
    clearTimeout(this.#timer);
    this.#over.abort(reason);
    this.#tellLost(reason);
  }

  get #leftMs(): number {
    return this.#lengthMs - elapsedMs(this.#confirmed);
  }

  /** Never keeps the process alive. */
  #watch(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (this.held) this.#watch();
    }, Math.ceil(this.#leftMs)).unref();
  }

  #expired(): PaxlogError {
    const message =
      `no sign of life of session ${this.#session} was confirmed for ${this.#lengthMs} ms: the process was paused, or the cluster ` +
      "cannot be reached. What the session holds may be somebody else's by now";
    return new PaxlogError("LEASE_LOST", message, { facts: { session: this.#session } });
  }
}
