import { assert, defined } from "../base/assert.ts";
import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import { maxSlot, minSlot, type Position, type Slot, slotPlus } from "../base/types.ts";
import type { LogHead } from "../core/durable.ts";
import type { SendEntriesEffect } from "../core/effect.ts";
import type { Entry } from "../core/entry.ts";
import type { Log } from "../core/log.ts";
import type { EntriesMessage } from "../core/message.ts";
import type { QueryHashes } from "../format/batch-match.ts";
import { guardsOf } from "../format/entry.ts";
import { type WalkedWindow, WindowWalk } from "../sequencer/window-walk.ts";
import type { CandidateRange, Candidates } from "../storage/candidates.ts";
import type { LogReader } from "../storage/reader.ts";

/** The hashes of recent entries, which the sequencer of every node keeps: what it judges conditions by serves readers as well. */
export interface RecentEntries {
  /** First slot whose entry is not in the window yet. */
  readonly windowEnd: Slot;
  readonly window: WalkedWindow;
}

/** Indexes of closed segments that are still to be built. */
export interface MissingIndexes {
  /** Resolves when the segment that holds `slot` has its index, or gets none for now; undefined where nothing is to be waited for. */
  missingAt(slot: Slot): Promise<void> | undefined;
}

/** In place of an answer: the segment where the look would begin has no index yet, and would be searched entry by entry. */
export class MissingIndex {
  /** When to look again. */
  readonly settled: Promise<void>;

  constructor(settled: Promise<void>) {
    this.settled = settled;
  }
}

/** So few entries in memory are looked at one by one. */
const fewEntries = 8;

/**
 * The whole log as this node has it: its end from the core's memory, everything older from segments. What leaves here was
 * verified in this read, or stands in memory since it was.
 */
export class History {
  readonly #log: Log;
  readonly #reader: LogReader;
  readonly #recent: RecentEntries | undefined;
  readonly #indexes: MissingIndexes | undefined;
  /**
   * Slots by the position of their first record, for readers that go on where their last read ended. Of visible entries only,
   * which never change; the oldest is forgotten first.
   */
  readonly #resumes = new Map<Position, Slot>();

  /** Without `recent` entries in memory are looked at one by one. Without `indexes` nobody waits for one. */
  constructor(log: Log, reader: LogReader, recent?: RecentEntries, indexes?: MissingIndexes) {
    this.#log = log;
    this.#reader = reader;
    this.#recent = recent;
    this.#indexes = indexes;
  }

  /** Whether what begins at this slot is read from memory. */
  inMemory(slot: Slot): boolean {
    return slot >= this.#log.memoryBegin;
  }

  /** The answer to a peer that asked for decided entries: none where this node's chain before them is another one. */
  entriesFor(effect: SendEntriesEffect): EntriesMessage {
    const { requestId, fromSlot, visibleEnd } = effect;
    const found = this.#entriesIfThere(fromSlot, effect.end);
    const entries = found[0]?.prevHash === effect.prevHash ? found : [];
    return { kind: "entries", requestId, fromSlot, entries, visibleEnd };
  }

  /** A segment that is gone was trimmed, and the word of it is on its way to the core: the peer asks again, and hears so then. */
  #entriesIfThere(fromSlot: Slot, end: Slot): readonly Entry[] {
    try {
      return this.entriesAt(fromSlot, end, limits.fetchEntryBytes);
    } catch (cause) {
      if (cause instanceof PaxlogError && cause.code === "POSITION_BELOW_HEAD") return [];
      throw cause;
    }
  }

  /** Where the segments on the disk begin, oldest first. */
  get segmentBegins(): readonly LogHead[] {
    return this.#reader.segmentBegins;
  }

  /** Entries in order from a slot on, below `visibleEnd`, as many as fit `bytesMax`, at least one: from memory if it reaches so far. */
  entriesAt(slot: Slot, visibleEnd: Slot, bytesMax: number): readonly Entry[] {
    if (this.inMemory(slot)) return this.#log.range(slot, visibleEnd, bytesMax);
    return this.#reader.read(slot, visibleEnd, bytesMax);
  }

  /** Entries in order, the last of which is the one before `end`, about as many as fit `bytesMax`, at least one; from memory or from disk. */
  entriesBefore(end: Slot, bytesMax: number): readonly Entry[] {
    const last = this.entryAt((end - 1) as Slot);
    const floor = this.inMemory(last.slot) ? this.#log.memoryBegin : this.#reader.beginSlot;
    // Entries near each other are mostly alike in size.
    for (let count = Math.ceil(bytesMax / last.bytes.length); count > 1; count = Math.floor(count / 2)) {
      const begin = maxSlot(floor, (end - Math.min(count, limits.searchEntriesMax)) as Slot);
      const entries = this.entriesAt(begin, end, 2 * bytesMax);
      if (entries[entries.length - 1]?.slot === last.slot) return entries;
    }
    return [last];
  }

  /** The entry at a visible slot. */
  entryAt(slot: Slot): Entry {
    return defined(this.entriesAt(slot, slotPlus(slot, 1), 0)[0], `the entry of visible slot ${slot}`);
  }

  /** Position of the first record at or above `slot`, which is visible or the end of what is. */
  positionAt(slot: Slot): Position {
    return this.inMemory(slot) ? this.#log.positionAt(slot) : this.entryAt(slot).firstPosition;
  }

  /** The slot of the entry that holds the record at `position`: behind any number of entries without records. */
  slotOf(position: Position, visibleEnd: Slot): Slot {
    const slot = this.#log.slotOfPosition(position, visibleEnd) ?? this.#reader.slotOfPosition(position);
    return defined(slot, `the slot of position ${position}`);
  }

  /**
   * As `slotOf`, or the slot of an entry before it with nothing but entries without records between: where a read went on before, it
   * is not looked up again. For those who look forward from there; others would miss what is behind it.
   */
  slotAtOrBefore(position: Position, visibleEnd: Slot): Slot {
    const slot = this.#log.slotOfPosition(position, visibleEnd) ?? this.#resumes.get(position);
    return slot ?? this.slotOf(position, visibleEnd);
  }

  /** The first visible slot whose entry has this log time or a later one; `visibleEnd` where there is none. */
  slotOfTime(time: number, visibleEnd: Slot): Slot {
    const { memoryBegin } = this.#log;
    if (memoryBegin > 1 && this.#log.timeBefore(memoryBegin) >= time) return this.#reader.slotOfTime(time);
    let low = memoryBegin as number;
    let high = visibleEnd as number;
    // Invariant: entries below `low` are earlier than `time`, none from `high` on is.
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#log.timeBefore(slotPlus(middle as Slot, 1)) < time) low = middle + 1;
      else high = middle;
    }
    return low as Slot;
  }

  /**
   * A piece of the visible slots in the range whose entries may match, from memory or from what the segments are known to hold. Who
   * can wait hears where an index had better be waited for.
   */
  candidates(hashes: QueryHashes, asked: CandidateRange): Candidates;
  candidates(hashes: QueryHashes, asked: CandidateRange, canWait: boolean): Candidates | MissingIndex;
  candidates(hashes: QueryHashes, asked: CandidateRange, canWait = false): Candidates | MissingIndex {
    const { memoryBegin } = this.#log;
    const { from, end, direction } = asked;
    const inMemory = direction === "forward" ? from >= memoryBegin : end > memoryBegin;
    if (!inMemory) {
      const first = direction === "forward" ? from : ((end - 1) as Slot);
      const missing = canWait ? this.#indexes?.missingAt(first) : undefined;
      if (missing !== undefined) return new MissingIndex(missing);
      return this.#reader.candidates(hashes, { from, end: minSlot(end, memoryBegin), direction });
    }
    const range = { from: maxSlot(from, memoryBegin), end, direction };
    return this.#amongRecent(hashes, range) ?? this.#oneByOne(hashes, range);
  }

  /** Of a range in memory, if it is worth while and the hashes of recent entries cover it. */
  #amongRecent(hashes: QueryHashes, { from, end, direction }: CandidateRange): Candidates | undefined {
    const recent = this.#recent;
    if (recent === undefined || recent.windowEnd < end || end - from <= fewEntries) return undefined;
    if (hashes.sets.length === 0) return undefined;
    const [begin, behind] = [this.#log.positionAt(from), this.#log.positionAt(end)];
    const range = { begin, end: behind, stepsMax: limits.searchEntriesMax };
    const walk = new WindowWalk(recent.window, hashes.sets, range);
    if (walk.from > begin) return undefined;
    const slots: Slot[] = [];
    for (const { first } of walk.inOrder(direction === "forward" ? "first" : "last")) {
      const slot = defined(this.#log.slotOfPosition(first, end), "an entry of a covered range in memory");
      if (hashes.only !== undefined || hashes.mayMatch(guardsOf(this.entryAt(slot)))) slots.push(slot);
    }
    return { slots, searchedTo: direction === "forward" ? end : from };
  }

  #oneByOne(hashes: QueryHashes, { from, end, direction }: CandidateRange): Candidates {
    const forward = direction === "forward";
    const begin = forward ? from : maxSlot(from, (end - limits.searchEntriesMax) as Slot);
    const last = forward ? minSlot(end, slotPlus(from, limits.searchEntriesMax)) : end;
    const slots: Slot[] = [];
    for (let slot = begin; slot < last; slot = slotPlus(slot, 1)) {
      const entry = this.#log.at(slot);
      assert(entry !== undefined, "what is visible and not below the memory's begin is in memory");
      if (entry.kind === "batch" && hashes.mayMatch(guardsOf(entry))) slots.push(slot);
    }
    return forward ? { slots, searchedTo: last } : { slots: slots.reverse(), searchedTo: begin };
  }

  /** `position` is the first one of the records at or above a visible slot: a read that goes on there need not look for it. */
  remember(position: Position, slot: Slot): void {
    const oldest = this.#resumes.keys().next();
    if (this.#resumes.size >= limits.readerPlacesMax && !oldest.done) this.#resumes.delete(oldest.value);
    this.#resumes.set(position, slot);
  }
}
