import { limits } from "../base/limits.ts";
import type { TagHash } from "../base/tag-hash.ts";
import { type Slot, slotPlus } from "../base/types.ts";
import type { Entry } from "../core/entry.ts";
import { guardsOf } from "../format/entry.ts";
import type { PostingList, PostingSource } from "./slot-search.ts";

const tableLength = limits.memoryTablePostings;

/** The hashes of a run of entries, found by hash: what an index is to a closed segment. 24 bytes for each posting. */
class MemoryTable implements PostingSource {
  readonly firstSlot: Slot;
  /** After the last entry. */
  endSlot: Slot;
  readonly #lows = new Uint32Array(tableLength);
  readonly #highs = new Uint32Array(tableLength);
  /** The entry of each posting, from firstSlot. */
  readonly #entries = new Uint32Array(tableLength);
  /** Index + 1 of the posting before it of the same hash; 0: there is none. */
  readonly #olders = new Uint32Array(tableLength);
  /** Open addressing: index + 1 of the newest posting of each hash; 0: empty. */
  readonly #newest = new Uint32Array(2 * tableLength);
  #length = 0;

  constructor(firstSlot: Slot) {
    this.firstSlot = firstSlot;
    this.endSlot = firstSlot;
  }

  /** Adds the next entry; false, and nothing changed, where it has no room. */
  add(guards: Uint8Array): boolean {
    if (this.#length + guards.length / 8 > tableLength) return false;
    const view = new DataView(guards.buffer, guards.byteOffset, guards.byteLength);
    const entry = this.endSlot - this.firstSlot;
    for (let at = 0; at < guards.length; at += 8)
      this.#add(view.getUint32(at, true), view.getUint32(at + 4, true), entry);
    this.endSlot = slotPlus(this.endSlot, 1);
    return true;
  }

  list({ low, high }: Readonly<TagHash>): PostingList | undefined {
    const found: number[] = [];
    for (let posting = this.#newest[this.#place(low, high)]!; posting > 0; posting = this.#olders[posting - 1]!) {
      const entry = this.#entries[posting - 1]!;
      // An entry may bear a hash twice.
      if (entry !== found[found.length - 1]) found.push(entry);
    }
    if (found.length === 0) return undefined;
    return { count: found.length, at: (index) => found[found.length - 1 - index]! };
  }

  #add(low: number, high: number, entry: number): void {
    const place = this.#place(low, high);
    const index = this.#length;
    this.#lows[index] = low;
    this.#highs[index] = high;
    this.#entries[index] = entry;
    this.#olders[index] = this.#newest[place]!;
    this.#newest[place] = index + 1;
    this.#length += 1;
  }

  /** Where a hash stands in the table, or would: half of the table is empty, so this ends. */
  #place(low: number, high: number): number {
    const mask = this.#newest.length - 1;
    for (let place = (low ^ high) & mask; ; place = (place + 1) & mask) {
      const posting = this.#newest[place]!;
      if (posting === 0) return place;
      if (this.#lows[posting - 1] === low && this.#highs[posting - 1] === high) return place;
    }
  }
}

/**
 * The hashes of the log's last entries, which no index covers yet: [firstSlot, endSlot). It is not fed by appends but by searches,
 * which bring it up to the end of the log first; so an append pays nothing for it.
 */
export class MemoryPostings {
  #tables: MemoryTable[] = [];
  #firstSlot: Slot;
  /** Entries behind the end that searches looked at themselves. */
  #passedCount = 0;

  constructor(firstSlot: Slot) {
    this.#firstSlot = firstSlot;
  }

  get firstSlot(): Slot {
    return this.#tables[0]?.firstSlot ?? this.#firstSlot;
  }

  get endSlot(): Slot {
    return this.#tables[this.#tables.length - 1]?.endSlot ?? this.#firstSlot;
  }

  /**
   * Whether a search of [from, end), behind what is in memory, had better look at the entries themselves than bring everything in between
   * into memory first: as long as all that did so looked at fewer entries than lie between, for the next search finds what is in memory.
   * A node that starts would otherwise read all that no index covers for the last few entries of it.
   */
  mayPass(from: Slot, end: Slot): boolean {
    const between = from - this.endSlot;
    if (between <= 0) this.#passedCount = 0;
    return this.#passedCount + (end - from) <= between;
  }

  /** A search looked at so many entries behind the end. */
  passed(count: number): void {
    this.#passedCount += count;
  }

  /** Adds entries that go on where it ends; the oldest make room. */
  add(entries: readonly Entry[]): void {
    for (const entry of entries) {
      const guards = guardsOf(entry);
      const last = this.#tables[this.#tables.length - 1];
      if (last?.add(guards) === true) continue;
      const table = new MemoryTable(entry.slot);
      table.add(guards);
      this.#tables.push(table);
      if (this.#tables.length * tableLength > limits.memoryPostings) this.#tables.shift();
    }
  }

  /** The table that holds `slot`, one of those it covers. */
  tableOf(slot: Slot): { readonly firstSlot: Slot; readonly endSlot: Slot } & PostingSource {
    const table = this.#tables.find(({ endSlot }) => slot < endSlot);
    if (table === undefined) throw new RangeError(`slot ${slot} is not in memory`);
    return table;
  }

  /** Forgets tables that lie wholly below `slot`: an index covers it. */
  dropBelow(slot: Slot): void {
    while (this.#tables[0] !== undefined && this.#tables[0].endSlot <= slot) this.#tables.shift();
    if (this.#tables.length === 0 && this.#firstSlot < slot) this.#firstSlot = slot;
  }

  /** Forgets everything; the log goes on at `slot`. */
  restart(slot: Slot): void {
    this.#tables = [];
    this.#firstSlot = slot;
  }

  /** A REPLACE voids every slot at or above `slot`. */
  cut(slot: Slot): void {
    // Whole tables go: what is left of the last one is brought back by the next search.
    while (this.endSlot > slot && this.#tables.length > 0) {
      this.#firstSlot = this.#tables.pop()!.firstSlot;
    }
    if (this.#tables.length === 0 && this.#firstSlot > slot) this.#firstSlot = slot;
  }
}
