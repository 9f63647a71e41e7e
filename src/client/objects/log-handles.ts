import type { Machine } from "../../machine/machine.ts";
import type { ClientSession } from "../client-session.ts";
import type { CallOptions, SessionState } from "../log.ts";
import type { MachineCaller } from "../machines.ts";
import { NodeCounter } from "./counter.ts";
import { NodeDecision } from "./decision.ts";
import type {
  Counter,
  Decision,
  ExecuteOptions,
  GetOptions,
  Lease,
  LeaseOptions,
  LeaseState,
  LogObjects,
  ObjectSession,
  ObjectSessionOptions,
  Objects,
  Register,
  Space,
  WatchOptions,
} from "./handles.ts";
import { acquireLease, Leases } from "./lease.ts";
import { LogCalls, type MachineCalls, type MachineQuestions, SessionCalls } from "./machine-calls.ts";
import { NodeMachine } from "./node-machine.ts";
import { NodeRegister } from "./register.ts";
import { callProcedure, NodeSpace } from "./space.ts";

/** Handles over one way to the machines. They hold nothing: each may be made as often as one likes. */
class ObjectHandles implements Objects {
  protected readonly calls: MachineCalls;

  constructor(calls: MachineCalls) {
    this.calls = calls;
  }

  counter(name: string): Counter {
    return new NodeCounter(this.calls, name);
  }

  register(name: string): Register {
    return new NodeRegister(this.calls, name);
  }

  space(): Space {
    return new NodeSpace(this.calls);
  }

  call<Result = unknown>(procedure: string, args?: unknown, options?: ExecuteOptions): Promise<Result> {
    return callProcedure<Result>(this.calls, procedure, args, options);
  }

  decision(name: string): Decision {
    return new NodeDecision(this.calls, name);
  }
}

/** What a log offers: its own commands travel in a session that is opened for the first of them. */
export class LogHandles extends ObjectHandles implements LogObjects {
  readonly #open: (options: ObjectSessionOptions) => Promise<ClientSession>;
  readonly #questions: MachineQuestions;

  constructor(open: (options: ObjectSessionOptions) => Promise<ClientSession>, questions: MachineQuestions) {
    super(new LogCalls(() => open({}), questions));
    this.#open = open;
    this.#questions = questions;
  }

  async objectSession(options: ObjectSessionOptions = {}): Promise<ObjectSession> {
    return new OwnSession(await this.#open(options), this.#questions);
  }

  /** A machine that the nodes run. */
  machine<State, Command, Reply, Question, Answer>(
    machine: Machine<State, Command, Reply, Question, Answer>,
  ): MachineCaller<Command, Reply, Question, Answer> {
    return new NodeMachine(this.calls, machine);
  }

  lease(name: string, options: LeaseOptions = {}): Promise<Lease> {
    return acquireLease({ open: this.#open, questions: this.#questions, name, options });
  }

  leaseState(name: string, options?: GetOptions): Promise<LeaseState> {
    return new Leases(this.calls).state(name, options);
  }

  watchLease(name: string, options?: WatchOptions): AsyncIterable<LeaseState> {
    return new Leases(this.calls).watch(name, options);
  }
}

class OwnSession extends ObjectHandles implements ObjectSession {
  readonly #session: ClientSession;

  constructor(session: ClientSession, questions: MachineQuestions) {
    super(new SessionCalls(session, questions));
    this.#session = session;
  }

  get id(): number {
    return this.#session.id;
  }

  get ttlMs(): number {
    return this.#session.ttlMs;
  }

  get state(): SessionState {
    return this.#session.state;
  }

  get held(): boolean {
    return this.#session.life.held;
  }

  get lost() {
    return this.#session.life.lost;
  }

  get signal(): AbortSignal {
    return this.#session.life.signal;
  }

  close(options?: CallOptions): Promise<void> {
    return this.#session.close(options);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#session.close();
  }
}
