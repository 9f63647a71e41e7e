/** The handles of the machines that every node has: what `log` and an object session offer beside the log itself. */
import type { PaxlogError } from "../../base/errors.ts";
import type { CallOptions, SessionState } from "../log.ts";
import type { ReadFreshness } from "../read-options.ts";
import type { StoredBytes } from "./stored-bytes.ts";

/** A string stands for its UTF-8. */
export type Bytes = Uint8Array | string;

export interface ExecuteOptions extends CallOptions {
  /**
   * The serial of this command within its session, for callers that outlive their process: as SessionAppendOptions.serial. Such a
   * command is a batch of its own. By default the library counts.
   */
  readonly serial?: number | undefined;
}

export interface GetOptions extends CallOptions {
  /**
   * "linearizable" (the default): the answer knows of everything that was acknowledged before the call. { atLeast: position }: of the
   * command there. "local": of what the node that answers has applied, at once.
   */
  readonly freshness?: ReadFreshness | undefined;
}

export interface WatchOptions extends CallOptions {
  /**
   * Changes made by commands from this position on. By default those that come once the node was asked. To miss nothing behind an
   * answer, give that answer's `position`.
   */
  readonly from?: number | undefined;
}

/**
 * Shared objects. Their commands travel in one session, those of one turn of the event loop together: each takes effect exactly once,
 * whatever is lost on the way, and is done when it resolves: on disk on a majority, and applied.
 *
 * What changes something rejects as `session.append` does, and with MACHINE_STOPPED or REPLY_GONE (it took effect; ask what it did).
 */
export interface Objects {
  /** A whole number that all share; 0 until somebody adds to it. */
  counter(name: string): Counter;
  /** One value that all share. */
  register(name: string): Register;
  /** Keys in the order of their bytes, each with a value. There is one space; callers share it by prefixes. */
  space(): Space;
  /**
   * Calls a procedure that the nodes were given, with arguments as JSON. It is one entry of the log: done on every node alike, all of
   * it or nothing, strictly serializable. Rejects with PROCEDURE_UNKNOWN, PROCEDURE_FAILED or TRANSACTION_TOO_LARGE; nothing was done.
   */
  call<Result = unknown>(procedure: string, args?: unknown, options?: ExecuteOptions): Promise<Result>;
  /** Whether several participants commit: decided by the log, without a coordinator to wait for. */
  decision(name: string): Decision;
}

/** What a Log offers of objects: for these the library opens a session when it needs one first. */
export interface LogObjects extends Objects {
  /**
   * A session of its own for objects: the keys that it binds go, and the leases that it holds are free, when it ends: by `close`, or
   * `ttlMs` after the last sign of life of this process. The log's own session, which `log.space()` uses, does not say when it ends.
   */
  objectSession(options?: ObjectSessionOptions): Promise<ObjectSession>;
  /**
   * Takes a lease on a name: at most one holder at a time. By default it stands in line until it is granted, or `signal` is aborted.
   * With `wait: false` rejects with LEASE_TAKEN where another holds it.
   */
  lease(name: string, options?: LeaseOptions): Promise<Lease>;
  /** Who holds the lease now, and who waits. */
  leaseState(name: string, options?: GetOptions): Promise<LeaseState>;
  /** How the lease changes hands, values and line, from a position on. */
  watchLease(name: string, options?: WatchOptions): AsyncIterable<LeaseState>;
}

export interface ObjectSessionOptions extends CallOptions {
  /** How long the log remembers it without a sign of life, in log time; 60 s by default. */
  readonly ttlMs?: number | undefined;
  /** Goes on with an object session that was opened before, as its `state` was. */
  readonly resume?: SessionState | undefined;
}

/** Tells when a hold on something shared is over. */
export interface Holding {
  /**
   * False from the moment at which others may hold it. It is reckoned on this process's clocks from the last sign of life that the log
   * confirmed, with a margin: a process that was paused finds it false when it goes on, before anybody told it.
   */
  readonly held: boolean;
  /** Resolves once it is no longer held, with the reason: LEASE_LOST, or CLOSED where its owner let it go. Never rejects. */
  readonly lost: Promise<PaxlogError>;
  /** Aborted at the same moment, with the same reason: for calls that must not go on without it. */
  readonly signal: AbortSignal;
}

export interface ObjectSession extends Objects, Holding {
  readonly id: number;
  readonly ttlMs: number;
  /** What another process needs to go on with it. */
  readonly state: SessionState;
  /** Waits for its commands, then ends it: what is bound to it goes. */
  close(options?: CallOptions): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

// ---- Counters

/** Rejects with COUNTER_OUT_OF_RANGE where a counter would leave -2^53 + 1 to 2^53 - 1: then it stays as it is. */
export interface Counter {
  readonly name: string;
  /** Adds (1 by default; less than 0 takes away) and resolves to the value before. */
  fetchAdd(delta?: number, options?: ExecuteOptions): Promise<number>;
  /** The next `count` numbers (1 by default), from 1 on, that nobody else gets: `first` to `last`. */
  take(count?: number, options?: ExecuteOptions): Promise<NumberRange>;
  get(options?: GetOptions): Promise<number>;
  /**
   * What it becomes, each time that somebody changes it: as `Space.watch`. To miss nothing behind a `get`, take the tail of `log.tail()` before it and
   * watch from there.
   */
  watch(options?: WatchOptions): AsyncIterable<CounterChange>;
}

export interface CounterChange {
  /** Of the record that made it. */
  readonly position: number;
  /** Log time, milliseconds since 1970. */
  readonly time: number;
  /** After it. */
  readonly value: number;
}

/** Both included. */
export interface NumberRange {
  readonly first: number;
  readonly last: number;
}

// ---- Registers

/** A version is the position of the record that wrote last: it only grows, also across a delete. */
export interface Register {
  readonly name: string;
  /** undefined where it was never written, or was deleted. */
  get(options?: GetOptions): Promise<RegisterValue | undefined>;
  set(value: Bytes, options?: ExecuteOptions): Promise<RegisterValue>;
  /**
   * Writes `next` where the register is as expected: null (there is none), a value, or { version }. A `next` of null deletes it.
   * A comparison that fails is no error: the result says how it was found.
   */
  compareAndSet(
    expected: Bytes | { readonly version: number } | null,
    next: Bytes | null,
    options?: ExecuteOptions,
  ): Promise<RegisterOutcome>;
  /** Writes only where there is no value: all who race for it learn the one that won. */
  writeOnce(value: Bytes, options?: ExecuteOptions): Promise<RegisterOutcome>;
  /** Resolves to whether there was a value. */
  delete(options?: ExecuteOptions): Promise<boolean>;
  /** What it holds after each change: as `Space.watch`. To miss nothing behind a value, watch from its version plus 1. */
  watch(options?: WatchOptions): AsyncIterable<RegisterChange>;
}

export interface RegisterChange {
  /** Of the record that made it. */
  readonly position: number;
  /** Log time, milliseconds since 1970. */
  readonly time: number;
  /** undefined: it was deleted. */
  readonly value: RegisterValue | undefined;
}

export interface RegisterValue extends StoredBytes {
  readonly version: number;
}

export interface RegisterOutcome {
  /** Whether this call wrote. */
  readonly done: boolean;
  /** As it is after the call; undefined where there is none. */
  readonly now: RegisterValue | undefined;
  /** As the call found it. */
  readonly before: RegisterValue | undefined;
}

// ---- Space

/** A key, every key with a prefix, or the keys from `from` to below `to` (without `to`: all from there on). */
export type Keys = Bytes | { readonly prefix: Bytes } | { readonly from: Bytes; readonly to?: Bytes | undefined };

/** Rejects with SPACE_FULL or TRANSACTION_TOO_LARGE where a limit is passed: nothing was done. */
export interface Space {
  get(key: Bytes, options?: GetOptions): Promise<SpaceEntry | undefined>;
  /** Resolves to the key's new version. */
  put(key: Bytes, value: Bytes, options?: PutOptions): Promise<number>;
  /** Resolves to how many keys went. */
  delete(keys: Keys, options?: ExecuteOptions): Promise<number>;
  range(keys: Keys, options?: RangeOptions): Promise<SpaceRange>;
  /** Compares, then does one of two lists of operations, at one moment: nobody sees a part of it. */
  transaction(transaction: SpaceTransaction, options?: ExecuteOptions): Promise<SpaceOutcome>;
  /**
   * What happens to keys, in the order of the log, nothing missed and nothing twice, also across nodes that come and go. Ends with the
   * signal, or where the iteration is left. Throws CHANGES_GONE where the changes from `from` on are not remembered any more.
   */
  watch(keys: Keys, options?: WatchOptions): AsyncIterable<SpaceChange>;
}

export interface PutOptions extends ExecuteOptions, Pick<PutTerms, "bound"> {}

export interface PutTerms {
  /** The key goes when the session ends through which it is put. */
  readonly bound?: boolean | undefined;
  /** The result has the value that was there before; without it only what else there is to say of it. */
  readonly withBefore?: boolean | undefined;
}

export interface RangeSelection {
  /** At most so many; by default as many as fit into one answer: `more` says whether there are others. */
  readonly limit?: number | undefined;
  /** From the last key to the first. */
  readonly reverse?: boolean | undefined;
  /** Without values. */
  readonly keysOnly?: boolean | undefined;
  /** Nothing but `count`. */
  readonly countOnly?: boolean | undefined;
}

export interface RangeOptions extends GetOptions, RangeSelection {}

export interface SpaceEntry extends StoredBytes {
  /** As UTF-8. */
  readonly key: string;
  readonly keyBytes: Uint8Array;
  /** Position of the record that wrote it last. */
  readonly version: number;
  /** Position of the record that made it. */
  readonly created: number;
  /** How often it was written since it was made, from 1. */
  readonly writes: number;
  /** The session it is bound to; undefined: none, it stays. */
  readonly session: number | undefined;
}

export interface SpaceEntries {
  readonly entries: readonly SpaceEntry[];
  /** There are more in the range. */
  readonly more: boolean;
  /** Of the whole range. */
  readonly count: number;
}

export interface SpaceRange extends SpaceEntries {
  /** Everything below it is in the answer: watch from here on to miss nothing. */
  readonly position: number;
}

export interface SpaceTransaction {
  /** All must hold; none by default. */
  readonly compare?: readonly SpaceCompare[] | undefined;
  /** Done where they hold, in order. */
  readonly success?: readonly SpaceOperation[] | undefined;
  /** Done otherwise. */
  readonly failure?: readonly SpaceOperation[] | undefined;
}

/** Of a key, or of each key that there is in a range: exactly one of the other fields is given. What does not exist has version 0. */
export interface SpaceCompare {
  readonly keys: Keys;
  /** "equal" by default. */
  readonly relation?: "equal" | "notEqual" | "less" | "greater" | undefined;
  readonly exists?: boolean | undefined;
  readonly version?: number | undefined;
  readonly created?: number | undefined;
  readonly writes?: number | undefined;
  readonly value?: Bytes | undefined;
  /** The id of the session it is bound to; 0: none. */
  readonly session?: number | undefined;
}

export type SpaceOperation =
  | ({ readonly kind: "put"; readonly key: Bytes; readonly value: Bytes } & PutTerms)
  | { readonly kind: "delete"; readonly keys: Keys }
  | ({ readonly kind: "get"; readonly keys: Keys } & RangeSelection);

export interface SpaceOutcome {
  /** Of the record of the transaction: watch from the next one on to miss nothing. */
  readonly position: number;
  /** Whether the comparisons held. */
  readonly succeeded: boolean;
  /** One for each operation of the list that was done, in order. */
  readonly results: readonly SpaceResult[];
}

export type SpaceResult =
  /** The entry before; undefined where there was none. */
  | { readonly kind: "put"; readonly before: SpaceEntry | undefined }
  | { readonly kind: "delete"; readonly count: number }
  | ({ readonly kind: "get" } & SpaceEntries);

export interface SpaceChange {
  /** Of the record that made it. */
  readonly position: number;
  /** Log time, milliseconds since 1970. */
  readonly time: number;
  readonly key: string;
  readonly keyBytes: Uint8Array;
  /** As it is now; undefined: it was deleted. */
  readonly entry: SpaceEntry | undefined;
}

// ---- Leases

export interface LeaseOptions extends CallOptions {
  /** How long others wait for a holder that gives no sign of life, in log time; 10 s by default. */
  readonly ttlMs?: number | undefined;
  /** Shown to others. */
  readonly value?: Bytes | undefined;
  /** Whether to stand in line where another holds it; true by default. */
  readonly wait?: boolean | undefined;
}

/**
 * A name that one holder has at a time. `token` is the fencing token: the position of the grant, larger than that of every earlier
 * holder. What the lease protects must compare it: no clock can keep a paused holder from waking up late, a token can. Appends do
 * with `fencingToken`, once the new holder raised the log's fence with `log.fence(lease.token)`.
 */
export interface Lease extends Holding {
  readonly name: string;
  readonly token: number;
  /** Of the session that holds it. */
  readonly session: number;
  /** Changes the value that others see. LEASE_LOST where it is no longer held. */
  proclaim(value: Bytes, options?: ExecuteOptions): Promise<void>;
  /** Gives it back; the next in line has it. May be called twice. */
  release(options?: CallOptions): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface LeaseState {
  readonly name: string;
  /** undefined: nobody has it. */
  readonly holder: LeaseHolder | undefined;
  /** Sessions in line, the next one first; at most 100. */
  readonly waiting: readonly number[];
  /** Everything below it is in the answer; of a change: behind the record that made it. */
  readonly position: number;
}

export interface LeaseHolder extends StoredBytes {
  readonly session: number;
  readonly token: number;
}

// ---- Decisions

/**
 * Atomic commit: every participant votes, and the log decides: committed when all voted yes, aborted at the first no, or by whoever
 * comes first once the time is over. Nobody blocks: a participant that comes back asks.
 */
export interface Decision {
  readonly name: string;
  /** Begins it, once: who calls later gets it as it is. `timeoutMs` counts in log time from here. */
  begin(options: DecisionOptions): Promise<DecisionState>;
  vote(participant: string, yes: boolean, options?: ExecuteOptions): Promise<DecisionState>;
  get(options?: GetOptions): Promise<DecisionState>;
  /** Waits until it is decided; has the log abort it once its time is over. Rejects with INVALID_ARGUMENT where there is none. */
  outcome(options?: CallOptions): Promise<DecisionState>;
  /** Has it forgotten, once it is decided and every participant knows. */
  forget(options?: ExecuteOptions): Promise<void>;
}

export interface DecisionOptions extends ExecuteOptions {
  /** 1 to 64. */
  readonly participants: readonly string[];
  readonly timeoutMs: number;
}

export interface DecisionState {
  readonly name: string;
  /** "unknown": it was never begun, or is forgotten. */
  readonly outcome: "unknown" | "pending" | "committed" | "aborted";
  readonly participants: readonly string[];
  /** Those that voted yes. */
  readonly voted: readonly string[];
  /** Log time, milliseconds since 1970. */
  readonly deadline: number;
  /** Position of the record that decided it; 0: none yet. */
  readonly decidedAt: number;
}
