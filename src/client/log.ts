import type { RecordInput } from "../format/batch-encode.ts";
import type { MachineStatus } from "../format/machine-status.ts";
import type { NodeStatus } from "../format/node-status.ts";
import type { Machine } from "../machine/machine.ts";
import type { Compression } from "./compression.ts";
import type { MachineCaller, MachineHandle, MachineOptions, NodeMachineOptions } from "./machines.ts";
import type { LogObjects } from "./objects/handles.ts";
import type { LogRead, ReadFreshness, ReadOptions } from "./read-options.ts";

export type { LogRead, ReadFreshness, ReadNotice, ReadOptions, ReadPlace } from "./read-options.ts";

/** A replicated log: the same records at the same positions for everyone, on every node. Everything it throws is a PaxlogError. */
export interface Log extends LogObjects {
  /**
   * Appends one record, or many in order and side by side; the many are in the log all or none. Resolves once a majority of the
   * nodes has them on disk. Calls of one turn of the event loop travel as one batch. The bytes of values must not change before
   * the promise settles.
   *
   * Rejects with outcome "none" where nothing was written and nothing will be, and with outcome "unknown" where the records were
   * sent and no answer came (LEADER_LOST, UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED, CLOSED): they may be in the log, and the
   * library does not send them again, unless they have a `session`. What was refused with outcome "none" because its node does
   * not lead or has too much to do is sent again, for up to `deadlineMs`. Order is kept: of the calls that did not fail, an
   * earlier one has the smaller position. A failed call does not hold up the later ones: whoever wants that waits for each
   * promise, or demands the tail.
   *
   * With guards, all of which must hold where the records come to stand, the call travels as a batch of its own (a fencing token
   * alone is the same for all that show it: they share). A refusal writes nothing and says what stood in the way: TAIL_MISMATCH,
   * FENCED, CONDITION_FAILED, STREAM_REVISION_MISMATCH, with facts.
   */
  append(records: readonly RecordInput[], options?: AppendOptions): Promise<AppendedMany>;
  append(record: RecordInput, options?: AppendOptions): Promise<Appended>;
  /** As `append`, for a batch that `encodeBatch` or any protobuf library made. It travels alone and as it is. */
  appendBatch(batch: Uint8Array, options?: AppendOptions): Promise<AppendedMany>;
  /**
   * Opens a session in the log, or takes up the one of `resume`: its appends land exactly once, however often the library has to
   * send them. It is kept alive until it is closed; left alone it expires after `ttlMs`.
   */
  session(options?: SessionOptions): Promise<Session>;
  /**
   * Raises the log's fence to the token: from now on appends with a smaller `fencingToken` are refused, wherever they come from.
   * Resolves once that is durable on a majority. FENCED where the fence is above the token already. Appends without a token are
   * not held up by any fence.
   */
  fence(token: number, options?: CallOptions): Promise<Fence>;
  /**
   * Lets go of the oldest records: `position`, from 1 to the tail, is the first one to keep. Their space is used again, on all nodes. A
   * hold on the way stops the head there; the answer says so. Resolves once that is durable on a majority.
   */
  trim(position: number, options?: CallOptions): Promise<Trimmed>;
  /**
   * Keeps all records from a position on until the hold is moved, dropped, or expires in log time: for whoever reads the log later and
   * must not find it trimmed. Made, moved and renewed by the same call. POSITION_BELOW_HEAD where the records are gone already,
   * HOLD_TAKEN where another owner has the name.
   */
  hold(name: string, options: HoldOptions): Promise<Hold>;
  /** Ends a hold, whoever owns it. Resolves to whether there was one. */
  dropHold(name: string, options?: CallOptions): Promise<boolean>;
  /**
   * Reads history and, if it follows, all that comes: from a position, a time, the head, the tail or a distance from it, forward or
   * backward, everything or what matches a query. Nothing is asked of a node before the iteration begins; each iteration is a read
   * of its own.
   */
  read(options?: ReadOptions): LogRead;
  /**
   * Runs a state machine in this program: a replica that follows the log and applies the machine's commands, its own and those of
   * others. It runs until its `close` or that of the log. INVALID_ARGUMENT where the machine's name or version is not legal.
   */
  machine<State, Command, Reply, Question, Answer>(
    machine: Machine<State, Command, Reply, Question, Answer>,
    options?: MachineOptions,
  ): MachineHandle<Command, Reply, Question, Answer>;
  /** The same for a machine that the nodes run: MACHINE_UNKNOWN, at its first call, where they do not. */
  machine<State, Command, Reply, Question, Answer>(
    machine: Machine<State, Command, Reply, Question, Answer>,
    options: NodeMachineOptions,
  ): MachineCaller<Command, Reply, Question, Answer>;
  /** Bounds of the log. Linearizable unless asked otherwise: it knows of everything that was acknowledged before. */
  tail(options?: TailOptions): Promise<LogBounds>;
  /** The cluster as one node sees it: that at `address`, otherwise the first that answers. */
  status(options?: StatusOptions): Promise<NodeStatus>;
  /**
   * The machines of one node, as it has them: that at `address`, otherwise the first that answers. A version of 0 stands for machines
   * that nobody needed on that node yet.
   */
  machines(options?: StatusOptions): Promise<readonly MachineStatus[]>;
  /**
   * Waits a bounded time (`closeMs`) for the appends under way, then ends everything that is left with CLOSED. May be called
   * again: every call waits for the same end.
   */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Where one record went. */
export interface Appended {
  readonly position: number;
  /** The log's time for it, in milliseconds since 1970; never smaller at a later position. */
  readonly time: number;
}

/** Where many records went: `first` to `last`, both included, without a gap. */
export interface AppendedMany {
  readonly first: number;
  readonly last: number;
  readonly time: number;
}

/** `head` is the first readable position, `tail` the next one to be assigned: an empty log has head = tail = 1. */
export interface LogBounds {
  readonly head: number;
  readonly tail: number;
  /** How fresh the answer is. */
  readonly freshness?: "linearizable" | "atLeast" | "local" | undefined;
}

export interface Trimmed {
  /** The first position that can be read now. Behind the one that was asked for where more was trimmed before. */
  readonly head: number;
  /** The hold that stopped the head in front of the position that was asked for. */
  readonly heldBy: Hold | undefined;
}

export interface Hold {
  readonly name: string;
  readonly owner: string;
  /** Everything from here on is kept. */
  readonly position: number;
  /** Log time, milliseconds since 1970. */
  readonly expiresAt: number;
}

export interface HoldOptions extends CallOptions {
  /** From the head to the tail. */
  readonly position: number;
  /** Says to people whose hold it is, at most 256 bytes. Only the same owner moves and renews it. */
  readonly owner: string;
  /** From one second to 366 days, in log time; one day by default. */
  readonly ttlMs?: number | undefined;
}

export interface CallOptions {
  /** Gives the call up: CANCELLED, with outcome "none" if nothing was sent yet, otherwise "unknown". */
  readonly signal?: AbortSignal | undefined;
}

/** What an append may demand of the log. Any mix: the append is ordered only where all of it holds, otherwise nothing is written. */
export interface AppendOptions extends CallOptions {
  /** The first record must get this position: nobody wrote in between. TAIL_MISMATCH otherwise, with the facts expected, actual. */
  readonly expectedTail?: number | undefined;
  /** Refused as FENCED where the log's fence is above it: someone with a larger token has taken over. From 0. */
  readonly fencingToken?: number | undefined;
  /** CONDITION_FAILED where a record behind `after` matches one of them; the fact `position` names the first such record. */
  readonly condition?: AppendCondition | readonly AppendCondition[] | undefined;
  /** STREAM_REVISION_MISMATCH where a stream is not as expected, with the facts tag, expected, actual. */
  readonly stream?: StreamExpectation | undefined;
  /** As `stream`, for several at once. */
  readonly streams?: readonly StreamExpectation[] | undefined;
  /** Exactly once: the append lands once, and the library may send it again. As `session.append`. */
  readonly session?: Session | undefined;
}

/**
 * No record behind position `after` may match the query: what the caller decided on by reading up to `after` is still all there
 * is. Positions count from 1, so 0 speaks of the whole log.
 */
export interface AppendCondition {
  readonly query: RecordQuery;
  readonly after: number;
}

/** Matches a record that matches one of the items. */
export type RecordQuery = RecordQueryItem | readonly RecordQueryItem[];

/** Matches a record that has one of the types (any, where none is named) and all of the tags. */
export interface RecordQueryItem {
  readonly types?: readonly string[] | undefined;
  readonly tags?: readonly string[] | undefined;
}

/**
 * A stream is all records that bear one tag; its revision is the position of the last of them. This is a demand only: to belong
 * to the stream, the records appended must bear the tag themselves.
 */
export interface StreamExpectation {
  readonly tag: string;
  /** The revision, "noStream" (no record bears the tag), "streamExists", or "any". */
  readonly expected: number | "any" | "noStream" | "streamExists";
}

/** The log's fence: the largest token it was given, 0 at first. */
export interface Fence {
  readonly fence: number;
  /** The log's tail when the fence stood: whoever held a smaller token wrote below it, and writes nothing more. */
  readonly tail: number;
}

export interface SessionOptions extends CallOptions {
  /** How long the log remembers the session without a sign of life; 60 s by default. Counted by the time of the log. */
  readonly ttlMs?: number | undefined;
  /**
   * Have the log say when the session ends, however it does: by a record of type "$session" in a batch of the session, at the place
   * from which on it is over. Machines learn of it there. False by default, and without a meaning for a session that is resumed.
   */
  readonly announceEnd?: boolean | undefined;
  /** Goes on with a session that was opened before, as its `state` was. */
  readonly resume?: SessionState | undefined;
}

/** Enough to go on with a session in another process. */
export interface SessionState {
  readonly id: number;
  /** The first serial that was never used. */
  readonly nextSerial: number;
}

/**
 * A writer whose appends land exactly once: each batch has a serial, and the log remembers the answers to the last 256 of a
 * session. After any failure (a leader killed, an answer lost, a connection broken) the library sends the same batch with the
 * same serial again, for up to `deadlineMs`, and gets the first answer. Order is kept across retries.
 *
 * A refused guard is an answer too: a retry gets the same. SESSION_UNKNOWN, outcome "unknown", where the session expired or was
 * closed, or the serial is older than what is remembered.
 */
export interface Session {
  /** Given by the log when it was opened. */
  readonly id: number;
  readonly ttlMs: number;
  /** What another process needs to go on after the appends made so far. Moves with each append. */
  readonly state: SessionState;
  append(records: readonly RecordInput[], options?: SessionAppendOptions): Promise<AppendedMany>;
  append(record: RecordInput, options?: SessionAppendOptions): Promise<Appended>;
  appendBatch(batch: Uint8Array, options?: SessionAppendOptions): Promise<AppendedMany>;
  /** Waits for its appends, then has the log forget it. It may be resumed no more. Abandon it instead by `log.close()`. */
  close(options?: CallOptions): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface SessionAppendOptions extends Omit<AppendOptions, "session"> {
  /**
   * The serial of this append, for callers that outlive their process: after a restart, the same records with the same serial
   * (of the last 256) get the first answer. Such an append is a batch of its own. Serials ascend: SESSION_GAP, outcome "none", for
   * one that was never ordered where a later one was. By default the library counts, and appends of one turn share a serial.
   * Never use a serial for other records: they would be taken for the first ones, and not be written.
   */
  readonly serial?: number | undefined;
}

export interface TailOptions extends CallOptions {
  readonly freshness?: ReadFreshness | undefined;
}

export interface StatusOptions extends CallOptions {
  readonly address?: string | undefined;
}

export interface ConnectOptions {
  /** How long a call looks for a node that does what it asks; 10 s by default. Appends that were sent wait on. */
  readonly deadlineMs?: number | undefined;
  /** How long a connected leader may leave everything unanswered before what was sent is given up as unknown; 30 s by default. */
  readonly answerMs?: number | undefined;
  /**
   * Bytes and batches that are sent and not answered, of the appends without a session and of each session; 8 MiB and 256 by
   * default. Further appends wait: they are not encoded before there is room, so what waits costs the caller's own records only.
   */
  readonly inFlightBytes?: number | undefined;
  readonly inFlightBatches?: number | undefined;
  /** Calls of append that wait; 1,048,576 by default. A caller that goes on all the same is refused as OVERLOADED, outcome "none". */
  readonly waitingAppends?: number | undefined;
  /**
   * Whether the values of batches are compressed by this process, where it saves a tenth or more; "none" by default. "auto" takes
   * zstd where this Node has it and gzip elsewhere. The log keeps and returns the compressed bytes; every reader reads all of them.
   * It takes the time of this thread: for values that shrink well and a disk or network that is slower than the compressor.
   */
  readonly compression?: Compression | undefined;
  /** How long `close` waits for appends; 5 s by default. */
  readonly closeMs?: number | undefined;
  /** Gives up `connect` itself. */
  readonly signal?: AbortSignal | undefined;
}
