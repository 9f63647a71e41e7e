import { assert } from "../base/assert.ts";
import { anyHash, type TagHash } from "../base/tag-hash.ts";
import type { Position } from "../base/types.ts";
import type { TagWindow } from "./tag-window.ts";

/** What of the window a walk looks at. */
export type WalkedWindow = Pick<TagWindow, "coveredFrom" | "newest" | "older" | "firstPositionOf" | "endPositionOf">;

/** Which entries a walk is for: those with records in [begin, end). */
export interface WalkRange {
  readonly begin: Position;
  readonly end: Position;
  /** Postings that it looks at, at most. */
  readonly stepsMax: number;
}

/** An entry that may hold a record which matches: [first, end) are its positions. */
export interface WalkedEntry {
  readonly first: Position;
  readonly end: Position;
}

/**
 * The entries of the window that bear all hashes of one of some sets, or the hash that stands for anything: what guards and readers
 * look at for a match. The postings of a set are walked side by side from the newest back to the begin of the range, so a walk costs what
 * it finds and passes over, not what the range holds. Where the window does not reach back so far, or the steps were not enough, `from`
 * says how far the walk came.
 */
export class WindowWalk {
  readonly #window: WalkedWindow;
  readonly #end: Position;
  readonly #found = new Map<Position, WalkedEntry>();
  #from: Position;
  #stepsLeft: number;

  constructor(window: WalkedWindow, sets: readonly (readonly Readonly<TagHash>[])[], range: WalkRange) {
    const { begin, end, stepsMax } = range;
    this.#window = window;
    this.#end = end;
    this.#from = Math.max(window.coveredFrom, begin) as Position;
    this.#stepsLeft = stepsMax;
    for (const set of sets) this.#walk(set);
    this.#walk([anyHash]);
  }

  /** Every entry of the range with records from here on that may match is among those found. */
  get from(): Position {
    return this.#from;
  }

  /** "first": the oldest first. "last": the newest first. Without those that end at or before `from`. */
  inOrder(want: "first" | "last"): WalkedEntry[] {
    const entries = [...this.#found.values()].filter(({ end }) => end > this.#from);
    return entries.sort((a, b) => (want === "first" ? a.first - b.first : b.first - a.first));
  }

  /** Takes the entries that bear all of these hashes, which are one at least. */
  #walk(hashes: readonly Readonly<TagHash>[]): void {
    assert(hashes.length > 0, "every entry bears all of no hashes");
    const window = this.#window;
    const cursors = hashes.map(({ low, high }) => window.newest(low, high));
    for (;;) {
      // No entry in which all cursors meet is newer than that of the oldest one.
      let [oldest, newest] = [0, 0];
      for (let index = 0; index < cursors.length; index += 1) {
        if (cursors[index]! < 0) return;
        const first = window.firstPositionOf(cursors[index]!);
        if (first < window.firstPositionOf(cursors[oldest]!)) oldest = index;
        if (first > window.firstPositionOf(cursors[newest]!)) newest = index;
      }
      const first = window.firstPositionOf(cursors[oldest]!);
      const end = window.endPositionOf(cursors[oldest]!);
      if (end <= this.#from) return;
      if (this.#stepsLeft === 0) {
        this.#from = end;
        return;
      }
      this.#stepsLeft -= 1;
      const isMeeting = window.firstPositionOf(cursors[newest]!) === first;
      if (isMeeting && first < this.#end) this.#found.set(first, { first, end });
      cursors[newest] = window.older(cursors[newest]!);
    }
  }
}
