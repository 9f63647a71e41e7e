import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import { type Hash, maxSlot, type Position, type Slot, slotPlus } from "../base/types.ts";
import type { LogBase } from "./durable.ts";
import { type Entry, nextPositionOf } from "./entry.ts";

/**
 * The end of the log in memory: [memoryBegin, acceptedEnd), held whole from the decided end on and, as far as cacheBytes go,
 * some decided entries before it. A plain sequence with a hash chain; who may change it and when is the business of the roles.
 */
export class Log {
  /** The chain before the first entry in memory. Moves when old decided entries are dropped. */
  #base: LogBase;
  /** Entries in slot order; those below #begin were dropped and wait for the array to be compacted. */
  #entries: (Entry | undefined)[] = [];
  #begin = 0;
  #bytes = 0;
  #bytesTaken = 0;
  readonly #cacheBytes: number;

  constructor(base: LogBase, entries: readonly Entry[], cacheBytes: number = limits.cacheBytes) {
    this.#base = base;
    this.#cacheBytes = cacheBytes;
    this.append(entries);
  }

  /** First slot in memory. What is below must be read from segments. */
  get memoryBegin(): Slot {
    return this.#base.slot;
  }

  /** First slot that is not held here (perhaps not yet durable). */
  get acceptedEnd(): Slot {
    return slotPlus(this.#base.slot, this.#entries.length - this.#begin);
  }

  /** Sets the hash of the empty log: known from genesis on. */
  setFirstHash(hash: Hash): void {
    assert(this.acceptedEnd === this.#base.slot, "the first hash is set on an empty log");
    this.#base = { ...this.#base, hash };
  }

  /** Begins anew, and empty, at another place: a snapshot stands for everything before. */
  restart(base: LogBase): void {
    assert(base.slot > this.#base.slot, () => `the log would begin at ${base.slot}, before ${this.#base.slot}`);
    this.#base = base;
    this.#entries = [];
    this.#begin = 0;
    this.#bytes = 0;
  }

  /** Adds entries at the end. Each must continue the chain. */
  append(entries: readonly Entry[]): void {
    for (const entry of entries) {
      assert(
        entry.slot === this.acceptedEnd,
        () => `entry ${entry.slot} does not continue the log at ${this.acceptedEnd}`,
      );
      assert(entry.prevHash === this.hashBefore(entry.slot), () => `entry ${entry.slot} does not continue the chain`);
      this.#entries.push(entry);
      this.#bytes += costOf(entry);
      this.#bytesTaken += entry.bytes.length;
    }
  }

  /** Drops everything at or above `from`. The caller asserts that nothing decided is cut (P11). */
  cut(from: Slot): void {
    assert(from >= this.#base.slot, `cut at ${from} below the memory's begin ${this.#base.slot}`);
    while (this.acceptedEnd > from) this.#bytes -= costOf(this.#entries.pop()!);
  }

  /** Forgets the oldest entries below `end` until the rest fits the cache. */
  dropBelow(end: Slot): void {
    while (this.#bytes > this.#cacheBytes && this.#base.slot < end) {
      const entry = this.#entries[this.#begin]!;
      // Let go of now: the array is compacted later.
      this.#entries[this.#begin] = undefined;
      this.#bytes -= costOf(entry);
      this.#base = {
        slot: slotPlus(entry.slot, 1),
        hash: entry.hash,
        position: nextPositionOf(entry),
        time: entry.time,
      };
      this.#begin += 1;
    }
    // Compact rarely: each entry is moved at most once for each time that as many were dropped.
    if (this.#begin > 1024 && this.#begin * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#begin);
      this.#begin = 0;
    }
  }

  /** What the entries in memory take, the objects around their bytes included. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Bytes of all entries that were ever added, those included that were cut or dropped since. */
  get bytesTaken(): number {
    return this.#bytesTaken;
  }

  /** The entry at a slot in memory. */
  at(slot: Slot): Entry | undefined {
    if (slot < this.#base.slot) return undefined;
    return this.#entries[this.#begin + (slot - this.#base.slot)];
  }

  /** Hash of the log before `slot`; undefined where the memory does not reach it. */
  hashBefore(slot: Slot): Hash | undefined {
    if (slot === this.#base.slot) return this.#base.hash;
    return this.at((slot - 1) as Slot)?.hash;
  }

  /** Position of the first record at or above `slot`, which must be in [memoryBegin, acceptedEnd]. */
  positionAt(slot: Slot): Position {
    if (slot === this.#base.slot) return this.#base.position;
    const entry = this.at((slot - 1) as Slot);
    assert(entry !== undefined, () => `no entry before slot ${slot} in memory`);
    return nextPositionOf(entry);
  }

  /** Time of the last entry before `slot`, which must be in [memoryBegin, acceptedEnd]. */
  timeBefore(slot: Slot): number {
    if (slot === this.#base.slot) return this.#base.time;
    const entry = this.at((slot - 1) as Slot);
    assert(entry !== undefined, () => `no entry before slot ${slot} in memory`);
    return entry.time;
  }

  /** Entries from `from` to below `end`, as many as fit bytesMax, at least one; both ends in memory. */
  range(from: Slot, end: Slot, bytesMax: number): Entry[] {
    assert(from >= this.#base.slot, () => `slot ${from} is not in memory`);
    const entries: Entry[] = [];
    let bytes = 0;
    const last = Math.min(end, this.acceptedEnd);
    for (let slot = from; slot < last; slot = slotPlus(slot, 1)) {
      const entry = this.at(slot)!;
      if (entries.length > 0 && bytes + entry.bytes.length > bytesMax) break;
      entries.push(entry);
      bytes += entry.bytes.length;
    }
    return entries;
  }

  /** The slot of the entry that holds a position, if it is in memory and below `end`. Binary search over first positions. */
  slotOfPosition(position: Position, end: Slot): Slot | undefined {
    if (position < this.#base.position) return undefined;
    let low = this.#base.slot as number;
    let high = Math.min(end, this.acceptedEnd) as number;
    if (low >= high || position >= this.positionAt(high as Slot)) return undefined;
    // Invariant: positionAt(low) <= position < positionAt(high).
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (this.positionAt(middle as Slot) <= position) low = middle;
      else high = middle;
    }
    return maxSlot(low as Slot, this.#base.slot);
  }

  /** The last entry of the log, if it is in memory. */
  get last(): Entry | undefined {
    return this.#entries.length > this.#begin ? this.#entries[this.#entries.length - 1] : undefined;
  }
}

/** Small entries are mostly objects: a bound on their bytes alone would let them take a multiple of it. */
function costOf(entry: Entry): number {
  return entry.bytes.length + limits.entryOverheadBytes;
}
