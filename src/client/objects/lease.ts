import { assertNever } from "../../base/assert.ts";
import { PaxlogError } from "../../base/errors.ts";
import { limits } from "../../base/limits.ts";
import type * as machine from "../../machine/builtin/leases.ts";
import { cancelled } from "../abort.ts";
import type { ClientSession } from "../client-session.ts";
import type { CallOptions } from "../log.ts";
import { leases } from "./builtins.ts";
import type {
  Bytes,
  ExecuteOptions,
  GetOptions,
  Lease,
  LeaseHolder,
  LeaseOptions,
  LeaseState,
  ObjectSessionOptions,
  WatchOptions,
} from "./handles.ts";
import { type MachineCalls, type MachineQuestions, SessionCalls } from "./machine-calls.ts";
import { decoded, MachineStub } from "./machine-stub.ts";
import { objectsFull } from "./refusals.ts";
import { bytesOf, Stored } from "./stored-bytes.ts";

/** The machine "leases". */
export class Leases extends MachineStub<
  machine.LeaseCommand,
  machine.LeaseReply,
  machine.LeaseQuestion,
  machine.LeaseState
> {
  constructor(calls: MachineCalls) {
    super(calls, leases);
  }

  async state(name: string, options?: GetOptions): Promise<LeaseState> {
    const { answer, position } = await this.ask({ name }, options);
    return stateOf(answer, position);
  }

  async *watch(name: string, options?: WatchOptions): AsyncGenerator<LeaseState, void, void> {
    for await (const { position, change } of this.changes({ name }, options)) {
      yield stateOf(decoded(leases.answers, change, leases.name), position + 1);
    }
  }
}

class Holder extends Stored implements LeaseHolder {
  readonly session: number;
  readonly token: number;

  constructor({ session, token, value }: machine.LeaseState) {
    super(value);
    this.session = session;
    this.token = token;
  }
}

function stateOf(state: machine.LeaseState, position: number): LeaseState {
  const { name, token, waiting } = state;
  return { name, holder: token === 0 ? undefined : new Holder(state), waiting, position };
}

export interface LeaseRequest {
  readonly open: (options: ObjectSessionOptions) => Promise<ClientSession>;
  readonly questions: MachineQuestions;
  readonly name: string;
  readonly options: LeaseOptions;
}

/**
 * Takes a lease in a session of its own: within one process, too, at most one caller holds it, and it ends alone. The session is closed
 * again where the lease is not granted, which also leaves the line.
 */
export async function acquireLease({ open, questions, name, options }: LeaseRequest): Promise<Lease> {
  const { ttlMs = limits.leaseTtlMsDefault, value = "", wait = true, signal } = options;
  const bytes = bytesOf(value);
  const session = await open({ ttlMs, signal });
  try {
    const own = new Leases(new SessionCalls(session, questions));
    const { reply, position } = await own.execute({ kind: "acquire", name, value: bytes, wait }, { signal });
    const { outcome, now } = reply;
    switch (outcome) {
      case "held":
        return new SessionLease(session, own, name, now.token);
      case "waiting":
        return new SessionLease(session, own, name, await granted(session, own, name, position, signal));
      case "taken":
        throw leaseTaken(now);
      case "noSession":
        throw new PaxlogError("SESSION_REQUIRED", `the lease "${name}" was asked for without a session`);
      case "tooMany":
        throw objectsFull("leases", name);
      case "released":
      case "notHeld":
        throw new PaxlogError("INVARIANT_BROKEN", `a lease that was asked for was answered with ${outcome}`);
      default:
        return assertNever(outcome);
    }
  } catch (cause) {
    await session.close().catch(() => {});
    throw cause;
  }
}

/** Waits in line until it is this session's turn; its token. What granted it may be the record right behind the command. */
async function granted(
  session: ClientSession,
  own: Leases,
  name: string,
  position: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  const { life } = session;
  const over = signal === undefined ? life.signal : AbortSignal.any([life.signal, signal]);
  for await (const { holder } of own.watch(name, { from: position, signal: over })) {
    if (holder?.session === session.id) return holder.token;
  }
  if (signal?.aborted) throw cancelled(signal, "none");
  throw await life.lost;
}

function leaseTaken({ name, session, token }: machine.LeaseState): PaxlogError {
  const message = `session ${session} holds the lease "${name}"`;
  return new PaxlogError("LEASE_TAKEN", message, { facts: { name, session, token } });
}

/** A lease that a session of its own holds: it lasts as long as the session does. */
class SessionLease implements Lease {
  readonly name: string;
  readonly token: number;
  readonly #session: ClientSession;
  readonly #leases: Leases;

  constructor(session: ClientSession, own: Leases, name: string, token: number) {
    this.#session = session;
    this.#leases = own;
    this.name = name;
    this.token = token;
  }

  get session(): number {
    return this.#session.id;
  }

  get held(): boolean {
    return this.#session.life.held;
  }

  get lost(): Promise<PaxlogError> {
    return this.#session.life.lost;
  }

  get signal(): AbortSignal {
    return this.#session.life.signal;
  }

  async proclaim(value: Bytes, options?: ExecuteOptions): Promise<void> {
    const { name, token } = this;
    const { reply } = await this.#leases.execute({ kind: "proclaim", name, token, value: bytesOf(value) }, options);
    if (reply.outcome === "tooMany") throw objectsFull("leases", name);
    if (reply.outcome === "held") return;
    const message = `the lease "${name}" is not held under the token ${token} any more`;
    throw new PaxlogError("LEASE_LOST", message, { facts: { name, token } });
  }

  /** The end of the session gives it back, and nothing is left of either. */
  release(options?: CallOptions): Promise<void> {
    return this.#session.close(options);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}
