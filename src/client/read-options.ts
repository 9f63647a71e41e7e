import type { RecordQuery } from "./log.ts";
import type { LogBatch, LogRecord } from "./log-batch.ts";

/**
 * How fresh an answer must be. "linearizable": it sees everything that was acknowledged before the call, wherever that was; no clock
 * plays a part. `atLeast`: it sees at least that position, for instance that of an append of one's own. "local": whatever the node
 * has. Any node answers each of them.
 */
export type ReadFreshness = "linearizable" | "local" | { readonly atLeast: number };

/** Where a read begins. */
export type ReadPlace =
  /** The record at this position. */
  | number
  /** The first readable record. */
  | "head"
  /** Behind the last record; a read backward begins with the last one. */
  | "tail"
  /** So many records before the tail, or at the head if there are not so many: `{ tail: -10 }` begins with the tenth last. */
  | { readonly tail: number }
  /** The first record of this time or later; backward the last one of this time or earlier. Log time, in milliseconds since 1970. */
  | { readonly time: number | Date };

export interface ReadOptions {
  /**
   * Where the read begins: by default at the head, backward with the last record. A position above the tail is an error
   * (POSITION_PAST_TAIL), unless `follow`; one below the head always is (POSITION_BELOW_HEAD, with the head among its facts).
   */
  readonly from?: ReadPlace | undefined;
  /**
   * Where it ends: before this position is reached, or before the first record of this time or later (backward: of this time or
   * earlier).
   */
  readonly to?: number | { readonly time: number | Date } | undefined;
  /** At most so many records, of those that match where there is a query; all by default. */
  readonly limit?: number | undefined;
  /** Ends before the batch with which more than so many bytes would have come, as batches are encoded; the first one always comes. */
  readonly maxBytes?: number | undefined;
  /** "forward" by default. "backward" goes from newer to older records. */
  readonly direction?: "forward" | "backward" | undefined;
  /** Only records that match. Their types and tags are compared whole; the node finds them by its indexes and sends nothing else. */
  readonly query?: RecordQuery | undefined;
  /** Go on with new records as they come. Such a read ends by `to`, a limit, `signal` or an error, never by itself. */
  readonly follow?: boolean | undefined;
  readonly freshness?: ReadFreshness | undefined;
  /** Ends the iteration as if there were no more records, without an error. */
  readonly signal?: AbortSignal | undefined;
  /** Called when everything up to the tail, which it is given, was delivered: once, and again after the read had fallen behind. */
  readonly onCaughtUp?: ((tail: number) => void) | undefined;
  /** Called with everything that the read has to say beside its records. */
  readonly onNotice?: ((notice: ReadNotice) => void) | undefined;
}

/**
 * What a read says beside its records. `next` is where the same read would go on: everything in front of it was delivered or does
 * not match. Whoever keeps it and reads `from` there later, anywhere, misses nothing and searches nothing twice.
 */
export type ReadNotice =
  /** A node took the read up, the first one or, after a failure, another: at position `next`, as fresh as it says. */
  | {
      readonly kind: "begun";
      readonly address: string;
      readonly freshness: "linearizable" | "atLeast" | "local";
      readonly next: number;
      readonly head: number;
      readonly tail: number;
    }
  /** Everything up to the tail was delivered; what follows comes as it is appended. */
  | { readonly kind: "caughtUp"; readonly next: number; readonly tail: number }
  /** This reader is slower than the log grows: it is served from older parts of the log again. */
  | { readonly kind: "fellBehind"; readonly next: number; readonly tail: number }
  /** The node is there and has nothing more to send for now. About once a second. */
  | { readonly kind: "heartbeat"; readonly next: number; readonly tail: number };

/**
 * One read. A lost connection is taken up again on any node, right behind the last record that was delivered. What waits for the
 * iteration is bounded: for a slow reader the log waits, nothing else.
 */
export interface LogRead extends AsyncIterable<LogRecord> {
  /**
   * The same read by whole batches, which is faster: a record is made only when it is asked for. Read backward the last batch comes
   * first; within each of them positions ascend all the same.
   */
  batches(): AsyncIterable<LogBatch>;
}
