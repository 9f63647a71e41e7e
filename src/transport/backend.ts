import type { PaxlogError } from "../base/errors.ts";
import type { Position } from "../base/types.ts";
import type { Guards, Query } from "../core/guards.ts";
import type { NodeStatus } from "../format/node-status.ts";
import type { Direction } from "../format/read-codec.ts";
import type { DropHoldResponse, PutHoldResponse, TrimResponse } from "../format/retain-codec.ts";
import type { FenceResponse, KeepSessionResponse, OpenSessionResponse, SessionTerms } from "../format/session-codec.ts";
import type { AppendCaller } from "./append-caller.ts";

export type { NodeStatus, PeerStatus } from "../format/node-status.ts";
export type { FenceResponse, KeepSessionResponse, OpenSessionResponse, SessionTerms } from "../format/session-codec.ts";

/** What the gRPC services need of a node. The engine is one; tests may put another in its place. */
export interface LogBackend {
  /**
   * Takes a checked batch. `done` is called exactly once, never within this call. What is refused without being ordered is answered
   * with outcome "none". Answers come in no order between each other: a refusal may take longer than an acknowledgement.
   */
  append(
    batch: CheckedBatch,
    guards: Guards | undefined,
    done: (result: AppendResult) => void,
    order?: AppendOrder | undefined,
  ): void;
  /** False while the queue of proposals is full: streams stop reading until `whenRoom` calls back. */
  hasRoom(): boolean;
  whenRoom(callback: () => void): void;

  /** Opens a session; its ttl is brought within the limits. Resolves once it is durable on a majority, as all of these do. */
  openSession(terms: SessionTerms): Promise<OpenSessionResponse>;
  /** @throws PaxlogError SESSION_UNKNOWN, or what an append may be refused with; so do the next two. */
  keepSession(session: number): Promise<KeepSessionResponse>;
  closeSession(session: number): Promise<void>;
  /** Raises the fence. @throws PaxlogError FENCED where it is above the token. */
  fence(token: number): Promise<FenceResponse>;

  /**
   * Moves the head, or makes, moves or ends a hold. @throws PaxlogError POSITION_PAST_TAIL, POSITION_BELOW_HEAD, HOLD_TAKEN, or what
   * an append may be refused with.
   */
  retain<Request extends RetainRequest>(request: Request): Promise<RetainResult<Request>>;

  /** Resolves when what is visible here includes everything that was acknowledged anywhere before the call. */
  linearize(signal?: AbortSignal): Promise<void>;
  /** Visible here: the first readable and the next position. */
  bounds(): { readonly head: Position; readonly tail: Position };
  /**
   * One step of a read: visible batches in the order of its direction, as many as fit, at least one where there is any to find; for
   * a query only those with records that match, and perhaps none after a bounded search. Verified bytes, to be copied before the
   * turn of the loop ends that brings them. At once where the log is on this thread, a promise where it is on another one.
   *
   * @throws PaxlogError POSITION_BELOW_HEAD where `from` is below the head: what was there was trimmed.
   */
  read(step: ReadStep): ReadPiece | Promise<ReadPiece>;
  /** The first position whose record has this log time or a later one; the tail where there is none. */
  positionOfTime(time: number): Position | Promise<Position>;
  /**
   * Watches for records from `from` on, which match the query where there is one: `onNews` is called once, never within this call,
   * with a position before which nothing was found. From then on nothing is watched.
   */
  watch(watched: Watched, onNews: (from: Position) => void): Watch;
  /** Calls back at each move of the tail until the returned function is called. */
  onTail(listener: () => void): () => void;

  status(): NodeStatus | Promise<NodeStatus>;
}

/** A log for whoever stays at its tail: a machine of a node. */
export interface FollowedLog extends LogBackend {
  /** A step of a read forward that waits where there is nothing for it yet. */
  follow(step: ReadStep, pace: FollowPace): Follow;
}

/** "prompt": as soon as there is a record. "lazy": up to limits.followLazyMs later, with what came meanwhile: fewer, larger pieces. */
export type FollowPace = "prompt" | "lazy";

export interface Follow {
  /** Has records, unless it was hurried, or a bounded search found none. Rejects as `read` does. */
  readonly piece: Promise<ReadPiece>;
  /** Ends the wait: the piece is what a read finds now. */
  hurry(): void;
}

/** Where a read stands and what it wants next. */
export interface ReadStep {
  readonly direction: Direction;
  /** The first position to look at. Forward at most the tail; backward below it. */
  readonly from: Position;
  /** Where the read ends: forward the position above the last one, backward the one below it (0: none). */
  readonly end: Position | 0;
  readonly query: Query | undefined;
  /** Of batches: no more are added that would pass it. */
  readonly bytesMax: number;
  /** Of matching records, likewise. A whole batch may pass it. */
  readonly recordsMax: number;
}

export interface ReadPiece {
  readonly batches: readonly StoredBatch[];
  /** Everything before it, in the direction, was found or does not match: the read goes on there. 0: backward, and at its end. */
  readonly next: Position | 0;
  /** It was read from disk: the reader is behind what is kept in memory. */
  readonly fromDisk: boolean;
}

export interface Watched {
  readonly from: Position;
  readonly query: Query | undefined;
}

export interface Watch {
  /** Nothing before it matches. Moves while the watch stands, as the tail does. */
  readonly searched: Position;
  cancel(): void;
}

/** What the log is to keep, or to let go of; checked at the rim. */
export type RetainRequest =
  | { readonly kind: "trim"; readonly position: Position }
  | {
      readonly kind: "putHold";
      readonly name: string;
      readonly owner: string;
      readonly position: Position;
      readonly ttlMs: number;
    }
  | { readonly kind: "dropHold"; readonly name: string };

export type RetainResult<Request extends RetainRequest = RetainRequest> = {
  readonly trim: TrimResponse;
  readonly putHold: PutHoldResponse;
  readonly dropHold: DropHoldResponse;
}[Request["kind"]];

/** What an append has to do with other appends. Without it, nothing: it is judged alone. */
export interface AppendOrder {
  readonly caller: AppendCaller;
  /** A failed guard of it is nothing to the caller's later appends. */
  readonly independent: boolean;
}

export interface CheckedBatch {
  readonly batch: Uint8Array;
  readonly crc32c: number;
  readonly recordCount: number;
}

export type AppendResult = AcknowledgedAppend | FailedAppend;

export interface AcknowledgedAppend {
  readonly kind: "acknowledged";
  readonly firstPosition: Position;
  readonly recordCount: number;
  readonly time: number;
}

export interface FailedAppend {
  readonly kind: "failed";
  readonly error: PaxlogError;
}

export interface StoredBatch {
  readonly firstPosition: Position;
  readonly recordCount: number;
  readonly time: number;
  /** In which it was appended; 0: none. */
  readonly session: number;
  readonly batch: Uint8Array;
  readonly crc32c: number;
  /** Of a read with a query: the records that match, ascending; absent: all of them. */
  readonly ordinals?: readonly number[];
  /** `batch` was made of these records alone. */
  readonly selected?: boolean;
}
