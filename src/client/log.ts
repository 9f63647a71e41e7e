import type { NodeStatus } from "../format/api-codec.ts";
import type { RecordInput } from "../format/batch-encode.ts";
import type { LogBatch, LogRecord } from "./log-batch.ts";

/** A replicated log: the same records at the same positions for everyone, on every node. Everything it throws is a PaxlogError. */
export interface Log {
  /**
   * Appends one record, or many in order and side by side; the many are in the log all or none. Resolves once a majority of the
   * nodes has them on disk. Calls of one turn of the event loop travel as one batch. The bytes of values must not change before
   * the promise settles.
   *
   * Rejects with outcome "none" where nothing was written and nothing will be, and with outcome "unknown" where the records were
   * sent and no answer came (LEADER_LOST, UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED, CLOSED): they may be in the log, and the
   * library does not send them again. What was refused with outcome "none" because its node does not lead or has too much to do
   * is sent again, for up to `deadlineMs`. Order is kept: of the calls that did not fail, an earlier one has the smaller
   * position. A failed call does not hold up the later ones: whoever wants that waits for each promise.
   */
  append(records: readonly RecordInput[], options?: CallOptions): Promise<AppendedMany>;
  append(record: RecordInput, options?: CallOptions): Promise<Appended>;
  /** As `append`, for a batch that `encodeBatch` or any protobuf library made. It travels alone and as it is. */
  appendBatch(batch: Uint8Array, options?: CallOptions): Promise<AppendedMany>;
  /** Reads from a position on. Nothing is asked of a node before the iteration begins; each iteration is a read of its own. */
  read(options?: ReadOptions): LogRead;
  /** Bounds of the log. Linearizable unless asked otherwise: it knows of everything that was acknowledged before. */
  tail(options?: TailOptions): Promise<LogBounds>;
  /** The cluster as one node sees it: that at `address`, otherwise the first that answers. */
  status(options?: StatusOptions): Promise<NodeStatus>;
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
}

export interface CallOptions {
  /** Gives the call up: CANCELLED, with outcome "none" if nothing was sent yet, otherwise "unknown". */
  readonly signal?: AbortSignal | undefined;
}

/** "linearizable": sees everything acknowledged before the call, wherever that was. "local": whatever the node has. */
export type ReadFreshness = "linearizable" | "local";

export interface TailOptions extends CallOptions {
  readonly freshness?: ReadFreshness | undefined;
}

export interface StatusOptions extends CallOptions {
  readonly address?: string | undefined;
}

export interface ReadOptions {
  /** First position; 1 by default. Above the tail it is an error (POSITION_PAST_TAIL), unless `follow`. */
  readonly from?: number | undefined;
  /** At most so many records; all by default. */
  readonly limit?: number | undefined;
  /** Go on with new records as they come. Such a read ends by its limit, by `signal` or by an error, never by itself. */
  readonly follow?: boolean | undefined;
  readonly freshness?: ReadFreshness | undefined;
  /** Ends the iteration as if there were no more records, without an error. */
  readonly signal?: AbortSignal | undefined;
  /** Called once, when everything up to the tail, which it is given, was delivered. */
  readonly onCaughtUp?: ((tail: number) => void) | undefined;
}

/**
 * One read. A lost connection is taken up again on any node, right behind the last record that was delivered. What waits for the
 * iteration is bounded: a slow reader slows the node down.
 */
export interface LogRead extends AsyncIterable<LogRecord> {
  /** The same read by whole batches, which is faster: a record is made only when it is asked for. */
  batches(): AsyncIterable<LogBatch>;
}

export interface ConnectOptions {
  /** How long a call looks for a node that does what it asks; 10 s by default. Appends that were sent wait on. */
  readonly deadlineMs?: number | undefined;
  /** How long a connected leader may leave everything unanswered before what was sent is given up as unknown; 30 s by default. */
  readonly answerMs?: number | undefined;
  /** Bytes and batches that are sent and not answered; 8 MiB and 256 by default. Further appends wait. */
  readonly inFlightBytes?: number | undefined;
  readonly inFlightBatches?: number | undefined;
  /** How long `close` waits for appends; 5 s by default. */
  readonly closeMs?: number | undefined;
  /** Gives up `connect` itself. */
  readonly signal?: AbortSignal | undefined;
}
