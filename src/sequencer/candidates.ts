import { limits } from "../base/limits.ts";
import { anyHash, hashOfText, type TagHash } from "../base/tag-hash.ts";
import type { Position } from "../base/types.ts";
import type { Query, QueryItem } from "../core/guards.ts";
import type { TagWindow } from "./tag-window.ts";

/** An entry that may hold a record which matches: [first, end) are its positions. */
export interface Candidate {
  readonly first: Position;
  readonly end: Position;
}

/**
 * The entries of the window that bear what a query asks for. Every item is walked from the newest posting of its rarest parts back
 * to the begin of the range, each posting once and limits.guardStepsMax in all: then `from` says how far the walk has come.
 */
export class Candidates {
  readonly #window: TagWindow;
  readonly #begin: Position;
  readonly #found = new Map<Position, Candidate>();
  #from: Position;
  #steps = 0;

  /** Those with records at or behind `begin`. */
  constructor(window: TagWindow, query: Query, begin: Position) {
    this.#window = window;
    this.#begin = begin;
    this.#from = (window.coveredFrom > begin ? window.coveredFrom : begin) as Position;
    for (const item of query.items) this.#walkItem(item);
    this.#walk([anyHash]);
  }

  /** Everything from here on that may match is among the candidates. */
  get from(): Position {
    return this.#from;
  }

  /** "first": the oldest first. "last": the newest first. Those that are not wholly behind `from` are left to the history. */
  inOrder(want: "first" | "last"): Candidate[] {
    const candidates = [...this.#found.values()].filter(({ end }) => end > this.#from);
    return candidates.sort((a, b) => (want === "first" ? a.first - b.first : b.first - a.first));
  }

  #walkItem({ types, tags }: QueryItem): void {
    if (tags.length > 0) this.#walk(tags.map((tag) => hashOfText(tag, "tag")));
    else for (const type of types) this.#walk([hashOfText(type, "type")]);
  }

  /** Takes the entries that bear all of these hashes: of each its postings, side by side, from the newest back. */
  #walk(hashes: readonly Readonly<TagHash>[]): void {
    const window = this.#window;
    const cursors = hashes.map(({ low, high }) => window.newest(low, high));
    while (cursors.every((cursor) => cursor >= 0)) {
      const oldest = Math.min(...cursors.map((cursor) => window.firstPositionOf(cursor)));
      const ahead = cursors.findIndex((cursor) => window.firstPositionOf(cursor) > oldest);
      const moved = Math.max(ahead, 0);
      const cursor = cursors[moved]!;
      const end = window.endPositionOf(cursor);
      if (end <= this.#from) return;
      this.#steps += 1;
      if (this.#steps > limits.guardStepsMax) {
        this.#from = end;
        return;
      }
      const first = window.firstPositionOf(cursor);
      if (ahead < 0 && end > this.#begin) this.#found.set(first, { first, end });
      cursors[moved] = window.older(cursor);
    }
  }
}
