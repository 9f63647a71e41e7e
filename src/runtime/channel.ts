/**
 * Every message between the threads of a node. Three threads own everything: main the handle, engine the core and all of gRPC,
 * storage the open segment and the superblock (DESIGN 5). Engine and storage talk over a port of their own; a wake-up costs tens of
 * microseconds, so each message carries all that a turn or a commit brought.
 */
import { type ErrorCode, type ErrorFacts, type Outcome, PaxlogError, toPaxlogError } from "../base/errors.ts";
import type { Recovered } from "../core/durable.ts";
import type { Commit } from "../storage/commit.ts";
import type { StoreCounters } from "../storage/counters.ts";
import type { GroupPlace } from "../storage/places.ts";
import type { ReaderStart } from "../storage/reader.ts";
import type { BackgroundWrite, GroupWrite, StoreWrite } from "../storage/write.ts";
import type { ArenaMemory } from "./arena.ts";

/** A PaxlogError as plain data: the class does not survive the way between threads. */
export interface ErrorData {
  readonly code: ErrorCode;
  readonly message: string;
  readonly outcome: Outcome;
  readonly retryable: boolean;
  readonly facts: ErrorFacts;
}

export function packError(cause: unknown, code?: ErrorCode): ErrorData {
  const error = toPaxlogError(cause, code);
  return {
    code: error.code,
    message: error.message,
    outcome: error.outcome,
    retryable: error.retryable,
    facts: error.facts,
  };
}

export function unpackError(data: ErrorData): PaxlogError {
  return new PaxlogError(data.code, data.message, data);
}

// ---- Engine and storage

/** A write; of a group the bytes are named by where they lie. */
export type PackedWrite = PackedGroup | Exclude<StoreWrite, GroupWrite>;
export type PackedGroup = Omit<GroupWrite, "bytes"> & {
  /** Three numbers for each piece, in order: the slab, or 0 for the message's buffer; the offset there; the length. */
  readonly pieces: readonly number[];
};

/** All writes of one turn of the engine, in order. Bytes in the arena stay where they are. */
export interface SubmitMessage {
  readonly kind: "submit";
  /** Slabs that pieces of this message or of later ones lie in, each told once. */
  readonly slabs: readonly ArenaMemory[];
  /** Bytes that lie outside of the arena, handed over; undefined where there are none. */
  readonly buffer: ArrayBuffer | undefined;
  readonly writes: readonly PackedWrite[];
}

/** What becomes durable when there is time; its bytes are copied on the way. */
export interface BackgroundMessage {
  readonly kind: "background";
  readonly write: BackgroundWrite;
}

/** Ends the storage thread after what was submitted before it. */
export interface CloseStorageMessage {
  readonly kind: "close";
}

/** The index of a segment was written, by neither of the two. */
export interface IndexWrittenMessage {
  readonly kind: "indexWritten";
  readonly generation: number;
}

export type ToStorage = SubmitMessage | BackgroundMessage | IndexWrittenMessage | CloseStorageMessage;

/** The directory is open and recovered: the first message of the storage thread. */
export interface OpenedMessage {
  readonly kind: "opened";
  readonly recovered: Recovered;
  /** Where the recovered entries lie that no index covers, and the rest of what a reader starts with. */
  readonly layout: readonly GroupPlace[];
  readonly readerStart: ReaderStart;
  readonly counters: StoreCounters;
  /** What recovery found, for people. */
  readonly report: readonly string[];
}

/** One commit: everything up to the ticket is durable, and these are the places of what was written. */
export interface DurableMessage extends Commit {
  readonly kind: "durable";
  readonly counters: StoreCounters;
}

/** Storage failed: it is poisoned, and nothing that was not reported durable ever will be. */
export interface StorageFailedMessage {
  readonly kind: "failed";
  readonly error: ErrorData;
}

export interface StorageClosedMessage {
  readonly kind: "closed";
}

export type FromStorage = OpenedMessage | DurableMessage | StorageFailedMessage | StorageClosedMessage;
