import { assert, defined } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import { type Position, positionPlus, type Slot, slotPlus } from "../base/types.ts";
import type { SendEntriesEffect } from "../core/effect.ts";
import { type Entry, nextPositionOf } from "../core/entry.ts";
import type { Log } from "../core/log.ts";
import type { EntriesMessage } from "../core/message.ts";
import { batchOf } from "../format/entry.ts";
import type { LogReader } from "../storage/reader.ts";
import type { StoredBatch } from "../transport/backend.ts";

/**
 * The whole log as this node has it: its end from the core's memory, everything older from segments. What leaves here was
 * verified in this read, or stands in memory since it was.
 */
export class History {
  readonly #log: Log;
  readonly #reader: LogReader;
  /**
   * Slots by the position of their first record, for readers that go on where their last read ended. Of visible entries only,
   * which never change; the oldest is forgotten first.
   */
  readonly #resumes = new Map<Position, Slot>();

  constructor(log: Log, reader: LogReader) {
    this.#log = log;
    this.#reader = reader;
  }

  /** Batches in order from the one that holds `from` on, below `visibleEnd`, as many as fit `bytesMax`, at least one. */
  batchesFrom(from: Position, visibleEnd: Slot, bytesMax: number): StoredBatch[] {
    const batches: StoredBatch[] = [];
    let bytes = 0;
    let next = this.#slotOf(from, visibleEnd);
    // Entries without records (control entries) make no batch: go on until there is one, or the end.
    while (next < visibleEnd && batches.length === 0) {
      const entries = this.#entries(next, visibleEnd, bytesMax - bytes);
      assert(entries.length > 0, `slot ${next} is visible, so it is in memory or in a segment`);
      for (const entry of entries) {
        next = slotPlus(entry.slot, 1);
        if (entry.kind !== "batch" || nextPositionOf(entry) <= from) continue;
        batches.push(storedBatch(entry));
        bytes += entry.bytes.length;
      }
    }
    const last = batches[batches.length - 1];
    if (last !== undefined) this.#remember(positionPlus(last.firstPosition, last.recordCount), next);
    return batches;
  }

  /** The answer to a peer that asked for decided entries: none where this node's chain before them is another one. */
  entriesFor(effect: SendEntriesEffect): EntriesMessage {
    const { requestId, fromSlot, visibleEnd } = effect;
    const found = this.#entries(fromSlot, effect.end, limits.fetchEntryBytes);
    const entries = found[0]?.prevHash === effect.prevHash ? found : [];
    return { kind: "entries", requestId, fromSlot, entries, visibleEnd };
  }

  /** Entries in order from the one that holds `from` on, below `visibleEnd`, as many as fit `bytesMax`, at least one. */
  entriesFrom(from: Position, visibleEnd: Slot, bytesMax: number): readonly Entry[] {
    return this.#entries(this.#slotOf(from, visibleEnd), visibleEnd, bytesMax);
  }

  /** As `entriesFrom`, from a slot on. */
  entriesAt(slot: Slot, visibleEnd: Slot, bytesMax: number): readonly Entry[] {
    return this.#entries(slot, visibleEnd, bytesMax);
  }

  #slotOf(position: Position, visibleEnd: Slot): Slot {
    const slot =
      this.#log.slotOfPosition(position, visibleEnd) ??
      this.#resumes.get(position) ??
      this.#reader.slotOfPosition(position);
    return defined(slot, `the slot of position ${position}`);
  }

  #remember(position: Position, slot: Slot): void {
    const oldest = this.#resumes.keys().next();
    if (this.#resumes.size >= limits.readerPlacesMax && !oldest.done) this.#resumes.delete(oldest.value);
    this.#resumes.set(position, slot);
  }

  /** At least one entry, from memory if it reaches that far. */
  #entries(from: Slot, end: Slot, bytesMax: number): readonly Entry[] {
    if (from >= this.#log.memoryBegin) return this.#log.range(from, end, bytesMax);
    return this.#reader.read(from, end, bytesMax);
  }
}

function storedBatch(entry: Entry): StoredBatch {
  return {
    firstPosition: entry.firstPosition,
    recordCount: entry.recordCount,
    time: entry.time,
    batch: batchOf(entry),
    crc32c: entry.batchChecksum,
  };
}
