import type { PaxlogError } from "../base/errors.ts";
import type { MachineChange } from "../machine/machine.ts";
import type { MachineSnapshot } from "../machine/replica.ts";
import type { CallOptions } from "./log.ts";
import type { ReadFreshness } from "./read-options.ts";

export interface MachineOptions {
  /** A state to begin with, as `snapshot` gave it; only the commands behind it are read. Otherwise all of the log is. */
  readonly snapshot?: MachineSnapshot | undefined;
  /**
   * Told once of each command that failed (MACHINE_FAILED) or that is none (COMMAND_MALFORMED), whoever sent it, while this handle
   * is open: a bug to be mended, since every replica passes it over.
   */
  readonly onFailure?: ((error: PaxlogError) => void) | undefined;
}

export interface MachineAskOptions extends CallOptions {
  /**
   * "linearizable" (the default): the answer knows of every command that was acknowledged before the call, wherever that was.
   * { atLeast: position }: it knows of the command there. "local": of what was applied here, without waiting.
   */
  readonly freshness?: ReadFreshness | undefined;
}

export interface MachineWatchOptions extends CallOptions {
  /** Changes at this position and later. By default those that come from now on. */
  readonly from?: number | undefined;
}

/** For a machine that the nodes run (`paxlog serve --machine`, and the built-in ones): nothing of it runs in this program. */
export interface NodeMachineOptions {
  readonly on: "nodes";
}

/** How one speaks to a machine, wherever it runs. */
export interface MachineCaller<Command, Reply, Question, Answer> {
  /** Every command below it is applied here; on the nodes: by the newest answer that came. */
  readonly position: number;
  /**
   * Puts the command into the log and resolves with its reply, once it is applied by this replica, or on the nodes by the leader's. It takes effect exactly once. Commands
   * of one turn of the event loop travel together; of one handle they take effect in the order of the calls.
   *
   * Rejects as `session.append` does, and: INVALID_ARGUMENT where it cannot be encoded; with what came of the command where that is
   * no reply (MACHINE_FAILED, COMMAND_MALFORMED; nothing of it was done); CLOSED or CANCELLED with outcome "unknown" where nobody waited for the reply;
   * REPLY_GONE.
   */
  execute(command: Command, options?: CallOptions): Promise<Reply>;
  /**
   * Answers from this replica, or from that of any node. Waits until it is as fresh as asked.
   * @throws PaxlogError MACHINE_FAILED where the machine threw.
   */
  ask(question: Question, options?: MachineAskOptions): Promise<Answer>;
  /**
   * What happens to what the question is about, from a position on, in the order of the log: nothing missed, nothing twice. Ends with the
   * signal. Throws CHANGES_GONE where the machine does not remember so far back, MACHINE_FAILED where it tells no changes or threw,
   * CLOSED where the handle or the log was closed.
   */
  watch(question: Question, options?: MachineWatchOptions): AsyncIterable<MachineChange>;
  /** Ends it here; the log goes on, and so do other replicas. Commands that wait for their reply fail with outcome "unknown". */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A machine that runs in this program: a replica of its state, kept up with the log. */
export interface MachineHandle<Command, Reply, Question, Answer>
  extends MachineCaller<Command, Reply, Question, Answer> {
  /** The state as bytes, to begin with after a restart, or elsewhere. */
  snapshot(): MachineSnapshot;
}
