import { PaxlogError } from "#src/base/errors";
import { connect } from "#src/client/connect";
import type { ConnectOptions, Log, Session } from "#src/client/log";
import { Random } from "#src/simulator/random";
import { Nemesis, type NemesisPlan } from "./nemesis.ts";
import { BrokenPromise } from "./recorder.ts";
import { pause, type SoakContext, withCluster } from "./soak-cluster.ts";

export interface StormPlan extends NemesisPlan {
  /** Of all sessions together. */
  readonly appends: number;
  readonly sessions: number;
  /** Of one client. */
  readonly inFlight: number;
  /** Mean number of appends in the life of a client: then it forgets what is in flight, and goes on with its session. */
  readonly lifeAppends: number;
  /** Part of the lives in which a second client sends the same requests at the same time. */
  readonly twinRate: number;
}

export interface StormReport {
  readonly appends: number;
  readonly seconds: number;
  /** Clients that gave up with requests in flight, and were followed by another on the same session. */
  readonly restarts: number;
  /** Answers to a request that had one already. */
  readonly repeated: number;
  readonly strikes: Readonly<Record<string, number>>;
}

const connectOptions: ConnectOptions = { deadlineMs: 5_000, answerMs: 2_000, closeMs: 1 };
const sessionTtlMs = 3_600_000;
const valueBytes = 8;

/**
 * Sessions append numbered records through clients that die, retry and repeat, to nodes that are killed and paused. In the end the
 * log holds each record once, in the order of its session, where every one of its answers said. Throws BrokenPromise otherwise.
 */
export async function runStorm(context: SoakContext, plan: StormPlan): Promise<StormReport> {
  return await withCluster(context, async (cluster) => {
    const random = new Random(context.seed);
    const addresses = cluster.clientAddresses;
    const nemesis = new Nemesis({ cluster, random: random.fork(), plan, note: context.note });
    const writers = Array.from({ length: plan.sessions }, (_, index) => {
      const count = Math.floor((plan.appends + index) / plan.sessions);
      return new Writer({ index, count, addresses, random: random.fork(), plan });
    });
    const beganAt = performance.now();
    const progress = setInterval(() => {
      const answered = writers.reduce((sum, writer) => sum + writer.answered, 0);
      context.note(
        `${answered} of ${plan.appends} are answered, ${Math.round((performance.now() - beganAt) / 1000)} s`,
      );
    }, 5_000);
    nemesis.start();
    try {
      await Promise.all(writers.map((writer) => writer.run()));
    } finally {
      clearInterval(progress);
      await nemesis.stop();
    }
    const seconds = (performance.now() - beganAt) / 1000;
    context.note(`reading ${plan.appends} records back`);
    await verify(addresses, writers, plan.appends);
    const sum = (of: (writer: Writer) => number): number => writers.reduce((total, writer) => total + of(writer), 0);
    return {
      appends: plan.appends,
      seconds,
      restarts: sum(({ restarts }) => restarts),
      repeated: sum(({ repeated }) => repeated),
      strikes: nemesis.counts,
    };
  });
}

async function verify(addresses: string, writers: readonly Writer[], count: number): Promise<void> {
  const next = writers.map(() => 1);
  let position = 0;
  const log = await connect(addresses);
  try {
    for await (const record of log.read({ from: 1 })) {
      position += 1;
      const value = Buffer.from(record.value);
      const [index, serial] = [value.readUInt32LE(0), value.readUInt32LE(4)];
      const what = `position ${record.position} holds request ${serial} of session ${index}`;
      if (record.position !== position) throw new BrokenPromise(`position ${position} is missing`);
      if (serial !== next[index]) throw new BrokenPromise(`${what}, whose next is ${next[index]}`);
      const answer = writers[index]!.answers[serial];
      if (answer !== position) throw new BrokenPromise(`${what}, which was answered with ${answer}`);
      next[index] = serial + 1;
    }
  } finally {
    await log.close();
  }
  if (position !== count) throw new BrokenPromise(`the log holds ${position} records of ${count}`);
}

/** One session, and the clients that serve it one after another. */
class Writer {
  readonly #index: number;
  readonly #addresses: string;
  readonly #random: Random;
  readonly #plan: StormPlan;
  /** By serial: where it is; 0 for not answered yet. */
  readonly answers: Float64Array;
  answered = 0;
  restarts = 0;
  repeated = 0;
  #id: number | undefined;
  /** Every request before it is answered. */
  #oldest = 1;

  constructor(options: {
    readonly index: number;
    readonly count: number;
    readonly addresses: string;
    readonly random: Random;
    readonly plan: StormPlan;
  }) {
    this.#index = options.index;
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
      return (await log.session({ ttlMs: sessionTtlMs })).id;
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
    const running = new Set<Promise<void>>();
    let isBroken = false;
    try {
      const session = await log.session({ resume: { id: this.#id!, nextSerial: end } });
      for (let serial = this.#oldest; serial < end && !isBroken; serial += 1) {
        // A twin may be far ahead of what this one was told: the log keeps the answers of a window only.
        while (serial >= this.#oldest + this.#plan.inFlight && running.size > 0) await Promise.race(running);
        const call = this.#append(session, serial).then((isAnswered) => {
          isBroken ||= !isAnswered;
          running.delete(call);
        });
        running.add(call);
        if (running.size >= this.#plan.inFlight) await Promise.race(running);
      }
      // The last life waits for its answers; any other leaves them to the next.
      if (end === this.answers.length) await Promise.all(running);
    } catch (error) {
      throwUnlessRetryable(error);
    } finally {
      await log.close();
      await Promise.all(running);
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
  async #append(session: Session, serial: number): Promise<boolean> {
    const value = Buffer.alloc(valueBytes);
    value.writeUInt32LE(this.#index, 0);
    value.writeUInt32LE(serial, 4);
    try {
      const { position } = await session.append({ value }, { serial });
      this.#note(serial, position);
      return true;
    } catch (error) {
      const isForgotten =
        error instanceof PaxlogError && error.code === "SESSION_UNKNOWN" && this.answers[serial] !== 0;
      if (!isForgotten) throwUnlessRetryable(error);
      return isForgotten;
    }
  }

  #note(serial: number, position: number): void {
    const before = this.answers[serial]!;
    if (before === 0) {
      this.answers[serial] = position;
      this.answered += 1;
      while (this.#oldest < this.answers.length && this.answers[this.#oldest] !== 0) this.#oldest += 1;
      return;
    }
    this.repeated += 1;
    if (before !== position) {
      throw new BrokenPromise(
        `request ${serial} of session ${this.#index} is answered with position ${position}, and was with ${before}`,
      );
    }
  }
}

/** What faults may bring about, and what a client's end does to its own calls. */
function throwUnlessRetryable(error: unknown): void {
  const isExpected = error instanceof PaxlogError && (error.retryable || error.code === "CLOSED");
  if (!isExpected) throw error;
}
