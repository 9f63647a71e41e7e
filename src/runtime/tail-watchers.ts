import type { Position, Slot } from "../base/types.ts";
import { type Entry, nextPositionOf } from "../core/entry.ts";
import { QueryHashes } from "../format/batch-match.ts";
import { guardsOf } from "../format/entry.ts";
import type { Watch, Watched } from "../transport/backend.ts";

/** The entries that became visible since the last time, as far as they are in memory. */
export interface NewEntries {
  readonly from: Slot;
  readonly end: Slot;
  at(slot: Slot): Entry | undefined;
}

/**
 * Readers that are at the tail and wait for more. Those with a query are found by the hashes of types and tags that a new entry
 * bears, so that an append costs what it bears and whom it concerns, and nothing for ten thousand readers of other tags.
 */
export class TailWatchers {
  /** Those whom any record concerns. */
  readonly #all = new Set<Watcher>();
  /** The others, by the low half of each hash of which one must be there if a record matches. */
  readonly #byHash = new Map<number, Set<Watcher>>();
  /** How many are in #byHash. */
  #selective = 0;
  #tail: Position;

  constructor(tail: Position) {
    this.#tail = tail;
  }

  get tail(): Position {
    return this.#tail;
  }

  /** Whether anybody waits. */
  get isEmpty(): boolean {
    return this.#all.size + this.#selective === 0;
  }

  watch({ from, query }: Watched, onNews: (from: Position) => void): Watch {
    const watcher = new Watcher(this, from, query === undefined ? undefined : QueryHashes.of(query), onNews);
    // What is between here and the tail has not been looked at: that is news.
    if (from < this.#tail) queueMicrotask(() => watcher.fire(from));
    else this.#add(watcher);
    return watcher;
  }

  /** The tail moved: tells those whom one of the new entries may concern. */
  moved(tail: Position, entries: NewEntries): void {
    const before = this.#tail;
    this.#tail = tail;
    for (const watcher of [...this.#all]) watcher.fire(before);
    for (let slot = entries.from; slot < entries.end && this.#selective > 0; slot = (slot + 1) as Slot) {
      const entry = entries.at(slot);
      // What went from memory already must be looked for by whoever cares.
      if (entry === undefined) return this.#fireAll(before);
      if (entry.kind === "batch" && nextPositionOf(entry) > before) this.#tell(entry);
    }
  }

  /** Nothing comes any more: all of them may find that out. */
  end(): void {
    for (const watcher of [...this.#all]) watcher.fire(this.#tail);
    this.#fireAll(this.#tail);
  }

  /** For a watcher that is done. */
  remove(watcher: Watcher): void {
    if (this.#all.delete(watcher)) return;
    if (!watcher.hashes.some((low) => this.#byHash.get(low)?.has(watcher))) return;
    this.#selective -= 1;
    for (const low of watcher.hashes) {
      const watchers = this.#byHash.get(low);
      if (watchers?.delete(watcher) && watchers.size === 0) this.#byHash.delete(low);
    }
  }

  #add(watcher: Watcher): void {
    watcher.stand();
    if (watcher.hashes.length === 0) {
      this.#all.add(watcher);
      return;
    }
    this.#selective += 1;
    for (const low of watcher.hashes) {
      const watchers = this.#byHash.get(low);
      if (watchers === undefined) this.#byHash.set(low, new Set([watcher]));
      else watchers.add(watcher);
    }
  }

  #tell(entry: Entry): void {
    const guards = guardsOf(entry);
    const view = new DataView(guards.buffer, guards.byteOffset, guards.byteLength);
    for (let at = 0; at < guards.length; at += 8) {
      const low = view.getUint32(at, true);
      // The hash that stands for anything; another one with this half is rare enough to be looked into as well.
      if (low === 0xffff_ffff) return this.#fireAll(entry.firstPosition);
      const watchers = this.#byHash.get(low);
      if (watchers === undefined) continue;
      for (const watcher of [...watchers]) {
        // One that came while this entry was looked at wants what is behind it.
        if (watcher.from >= nextPositionOf(entry)) continue;
        if (watcher.mayMatch(guards, view.getUint32(at + 4, true))) watcher.fire(entry.firstPosition);
      }
    }
  }

  #fireAll(from: Position): void {
    for (const watchers of [...this.#byHash.values()]) for (const watcher of [...watchers]) watcher.fire(from);
  }
}

class Watcher implements Watch {
  /** Low halves of hashes of which a matching record bears one; none where any record may match. */
  readonly hashes: readonly number[];
  readonly #owner: TailWatchers;
  readonly from: Position;
  readonly #query: QueryHashes | undefined;
  #onNews: ((from: Position) => void) | undefined;
  /** It stands among those who are told of new entries. */
  #stands = false;
  /** Where it ended. */
  #end: Position | undefined;

  constructor(owner: TailWatchers, from: Position, query: QueryHashes | undefined, onNews: (from: Position) => void) {
    this.#owner = owner;
    this.from = from;
    this.#query = query;
    this.#onNews = onNews;
    this.hashes = query?.keys.map(({ low }) => low) ?? [];
  }

  get searched(): Position {
    return this.#end ?? (this.#stands ? this.#owner.tail : this.from);
  }

  stand(): void {
    this.#stands = true;
  }

  /** `high` is the other half of the hash under which it was found. */
  mayMatch(guards: Uint8Array, high: number): boolean {
    if (this.#query?.only !== undefined) return this.#query.only.high === high;
    return this.#query?.mayMatch(guards) ?? true;
  }

  fire(from: Position): void {
    const onNews = this.#onNews;
    if (onNews === undefined) return;
    this.#end = maxPosition(from, this.from);
    this.cancel();
    onNews(this.#end);
  }

  cancel(): void {
    this.#end ??= this.searched;
    this.#onNews = undefined;
    this.#owner.remove(this);
  }
}

const maxPosition = (a: Position, b: Position): Position => (a > b ? a : b);
