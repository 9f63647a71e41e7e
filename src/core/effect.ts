import type { ErrorCode, ErrorFacts, Outcome } from "../base/errors.ts";
import type { Hash, NodeId, Position, Slot, Ticket } from "../base/types.ts";
import type { Ballot } from "./ballot.ts";
import type { DurableState, Genesis, LogBase, LogHead, SnapshotReference } from "./durable.ts";
import type { Entry } from "./entry.ts";
import type { Refusal } from "./guards.ts";
import type { Message } from "./message.ts";
import type { Hold, Retained } from "./retained.ts";
import type { HistoryQuery, SequencerSnapshot } from "./sequencer.ts";

/** Everything that the core may ask for. Whoever carries them out keeps their order. */
export type Effect =
  | AppendGroupEffect
  | ReplaceGroupEffect
  | WriteSuperblockEffect
  | SendEffect
  | SendEntriesEffect
  | RefuseEffect
  | AnswerEffect
  | SearchEffect
  | ReadReadyEffect
  | ReadRefusedEffect
  | ShowEffect
  | RetainedEffect
  | WriteSnapshotEffect
  | TrimLogEffect
  | SendSnapshotEffect
  | ReceiveSnapshotEffect
  | InstallSnapshotEffect
  | LeadershipEffect
  | StopEffect;

/** Entries that continue the log. Neighbours in the queue may share a group and a sync. */
export interface AppendGroupEffect {
  readonly kind: "appendGroup";
  readonly ticket: Ticket;
  readonly firstSlot: Slot;
  readonly prevHash: Hash;
  readonly entries: readonly Entry[];
  /** Hint for the group header, never above what is durable here (P7). */
  readonly decidedEnd: Slot;
}

/** Voids everything at or above firstSlot; one group, valid as a whole or not at all (P3). May hold no entry. */
export interface ReplaceGroupEffect {
  readonly kind: "replaceGroup";
  readonly ticket: Ticket;
  readonly ballot: Ballot;
  /** Where it begins: slot, hash, next position and time of the log before. */
  readonly base: LogBase;
  readonly entries: readonly Entry[];
  readonly decidedEnd: Slot;
}

export interface WriteSuperblockEffect {
  readonly kind: "writeSuperblock";
  readonly ticket: Ticket;
  readonly state: DurableState;
  /** Hint, never above what is durable here (P7). */
  readonly decidedEnd: Slot;
}

/** One message, encoded once, to each of `to`. */
export interface SendEffect {
  readonly kind: "send";
  readonly to: readonly NodeId[];
  readonly message: Message;
}

/** Reads durable, decided entries [fromSlot, end) from segments, as many as fit one message, and sends an Entries message. */
export interface SendEntriesEffect {
  readonly kind: "sendEntries";
  readonly to: NodeId;
  readonly requestId: number;
  readonly fromSlot: Slot;
  readonly prevHash: Hash;
  readonly end: Slot;
  readonly visibleEnd: Slot;
}

/** Answers a Hello with a refusal and closes the peer's stream. */
export interface RefuseEffect {
  readonly kind: "refuse";
  readonly to: NodeId;
  readonly stream: number;
  readonly message: Extract<Message, { kind: "refused" }>;
}

export type AppendAnswer =
  /** In the log. A retry of a session's request gets the answer of its first attempt. */
  | {
      readonly kind: "acknowledged";
      readonly firstPosition: Position;
      readonly recordCount: number;
      readonly time: number;
    }
  /** A guard failed; nothing of the append is in the log, nor will it be. */
  | { readonly kind: "refused"; readonly refusal: Refusal }
  /** A session was opened, kept or closed by an entry of this time. */
  | { readonly kind: "session"; readonly session: number; readonly ttlMs: number; readonly time: number }
  /** The log's fence is the token now, and everything from `tail` on was ordered behind it. */
  | { readonly kind: "fenced"; readonly fence: number; readonly tail: Position }
  /** The head as it is now; `hold` is the one that it stopped at, before the position that was asked for. */
  | { readonly kind: "trimmed"; readonly head: Position; readonly hold: Hold | undefined }
  | { readonly kind: "held"; readonly hold: Hold }
  /** Whether there was a hold of this name. */
  | { readonly kind: "dropped"; readonly existed: boolean }
  /** A hold was asked for at records that are trimmed already. */
  | { readonly kind: "belowHead"; readonly head: Position }
  /** Another owner has a hold of this name. */
  | { readonly kind: "holdTaken"; readonly owner: string }
  | { readonly kind: "failed"; readonly code: AppendFailure; readonly outcome: Outcome };

export type AppendFailure = Extract<
  ErrorCode,
  "NOT_LEADER" | "LEADER_LOST" | "OVERLOADED" | "SESSION_UNKNOWN" | "SESSION_OVERFLOW" | "SESSION_GAP"
>;

/** The fate of a proposal: decided, refused with nothing written, or not known. */
export interface AnswerEffect {
  readonly kind: "answer";
  readonly requestId: number;
  readonly answer: AppendAnswer;
}

/**
 * Searches decided, visible records, older ones than the sequencer remembers, in pieces that hold nothing else up. Answered by a
 * `searched` event; after the leadership is lost the answer is wanted no more, and does no harm.
 */
export interface SearchEffect {
  readonly kind: "search";
  readonly searchId: number;
  readonly query: HistoryQuery;
}

/** A linearizable read may be served from [.., visibleEnd) now. */
export interface ReadReadyEffect {
  readonly kind: "readReady";
  readonly requestId: number;
}

export interface ReadRefusedEffect {
  readonly kind: "readRefused";
  readonly requestId: number;
}

/** visibleEnd moved: decided, and durable here. */
export interface ShowEffect {
  readonly kind: "show";
  readonly visibleEnd: Slot;
  readonly nextPosition: Position;
}

/** What may be read, and for whom it is kept, changed by an entry that is visible here. */
export interface RetainedEffect {
  readonly kind: "retained";
  readonly retained: Retained;
}

/**
 * Writes a snapshot in pieces, beside the log: nothing that is submitted later waits for it. Answered by a `snapshotDurable` event
 * once the superblock refers to it. One at a time.
 */
export interface WriteSnapshotEffect {
  readonly kind: "writeSnapshot";
  /** The log at the snapshot's slot. Everything below is durable here. */
  readonly base: LogBase;
  readonly state: SequencerSnapshot;
  readonly configuration: Genesis;
}

/** Lets go of what whole segments hold below the head, as far as the own durable snapshot reaches (P9). */
export interface TrimLogEffect {
  readonly kind: "trimLog";
  readonly head: LogHead;
}

/**
 * Answers a peer that lacks entries which are gone here: with a chunk of a snapshot, where it asked for one that is still here, or
 * with a SnapshotMeta of the newest.
 */
export interface SendSnapshotEffect {
  readonly kind: "sendSnapshot";
  readonly to: NodeId;
  readonly requestId: number;
  readonly newest: SnapshotReference;
  readonly logBegin: LogBase;
  readonly chunk: (SnapshotReference & { readonly number: number }) | undefined;
}

/**
 * Keeps what came of another node's snapshot, or only asks what is there of it. Answered by a `snapshotReceiving` event: what an
 * earlier attempt at the same snapshot brought counts, also one before a restart. Another snapshot takes its place.
 */
export interface ReceiveSnapshotEffect {
  readonly kind: "receiveSnapshot";
  readonly manifest: Uint8Array;
  readonly chunk: { readonly number: number; readonly bytes: Uint8Array } | undefined;
}

/**
 * Puts the received snapshot in the place of the whole log, in the order of tickets: the superblock refers to it, and the log begins
 * anew at `begin`, empty (P16). Answered by an `installed` event.
 */
export interface InstallSnapshotEffect {
  readonly kind: "installSnapshot";
  readonly ticket: Ticket;
  readonly snapshot: SnapshotReference;
  readonly begin: LogBase;
}

/** Who leads, as far as this node knows; undefined: nobody. `self` is true from phase accept on. */
export interface LeadershipEffect {
  readonly kind: "leadership";
  readonly leader: NodeId | undefined;
  readonly self: boolean;
}

/** The node must not go on: stop by name. */
export interface StopEffect {
  readonly kind: "stop";
  readonly code: ErrorCode;
  readonly reason: string;
  readonly facts: ErrorFacts;
}
