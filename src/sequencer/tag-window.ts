import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import type { Position } from "../base/types.ts";
import type { TagWindowSnapshot } from "../core/sequencer.ts";

/** Numbers of postings count up for ever, modulo this; a window holds far fewer. */
const numberMask = 0xffff_ffff;
const capacityMin = 1024;

/**
 * Which recent entries bear which types and tags: for each hash the postings of its entries, newest first. All entries from
 * `coveredFrom` on are in it. Of an older one nothing can be said, and it must be looked for in the log.
 *
 * A posting is one hash of one entry. Postings stand in a ring in the order of the log, each with the distance to the one before
 * it of the same hash; an open-addressed table has the newest of each hash. So entries come and go at both ends in constant time
 * for each of their hashes: new ones are added, undecided ones are cut again where their ballot is lost, and the oldest make room
 * once the window is full. Memory: 32 bytes for each posting of the capacity, which doubles as it is needed up to
 * limits.windowPostings: 32 MiB at most.
 */
export class TagWindow {
  #capacity = capacityMin;
  #lows = new Uint32Array(capacityMin);
  #highs = new Uint32Array(capacityMin);
  /** Position of the entry's first record, and how many it has. */
  #firsts = new Float64Array(capacityMin);
  #counts = new Uint32Array(capacityMin);
  /** How many postings back the one before it of the same hash stands; 0: there was none. */
  #distances = new Uint32Array(capacityMin);
  /** Index + 1 in the ring of the newest posting of each hash; 0: empty. Twice as long as the ring. */
  #table = new Uint32Array(2 * capacityMin);
  /** Number of the oldest posting, and how many there are. */
  #begin = 0;
  #length = 0;
  #coveredFrom: Position;
  readonly #capacityMax: number;

  /** `coveredFrom`: position of the first record that will be added. `capacityMax`: a power of two. */
  constructor(coveredFrom: Position, capacityMax: number = limits.windowPostings) {
    this.#coveredFrom = coveredFrom;
    this.#capacityMax = capacityMax;
  }

  static load(snapshot: TagWindowSnapshot): TagWindow {
    const window = new TagWindow(snapshot.coveredFrom);
    const { lows, highs, firsts, counts } = snapshot;
    for (let index = 0; index < lows.length; index += 1) {
      window.#add(lows[index]!, highs[index]!, firsts[index]!, counts[index]!);
    }
    return window;
  }

  save(): TagWindowSnapshot {
    return {
      coveredFrom: this.#coveredFrom,
      lows: this.#inOrder(this.#lows, new Uint32Array(this.#length)),
      highs: this.#inOrder(this.#highs, new Uint32Array(this.#length)),
      firsts: this.#inOrder(this.#firsts, new Float64Array(this.#length)),
      counts: this.#inOrder(this.#counts, new Uint32Array(this.#length)),
    };
  }

  /** Every record from this position on is in the window. */
  get coveredFrom(): Position {
    return this.#coveredFrom;
  }

  get postings(): number {
    return this.#length;
  }

  /** Bytes that the window takes now. */
  get bytes(): number {
    return this.#capacity * 32;
  }

  /** Adds the entry behind all others; `guards` are its hashes, 8 bytes each, the low half first. */
  add(guards: Uint8Array, firstPosition: Position, recordCount: number): void {
    const view = new DataView(guards.buffer, guards.byteOffset, guards.byteLength);
    for (let at = 0; at < guards.length; at += 8) {
      this.#add(view.getUint32(at, true), view.getUint32(at + 4, true), firstPosition, recordCount);
    }
  }

  /** Takes every entry from `position` on out again. */
  cut(position: Position): void {
    while (this.#length > 0) {
      const index = this.#index(this.#begin + this.#length - 1);
      if (this.#firsts[index]! < position) break;
      this.#length -= 1;
      const distance = this.#distances[index]!;
      const place = this.#find(this.#lows[index]!, this.#highs[index]!);
      // The one before it is the newest again, where the window still has it.
      if (distance > 0 && distance <= this.#length)
        this.#table[place] = this.#index(this.#begin + this.#length - distance) + 1;
      else this.#empty(place);
    }
    // Where even undecided entries had made room, what is left below the cut is no more known than before.
    if (this.#coveredFrom > position) this.#coveredFrom = position;
  }

  /** The newest posting of a hash, for `older`; -1 where there is none. */
  newest(low: number, high: number): number {
    return this.#table[this.#find(low, high)]! - 1;
  }

  /** The posting before this one of the same hash; -1 where the window has none. */
  older(posting: number): number {
    const distance = this.#distances[posting]!;
    if (distance === 0) return -1;
    const age = (posting - this.#index(this.#begin) + this.#capacity) & (this.#capacity - 1);
    return distance <= age ? (posting - distance + this.#capacity) & (this.#capacity - 1) : -1;
  }

  firstPositionOf(posting: number): Position {
    return this.#firsts[posting]! as Position;
  }

  /** Position behind the last record of the posting's entry. */
  endPositionOf(posting: number): Position {
    return (this.#firsts[posting]! + this.#counts[posting]!) as Position;
  }

  #index(number: number): number {
    return number & (this.#capacity - 1);
  }

  #add(low: number, high: number, first: number, count: number): void {
    if (this.#length === this.#capacity) {
      if (this.#capacity < this.#capacityMax) this.#grow();
      else this.#dropOldest();
    }
    const number = (this.#begin + this.#length) & numberMask;
    const index = this.#index(number);
    const place = this.#find(low, high);
    const before = this.#table[place]! - 1;
    this.#lows[index] = low;
    this.#highs[index] = high;
    this.#firsts[index] = first;
    this.#counts[index] = count;
    this.#distances[index] = before < 0 ? 0 : (index - before + this.#capacity) & (this.#capacity - 1);
    this.#table[place] = index + 1;
    this.#length += 1;
  }

  #dropOldest(): void {
    const index = this.#index(this.#begin);
    const place = this.#find(this.#lows[index]!, this.#highs[index]!);
    // Newer postings of the hash find by their distance that this one is gone.
    if (this.#table[place] === index + 1) this.#empty(place);
    this.#coveredFrom = (this.#firsts[index]! + this.#counts[index]!) as Position;
    this.#begin = (this.#begin + 1) & numberMask;
    this.#length -= 1;
  }

  /** The place in the table that has this hash, or is empty and would have it. */
  #find(low: number, high: number): number {
    const mask = this.#table.length - 1;
    for (let place = low & mask; ; place = (place + 1) & mask) {
      const posting = this.#table[place]! - 1;
      if (posting < 0 || (this.#lows[posting] === low && this.#highs[posting] === high)) return place;
    }
  }

  /** Empties a place, and moves those behind it that were pushed on by it: no place of a run may be empty. */
  #empty(emptied: number): void {
    const mask = this.#table.length - 1;
    let hole = emptied;
    for (let place = (hole + 1) & mask; this.#table[place] !== 0; place = (place + 1) & mask) {
      const wanted = this.#lows[this.#table[place]! - 1]! & mask;
      if (((place - wanted) & mask) < ((place - hole) & mask)) continue;
      this.#table[hole] = this.#table[place]!;
      hole = place;
    }
    this.#table[hole] = 0;
  }

  /** Twice the room. Takes some 20 ms for the largest step, which a window makes once. */
  #grow(): void {
    const capacity = 2 * this.#capacity;
    assert(capacity <= this.#capacityMax, "the window's capacity is a power of two");
    this.#lows = this.#inOrder(this.#lows, new Uint32Array(capacity));
    this.#highs = this.#inOrder(this.#highs, new Uint32Array(capacity));
    this.#firsts = this.#inOrder(this.#firsts, new Float64Array(capacity));
    this.#counts = this.#inOrder(this.#counts, new Uint32Array(capacity));
    this.#distances = this.#inOrder(this.#distances, new Uint32Array(capacity));
    this.#table = new Uint32Array(2 * capacity);
    this.#capacity = capacity;
    this.#begin = 0;
    for (let index = 0; index < this.#length; index += 1) {
      this.#table[this.#find(this.#lows[index]!, this.#highs[index]!)] = index + 1;
    }
  }

  /** The column's postings, oldest first, at the begin of `target`. */
  #inOrder<Column extends Uint32Array | Float64Array>(column: Column, target: Column): Column {
    const begin = this.#index(this.#begin);
    const untilEnd = Math.min(this.#length, this.#capacity - begin);
    target.set(column.subarray(begin, begin + untilEnd));
    target.set(column.subarray(0, this.#length - untilEnd), untilEnd);
    return target;
  }
}
