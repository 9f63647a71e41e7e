import { assert, assertNever } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import { type Position, positionPlus, type Slot, slotPlus } from "../base/types.ts";
import type { AppendAnswer, AppendFailure } from "../core/effect.ts";
import { type EntryHeader, type EntryKind, emptyPayload } from "../core/entry.ts";
import type { AppendProposal, FenceProposal, OpenSessionProposal, Proposal } from "../core/event.ts";
import type { SessionRequest } from "../core/guards.ts";
import type { Retained, SnapshotControl } from "../core/retained.ts";
import type {
  ControlEntry,
  ControlVerdict,
  EntryParts,
  EntrySource,
  HistoryAnswer,
  OrderAt,
  Sequencer,
  SequencerBegin,
  SequencerSnapshot,
  SessionEnd,
  SessionOutcome,
  Verdict,
} from "../core/sequencer.ts";
import { encodeFence, encodeSession, type SessionControl } from "./control.ts";
import { GuardCheck } from "./guard-check.ts";
import { LogState, sessionTtl } from "./log-state.ts";
import { encodeHold, encodeSnapshotControl } from "./retained-control.ts";
import { orderDropHold, orderPutHold, orderTrim, type RetainedOrder } from "./retained-orders.ts";
import type { TagWindow } from "./tag-window.ts";
import { UndoLog } from "./undo.ts";

/**
 * The sequencer of the log. Its state stands at the end of what was ordered; what undecided slots did to it can be taken back,
 * and is where the ballot is lost. So there is one state, and no lookup goes through two.
 */
export class LogSequencer implements Sequencer {
  #state: LogState;
  readonly #parts: EntryParts;
  #guards: GuardCheck;
  readonly #overlay = new UndoLog();
  #decidedEnd: Slot;
  /** Whether this node orders: from `begin` to `end`. */
  #isOrdering = false;
  /** What the leader's clock is ahead of the monotonic one: fixed when it took its ballot. */
  #wallOffsetMs = 0;
  /** States that SNAPSHOT entries ordered, oldest first; those of undecided entries are dropped with them. */
  #snapshots: SequencerSnapshot[] = [];

  /** `base` is what the decided entries of before amount to. */
  constructor(parts: EntryParts, base: SequencerSnapshot | undefined) {
    this.#parts = parts;
    this.#state = new LogState(base);
    this.#guards = new GuardCheck(this.#state, parts);
    this.#decidedEnd = this.#state.end;
  }

  /** To be read, not to be changed. */
  get window(): Omit<TagWindow, "add" | "cut" | "save"> {
    return this.#state.window;
  }

  /** First slot that is not in the window. */
  get windowEnd(): Slot {
    return this.#state.end;
  }

  get retained(): Retained {
    return this.#state.retained.decided;
  }

  restart(snapshot: SequencerSnapshot): void {
    assert(!this.#isOrdering, "who orders has all of the log");
    this.#state = new LogState(snapshot);
    this.#guards = new GuardCheck(this.#state, this.#parts);
    this.#decidedEnd = snapshot.end;
    this.#snapshots = [];
  }

  takeSnapshots(): readonly SequencerSnapshot[] {
    const decided = this.#snapshots.filter(({ end }) => end <= this.#decidedEnd);
    if (decided.length > 0) this.#snapshots = this.#snapshots.filter(({ end }) => end > this.#decidedEnd);
    return decided;
  }

  // ---- What is decided

  decided(end: Slot, log: EntrySource): string | undefined {
    if (end <= this.#decidedEnd) return undefined;
    const fault = this.#applyTo(end, log);
    this.#decidedEnd = end;
    this.#overlay.decided(end);
    return fault;
  }

  begin(at: SequencerBegin): string | undefined {
    assert(this.#state.end === this.#decidedEnd, "an overlay is made on the decided base alone");
    this.#isOrdering = true;
    this.#wallOffsetMs = at.wallOffsetMs;
    for (const entry of at.suffix) {
      const fault = this.#state.apply(entry, this.#parts, this.#overlay);
      if (fault !== undefined) return fault;
      this.#noteSnapshot(entry);
    }
    assert(this.#state.nextPosition === at.position, "the suffix ends at the log's tail");
    return undefined;
  }

  end(at: { readonly position: Position; readonly time: number }): void {
    if (!this.#isOrdering) return;
    this.#isOrdering = false;
    this.#overlay.undoAll();
    this.#state.window.cut(at.position);
    this.#state.end = this.#decidedEnd;
    this.#state.nextPosition = at.position;
    this.#state.time = at.time;
    this.#snapshots = this.#snapshots.filter(({ end }) => end <= this.#decidedEnd);
  }

  /** Behind an entry that orders a snapshot: the state is that of the snapshot now, and never again. */
  #noteSnapshot({ kind, slot }: Pick<EntryHeader, "kind" | "slot">): void {
    if (kind !== "snapshot" || this.#state.retained.ordered.snapshot?.slot !== slot + 1) return;
    this.#snapshots.push(this.#state.saveLasting());
  }

  /** Takes from the log what the state has not seen: nothing on a leader, which made it itself. */
  #applyTo(end: Slot, log: EntrySource): string | undefined {
    for (let slot = this.#state.end; slot < end; slot = slotPlus(slot, 1)) {
      const entry = log.at(slot);
      assert(entry !== undefined, () => `slot ${slot} is decided and not in memory`);
      const fault = this.#state.apply(entry, this.#parts);
      if (fault !== undefined) return fault;
      this.#noteSnapshot(entry);
    }
    return undefined;
  }

  // ---- What is proposed

  order(proposal: Proposal, at: OrderAt, seen: readonly HistoryAnswer[]): Verdict {
    assert(this.#isOrdering && at.slot === this.#state.end, () => `slot ${at.slot} is not the next to be ordered`);
    switch (proposal.kind) {
      case "append":
        return proposal.guards === undefined
          ? this.#orderPlain(proposal, at)
          : this.#orderGuarded(proposal, proposal.guards.session, at, seen);
      case "openSession":
        return this.#open(proposal, at);
      case "keepSession":
        return this.#ofSession(proposal.session, (id) => this.#sessionEntry(id, 0, { op: "keep" }, at));
      case "closeSession":
        return this.#ofSession(proposal.session, (id) => this.#endSession(id, "closed", at));
      case "fence":
        return this.#fence(proposal, at);
      case "trim":
        return this.#retain(orderTrim(this.#state.retained, proposal), at);
      case "putHold":
        return this.#retain(orderPutHold(this.#state.retained, proposal, this.#time(at)), at);
      case "dropHold":
        return this.#retain(orderDropHold(this.#state.retained, proposal), at);
      default:
        return assertNever(proposal);
    }
  }

  due(at: OrderAt): ControlVerdict | undefined {
    const { sessions, retained, time: last } = this.#state;
    if (!this.#isOrdering) return undefined;
    const time = this.#time(at);
    const hold = retained.expired(time);
    if (hold !== undefined) {
      const content = encodeHold({ op: "expire", name: hold.name });
      return this.#control({ kind: "hold", session: 0, serial: 0, content }, at);
    }
    if (sessions.count === 0) return undefined;
    const session = sessions.expired(time);
    if (session !== undefined) return this.#endSession(session, "expired", at);
    if (time < last + limits.tickEntryMs) return undefined;
    return this.#control({ kind: "tick", session: 0, serial: 0, content: emptyPayload.batch }, at);
  }

  snapshot(control: SnapshotControl, at: OrderAt): ControlVerdict | undefined {
    if (!this.#isOrdering || !this.#state.retained.wants(control)) return undefined;
    return this.#control({ kind: "snapshot", session: 0, serial: 0, content: encodeSnapshotControl(control) }, at);
  }

  #orderPlain(proposal: AppendProposal, at: OrderAt): Verdict {
    assert(proposal.recordCount >= 1, "a batch has at least one record");
    const state = this.#state;
    const { guards } = proposal.payload;
    const firstPosition = state.nextPosition;
    if (guards.length > 0) state.window.add(guards, firstPosition, proposal.recordCount);
    state.end = slotPlus(at.slot, 1);
    state.nextPosition = positionPlus(firstPosition, proposal.recordCount);
    state.time = this.#time(at);
    return { kind: "ordered", firstPosition, time: state.time };
  }

  /** A retry is found before any guard is judged: what its first attempt demanded need not hold any more. */
  #orderGuarded(
    proposal: AppendProposal,
    session: SessionRequest | undefined,
    at: OrderAt,
    seen: readonly HistoryAnswer[],
  ): Verdict {
    const known = session === undefined ? undefined : this.#known(session);
    if (known !== undefined) return known;
    const verdict = this.#guards.check(proposal.guards!, at.log, seen);
    if (verdict?.kind === "unseen") return verdict;
    if (verdict?.kind === "refused") {
      const { refusal } = verdict;
      if (session === undefined) return { kind: "refused", answer: { kind: "refused", refusal } };
      // In the log, so that a copy of the request that comes later is refused too, whatever holds by then.
      return this.#sessionEntry(session.id, session.serial, { op: "refused", refusal }, at, {
        kind: "refused",
        refusal,
      });
    }
    if (session === undefined) return this.#orderPlain(proposal, at);
    return this.#orderInSession(proposal, session, at);
  }

  #orderInSession(proposal: AppendProposal, { id, serial }: SessionRequest, at: OrderAt): Verdict {
    assert(serial >= 1, "serials begin at 1: a batch without one is the end of its session");
    const { slot } = at;
    const { payload, recordCount } = proposal;
    const firstPosition = this.#state.nextPosition;
    const time = this.#time(at);
    const guardLength = payload.guards.length;
    const facts = { slot, kind: "batch", firstPosition, recordCount, time, session: id, serial, guardLength } as const;
    const fault = this.#state.take(facts, payload, this.#parts, this.#overlay);
    assert(fault === undefined, () => `what was judged cannot be ordered: ${fault}`);
    return { kind: "ordered", firstPosition, time };
  }

  /** What became of a request that is not new, or cannot be ordered. */
  #known({ id, serial }: SessionRequest): Verdict | undefined {
    const verdict = this.#state.sessions.judge(id, serial);
    switch (verdict.kind) {
      case "new":
        return undefined;
      case "known": {
        const { slot } = verdict.outcome;
        const answer = answerOf(verdict.outcome);
        return slot < this.#decidedEnd ? { kind: "answered", answer } : { kind: "joined", slot, answer };
      }
      case "unknown":
        return { kind: "refused", answer: failed("SESSION_UNKNOWN", "unknown") };
      case "passed":
        return { kind: "refused", answer: failed("SESSION_GAP", "none") };
      case "overflow":
        return { kind: "answered", answer: failed("SESSION_OVERFLOW", "none") };
      default:
        return assertNever(verdict);
    }
  }

  // ---- Control entries

  #open({ ttlMs, announceEnd = false }: OpenSessionProposal, at: OrderAt): Verdict {
    if (this.#state.sessions.count >= limits.sessionsMax) {
      return { kind: "answered", answer: failed("OVERLOADED", "none") };
    }
    return this.#sessionEntry(0, 0, { op: "open", ttlMs: sessionTtl(ttlMs), announceEnd }, at);
  }

  #ofSession(id: number, order: (id: number) => Verdict): Verdict {
    if (this.#state.sessions.ttlOf(id) !== undefined) return order(id);
    return { kind: "refused", answer: failed("SESSION_UNKNOWN", "unknown") };
  }

  #endSession(session: number, end: SessionEnd, at: OrderAt): ControlVerdict {
    const { sessions } = this.#state;
    if (!sessions.announces(session)) {
      return this.#sessionEntry(session, 0, { op: end === "closed" ? "close" : "expire" }, at);
    }
    const ttlMs = sessions.ttlOf(session)!;
    const payload = this.#parts.sessionEnd(session, end);
    const answer = { kind: "session", session, ttlMs, time: this.#time(at) } as const;
    return this.#make({ kind: "batch", recordCount: 1, session, serial: 0, payload }, at, answer);
  }

  #sessionEntry(
    id: number,
    serial: number,
    control: SessionControl,
    at: OrderAt,
    answer?: AppendAnswer,
  ): ControlVerdict {
    const session = control.op === "open" ? at.slot : id;
    const ttlMs = control.op === "open" ? control.ttlMs : (this.#state.sessions.ttlOf(id) ?? 0);
    const content = encodeSession(control);
    const said = answer ?? { kind: "session" as const, session, ttlMs, time: this.#time(at) };
    return this.#control({ kind: "session", session: id, serial, content }, at, said);
  }

  #fence({ token }: FenceProposal, at: OrderAt): Verdict {
    const { fence, nextPosition: tail } = this.#state;
    if (token < fence) {
      const refusal = { guard: "fencingToken", index: 0, actual: fence, tail } as const;
      return { kind: "refused", answer: { kind: "refused", refusal } };
    }
    const answer = { kind: "fenced", fence: token, tail } as const;
    return this.#control({ kind: "fence", session: 0, serial: 0, content: encodeFence(token) }, at, answer);
  }

  /** An answer without an entry is a linearizable read of what is held: it waits as a refusal does. */
  #retain(order: RetainedOrder, at: OrderAt): Verdict {
    if (order.kind === "answer") return { kind: "refused", answer: order.answer };
    const { entry: kind, content, answer } = order;
    return this.#control({ kind, session: 0, serial: 0, content }, at, answer);
  }

  #control(
    entry: { kind: Exclude<EntryKind, "batch">; session: number; serial: number; content: Uint8Array },
    at: OrderAt,
    answer?: AppendAnswer,
  ): ControlVerdict {
    const { kind, session, serial, content } = entry;
    const payload = { batch: content, guards: emptyPayload.guards };
    return this.#make({ kind, recordCount: 0, session, serial, payload }, at, answer);
  }

  /** An entry that no client sent. */
  #make(
    entry: Pick<ControlEntry, "kind" | "recordCount" | "session" | "serial" | "payload">,
    at: OrderAt,
    answer: AppendAnswer = failed("LEADER_LOST", "unknown"),
  ): ControlVerdict {
    const { kind, payload } = entry;
    const place = { firstPosition: this.#state.nextPosition, time: this.#time(at) };
    const facts = { ...entry, ...place, slot: at.slot, guardLength: payload.guards.length };
    const fault = this.#state.take(facts, payload, this.#parts, this.#overlay);
    assert(fault === undefined, () => `a ${kind} entry was judged and cannot be ordered: ${fault}`);
    this.#noteSnapshot(facts);
    const batchChecksum = this.#parts.checksum(payload.batch);
    return { kind: "control", entry: { ...entry, ...place, batchChecksum }, answer };
  }

  /**
   * Time is hybrid: the leader's clock, but never before the entry in front of it. That clock is the wall clock when it took its
   * ballot and monotonic time since, so a jump of the wall clock enters only with a new leader.
   */
  #time({ monotonicMs }: OrderAt): number {
    return Math.max(this.#state.time, Math.floor(this.#wallOffsetMs + monotonicMs));
  }
}

/** The answer that a request with this outcome gets, at first and ever after. */
function answerOf({ refusal, firstPosition, recordCount, time }: SessionOutcome): AppendAnswer {
  if (refusal !== undefined) return { kind: "refused", refusal };
  return { kind: "acknowledged", firstPosition, recordCount, time };
}

const failed = (code: AppendFailure, outcome: "none" | "unknown"): AppendAnswer => ({ kind: "failed", code, outcome });
