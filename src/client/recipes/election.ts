import { equalBytes } from "../../base/bytes.ts";
import type { PaxlogError } from "../../base/errors.ts";
import type { CallOptions } from "../log.ts";
import type { Bytes, GetOptions, Holding, Lease, LeaseHolder, LogObjects } from "../objects/handles.ts";

export interface ElectionOptions {
  /** How long the others wait for a leader that gives no sign of life, in log time; 10 s by default. */
  readonly ttlMs?: number | undefined;
}

/** One of several is the leader at a time; who comes next is the one that has stood longest. */
export interface Election {
  readonly name: string;
  /** Stands, with a value that the others see, until it is the leader or `signal` is aborted. Each call is a candidate of its own. */
  campaign(value?: Bytes, options?: CallOptions): Promise<Leadership>;
  /** Who leads now; undefined: nobody. */
  leader(options?: GetOptions): Promise<LeaseHolder | undefined>;
  /** Who leads, at first and each time that it changes, or the leader's value does. Ends with the signal. */
  observe(options?: CallOptions): AsyncIterable<LeaseHolder>;
}

/** The office of a leader. What it does outside of the log should show the `token`: a leader that was paused has a smaller one. */
export interface Leadership extends Holding {
  readonly token: number;
  /** Changes the value that the others see. @throws PaxlogError LEASE_LOST */
  proclaim(value: Bytes, options?: CallOptions): Promise<void>;
  /** Gives the office up; the next candidate has it. */
  resign(options?: CallOptions): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** An election among all that name it so: a lease on its name. */
export function election(log: LogObjects, name: string, { ttlMs }: ElectionOptions = {}): Election {
  const lease = `election/${name}`;
  return {
    name,
    campaign: async (value = "", { signal } = {}) => new Office(await log.lease(lease, { ttlMs, value, signal })),
    leader: async (options) => (await log.leaseState(lease, options)).holder,
    observe: (options) => leaders(log, lease, options),
  };
}

class Office implements Leadership {
  readonly #lease: Lease;

  constructor(lease: Lease) {
    this.#lease = lease;
  }

  get token(): number {
    return this.#lease.token;
  }

  get held(): boolean {
    return this.#lease.held;
  }

  get lost(): Promise<PaxlogError> {
    return this.#lease.lost;
  }

  get signal(): AbortSignal {
    return this.#lease.signal;
  }

  proclaim(value: Bytes, options?: CallOptions): Promise<void> {
    return this.#lease.proclaim(value, options);
  }

  resign(options?: CallOptions): Promise<void> {
    return this.#lease.release(options);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.resign();
  }
}

/** Candidates that come and go change the lease too: of that nobody is told. */
async function* leaders(log: LogObjects, lease: string, { signal }: CallOptions = {}): AsyncGenerator<LeaseHolder> {
  const first = await log.leaseState(lease, { signal });
  let last = first.holder;
  if (last !== undefined) yield last;
  for await (const { holder } of log.watchLease(lease, { from: first.position, signal })) {
    if (holder === undefined) continue;
    const isSame = last !== undefined && last.token === holder.token && equalBytes(last.value, holder.value);
    last = holder;
    if (!isSame) yield holder;
  }
}
