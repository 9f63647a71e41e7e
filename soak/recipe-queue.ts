import { PaxlogError } from "#src/base/errors";
import type { Log } from "#src/client/log";
import { type Job, type WorkQueue, workQueue } from "#src/client/recipes/work-queue";
import { type Role, ttlMs } from "./recipe-roles.ts";
import { BrokenPromise } from "./recorder.ts";
import { pause } from "./soak-cluster.ts";

const deliveriesMax = 4;
const turnMs = 6_000;
const drainMs = 120_000;
/** Jobs that nobody can do: each becomes a dead letter. */
const poison = "poison";

const queueOf = (log: Log): WorkQueue => workQueue(log, "q", { ttlMs, deliveriesMax });

/** Each job is done by one worker at a time and acknowledged once, or delivered again, or becomes a dead letter; none is lost. */
export class Jobs {
  /** Texts that were put, also where nobody said whether they came to be in the queue. */
  readonly #tried = new Set<string>();
  readonly #put = new Map<number, string>();
  readonly #acknowledged = new Set<number>();
  /** Acknowledged, perhaps: nobody said. */
  readonly #perhaps = new Set<number>();
  readonly #deliveries = new Map<number, Job[]>();
  /** Given back, or about to be: the next worker may have it at any moment. */
  readonly #ended = new WeakSet<Job>();
  delivered = 0;
  deadLetters = 0;

  get put(): number {
    return this.#put.size;
  }

  get acknowledged(): number {
    return this.#acknowledged.size;
  }

  readonly producer: Role = async ({ log, random }) => {
    const text = `${random.chance(0.1) ? poison : "job"} ${this.#tried.size}`;
    this.#tried.add(text);
    const id = await queueOf(log).put(text);
    if (this.#put.has(id)) throw new BrokenPromise(`two jobs have the number ${id}`);
    this.#put.set(id, text);
    await pause(random.below(50));
    return random.chance(0.05) ? "is gone" : "goes on";
  };

  readonly worker: Role = async ({ log, random }) => {
    const worker = await queueOf(log).worker({ signal: AbortSignal.timeout(turnMs) });
    for (let jobs = random.between(1, 8); jobs > 0; jobs -= 1) {
      const job = await worker.claim({ signal: AbortSignal.timeout(turnMs) });
      this.#noteDelivery(job);
      await pause(random.below(20));
      if (random.chance(0.1)) return "is gone";
      if (job.text().startsWith(poison) || random.chance(0.05)) await this.#release(job);
      else await this.#acknowledge(job);
    }
    await worker.close();
    return "goes on";
  };

  #noteDelivery(job: Job): void {
    this.delivered += 1;
    const { id, token, delivery, signal } = job;
    const earlier = this.#deliveries.get(id) ?? [];
    this.#deliveries.set(id, [...earlier, job]);
    const text = job.text();
    const known = this.#put.get(id) ?? text;
    if (known !== text || !this.#tried.has(text)) throw new BrokenPromise(`job ${id} is "${text}", and was "${known}"`);
    if (delivery > deliveriesMax) throw new BrokenPromise(`job ${id} is delivered for the ${delivery}th time`);
    if (earlier.some((each) => each.token === token))
      throw new BrokenPromise(`job ${id} is delivered twice by ${token}`);
    // Of a worker whose session is over by its own clock others may know more.
    if (signal.aborted) return;
    const other = earlier.find((each) => each.token > token || (!each.signal.aborted && !this.#ended.has(each)));
    if (other !== undefined) throw new BrokenPromise(`job ${id} is with ${other.token} and with ${token}`);
    if (this.#acknowledged.has(id)) throw new BrokenPromise(`job ${id} is delivered, and was acknowledged`);
  }

  async #acknowledge(job: Job): Promise<void> {
    const { id, signal } = job;
    this.#ended.add(job);
    try {
      await job.acknowledge();
    } catch (error) {
      if (!(error instanceof PaxlogError)) throw error;
      if (error.code === "LEASE_LOST" && !signal.aborted) {
        throw new BrokenPromise(`the worker of job ${id} lost it while its session lives`, { cause: error });
      }
      if (error.outcome === "unknown" || error.code === "REPLY_GONE") this.#perhaps.add(id);
      throw error;
    }
    if (this.#acknowledged.has(id)) throw new BrokenPromise(`job ${id} is acknowledged twice`);
    this.#acknowledged.add(id);
  }

  #release(job: Job): Promise<void> {
    this.#ended.add(job);
    return job.release();
  }

  /** Nobody else is at work any more. Does what is left, then counts. */
  async verify(log: Log): Promise<void> {
    const queue = queueOf(log);
    const worker = await queue.worker();
    const endAt = performance.now() + drainMs;
    while ((await queue.size()) > 0) {
      if (performance.now() > endAt) throw new BrokenPromise(`${await queue.size()} jobs cannot be claimed`);
      const job = await claimed(worker.claim({ signal: AbortSignal.timeout(500) }));
      if (job === undefined) continue;
      if (job.text().startsWith(poison)) await this.#release(job);
      else await this.#acknowledge(job);
    }
    await worker.close();
    const letters = await queue.deadLetters();
    this.deadLetters = letters.size;
    for (const [id, text] of this.#put) {
      const [isDone, letter] = [this.#acknowledged.has(id), letters.get(id)?.text()];
      if (isDone && letter !== undefined) throw new BrokenPromise(`job ${id} was acknowledged, and is a dead letter`);
      if (letter !== undefined && letter !== text)
        throw new BrokenPromise(`dead letter ${id} is "${letter}", not "${text}"`);
      if (letter === undefined && text.startsWith(poison))
        throw new BrokenPromise(`nobody can do job ${id}, and it is gone`);
      if (!isDone && letter === undefined && !this.#perhaps.has(id)) throw new BrokenPromise(`job ${id} is lost`);
    }
  }
}

async function claimed(claim: Promise<Job>): Promise<Job | undefined> {
  try {
    return await claim;
  } catch (error) {
    if (error instanceof PaxlogError && error.code === "CANCELLED") return undefined;
    throw error;
  }
}
