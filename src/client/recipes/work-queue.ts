import { PaxlogError } from "../../base/errors.ts";
import type { CallOptions } from "../log.ts";
import type { Bytes, LogObjects, ObjectSession, Space, SpaceEntry } from "../objects/handles.ts";
import { Stored, type StoredBytes } from "../objects/stored-bytes.ts";
import { inSession, keyPart, membersOf, waitEnded, watchUntil } from "./membership.ts";

export interface WorkQueueOptions {
  /** After how long a job is given to another worker whose own one gives no sign of life, in log time; 30 s by default. */
  readonly ttlMs?: number | undefined;
  /** How often a job is given out before it becomes a dead letter; 5 by default. */
  readonly deliveriesMax?: number | undefined;
}

/** Jobs that are each done by one worker at a time, at least once. */
export interface WorkQueue {
  readonly name: string;
  /** Resolves with the job's number once it is in the queue. Numbers grow; jobs are given out by them. */
  put(value: Bytes, options?: CallOptions): Promise<number>;
  /** A worker with a session of its own: the jobs that it did not acknowledge are given to others when it ends. */
  worker(options?: CallOptions): Promise<Worker>;
  /** How many jobs wait or are being done. */
  size(options?: CallOptions): Promise<number>;
  /** Jobs that were given out too often, by their numbers. */
  deadLetters(options?: CallOptions): Promise<ReadonlyMap<number, StoredBytes>>;
  /** Puts a dead letter into the queue again, as if it were new. Resolves to whether there was one. */
  revive(id: number, options?: CallOptions): Promise<boolean>;
  /** Throws a dead letter away. Resolves to whether there was one. */
  discard(id: number, options?: CallOptions): Promise<boolean>;
}

export interface Worker {
  /** Waits for the next job, until `signal` is aborted. May be called again before the last one is done. */
  claim(options?: CallOptions): Promise<Job>;
  /** Gives back what is not acknowledged. */
  close(options?: CallOptions): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface Job extends StoredBytes {
  readonly id: number;
  /** How often it was given out, this time included. */
  readonly delivery: number;
  /** Position of the record that gave it out: larger than at every earlier delivery, for whatever compares fencing tokens. */
  readonly token: number;
  /** Aborted when others may be given it. */
  readonly signal: AbortSignal;
  /** It is done: nobody is given it again. @throws PaxlogError LEASE_LOST where it was given to another worker meanwhile. */
  acknowledge(options?: CallOptions): Promise<void>;
  /** Gives it back, to be done by whoever comes next. @throws PaxlogError LEASE_LOST */
  release(options?: CallOptions): Promise<void>;
}

/** Where the parts of a queue are: a job, and beside it a claim that is bound to the session of its worker. */
class QueueKeys {
  readonly name: string;
  readonly live: string;
  readonly dead: string;

  constructor(name: string) {
    this.name = name;
    this.live = `queue/${keyPart(name)}/`;
    this.dead = `dead/${keyPart(name)}/`;
  }

  /** Numbers sort as texts. */
  job(id: number): string {
    return `${this.live}job/${String(id).padStart(16, "0")}`;
  }

  claim(id: number): string {
    return `${this.live}claim/${String(id).padStart(16, "0")}`;
  }

  deadLetter(id: number): string {
    return `${this.dead}${String(id).padStart(16, "0")}`;
  }

  idOf(key: string): number {
    return Number(key.slice(-16));
  }
}

/** The queue of this name. */
export function workQueue(log: LogObjects, name: string, options: WorkQueueOptions = {}): WorkQueue {
  const { ttlMs = 30_000, deliveriesMax = 5 } = options;
  if (!Number.isSafeInteger(deliveriesMax) || deliveriesMax < 1) {
    throw new PaxlogError("INVALID_ARGUMENT", "deliveriesMax must be a whole number from 1");
  }
  const keys = new QueueKeys(name);
  const space = log.space();
  return {
    name,
    put: async (value, { signal } = {}) => {
      const { first: id } = await log.counter(keys.live).take(1, { signal });
      await space.put(keys.job(id), value, { signal });
      return id;
    },
    worker: (call = {}) =>
      inSession(log, { ttlMs, signal: call.signal }, async (session) => new QueueWorker(session, keys, deliveriesMax)),
    size: async ({ signal } = {}) => {
      const { count } = await space.range({ prefix: `${keys.live}job/` }, { countOnly: true, signal });
      return count;
    },
    deadLetters: async (call) => {
      const { byKey } = await membersOf(space, keys.dead, call);
      return new Map([...byKey].map(([key, entry]) => [keys.idOf(key), entry]));
    },
    revive: async (id, { signal } = {}) => {
      const letter = await space.get(keys.deadLetter(id), { signal });
      if (letter === undefined) return false;
      const { succeeded } = await space.transaction(
        {
          compare: [{ keys: keys.deadLetter(id), version: letter.version }],
          success: [
            { kind: "delete", keys: keys.deadLetter(id) },
            { kind: "put", key: keys.job(id), value: letter.value },
          ],
        },
        { signal },
      );
      return succeeded;
    },
    discard: async (id, call) => (await space.delete(keys.deadLetter(id), call)) === 1,
  };
}

class QueueWorker implements Worker {
  readonly #session: ObjectSession;
  readonly #space: Space;
  readonly #keys: QueueKeys;
  readonly #deliveriesMax: number;
  /** Jobs that are being claimed. */
  readonly #taking = new Set<number>();
  /** Of jobs that a caller was given: the token. A claim of the own session beside these is one of which no answer came. */
  readonly #given = new Map<number, number>();

  constructor(session: ObjectSession, keys: QueueKeys, deliveriesMax: number) {
    this.#session = session;
    this.#space = session.space();
    this.#keys = keys;
    this.#deliveriesMax = deliveriesMax;
  }

  async claim({ signal }: CallOptions = {}): Promise<Job> {
    const session = this.#session;
    const over = signal === undefined ? session.signal : AbortSignal.any([session.signal, signal]);
    while (!over.aborted) {
      const { byKey, position } = await membersOf(this.#space, this.#keys.live, { signal: over });
      for (const entry of byKey.values()) {
        const id = this.#keys.idOf(entry.key);
        if (entry.key !== this.#keys.job(id) || this.#taking.has(id)) continue;
        const claim = byKey.get(this.#keys.claim(id));
        const job = claim === undefined ? await this.#take(id, entry, over) : this.#adopt(id, entry, claim);
        if (job !== undefined) return job;
      }
      await watchUntil(this.#space, this.#keys.live, { from: position, signal: over }, () => true);
    }
    return waitEnded(session, signal);
  }

  close(options?: CallOptions): Promise<void> {
    return this.#session.close(options);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Undefined where somebody else was faster, or where it was given out too often and is a dead letter from now on. */
  async #take(id: number, entry: SpaceEntry, signal: AbortSignal): Promise<Job | undefined> {
    this.#taking.add(id);
    try {
      return await this.#claimed(id, entry, signal);
    } finally {
      this.#taking.delete(id);
    }
  }

  /** A claim that its caller gave up, or heard nothing of, took effect: the job is this worker's, and nobody else will do it. */
  #adopt(id: number, entry: SpaceEntry, claim: SpaceEntry): Job | undefined {
    const isOwn = claim.session === this.#session.id && claim.version === entry.version;
    if (!isOwn || this.#given.get(id) === claim.version) return undefined;
    return this.#give(id, entry.value, entry.writes - 1, claim.version);
  }

  #give(id: number, value: Uint8Array, delivery: number, token: number): Job {
    this.#given.set(id, token);
    const onEnd = (): void => {
      if (this.#given.get(id) === token) this.#given.delete(id);
    };
    return new ClaimedJob({ session: this.#session, keys: this.#keys, id, value, delivery, token, onEnd });
  }

  async #claimed(id: number, entry: SpaceEntry, signal: AbortSignal): Promise<Job | undefined> {
    const keys = this.#keys;
    const { value, version, writes } = entry;
    const isDead = writes > this.#deliveriesMax;
    const { succeeded, position } = await this.#space.transaction(
      {
        compare: [
          { keys: keys.job(id), version },
          { keys: keys.claim(id), exists: false },
        ],
        // Writing the job again counts its deliveries.
        success: isDead
          ? [
              { kind: "delete", keys: keys.job(id) },
              { kind: "put", key: keys.deadLetter(id), value },
            ]
          : [
              { kind: "put", key: keys.job(id), value },
              { kind: "put", key: keys.claim(id), value: "", bound: true },
            ],
      },
      { signal },
    );
    if (!succeeded || isDead) return undefined;
    return this.#give(id, value, writes, position);
  }
}

interface JobParts {
  readonly session: ObjectSession;
  readonly keys: QueueKeys;
  readonly id: number;
  readonly value: Uint8Array;
  readonly delivery: number;
  readonly token: number;
  /** Called when the job is surely not this worker's any more. */
  readonly onEnd: () => void;
}

class ClaimedJob extends Stored implements Job {
  readonly id: number;
  readonly delivery: number;
  readonly token: number;
  readonly #session: ObjectSession;
  readonly #keys: QueueKeys;
  readonly #onEnd: () => void;

  constructor({ session, keys, id, value, delivery, token, onEnd }: JobParts) {
    super(value);
    this.id = id;
    this.delivery = delivery;
    this.token = token;
    this.#session = session;
    this.#keys = keys;
    this.#onEnd = onEnd;
  }

  get signal(): AbortSignal {
    return this.#session.signal;
  }

  acknowledge(options?: CallOptions): Promise<void> {
    return this.#end([this.#keys.job(this.id), this.#keys.claim(this.id)], options);
  }

  release(options?: CallOptions): Promise<void> {
    return this.#end([this.#keys.claim(this.id)], options);
  }

  /** As long as the claim is that of this delivery. A claim that is written anew has another version. */
  async #end(gone: readonly string[], { signal }: CallOptions = {}): Promise<void> {
    const { succeeded } = await this.#session.space().transaction(
      {
        compare: [{ keys: this.#keys.claim(this.id), version: this.token }],
        success: gone.map((keys) => ({ kind: "delete", keys })),
      },
      { signal },
    );
    this.#onEnd();
    if (succeeded) return;
    const message = `job ${this.id} was given to another worker, or was ended before`;
    throw new PaxlogError("LEASE_LOST", message, { facts: { name: this.#keys.name, token: this.token } });
  }
}
