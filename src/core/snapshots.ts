import { assert, defined } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import type { NodeId, Slot } from "../base/types.ts";
import type { Context } from "./context.ts";
import type { LogBase, SnapshotReference } from "./durable.ts";
import type { Retained, SnapshotControl } from "./retained.ts";
import type { SequencerSnapshot } from "./sequencer.ts";

/** Rounds between two snapshots that are ordered only so that a trim can take effect. */
const trimRoundsMin = 25;

/** A state that is to be written, and the log at its end. */
interface TakenSnapshot {
  readonly base: LogBase;
  readonly state: SequencerSnapshot;
}

/**
 * What this node keeps of the log, and its own snapshots (docs/protocol.md, section 11). The log orders snapshots and trims, so all
 * replicas make the same ones; when each is on its own disk is a matter of the replica.
 */
export class Snapshots {
  readonly #ctx: Context;
  /** As readers here see it: of entries that are visible. */
  #shown: Retained;
  /** Readers see an empty log, at the end of what they saw: between the log of before and that of an installed snapshot. */
  #isHidden = false;
  /** What `#shown` was made of. */
  #shownFrom: Retained;
  /** Of decided entries; shown once everything below `#latestEnd` is visible. */
  #latest: Retained;
  #latestEnd: Slot;
  #durable: SnapshotReference | undefined;
  #logBegin: LogBase;
  /** Ordered by the log, and not handed to storage yet: the newest alone. */
  #taken: TakenSnapshot | undefined;
  /** Handed to storage. */
  #writing: Slot | undefined;
  /** A SNAPSHOT entry of this leader that is not decided yet ends here. */
  #orderedEnd = 0 as Slot;
  /** Bytes that the log had taken in when the last snapshot was ordered, or at the start. */
  #bytesAtMark = 0;
  #roundsSinceMark = trimRoundsMin;

  constructor(ctx: Context) {
    const { recovered } = ctx.options;
    this.#ctx = ctx;
    this.#durable = recovered.snapshot;
    this.#logBegin = recovered.logBegin;
    this.#latest = recovered.sequencer.retained;
    this.#shown = this.#readable(this.#latest);
    this.#shownFrom = this.#latest;
    this.#latestEnd = ctx.decidedEnd;
  }

  /** What readers of this node may read, and for whom it is kept. */
  get retained(): Retained {
    return this.#shown;
  }

  /** The newest snapshot that is durable here. */
  get durable(): SnapshotReference | undefined {
    return this.#durable;
  }

  /** Nothing below is on this node's disk any more. */
  get logBegin(): LogBase {
    return this.#logBegin;
  }

  /** After each event, once the sequencer has taken note of what is decided. */
  onSettle(): void {
    const { options, decidedEnd, visibleEnd } = this.#ctx;
    this.#collect();
    const { retained } = options.sequencer;
    if (retained !== this.#latest) this.#onChange(retained, decidedEnd);
    if (this.#ctx.isIncomplete) return;
    const isStale = this.#latest !== this.#shownFrom || this.#isHidden;
    if (isStale && visibleEnd >= this.#latestEnd) this.#show();
    this.#write();
  }

  onSnapshotDurable(snapshot: SnapshotReference): void {
    this.#writing = undefined;
    if (snapshot.slot <= (this.#durable?.slot ?? 0)) return;
    this.#durable = snapshot;
    this.#ctx.snapshotSlot = snapshot.slot;
    this.#compare();
  }

  onTrimmed(logBegin: LogBase): void {
    assert(logBegin.slot <= this.#shown.head.slot, "no segment above the head is let go of (P9)");
    this.#logBegin = logBegin;
    this.#ctx.logBegin = logBegin.slot;
  }

  /** Another node's snapshot takes the place of the log: what was readable here is gone, and what comes is not there yet. */
  hide(): void {
    this.#isHidden = true;
    const { log, visibleEnd, effects } = this.#ctx;
    this.#shown = { ...this.#shown, head: { position: log.positionAt(visibleEnd), slot: visibleEnd } };
    effects.push({ kind: "retained", retained: this.#shown });
  }

  onInstalled(snapshot: SnapshotReference, logBegin: LogBase): void {
    this.#durable = snapshot;
    this.#logBegin = logBegin;
    this.#ctx.logBegin = logBegin.slot;
    this.#taken = undefined;
  }

  /** Has a peer told of the newest snapshot, for what it lacks is gone here. */
  offer(to: NodeId, requestId: number, chunk?: SnapshotReference & { readonly number: number }): void {
    const newest = this.#durable;
    if (newest === undefined) return;
    const logBegin = this.#logBegin;
    this.#ctx.effects.push({ kind: "sendSnapshot", to, requestId, newest, logBegin, chunk });
  }

  /** What a leader has ordered now, if anything. Called once a round. */
  wanted(): SnapshotControl | undefined {
    this.#roundsSinceMark += 1;
    const { log, decidedEnd } = this.#ctx;
    if (decidedEnd < this.#orderedEnd) return undefined;
    const mark = this.#latest.snapshot;
    const own = this.#durable;
    if (mark !== undefined && mark.rootHash === undefined && own?.slot === mark.slot) {
      return { op: "compare", slot: mark.slot, rootHash: own.rootHash };
    }
    const markSlot = mark?.slot ?? 1;
    const isDue =
      log.acceptedEnd - markSlot >= limits.snapshotEntries ||
      log.bytesTaken - this.#bytesAtMark >= limits.snapshotBytes ||
      (this.#shown.head.slot > markSlot && this.#roundsSinceMark >= trimRoundsMin);
    return isDue ? { op: "take" } : undefined;
  }

  /** The leader has ordered what was wanted. */
  ordered(end: Slot): void {
    this.#orderedEnd = end;
  }

  /** What this leader ordered may be void. */
  onLost(): void {
    this.#orderedEnd = 0 as Slot;
  }

  /** Only the newest is of use: where storage is slow, those between are left out. */
  #collect(): void {
    const { options, log } = this.#ctx;
    for (const state of options.sequencer.takeSnapshots()) {
      const { end: slot, nextPosition: position, time } = state;
      const hash = defined(log.hashBefore(slot), "the hash at a snapshot that was just decided");
      this.#taken = { base: { slot, hash, position, time }, state };
    }
  }

  #onChange(retained: Retained, decidedEnd: Slot): void {
    if (retained.snapshot?.slot !== this.#latest.snapshot?.slot) {
      this.#bytesAtMark = this.#ctx.log.bytesTaken;
      this.#roundsSinceMark = 0;
    }
    this.#latest = retained;
    this.#latestEnd = decidedEnd;
    this.#compare();
  }

  /** Replicas that differ have ordered by different rules: who is right cannot be told here, so this one stops. */
  #compare(): void {
    const mark = this.#latest.snapshot;
    const own = this.#durable;
    if (mark?.rootHash === undefined || own === undefined || own.slot !== mark.slot) return;
    if (own.rootHash === mark.rootHash) return;
    const reason = `the snapshot of this node at slot ${mark.slot} has the root hash ${own.rootHash}, and the log says ${mark.rootHash}`;
    this.#ctx.stop("STATE_DIVERGED", reason, { slot: mark.slot, rootHash: own.rootHash, expected: mark.rootHash });
  }

  /**
   * The entry that moved the head may not be known as decided here yet, after a restart or behind an installed snapshot that is older
   * than it; what it let go of is gone all the same.
   */
  #readable(retained: Retained): Retained {
    const { slot, position } = this.#logBegin;
    return retained.head.position < position ? { ...retained, head: { slot, position } } : retained;
  }

  #show(): void {
    this.#isHidden = false;
    const before = this.#shown.head;
    this.#shownFrom = this.#latest;
    this.#shown = this.#readable(this.#latest);
    const { effects } = this.#ctx;
    effects.push({ kind: "retained", retained: this.#shown });
    if (this.#shown.head.position > before.position) effects.push({ kind: "trimLog", head: this.#shown.head });
  }

  /** A snapshot never says more than the log beside it: a crash would leave it ahead. */
  #write(): void {
    const taken = this.#taken;
    const { visibleEnd, durable, effects } = this.#ctx;
    if (taken === undefined || this.#writing !== undefined || visibleEnd < taken.base.slot) return;
    this.#taken = undefined;
    this.#writing = taken.base.slot;
    const configuration = defined(durable.genesis, "the genesis of a log with entries");
    effects.push({ kind: "writeSnapshot", ...taken, configuration });
  }
}
