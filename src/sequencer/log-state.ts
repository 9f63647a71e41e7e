import { assertNever } from "../base/assert.ts";
import { equalBytes } from "../base/bytes.ts";
import { limits } from "../base/limits.ts";
import { firstPosition, firstSlot, type Position, type Slot, slotPlus } from "../base/types.ts";
import { type Entry, type EntryHeader, nextPositionOf, type Payload } from "../core/entry.ts";
import { everythingRetained } from "../core/retained.ts";
import type { EntryParts, SequencerSnapshot, SessionEnd, TagWindowSnapshot } from "../core/sequencer.ts";
import { decodeFence, decodeSession } from "./control.ts";
import { RetainedState } from "./retained-state.ts";
import { Sessions } from "./sessions.ts";
import { TagWindow } from "./tag-window.ts";
import type { UndoLog } from "./undo.ts";

/** The header's part that the state looks at. */
export type EntryFacts = Pick<
  EntryHeader,
  "slot" | "kind" | "firstPosition" | "recordCount" | "time" | "session" | "serial" | "guardLength"
>;

/** What the entries below `end` amount to for the verdict on the next one: a function of the log alone. */
export class LogState {
  /** First slot that is not in the state. */
  end: Slot;
  nextPosition: Position;
  /** Of the last entry. */
  time: number;
  fence: number;
  readonly retained: RetainedState;
  readonly sessions: Sessions;
  readonly window: TagWindow;

  constructor(snapshot: SequencerSnapshot = emptySnapshot) {
    this.end = snapshot.end;
    this.nextPosition = snapshot.nextPosition;
    this.time = snapshot.time;
    this.fence = snapshot.fence;
    this.retained = new RetainedState(snapshot.retained);
    this.sessions = Sessions.load(snapshot.sessions);
    this.window = TagWindow.load(snapshot.window);
  }

  /** Plain data, for other threads. The caller has seen to it that nothing in it is undecided. */
  save(): SequencerSnapshot {
    return { ...this.saveLasting(), window: this.window.save() };
  }

  /**
   * What a snapshot keeps: the same on every replica. Takes no copy of what never changes, so it is made at once, and its bytes may
   * be made later, piece by piece. The window stays empty: where it is needed the log is searched.
   */
  saveLasting(): SequencerSnapshot {
    const { end, nextPosition, time, fence, sessions, retained } = this;
    const window = emptyWindow(nextPosition);
    return { end, nextPosition, time, fence, retained: retained.ordered, sessions: sessions.save(), window };
  }

  /**
   * Takes the next entry of the log. Returns what is wrong with it where no sequencer may have ordered it: the replica must not go
   * on then. With `undo` the entry is undecided, and can be taken back.
   */
  apply(entry: Entry, parts: EntryParts, undo?: UndoLog): string | undefined {
    if (entry.slot !== this.end) return `slot ${entry.slot} comes in the place of ${this.end}`;
    const plain = entry.kind === "batch" && entry.session === 0 && entry.guardLength === 0;
    const fault = plain ? undefined : this.#take(entry, payloadOf(entry, parts), parts, undo);
    this.end = slotPlus(entry.slot, 1);
    this.nextPosition = nextPositionOf(entry);
    this.time = entry.time;
    return fault === undefined ? undefined : `slot ${entry.slot}: ${fault}`;
  }

  /** As `apply`, for an entry that is being made here and is no plain batch. */
  take(facts: EntryFacts, payload: Payload, parts: EntryParts, undo: UndoLog): string | undefined {
    const fault = this.#take(facts, payload, parts, undo);
    this.end = slotPlus(facts.slot, 1);
    this.nextPosition = (facts.firstPosition + facts.recordCount) as Position;
    this.time = facts.time;
    return fault;
  }

  #take(facts: EntryFacts, payload: Payload, parts: EntryParts, undo: UndoLog | undefined): string | undefined {
    const { slot, kind } = facts;
    const content = payload.batch;
    switch (kind) {
      case "batch": {
        const { firstPosition, recordCount } = facts;
        if (payload.guards.length > 0) this.window.add(payload.guards, firstPosition, recordCount);
        return facts.session === 0 ? undefined : this.#takeOfSession(facts, payload, parts, undo);
      }
      case "session":
        return this.#takeSession(facts, content, undo);
      case "fence":
        return this.#takeFence(slot, content, undo);
      case "trim":
        return this.retained.takeTrim(facts, content, undo);
      case "hold":
        return this.retained.takeHold(facts, content, undo);
      case "snapshot":
        return this.retained.takeSnapshot(facts, content, undo);
      case "noop":
      case "tick":
      case "stopSign":
      case "mark":
        return undefined;
      default:
        return assertNever(kind);
    }
  }

  /** A request of a session; without a serial its end, which is no client's. */
  #takeOfSession(
    facts: EntryFacts,
    payload: Payload,
    parts: EntryParts,
    undo: UndoLog | undefined,
  ): string | undefined {
    const { slot, session, serial, time, firstPosition, recordCount } = facts;
    if (serial > 0) {
      const outcome = { serial, slot, firstPosition, recordCount, time, refusal: undefined };
      return this.sessions.take(session, outcome, undo);
    }
    const end = sessionEnds.find((each) => samePayload(payload, parts.sessionEnd(session, each)));
    if (end === undefined) return `a batch of session ${session} has no serial and does not say that it ended`;
    return this.sessions.end(session, { slot, time, end, isAnnounced: true }, undo);
  }

  #takeSession(facts: EntryFacts, content: Uint8Array, undo: UndoLog | undefined): string | undefined {
    const control = decodeSession(content);
    if (control === undefined) return "a session entry that this version does not know";
    const { slot, session, serial, time, firstPosition } = facts;
    switch (control.op) {
      case "open":
        return this.sessions.open(slot, control, time, undo);
      case "keep":
        return this.sessions.keep(slot, session, time, undo);
      case "close":
        return this.sessions.end(session, { slot, time, end: "closed", isAnnounced: false }, undo);
      case "expire":
        return this.sessions.end(session, { slot, time, end: "expired", isAnnounced: false }, undo);
      case "refused": {
        const { refusal } = control;
        return this.sessions.take(session, { serial, slot, firstPosition, recordCount: 0, time, refusal }, undo);
      }
      default:
        return assertNever(control);
    }
  }

  #takeFence(slot: Slot, content: Uint8Array, undo: UndoLog | undefined): string | undefined {
    const token = decodeFence(content);
    const before = this.fence;
    if (token === undefined) return "a fence entry that this version does not know";
    if (token < before) return `the fence would fall from ${before} to ${token}`;
    this.fence = token;
    undo?.add(slot, () => {
      this.fence = before;
    });
    return undefined;
  }
}

const sessionEnds: readonly SessionEnd[] = ["closed", "expired"];

const payloadOf = (entry: Entry, parts: EntryParts): Payload => ({
  batch: parts.batchOf(entry),
  guards: parts.guardsOf(entry),
});

const samePayload = (a: Payload, b: Payload): boolean => equalBytes(a.batch, b.batch) && equalBytes(a.guards, b.guards);

/** Knows nothing of what is before `coveredFrom`. */
export function emptyWindow(coveredFrom: Position): TagWindowSnapshot {
  return {
    coveredFrom,
    lows: new Uint32Array(0),
    highs: new Uint32Array(0),
    firsts: new Float64Array(0),
    counts: new Uint32Array(0),
  };
}

/** Of the empty log. */
export const emptySnapshot: SequencerSnapshot = {
  end: firstSlot,
  nextPosition: firstPosition,
  time: 0,
  fence: 0,
  retained: everythingRetained,
  sessions: [],
  window: emptyWindow(firstPosition),
};

/** A time to live within its limits. */
export const sessionTtl = (ttlMs: number): number =>
  Math.min(limits.sessionTtlMsMax, Math.max(limits.sessionTtlMsMin, Math.floor(ttlMs)));
