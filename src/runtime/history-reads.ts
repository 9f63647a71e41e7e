import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import { type Position, positionPlus, type Slot, slotPlus } from "../base/types.ts";
import { type Entry, nextPositionOf } from "../core/entry.ts";
import type { Query } from "../core/guards.ts";
import { QueryHashes } from "../format/batch-match.ts";
import { SelectableBatch } from "../format/batch-select.ts";
import { batchOf } from "../format/entry.ts";
import type { ReadPiece, ReadStep, StoredBatch } from "../transport/backend.ts";
import { type History, MissingIndex } from "./history.ts";

/** What a read may see. */
export interface Visible {
  readonly head: Position;
  /** Everything from the head on stands here or behind. */
  readonly headSlot: Slot;
  /** Position of the next record behind the visible ones. */
  readonly tail: Position;
  readonly end: Slot;
}

/**
 * Carries out the steps of reads, each of them bounded: about so many bytes of batches, or so much that was searched. A read is
 * between its steps nothing but a position; what would be found again is remembered here, for all reads together.
 */
export class HistoryReads {
  readonly #history: History;
  readonly #selectable: SelectableBatches;

  /** `checksum` is CRC32C. */
  constructor(history: History, checksum: (bytes: Uint8Array) => number) {
    this.#history = history;
    this.#selectable = new SelectableBatches(checksum);
  }

  /** `step.from` is visible: from the head on and below the tail. A query that can wait does not search a segment without its index. */
  read(step: ReadStep, visible: Visible): ReadPiece;
  read(step: ReadStep, visible: Visible, canWait: boolean): ReadPiece | MissingIndex;
  read(step: ReadStep, visible: Visible, canWait = false): ReadPiece | MissingIndex {
    const { query, from, direction } = step;
    const collected = new Collected(step, this.#selectable);
    if (direction === "backward") {
      const end = slotPlus(this.#history.slotOf(from, visible.end), 1);
      return query === undefined
        ? this.#backward(step, visible, end, this.#collectBefore(end, collected), collected)
        : this.#backwardMatching(step, query, visible, end, collected, canWait);
    }
    const slot = this.#history.slotAtOrBefore(from, visible.end);
    return query === undefined
      ? this.#forward(from, visible, slot, collected)
      : this.#forwardMatching(query, visible, slot, collected, canWait);
  }

  #forward(position: Position, visible: Visible, from: Slot, collected: Collected): ReadPiece {
    let slot = from;
    // Entries without records (control entries) make no batch. There may be very many of them where a place was remembered; the
    // record itself is found at once, so this runs twice at most.
    while (slot < visible.end && collected.isEmpty && !collected.isFull) {
      const entries = this.#history.entriesAt(slot, visible.end, collected.bytesLeft);
      assert(entries.length > 0, () => `slot ${slot} is visible, so it is in memory or in a segment`);
      for (const entry of entries) {
        if (collected.add(entry) === "full") break;
        slot = slotPlus(entry.slot, 1);
      }
      if (collected.isEmpty && !collected.isFull) slot = this.#history.slotOf(position, visible.end);
    }
    return this.#goingOn(collected, collected.reached ?? position, slot, from);
  }

  #forwardMatching(
    query: Query,
    visible: Visible,
    from: Slot,
    collected: Collected,
    canWait: boolean,
  ): ReadPiece | MissingIndex {
    const range = { from, end: visible.end, direction: "forward" } as const;
    const found = this.#history.candidates(QueryHashes.of(query), range, canWait);
    if (found instanceof MissingIndex) return found;
    const { slots, searchedTo } = found;
    const refused = this.#lookInto(slots, collected);
    if (collected.hasRecordsMax) return this.#goingOn(collected, collected.reached!, searchedTo, from);
    // Nothing between the last entry that was added and the refused one matches.
    if (refused !== undefined) return this.#goingOn(collected, refused.firstPosition, refused.slot, from);
    const next = searchedTo >= visible.end ? visible.tail : this.#history.positionAt(searchedTo);
    return this.#goingOn(collected, next, searchedTo, from);
  }

  /** Adds entries that may match. Returns the first one that the step has no room for, if it comes to that. */
  #lookInto(slots: readonly Slot[], collected: Collected): Entry | undefined {
    let lookedInto = 0;
    for (const slot of slots) {
      const entry = this.#history.entryAt(slot);
      if (lookedInto > limits.searchPieceBytes || collected.add(entry) === "full") return entry;
      lookedInto += entry.bytes.length + limits.entryOverheadBytes;
    }
    return undefined;
  }

  /** `slot` is that of the first record at or behind `next`. */
  #goingOn(collected: Collected, next: Position, slot: Slot, from: Slot): ReadPiece {
    // With its last record a read may end in the middle of an entry.
    if (!collected.hasRecordsMax) this.#history.remember(next, slot);
    return { batches: collected.batches, next, fromDisk: !this.#history.inMemory(from) };
  }

  #backwardMatching(
    step: ReadStep,
    query: Query,
    visible: Visible,
    end: Slot,
    collected: Collected,
    canWait: boolean,
  ): ReadPiece | MissingIndex {
    const range = { from: visible.headSlot, end, direction: "backward" } as const;
    const found = this.#history.candidates(QueryHashes.of(query), range, canWait);
    if (found instanceof MissingIndex) return found;
    const refused = this.#lookInto(found.slots, collected);
    const searchedTo = refused === undefined ? this.#history.positionAt(found.searchedTo) : nextPositionOf(refused);
    return this.#backward(step, visible, end, searchedTo, collected);
  }

  /** What was collected of the entries below `end`: everything from `searchedTo` on. */
  #backward(step: ReadStep, visible: Visible, end: Slot, searchedTo: Position, collected: Collected): ReadPiece {
    const lowest = collected.hasRecordsMax ? collected.reached! : searchedTo;
    // Nothing is read below the head, nor at or below the read's end.
    const isOver = lowest <= Math.max(visible.head, step.end + 1);
    const next = isOver ? 0 : positionPlus(lowest, -1);
    return { batches: collected.batches, next, fromDisk: !this.#history.inMemory((end - 1) as Slot) };
  }

  /** The lowest position from which on everything was collected. */
  #collectBefore(end: Slot, collected: Collected): Position {
    const entries = this.#history.entriesBefore(end, collected.bytesLeft);
    for (let index = entries.length - 1; index >= 0; index -= 1) {
      const entry = entries[index]!;
      if (collected.add(entry) === "full") return nextPositionOf(entry);
    }
    return entries[0]!.firstPosition;
  }
}

/** What one step gathers, in the order of its direction. */
class Collected {
  readonly batches: StoredBatch[] = [];
  readonly #step: ReadStep;
  readonly #selectable: SelectableBatches;
  #bytes = 0;
  #records = 0;
  /** Forward the position behind the last entry that was added, backward its first one. */
  #reached: Position | undefined;
  #ended = false;

  constructor(step: ReadStep, selectable: SelectableBatches) {
    this.#step = step;
    this.#selectable = selectable;
  }

  get isEmpty(): boolean {
    return this.batches.length === 0;
  }

  get isFull(): boolean {
    return this.#ended || this.hasRecordsMax || (!this.isEmpty && this.bytesLeft <= 0);
  }

  get hasRecordsMax(): boolean {
    return this.#records >= this.#step.recordsMax;
  }

  get bytesLeft(): number {
    return this.#step.bytesMax - this.#bytes;
  }

  /** How far its records go: the position behind the last one forward, of the first one backward. */
  get reached(): Position | undefined {
    return this.#reached;
  }

  /** "full": the entry was not added, and nothing more will be. */
  add(entry: Entry): "added" | "full" {
    if (this.isFull || this.#isBehindEnd(entry)) {
      this.#ended = true;
      this.#reached ??= this.#step.from;
      return "full";
    }
    if (entry.kind !== "batch" || this.#isBeforeFrom(entry)) return "added";
    const stored = this.#stored(entry);
    if (stored !== undefined) {
      if (!this.isEmpty && stored.batch.length > this.bytesLeft) {
        this.#ended = true;
        return "full";
      }
      this.batches.push(stored);
      this.#bytes += stored.batch.length;
    }
    this.#advance(entry, stored);
    return "added";
  }

  /** Behind the whole entry, or only behind the last record that is wanted of it. */
  #advance(entry: Entry, stored: StoredBatch | undefined): void {
    const forward = this.#step.direction === "forward";
    const left = this.#step.recordsMax - this.#records;
    const wanted = stored === undefined ? 0 : this.#wantedOf(stored);
    this.#records += wanted;
    if (stored === undefined || wanted < left) {
      this.#reached = forward ? nextPositionOf(entry) : entry.firstPosition;
      return;
    }
    const { begin, end } = this.#range(entry);
    const ordinals = stored.ordinals;
    const last = forward ? (ordinals?.[left - 1] ?? begin + left - 1) : (ordinals?.at(-left) ?? end - left);
    this.#reached = positionPlus(entry.firstPosition, forward ? last + 1 : last);
  }

  #isBehindEnd(entry: Entry): boolean {
    const { direction, end } = this.#step;
    return direction === "forward" ? entry.firstPosition >= end : nextPositionOf(entry) - 1 <= end;
  }

  #isBeforeFrom(entry: Entry): boolean {
    const { direction, from } = this.#step;
    return direction === "forward" ? nextPositionOf(entry) <= from : entry.firstPosition > from;
  }

  /** Ordinals of the records of this entry that lie within the step. */
  #range({ firstPosition, recordCount }: Pick<Entry, "firstPosition" | "recordCount">): { begin: number; end: number } {
    const { direction, from, end } = this.#step;
    const [low, high] = direction === "forward" ? [from, end] : [end + 1, from + 1];
    return { begin: Math.max(0, low - firstPosition), end: Math.min(recordCount, high - firstPosition) };
  }

  #wantedOf(stored: StoredBatch): number {
    if (stored.ordinals !== undefined) return stored.ordinals.length;
    const { begin, end } = this.#range(stored);
    return end - begin;
  }

  /** The batch as it leaves: whole, or made of the records that match; undefined where none does. */
  #stored(entry: Entry): StoredBatch | undefined {
    const { query, direction } = this.#step;
    if (query === undefined) return storedBatch(entry);
    const batch = this.#selectable.of(entry);
    const want = direction === "forward" ? "first" : "last";
    const ordinals = batch.select(query, { ...this.#range(entry), max: this.#step.recordsMax - this.#records, want });
    if (ordinals.length === 0) return undefined;
    if (ordinals.length === entry.recordCount) return storedBatch(entry);
    return this.#selectable.selected(entry, batch, ordinals);
  }
}

/** The batches that queries looked into last: a thousand readers that follow look into the same ones. */
class SelectableBatches {
  readonly #checksum: (bytes: Uint8Array) => number;
  readonly #batches = new Map<Entry, SelectableBatch>();
  #bytes = 0;

  constructor(checksum: (bytes: Uint8Array) => number) {
    this.#checksum = checksum;
  }

  of(entry: Entry): SelectableBatch {
    const known = this.#batches.get(entry);
    if (known !== undefined) return known;
    const batch = new SelectableBatch(batchOf(entry));
    this.#batches.set(entry, batch);
    this.#bytes += batch.indexBytes + entry.bytes.length;
    for (const [oldest, dropped] of this.#batches) {
      if (this.#bytes <= limits.selectableBytes || oldest === entry) break;
      this.#batches.delete(oldest);
      this.#bytes -= dropped.indexBytes + oldest.bytes.length;
    }
    return batch;
  }

  /** A batch that cannot be divided goes out whole, with the word which of its records match. */
  selected(entry: Entry, batch: SelectableBatch, ordinals: readonly number[]): StoredBatch {
    if (!batch.divides) return { ...storedBatch(entry), ordinals };
    const bytes = batch.encode(ordinals);
    return { ...storedBatch(entry), batch: bytes, crc32c: this.#checksum(bytes), ordinals, selected: true };
  }
}

function storedBatch(entry: Entry): StoredBatch {
  return {
    firstPosition: entry.firstPosition,
    recordCount: entry.recordCount,
    time: entry.time,
    session: entry.session,
    batch: batchOf(entry),
    crc32c: entry.batchChecksum,
  };
}
