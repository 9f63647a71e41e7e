import type { ClientSession } from "../client-session.ts";
import { NodeCounter } from "./counter.ts";
import { NodeDecision } from "./decision.ts";
import type {
  Counter,
  Decision,
  GetOptions,
  Lease,
  LeaseOptions,
  LeaseState,
  ObjectSessionOptions,
  Objects,
  Register,
  WatchOptions,
} from "./handles.ts";
import { acquireLease, Leases } from "./lease.ts";
import { LogCalls, type MachineCalls, type MachineQuestions } from "./machine-calls.ts";
import { NodeRegister } from "./register.ts";

/** Handles over one way to the machines. They hold nothing: each may be made as often as one likes. */
class ObjectHandles implements Pick<Objects, "counter" | "register" | "decision"> {
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

  decision(name: string): Decision {
    return new NodeDecision(this.calls, name);
  }
}

/** What a log offers: its own commands travel in a session that is opened for the first of them. */
export class LogHandles extends ObjectHandles {
  readonly #open: (options: ObjectSessionOptions) => Promise<ClientSession>;
  readonly #questions: MachineQuestions;

  constructor(open: (options: ObjectSessionOptions) => Promise<ClientSession>, questions: MachineQuestions) {
    super(new LogCalls(() => open({}), questions));
    this.#open = open;
    this.#questions = questions;
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
