import { maxSlot, minSlot, type Position, positionPlus, type Slot, slotPlus } from "../base/types.ts";
import type { LogHead } from "../core/durable.ts";
import type { SearchEffect } from "../core/effect.ts";
import type { EntryParts, HistoryQuery } from "../core/sequencer.ts";
import { QueryHashes } from "../format/batch-match.ts";
import type { History } from "./history.ts";

export interface HistorySearchesOptions {
  readonly history: History;
  readonly parts: EntryParts;
  /** Nothing at or above it is looked at. */
  readonly visibleEnd: () => Slot;
  /** Position after the last visible record. */
  readonly tail: () => Position;
  /** Nothing below it is looked at. */
  readonly head: () => LogHead;
  /** Calls back after what else waits has had its turn. */
  readonly later: (piece: () => void) => void;
  /** Told once of each search. 0: no record matches. */
  readonly done: (searchId: number, match: Position | 0) => void;
  readonly failed: (cause: unknown) => void;
}

interface Search {
  readonly id: number;
  readonly query: HistoryQuery;
  readonly hashes: QueryHashes;
  /** Slots that are not looked at yet; undefined before the first piece. */
  rest: { readonly from: Slot; readonly end: Slot } | undefined;
}

/**
 * Searches of the history that guards ask for (protocol 14): one after the other, in bounded pieces, so that heartbeats and appends
 * that need no history wait for a piece at most. They go through what may match only, from the end at which the answer is sought.
 */
export class HistorySearches {
  readonly #options: HistorySearchesOptions;
  readonly #waiting: Search[] = [];

  constructor(options: HistorySearchesOptions) {
    this.#options = options;
  }

  start({ searchId, query }: SearchEffect): void {
    this.#waiting.push({ id: searchId, query, hashes: new QueryHashes(query.query), rest: undefined });
    if (this.#waiting.length === 1) this.#options.later(() => this.#piece());
  }

  #piece(): void {
    const search = this.#waiting[0];
    if (search === undefined) return;
    try {
      const match = this.#advance(search);
      if (match !== undefined) {
        this.#waiting.shift();
        this.#options.done(search.id, match);
      }
    } catch (cause) {
      this.#options.failed(cause);
      return;
    }
    if (this.#waiting.length > 0) this.#options.later(() => this.#piece());
  }

  /** Looks at one piece. The answer, once there is one. */
  #advance(search: Search): Position | 0 | undefined {
    const { history, parts } = this.#options;
    const { query, hashes } = search;
    const found = search.rest ?? this.#slotsOf(query);
    // What was trimmed meanwhile may be gone from the disk, and is not in the log any more.
    const begin = this.#options.head().slot;
    const rest = { from: maxSlot(found.from, begin), end: maxSlot(found.end, begin) };
    const direction = query.want === "first" ? "forward" : "backward";
    const { slots, searchedTo } = history.candidates(hashes, { ...rest, direction });
    for (const slot of slots) {
      const match = parts.match(history.entryAt(slot), query);
      if (match !== 0) return match;
    }
    search.rest = direction === "forward" ? { ...rest, from: searchedTo } : { ...rest, end: searchedTo };
    return search.rest.from < search.rest.end ? undefined : 0;
  }

  /** Those that hold the positions that are asked about, as far as they are visible. */
  #slotsOf({ from, end }: HistoryQuery): { from: Slot; end: Slot } {
    const { history, visibleEnd, tail } = this.#options;
    const [last, visible] = [visibleEnd(), tail()];
    const head = this.#options.head();
    const slotOf = (position: Position): Slot => {
      if (position >= visible) return last;
      // Below the head there is nothing.
      return position < head.position ? head.slot : history.slotOf(position, last);
    };
    const lastSlot = end > from ? slotOf(positionPlus(end, -1)) : slotOf(from);
    return { from: slotOf(from), end: minSlot(slotPlus(lastSlot, 1), last) };
  }
}
