import { PaxlogError } from "#src/base/errors";
import { connect } from "#src/client/connect";
import type { ConnectOptions, Log, SessionState } from "#src/client/log";
import type { Random } from "#src/simulator/random";
import { BrokenPromise } from "./recorder.ts";
import { pause } from "./soak-cluster.ts";

export interface WriterPlan {
  /** Of one client. */
  readonly inFlight: number;
  /** Mean number of appends in the life of a client: then it forgets what is in flight, and goes on with its session. */
  readonly lifeAppends: number;
  /** Part of the lives in which a second client sends the same requests at the same time. */
  readonly twinRate: number;
}

/** Sends a request by its serial; resolves to its answer, from 1 on, which must be the same each time. */
export type Send = (serial: number) => Promise<number>;

/** What a writer asks for, in sessions of which kind. */
export interface Requests {
  open(log: Log): Promise<number>;
  resume(log: Log, state: SessionState): Promise<Send>;
}

const connectOptions: ConnectOptions = { deadlineMs: 5_000, answerMs: 2_000, closeMs: 1 };

/** One session, and the clients that serve it one after another. */
export class Writer {
  readonly #requests: Requests;
  readonly #addresses: string;
  readonly #random: Random;
  readonly #plan: WriterPlan;
  /** By serial: the answer; 0 for none yet. */
  readonly answers: Float64Array;
  answered = 0;
  restarts = 0;
  repeated = 0;
  #id: number | undefined;
  /** Every request before it is answered. */
  #oldest = 1;

  constructor(options: {
    readonly requests: Requests;
    readonly count: number;
    readonly addresses: string;
    readonly random: Random;
    readonly plan: WriterPlan;
  }) {
    this.#requests = options.requests;
    this.#addresses = options.addresses;
    this.#random = options.random;
    this.#plan = options.plan;
    this.answers = new Float64Array(options.count + 1);
  }

  get #isDone(): boolean {
    return this.#oldest === this.answers.length;
  }

  async run(): Promise<void> {
    while (this.#id === undefined) this.#id = await this.#openSession();
    while (!this.#isDone) {
      const lifeAppends = 1 + Math.round(this.#random.exponential(this.#plan.lifeAppends));
      const hasTwin = this.#random.chance(this.#plan.twinRate);
      await Promise.all([this.#live(lifeAppends), ...(hasTwin ? [this.#live(lifeAppends)] : [])]);
      this.restarts += 1;
    }
  }

  /** A session of which no answer came is left to expire. */
  async #openSession(): Promise<number | undefined> {
    const log = await connect(this.#addresses, connectOptions);
    try {
      return await this.#requests.open(log);
    } catch (error) {
      throwUnlessRetryable(error);
      return undefined;
    } finally {
      await log.close();
    }
  }

  /** A client that sends what is unanswered, in order, and dies with its last requests in flight. */
  async #live(appends: number): Promise<void> {
    const log = await this.#connect();
    if (log === undefined) return;
    const end = Math.min(this.answers.length, this.#oldest + appends);
    const calls = new Running();
    let isBroken = false;
    try {
      const send = await this.#requests.resume(log, { id: this.#id!, nextSerial: end });
      for (let serial = this.#oldest; serial < end && !isBroken; serial += 1) {
        // A twin may be far ahead of what this one was told: the log keeps the answers of a window only.
        while (serial >= this.#oldest + this.#plan.inFlight && calls.count > 0) await calls.nextEnd();
        calls.add(
          this.#ask(send, serial).then((isAnswered) => {
            isBroken ||= !isAnswered;
          }),
        );
        if (calls.count >= this.#plan.inFlight) await calls.nextEnd();
      }
      // The last life waits for its answers; any other leaves them to the next.
      if (end === this.answers.length) await calls.allEnded();
    } catch (error) {
      throwUnlessRetryable(error);
    } finally {
      await log.close();
      await calls.allEnded();
    }
  }

  async #connect(): Promise<Log | undefined> {
    try {
      return await connect(this.#addresses, connectOptions);
    } catch (error) {
      throwUnlessRetryable(error);
      await pause(100);
      return undefined;
    }
  }

  /** False where the client was not told; the request stays to be sent again. */
  async #ask(send: Send, serial: number): Promise<boolean> {
    try {
      this.#note(serial, await send(serial));
      return true;
    } catch (error) {
      const isForgotten =
        error instanceof PaxlogError && error.code === "SESSION_UNKNOWN" && this.answers[serial] !== 0;
      if (!isForgotten) throwUnlessRetryable(error);
      return isForgotten;
    }
  }

  #note(serial: number, answer: number): void {
    const before = this.answers[serial]!;
    if (before === 0) {
      this.answers[serial] = answer;
      this.answered += 1;
      while (this.#oldest < this.answers.length && this.answers[this.#oldest] !== 0) this.#oldest += 1;
      return;
    }
    this.repeated += 1;
    if (before !== answer) {
      throw new BrokenPromise(
        `request ${serial} of session ${this.#id} is answered with ${answer}, and was with ${before}`,
      );
    }
  }
}

/** Calls under way. A race between all of them for each one's end would cost more than the calls. */
class Running {
  count = 0;
  #failure: unknown;
  #wake: () => void = () => {};

  add(call: Promise<void>): void {
    this.count += 1;
    void call
      .catch((error: unknown) => {
        this.#failure ??= error;
      })
      .then(() => {
        this.count -= 1;
        this.#wake();
      });
  }

  /** Resolves when one of them ends; rejects where one has failed. */
  async nextEnd(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    if (this.#failure !== undefined) throw this.#failure;
  }

  async allEnded(): Promise<void> {
    while (this.count > 0) await this.nextEnd();
    if (this.#failure !== undefined) throw this.#failure;
  }
}

/** What faults may bring about, and what a client's end does to its own calls. */
export function throwUnlessRetryable(error: unknown): void {
  const isExpected = error instanceof PaxlogError && (error.retryable || error.code === "CLOSED");
  if (!isExpected) throw error;
}
