import { PaxlogError, toPaxlogError, withOutcome } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import { faultOfMachine, type Machine, type MachineChange, recordTypeOf, sessionEndType } from "../machine/machine.ts";
import { type Applied, MachineReplica, type MachineSnapshot } from "../machine/replica.ts";
import { cancelled, onAbort } from "./abort.ts";
import type { CallOptions, Log, RecordQuery, Session } from "./log.ts";
import { watchMachine } from "./machine-watch.ts";
import type { MachineAskOptions, MachineHandle, MachineOptions, MachineWatchOptions } from "./machines.ts";
import type { ReadOptions } from "./read-options.ts";

/** A wait for commands to be applied up to a position. */
interface Waiter {
  readonly until: number;
  readonly settle: (end?: PaxlogError) => void;
}

/**
 * A machine in this program: it follows the log from the snapshot it was given, or from the head, and applies what it reads.
 * A command goes through the log like any other record, in a session, so it is in there once, and its reply is what the own replica
 * makes of it. Nothing of a state is ever sent.
 */
export class ProgramMachine<State, Command, Reply, Question, Answer>
  implements MachineHandle<Command, Reply, Question, Answer>
{
  readonly #log: Log;
  readonly #replica: MachineReplica<State, Command, Reply, Question, Answer>;
  readonly #options: MachineOptions;
  readonly #type: string;
  readonly #query: RecordQuery;
  readonly #closing = new AbortController();
  #session: Promise<Session> | undefined;
  /** Everything below it is applied, or is no command of this machine. */
  #applied: number;
  readonly #waiters = new Set<Waiter>();
  /** What became of the last commands, while own ones are under way: their positions are known only when they are acknowledged. */
  readonly #recent = new Map<number, Applied<Reply>>();
  #executing = 0;
  /** A look at the log that is under way, and the one that begins when it is over. */
  #look: Promise<unknown> = Promise.resolve();
  #nextLook: Promise<number> | undefined;
  /** The first failure of each position was reported; a replay meets it again. */
  #reportedTo = 0;
  #end: PaxlogError | undefined;
  readonly #over: Promise<void>;

  constructor(log: Log, machine: Machine<State, Command, Reply, Question, Answer>, options: MachineOptions) {
    const fault = faultOfMachine(machine);
    if (fault !== undefined) throw new PaxlogError("INVALID_ARGUMENT", fault);
    this.#log = log;
    this.#options = options;
    this.#replica = new MachineReplica(machine, options.snapshot);
    this.#type = recordTypeOf(machine);
    this.#query = { types: machine.ended === undefined ? [this.#type] : [this.#type, sessionEndType] };
    this.#applied = this.#replica.position;
    this.#over = this.#follow();
  }

  get position(): number {
    return this.#applied;
  }

  async execute(command: Command, options: CallOptions = {}): Promise<Reply> {
    this.#checkOpen();
    if (this.#executing >= limits.machineExecutesMax) {
      const message = `${limits.machineExecutesMax} commands are under way: wait for replies before executing more`;
      throw new PaxlogError("OVERLOADED", message, { facts: { limit: limits.machineExecutesMax } });
    }
    const value = this.#encode(command);
    this.#executing += 1;
    try {
      const position = await this.#append(value, options);
      await this.#until(position + 1, options.signal, "unknown");
      return this.#replyAt(position);
    } finally {
      this.#executing -= 1;
      if (this.#executing === 0) this.#recent.clear();
    }
  }

  async ask(question: Question, options: MachineAskOptions = {}): Promise<Answer> {
    const { freshness = "linearizable", signal } = options;
    this.#checkOpen();
    if (freshness === "linearizable") await this.#until(await this.#freshEnd(), signal, "none");
    else if (freshness !== "local") await this.#until(await this.#endAt(freshness.atLeast), signal, "none");
    return this.#replica.ask(question);
  }

  watch(question: Question, options: MachineWatchOptions = {}): AsyncIterable<MachineChange> {
    this.#checkOpen();
    return watchMachine(
      {
        name: this.#replica.machine.name,
        freshEnd: () => this.#freshEnd(),
        applied: () => this.#applied,
        passed: (position, signal) => this.#until(position, signal, "none"),
        changes: (from, max) => this.#replica.changes(question, from, max),
      },
      options,
    );
  }

  snapshot(): MachineSnapshot {
    this.#checkOpen();
    return this.#replica.snapshot();
  }

  async close(): Promise<void> {
    this.#fail(new PaxlogError("CLOSED", `the machine ${this.#replica.machine.name} was closed`));
    await this.#over;
    const session = await this.#session?.catch(() => undefined);
    await session?.close().catch(() => {});
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // ---- Following

  /** Until it is closed or cannot go on: then everybody who waits hears why. */
  async #follow(): Promise<void> {
    try {
      while (this.#end === undefined) await this.#read();
    } catch (cause) {
      this.#fail(toPaxlogError(cause));
    }
  }

  /** One read, from where the replica stands until it has to go back. */
  async #read(): Promise<void> {
    const from = Math.max(1, this.#replica.position);
    const read = this.#log.read({
      from,
      follow: true,
      freshness: "local",
      query: this.#query,
      signal: this.#closing.signal,
      onNotice: ({ next }) => this.#advance(next),
    });
    for await (const record of read) {
      const { position } = record;
      const applied = record.type === sessionEndType ? this.#replica.end(record) : this.#replica.apply(record);
      if (applied.kind === "failed" && applied.resumeFrom <= position) {
        this.#applied = applied.resumeFrom;
        return;
      }
      this.#note(position, applied);
      this.#advance(position + 1);
    }
  }

  #note(position: number, applied: Applied<Reply | undefined>): void {
    if (applied.kind !== "reply" && position >= this.#reportedTo) {
      this.#reportedTo = position + 1;
      this.#options.onFailure?.(applied.error);
    }
    if (this.#executing === 0) return;
    // Nobody waits for a reply where a session ended.
    this.#recent.set(position, applied as Applied<Reply>);
    if (this.#recent.size <= limits.machineRepliesMax) return;
    const [oldest] = this.#recent.keys();
    this.#recent.delete(oldest!);
  }

  #advance(next: number): void {
    if (next <= this.#applied) return;
    this.#applied = next;
    for (const waiter of this.#waiters) if (waiter.until <= next) waiter.settle();
  }

  // ---- Freshness

  /**
   * Behind the last command that was acknowledged before this call. All that ask while a look at the log is under way share the next
   * one: that under way may have begun too early.
   */
  #freshEnd(): Promise<number> {
    if (this.#nextLook === undefined) {
      const look: Promise<number> = this.#look.then(() => {
        this.#nextLook = undefined;
        this.#look = look.catch(() => 0);
        return this.#endOf({ freshness: "linearizable" });
      });
      this.#nextLook = look;
    }
    return this.#nextLook;
  }

  /** Behind the last command up to a position, which the log must have. */
  async #endAt(position: number): Promise<number> {
    if (this.#applied > position) return 0;
    return this.#endOf({ freshness: { atLeast: position }, to: position + 1 });
  }

  /** Other records than commands need not be waited for: the log says where the last command is. */
  async #endOf(options: Pick<ReadOptions, "freshness" | "to">): Promise<number> {
    const from = Math.max(1, this.#replica.position);
    const read = this.#log.read({ from, query: this.#query, signal: this.#closing.signal, ...options });
    let end = 0;
    for await (const batch of read.batches()) end = batch.last + 1;
    this.#checkOpen();
    return end;
  }

  // ---- Waiting

  #until(position: number, signal: AbortSignal | undefined, outcome: "none" | "unknown"): Promise<void> {
    if (this.#applied >= position) return Promise.resolve();
    if (this.#end !== undefined) return Promise.reject(withOutcome(this.#end, outcome));
    return new Promise((resolve, reject) => {
      const forget = onAbort(signal, () => waiter.settle(cancelled(signal, outcome)));
      const waiter: Waiter = {
        until: position,
        settle: (end) => {
          this.#waiters.delete(waiter);
          forget();
          if (end === undefined) resolve();
          else reject(withOutcome(end, outcome));
        },
      };
      this.#waiters.add(waiter);
    });
  }

  #replyAt(position: number): Reply {
    const applied = this.#recent.get(position);
    if (applied?.kind === "reply") return applied.reply;
    if (applied !== undefined) throw applied.error;
    const message = `the reply to the command at ${position} was forgotten: so many commands of others were applied before it was acknowledged`;
    throw new PaxlogError("REPLY_GONE", message, { facts: { position } });
  }

  #encode(command: Command): Uint8Array {
    try {
      return this.#replica.encode(command);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new PaxlogError("INVALID_ARGUMENT", `the command cannot be encoded: ${reason}`, { cause });
    }
  }

  /** A session that could not be opened, or that the log forgot, is of use to nobody: the next command opens another. */
  async #append(value: Uint8Array, options: CallOptions): Promise<number> {
    this.#session ??= this.#log.session({ announceEnd: this.#replica.machine.ended !== undefined });
    const opening = this.#session;
    try {
      const session = await opening;
      return (await session.append({ type: this.#type, value }, options)).position;
    } catch (cause) {
      const isLost = !(await isOpen(opening)) || (cause instanceof PaxlogError && cause.code === "SESSION_UNKNOWN");
      if (isLost && this.#session === opening) this.#session = undefined;
      throw cause;
    }
  }

  #checkOpen(): void {
    if (this.#end !== undefined) throw this.#end;
  }

  #fail(end: PaxlogError): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#closing.abort();
    for (const waiter of this.#waiters) waiter.settle(end);
  }
}

const isOpen = (opening: Promise<unknown>): Promise<boolean> =>
  opening.then(
    () => true,
    () => false,
  );
