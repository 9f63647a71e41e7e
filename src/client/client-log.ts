import { PaxlogError, withOutcome } from "../base/errors.ts";
import type { Hashing } from "../base/hashing.ts";
import { BatchBuilder, type RecordInput } from "../format/batch-encode.ts";
import type { MachineStatus } from "../format/machine-status.ts";
import type { NodeStatus } from "../format/node-status.ts";
import type { Machine } from "../machine/machine.ts";
import { isReservedType, typeReserved } from "../machine/machine.ts";
import { AnyNode, type NodeQuestion } from "./any-node.ts";
import { appendEncoded, appendRecords } from "./append-calls.ts";
import { checkToken } from "./append-options.ts";
import { Appender, type AppenderContext } from "./appender.ts";
import { ClientSession } from "./client-session.ts";
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
  StatusOptions,
  TailOptions,
  Trimmed,
} from "./log.ts";
import { openRead } from "./log-read.ts";
import { ProgramMachine } from "./machine-handle.ts";
import type { MachineCaller, MachineHandle, MachineOptions, NodeMachineOptions } from "./machines.ts";
import type { Nodes } from "./nodes.ts";
import type {
  Counter,
  Decision,
  ExecuteOptions,
  GetOptions,
  Lease,
  LeaseOptions,
  LeaseState,
  ObjectSession,
  ObjectSessionOptions,
  Register,
  Space,
  WatchOptions,
} from "./objects/handles.ts";
import { LogHandles } from "./objects/log-handles.ts";
import { MachineQuestions } from "./objects/machine-calls.ts";
import { Watches } from "./objects/watches.ts";
import { closedError, endOfLog } from "./outcomes.ts";
import { checkedFreshness } from "./read-plan.ts";
import { checkHold, checkHoldName, checkTrim } from "./retain-options.ts";
import { Sessions } from "./sessions.ts";
import type { Settings } from "./settings.ts";

/** The Log over links to nodes, whatever these are. */
export class ClientLog implements Log {
  readonly #nodes: Nodes;
  readonly #settings: Settings;
  readonly #hashing: Hashing;
  readonly #context: AppenderContext;
  readonly #appender: Appender;
  readonly #leader: LeaderCalls;
  readonly #sessions: Sessions;
  readonly #anyNode: AnyNode;
  readonly #objects: LogHandles;
  readonly #closing = new AbortController();
  #closed: Promise<void> | undefined;

  constructor(nodes: Nodes, settings: Settings, hashing: Hashing) {
    this.#nodes = nodes;
    this.#settings = settings;
    this.#hashing = hashing;
    this.#context = { nodes, settings, hashing, builder: new BatchBuilder(refuseReserved) };
    this.#appender = new Appender(this.#context);
    const closing = this.#closing.signal;
    this.#leader = new LeaderCalls(nodes, settings, closing);
    this.#sessions = new Sessions(this.#context, this.#leader, () => this.#checkOpen());
    this.#anyNode = new AnyNode(nodes, settings, closing);
    this.#objects = new LogHandles(
      (options) => this.#sessions.open({ ...options, announceEnd: true }, "execute"),
      new MachineQuestions(this.#anyNode, new Watches({ nodes, settings, hashing, closing }, this.#anyNode)),
    );
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
    return this.#sessions.open(options, "append");
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
    options?: MachineOptions,
  ): MachineHandle<Command, Reply, Question, Answer>;
  machine<State, Command, Reply, Question, Answer>(
    machine: Machine<State, Command, Reply, Question, Answer>,
    options: NodeMachineOptions,
  ): MachineCaller<Command, Reply, Question, Answer>;
  machine<State, Command, Reply, Question, Answer>(
    machine: Machine<State, Command, Reply, Question, Answer>,
    options: MachineOptions | NodeMachineOptions = {},
  ): MachineCaller<Command, Reply, Question, Answer> {
    if ("on" in options) return this.#objects.machine(machine);
    return new ProgramMachine(this, machine, options);
  }

  counter(name: string): Counter {
    return this.#objects.counter(name);
  }

  register(name: string): Register {
    return this.#objects.register(name);
  }

  space(): Space {
    return this.#objects.space();
  }

  call<Result = unknown>(procedure: string, args?: unknown, options?: ExecuteOptions): Promise<Result> {
    return this.#objects.call(procedure, args, options);
  }

  objectSession(options?: ObjectSessionOptions): Promise<ObjectSession> {
    return this.#objects.objectSession(options);
  }

  decision(name: string): Decision {
    return this.#objects.decision(name);
  }

  lease(name: string, options?: LeaseOptions): Promise<Lease> {
    return this.#objects.lease(name, options);
  }

  leaseState(name: string, options?: GetOptions): Promise<LeaseState> {
    return this.#objects.leaseState(name, options);
  }

  watchLease(name: string, options?: WatchOptions): AsyncIterable<LeaseState> {
    return this.#objects.watchLease(name, options);
  }

  async tail(options: TailOptions = {}): Promise<LogBounds> {
    const freshness = checkedFreshness(options.freshness);
    return this.#ask((link, bounds) => link.checkTail(freshness, bounds), options.signal);
  }

  status(options: StatusOptions = {}): Promise<NodeStatus> {
    return this.#askNode((link, bounds) => link.status(bounds), options);
  }

  async machines(options: StatusOptions = {}): Promise<readonly MachineStatus[]> {
    const { machines } = await this.#askNode((link, bounds) => link.machines(bounds), options);
    return machines;
  }

  async #askNode<T>(question: NodeQuestion<T>, options: StatusOptions): Promise<T> {
    if (options.address === undefined) return this.#ask(question, options.signal);
    if (!this.#nodes.learn(options.address)) {
      throw new PaxlogError("INVALID_ARGUMENT", `"${options.address}" is not the client address of a node`);
    }
    this.#checkOpen();
    return this.#anyNode.askAt(options.address, question, options.signal);
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
    await Promise.all([this.#appender.close(graceMs, reason), this.#sessions.abandon(graceMs, reason)]);
    this.#closing.abort();
    this.#nodes.close();
  }

  async #ask<Answer>(question: NodeQuestion<Answer>, signal: AbortSignal | undefined): Promise<Answer> {
    this.#checkOpen();
    return this.#anyNode.ask(question, signal);
  }

  #checkOpen(): void {
    if (this.#closed !== undefined) throw closedError("none", endOfLog(this.#closing.signal));
  }
}

const noOptions: AppendOptions = {};

/** An option that is no session of this library would be a guard left out. */
function noSession(): Promise<never> {
  return Promise.reject(new PaxlogError("INVALID_ARGUMENT", "session must be what log.session() gave"));
}

/** A node would refuse the whole batch, calls included that know nothing of it. */
function refuseReserved(type: string, recordIndex: number): void {
  if (isReservedType(type)) throw typeReserved(type, { record: recordIndex });
}
