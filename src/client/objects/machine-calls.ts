import { PaxlogError } from "../../base/errors.ts";
import type { AskResponse } from "../../format/object-codec.ts";
import type { MachineChange } from "../../machine/machine.ts";
import { cancelled, onAbort } from "../abort.ts";
import type { AnyNode } from "../any-node.ts";
import type { ClientSession } from "../client-session.ts";
import { checkedFreshness } from "../read-plan.ts";
import type { ExecuteOptions, GetOptions, WatchOptions } from "./handles.ts";
import { SharedQuestions } from "./shared-questions.ts";
import type { Watches } from "./watches.ts";

/** Where a command came to stand in the log. */
export interface Placement {
  readonly position: number;
  readonly time: number;
}

export interface PlacedReply extends Placement {
  readonly reply: Uint8Array;
}

/** The way from a handle to the machines on the nodes, in bytes. */
export interface MachineCalls {
  execute(machine: string, command: Uint8Array, options: ExecuteOptions): Promise<PlacedReply>;
  ask(machine: string, question: Uint8Array, options: GetOptions): Promise<AskResponse>;
  changes(machine: string, question: Uint8Array, options: WatchOptions): AsyncGenerator<MachineChange, void, void>;
}

/** Questions and watches need no session: any node answers. */
export class MachineQuestions {
  readonly #shared: SharedQuestions;
  readonly #watches: Watches;

  constructor(nodes: AnyNode, watches: Watches) {
    this.#shared = new SharedQuestions(nodes);
    this.#watches = watches;
  }

  async ask(machine: string, question: Uint8Array, options: GetOptions): Promise<AskResponse> {
    const request = { machine, question, freshness: checkedFreshness(options.freshness) };
    if (options.signal?.aborted) throw cancelled(options.signal, "none");
    return unlessAborted(this.#shared.ask(request), options.signal);
  }

  changes(machine: string, question: Uint8Array, options: WatchOptions): AsyncGenerator<MachineChange, void, void> {
    return this.#watches.changes(machine, question, options);
  }
}

/** Calls whose commands travel in one session. */
export class SessionCalls implements MachineCalls {
  readonly #session: ClientSession;
  readonly #questions: MachineQuestions;

  constructor(session: ClientSession, questions: MachineQuestions) {
    this.#session = session;
    this.#questions = questions;
  }

  execute(machine: string, command: Uint8Array, options: ExecuteOptions): Promise<PlacedReply> {
    return this.#session.execute(machine, command, options);
  }

  ask(machine: string, question: Uint8Array, options: GetOptions): Promise<AskResponse> {
    return this.#questions.ask(machine, question, options);
  }

  changes(machine: string, question: Uint8Array, options: WatchOptions): AsyncGenerator<MachineChange, void, void> {
    return this.#questions.changes(machine, question, options);
  }
}

/**
 * Calls of a log, whose commands travel in a session that is opened for the first of them. Where it ended meanwhile, as after a long
 * sleep of the computer, the next command opens another.
 */
export class LogCalls implements MachineCalls {
  readonly #open: () => Promise<ClientSession>;
  readonly #questions: MachineQuestions;
  #session: Promise<ClientSession> | undefined;
  /** The same, once it is open: commands need not wait for it one by one. */
  #ready: ClientSession | undefined;

  constructor(open: () => Promise<ClientSession>, questions: MachineQuestions) {
    this.#open = open;
    this.#questions = questions;
  }

  async execute(machine: string, command: Uint8Array, options: ExecuteOptions): Promise<PlacedReply> {
    const opening = this.#opened();
    const session = this.#ready ?? (await unlessAborted(opening, options.signal));
    try {
      return await session.execute(machine, command, options);
    } catch (cause) {
      if (!(cause instanceof PaxlogError) || cause.code !== "SESSION_UNKNOWN") throw cause;
      if (this.#session === opening) this.#forget();
      if (cause.outcome !== "none") throw cause;
      return (await unlessAborted(this.#opened(), options.signal)).execute(machine, command, options);
    }
  }

  ask(machine: string, question: Uint8Array, options: GetOptions): Promise<AskResponse> {
    return this.#questions.ask(machine, question, options);
  }

  changes(machine: string, question: Uint8Array, options: WatchOptions): AsyncGenerator<MachineChange, void, void> {
    return this.#questions.changes(machine, question, options);
  }

  /** A session that could not be opened is of use to nobody. */
  #opened(): Promise<ClientSession> {
    if (this.#session === undefined) {
      const opening = this.#open();
      this.#session = opening;
      opening.then(
        (session) => {
          if (this.#session === opening) this.#ready = session;
        },
        () => {
          if (this.#session === opening) this.#forget();
        },
      );
    }
    return this.#session;
  }

  #forget(): void {
    this.#session = undefined;
    this.#ready = undefined;
  }
}

/** Waits for what others may wait for too, and is not ended for one of them. */
async function unlessAborted<Value>(promise: Promise<Value>, signal: AbortSignal | undefined): Promise<Value> {
  if (signal === undefined) return promise;
  let forget = () => {};
  const aborted = new Promise<never>((_, reject) => {
    forget = onAbort(signal, () => reject(cancelled(signal, "none")));
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    forget();
  }
}
