import { PaxlogError, withOutcome } from "../base/errors.ts";
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import type { NodeStatus } from "../format/api-codec.ts";
import { BatchBuilder, type RecordInput } from "../format/batch-encode.ts";
import type { SessionTerms } from "../format/session-codec.ts";
import type { Machine } from "../machine/machine.ts";
import { cancelled, pause, retryDelay } from "./abort.ts";
import { appendEncoded, appendRecords } from "./append-calls.ts";
import { checkedSession, checkToken } from "./append-options.ts";
import { Appender, type AppenderContext } from "./appender.ts";
import { ClientSession, type GrantedSession } from "./client-session.ts";
import { LeaderCalls } from "./leader-calls.ts";
import type {
  Appended,
  AppendedMany,
  AppendOptions,
  CallOptions,
  Fence,
  Hold,
  HoldOptions,
  Log,
  LogBounds,
  LogRead,
  ReadOptions,
  Session,
  SessionOptions,
  SessionState,
  StatusOptions,
  TailOptions,
  Trimmed,
} from "./log.ts";
import { openRead } from "./log-read.ts";
import { ProgramMachine } from "./machine-handle.ts";
import type { MachineHandle, MachineOptions } from "./machines.ts";
import type { AskBounds, NodeLink } from "./node-link.ts";
import { type Nodes, noConnection } from "./nodes.ts";
import { closedError, endOfLog } from "./outcomes.ts";
import { checkedFreshness } from "./read-plan.ts";
import { checkHold, checkHoldName, checkTrim } from "./retain-options.ts";
import type { Settings } from "./settings.ts";

/** A question that any node can answer. */
type Question<Answer> = (link: NodeLink, bounds: AskBounds) => Promise<Answer>;

/** The Log over links to nodes, whatever these are. */
export class ClientLog implements Log {
  readonly #nodes: Nodes;
  readonly #settings: Settings;
  readonly #hashing: Hashing;
  readonly #context: AppenderContext;
  readonly #appender: Appender;
  readonly #leader: LeaderCalls;
  readonly #sessions = new Set<ClientSession>();
  /** Sessions on their way to be open. */
  #openingCount = 0;
  readonly #closing = new AbortController();
  #closed: Promise<void> | undefined;
  /** The node that answered the last question. */
  #address: string;

  constructor(nodes: Nodes, settings: Settings, hashing: Hashing) {
    this.#nodes = nodes;
    this.#settings = settings;
    this.#hashing = hashing;
    this.#context = { nodes, settings, hashing, builder: new BatchBuilder() };
    this.#appender = new Appender(this.#context);
    this.#leader = new LeaderCalls(nodes, settings, this.#closing.signal);
    this.#address = nodes.addresses[0]!;
  }

  append(records: readonly RecordInput[], options?: AppendOptions): Promise<AppendedMany>;
  append(record: RecordInput, options?: AppendOptions): Promise<Appended>;
  append(
    input: RecordInput | readonly RecordInput[],
    options: AppendOptions = noOptions,
  ): Promise<Appended | AppendedMany> {
    const { session } = options;
    if (session === undefined) return appendRecords(this.#appender, input, options);
    return session instanceof ClientSession ? session.append(input as RecordInput, options) : noSession();
  }

  appendBatch(batch: Uint8Array, options: AppendOptions = noOptions): Promise<AppendedMany> {
    const { session } = options;
    if (session === undefined) return appendEncoded(this.#appender, batch, options);
    return session instanceof ClientSession ? session.appendBatch(batch, options) : noSession();
  }

  async session(options: SessionOptions = {}): Promise<Session> {
    const { resume, signal, ...terms } = checkedSession(options);
    if (this.#sessions.size + this.#openingCount >= limits.clientSessionsMax) {
      const message = `${limits.clientSessionsMax} sessions are open: close one, or connect once more`;
      throw new PaxlogError("OVERLOADED", message, { facts: { limit: limits.clientSessionsMax } });
    }
    this.#openingCount += 1;
    try {
      const granted = resume === undefined ? await this.#open(terms, signal) : await this.#resume(resume, signal);
      if (this.#closed !== undefined) throw closedError("none", endOfLog(this.#closing.signal));
      const session = new ClientSession(this.#context, this.#leader, granted, () => this.#sessions.delete(session));
      this.#sessions.add(session);
      return session;
    } finally {
      this.#openingCount -= 1;
    }
  }

  async fence(token: number, options: CallOptions = {}): Promise<Fence> {
    const checked = checkToken(token);
    return this.#leader.ask((link, bounds) => link.fence(checked, bounds), options.signal);
  }

  async trim(position: number, options: CallOptions = {}): Promise<Trimmed> {
    const checked = checkTrim(position);
    return this.#leader.ask((link, bounds) => link.trim(checked, bounds), options.signal);
  }

  async hold(name: string, options: HoldOptions): Promise<Hold> {
    const { signal, ...checked } = checkHold(name, options);
    const { hold } = await this.#leader.ask((link, bounds) => link.putHold(checked, bounds), signal);
    return hold;
  }

  async dropHold(name: string, options: CallOptions = {}): Promise<boolean> {
    const checked = checkHoldName(name);
    const { existed } = await this.#leader.ask((link, bounds) => link.dropHold(checked, bounds), options.signal);
    return existed;
  }

  read(options: ReadOptions = {}): LogRead {
    const context = {
      nodes: this.#nodes,
      settings: this.#settings,
      hashing: this.#hashing,
      closing: this.#closing.signal,
    };
    return openRead(context, options);
  }

  machine<State, Command, Reply, Question, Answer>(
    machine: Machine<State, Command, Reply, Question, Answer>,
    options: MachineOptions = {},
  ): MachineHandle<Command, Reply, Question, Answer> {
    return new ProgramMachine(this, machine, options);
  }

  async tail(options: TailOptions = {}): Promise<LogBounds> {
    const freshness = checkedFreshness(options.freshness);
    return this.#askAny((link, bounds) => link.checkTail(freshness, bounds), options.signal);
  }

  async status(options: StatusOptions = {}): Promise<NodeStatus> {
    const question: Question<NodeStatus> = (link, bounds) => link.status(bounds);
    if (options.address === undefined) return this.#askAny(question, options.signal);
    if (!this.#nodes.learn(options.address)) {
      throw new PaxlogError("INVALID_ARGUMENT", `"${options.address}" is not the client address of a node`);
    }
    return this.#ask(options.address, question, options.signal, this.#settings.deadlineMs);
  }

  close(): Promise<void> {
    this.#closed ??= this.#close(this.#settings.closeMs, undefined);
    return this.#closed;
  }

  /** The log is over and nobody closed it: everything fails at once with the reason, what was sent with outcome "unknown". */
  protected end(reason: PaxlogError): void {
    this.#closed ??= this.#close(0, withOutcome(reason, "none"));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(graceMs: number, reason: PaxlogError | undefined): Promise<void> {
    if (reason !== undefined) this.#closing.abort(reason);
    const sessions = [...this.#sessions].map((each) => each.abandon(graceMs, reason));
    await Promise.all([this.#appender.close(graceMs, reason), ...sessions]);
    this.#closing.abort();
    this.#nodes.close();
  }

  /** Where the answer is lost another one is opened: the log forgets the first when nobody gives a sign of life for it. */
  async #open(terms: SessionTerms, signal: AbortSignal | undefined): Promise<GrantedSession> {
    const opened = await this.#leader.ask((link, bounds) => link.openSession(terms, bounds), signal);
    return { id: opened.session, ttlMs: opened.ttlMs, nextSerial: 1 };
  }

  async #resume({ id, nextSerial }: SessionState, signal: AbortSignal | undefined): Promise<GrantedSession> {
    const { ttlMs } = await this.#leader.ask((link, bounds) => link.keepSession(id, bounds), signal);
    return { id, ttlMs, nextSerial };
  }

  /** Asks one node after another until one answers. A question changes nothing, so it may be asked again. */
  async #askAny<Answer>(question: Question<Answer>, signal: AbortSignal | undefined): Promise<Answer> {
    const end = performance.now() + this.#settings.deadlineMs;
    for (let attempt = 1; ; attempt += 1) {
      const address = this.#address;
      try {
        return await this.#ask(address, question, signal, Math.max(1, end - performance.now()));
      } catch (error) {
        if (!(error instanceof PaxlogError) || !error.retryable) throw error;
        if (this.#address === address) this.#address = this.#nodes.after(address);
        const round = Math.floor(attempt / this.#nodes.addresses.length);
        const delayMs = round === 0 ? 0 : retryDelay(round - 1, limits.clientRetryMsFirst, limits.clientRetryMsMax);
        if (performance.now() + delayMs >= end) throw error;
        if (delayMs > 0) await pause(delayMs, signal);
      }
    }
  }

  async #ask<Answer>(
    address: string,
    question: Question<Answer>,
    signal: AbortSignal | undefined,
    leftMs: number,
  ): Promise<Answer> {
    if (this.#closed !== undefined) throw closedError("none", endOfLog(this.#closing.signal));
    if (signal?.aborted) throw cancelled(signal, "none");
    if (!(await this.#nodes.connected(address, Math.min(leftMs, limits.clientConnectMs), signal))) {
      if (signal?.aborted) throw cancelled(signal, "none");
      throw noConnection(address);
    }
    // A node that does not answer must not use up the time in which another one would.
    const deadlineMs = Math.min(leftMs, this.#nodes.addresses.length > 1 ? limits.clientAskMs : limits.unaryDeadlineMs);
    return question(this.#nodes.link(address), { deadlineMs, signal });
  }
}

const noOptions: AppendOptions = {};

/** An option that is no session of this library would be a guard left out. */
function noSession(): Promise<never> {
  return Promise.reject(new PaxlogError("INVALID_ARGUMENT", "session must be what log.session() gave"));
}
