import type { Position, Slot } from "../base/types.ts";
import type { AppendAnswer } from "./effect.ts";
import type { Entry, EntryKind, Payload } from "./entry.ts";
import type { Proposal } from "./event.ts";
import type { Query, Refusal } from "./guards.ts";
import type { Retained, SnapshotControl } from "./retained.ts";

/**
 * Orders proposals: gives each its position and time, and refuses those whose guards do not hold (protocol 14). The core calls it
 * inside `step`; the leader's verdict is the log's verdict, since prevHash fixes the prefix.
 *
 * Its state is a function of the log: a decided base on every replica, and on a leader an overlay of the undecided slots.
 */
export interface Sequencer {
  /**
   * Slots below `end` are decided: the base moves there, from the overlay or from the entries themselves. Called on every replica,
   * while the log still has them in memory. Returns what is wrong with an entry that no sequencer may have ordered.
   */
  decided(end: Slot, log: EntrySource): string | undefined;
  /** A leader enters phase accept: the overlay is made of the undecided suffix that it took over. As `decided` otherwise. */
  begin(at: SequencerBegin): string | undefined;
  /** The ballot is lost: what is undecided is forgotten. `at` is where the decided log ends. */
  end(at: { readonly position: Position; readonly time: number }): void;
  /** The verdict on a proposal. `seen` is what the history said of it so far. */
  order(proposal: Proposal, at: OrderAt, seen: readonly HistoryAnswer[]): Verdict;
  /** A control entry that the passage of time asks for now, if any: a session's end, or a tick. Called about once a round. */
  due(at: OrderAt): ControlVerdict | undefined;
  /** The log begins anew behind a snapshot of which this is the state. Not while this node orders. */
  restart(snapshot: SequencerSnapshot): void;
  /** A SNAPSHOT entry; undefined where the log does not want one: what it would compare is not the last one any more. */
  snapshot(control: SnapshotControl, at: OrderAt): ControlVerdict | undefined;
  /** What the decided log keeps. The same object as long as nothing changes. */
  readonly retained: Retained;
  /** The states that SNAPSHOT entries ordered which were decided since the last call, oldest first. */
  takeSnapshots(): readonly SequencerSnapshot[];
}

/** The log's entries, as far as they are in memory. */
export interface EntrySource {
  readonly acceptedEnd: Slot;
  at(slot: Slot): Entry | undefined;
  slotOfPosition(position: Position, end: Slot): Slot | undefined;
}

export interface SequencerBegin {
  /** The log's tail, behind the suffix. */
  readonly position: Position;
  readonly suffix: readonly Entry[];
  /** What the wall clock is ahead of the monotonic one now: from here on log time follows the monotonic one. */
  readonly wallOffsetMs: number;
}

export interface OrderAt {
  readonly slot: Slot;
  readonly monotonicMs: number;
  /** Holds everything that was ordered before. */
  readonly log: EntrySource;
}

export type Verdict =
  | {
      readonly kind: "ordered";
      readonly firstPosition: Position;
      readonly time: number;
    }
  | ControlVerdict
  /** A retry of what is decided, or a failure that depends on nothing else: answered at once. */
  | { readonly kind: "answered"; readonly answer: AppendAnswer }
  /** A retry of what is in flight: it has this answer once the slot is decided. */
  | { readonly kind: "joined"; readonly slot: Slot; readonly answer: AppendAnswer }
  /** Not ordered. Linearizable: said only when the log as it was judged is known to be the log (protocol 13). */
  | { readonly kind: "refused"; readonly answer: AppendAnswer }
  /** Depends on older entries: ask the history, and come again with what it says. */
  | { readonly kind: "unseen"; readonly query: HistoryQuery };

/**
 * An entry is ordered that the sequencer made: one without records, or the batch that announces a session's end. `answer` is said when
 * it is decided, if anybody asked.
 */
export interface ControlVerdict {
  readonly kind: "control";
  readonly entry: ControlEntry;
  readonly answer: AppendAnswer;
}

export interface ControlEntry {
  readonly kind: EntryKind;
  /** 0, but for a batch. */
  readonly recordCount: number;
  readonly session: number;
  readonly serial: number;
  readonly firstPosition: Position;
  readonly time: number;
  readonly payload: Payload;
  readonly batchChecksum: number;
}

/** Which decided record in [from, end) matches, the first or the last. */
export interface HistoryQuery {
  /** The guard that asks. */
  readonly guard: Extract<Refusal["guard"], "condition" | "stream">;
  readonly index: number;
  readonly query: Query;
  readonly from: Position;
  readonly end: Position;
  readonly want: "first" | "last";
}

export interface HistoryAnswer {
  readonly query: HistoryQuery;
  /** 0: none. */
  readonly match: Position | 0;
}

/** What ended a session. */
export type SessionEnd = "closed" | "expired";

/** What the sequencer asks of an entry's bytes; passed in, since it knows nothing of formats. */
export interface EntryParts {
  batchOf(entry: Entry): Uint8Array;
  /** Its hashes of types and tags, 8 bytes each. */
  guardsOf(entry: Entry): Uint8Array;
  checksum(bytes: Uint8Array): number;
  /** The batch that announces the end of a session, in one record: always the same bytes for the same end. */
  sessionEnd(session: number, end: SessionEnd): Payload;
  /** Position of the first or last record of the entry within [from, end) that matches; 0 where none does. */
  match(entry: Entry, query: Pick<HistoryQuery, "query" | "from" | "end" | "want">): Position | 0;
}

/** The decided base as plain data: a function of the entries below `end`. */
export interface SequencerSnapshot {
  readonly end: Slot;
  readonly nextPosition: Position;
  /** Of the last entry. */
  readonly time: number;
  readonly fence: number;
  readonly retained: Retained;
  /** By id. */
  readonly sessions: readonly SessionSnapshot[];
  /** Not part of what is written: how far it reaches depends on the node, and it only saves searches of the log. */
  readonly window: TagWindowSnapshot;
}

export interface SessionSnapshot {
  readonly id: number;
  readonly ttlMs: number;
  /** Log time from which on it may be expired. */
  readonly expiresAt: number;
  /** Whether there were outcomes older than those that are kept. */
  readonly forgotten: boolean;
  /** Whether a batch says when it ends. */
  readonly announceEnd: boolean;
  /** By serial, ascending. */
  readonly outcomes: readonly SessionOutcome[];
}

/** What became of one request of a session: a batch in the log, or a refusal that stands in it. */
export interface SessionOutcome {
  readonly serial: number;
  readonly slot: Slot;
  readonly firstPosition: Position;
  readonly recordCount: number;
  readonly time: number;
  readonly refusal: Refusal | undefined;
}

/** Which recent entries bear which types and tags: hash, first position and record count of each posting, oldest first. */
export interface TagWindowSnapshot {
  /** Every record from this position on is in the window. */
  readonly coveredFrom: Position;
  readonly lows: Uint32Array;
  readonly highs: Uint32Array;
  readonly firsts: Float64Array;
  readonly counts: Uint32Array;
}
