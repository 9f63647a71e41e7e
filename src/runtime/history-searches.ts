import { limits } from "../base/limits.ts";
import { type Position, type Slot, slotPlus } from "../base/types.ts";
import type { SearchEffect } from "../core/effect.ts";
import { nextPositionOf } from "../core/entry.ts";
import type { EntryParts, HistoryQuery } from "../core/sequencer.ts";
import { QueryHashes } from "../format/batch-match.ts";
import type { History } from "./history.ts";

export interface HistorySearchesOptions {
  readonly history: History;
  readonly parts: EntryParts;
  /** Nothing at or above it is looked at. */
  readonly visibleEnd: () => Slot;
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
  /** Where it goes on; undefined before its first piece. */
  nextSlot: Slot | undefined;
  match: Position | 0;
}

/**
 * Searches of the history that guards ask for (protocol 14): one after the other, in pieces of limits.searchPieceBytes, so that
 * heartbeats and appends that need no history wait for a piece at most.
 */
export class HistorySearches {
  readonly #options: HistorySearchesOptions;
  readonly #waiting: Search[] = [];

  constructor(options: HistorySearchesOptions) {
    this.#options = options;
  }

  start({ searchId, query }: SearchEffect): void {
    this.#waiting.push({ id: searchId, query, hashes: new QueryHashes(query.query), nextSlot: undefined, match: 0 });
    if (this.#waiting.length === 1) this.#options.later(() => this.#piece());
  }

  #piece(): void {
    const search = this.#waiting[0];
    if (search === undefined) return;
    try {
      if (this.#advance(search)) {
        this.#waiting.shift();
        this.#options.done(search.id, search.match);
      }
    } catch (cause) {
      this.#options.failed(cause);
      return;
    }
    if (this.#waiting.length > 0) this.#options.later(() => this.#piece());
  }

  /** Looks at one piece. True where the search is over. */
  #advance(search: Search): boolean {
    const { history, parts, visibleEnd } = this.#options;
    const { query, hashes } = search;
    const end = visibleEnd();
    const entries =
      search.nextSlot === undefined
        ? history.entriesFrom(query.from, end, limits.searchPieceBytes)
        : history.entriesAt(search.nextSlot, end, limits.searchPieceBytes);
    for (const entry of entries) {
      if (entry.firstPosition >= query.end) return true;
      if (entry.guardLength > 0 && hashes.mayMatch(parts.guardsOf(entry))) {
        const match = parts.match(entry, query);
        if (match !== 0) search.match = match;
        if (match !== 0 && query.want === "first") return true;
      }
      if (nextPositionOf(entry) >= query.end) return true;
      search.nextSlot = slotPlus(entry.slot, 1);
    }
    return entries.length === 0;
  }
}
