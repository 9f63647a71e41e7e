import { limits } from "../base/limits.ts";
import { maxSlot, minSlot, type Slot, slotPlus } from "../base/types.ts";
import type { Entry } from "../core/entry.ts";
import type { QueryHashes } from "../format/batch-match.ts";
import { guardsOf } from "../format/entry.ts";
import type { CandidateRange, Candidates } from "./candidates.ts";
import type { MemoryPostings } from "./memory-postings.ts";
import { type KnownSegment, placeOf, type SegmentDirectory } from "./segment-directory.ts";
import type { SegmentIndex } from "./segment-index.ts";
import { newBudget, type PostingSource, type SearchBudget, searchPostings } from "./slot-search.ts";

export interface CandidateSearchOptions {
  readonly query: QueryHashes;
  readonly range: CandidateRange;
  readonly directory: SegmentDirectory;
  readonly memory: MemoryPostings;
  readonly read: (from: Slot, end: Slot, bytesMax: number) => readonly Entry[];
  /** Works with a segment's index; undefined where that turned out to be damaged: the segment's places are known then. */
  readonly withIndex: <T>(segment: KnownSegment, use: (index: SegmentIndex) => T) => T | undefined;
  /** Pages of indexes that were read from disk so far. */
  readonly pageReads: () => number;
}

/** Entries of one source that lie next to each other: [firstSlot, endSlot), numbered from `origin` in the source. */
interface Stretch {
  readonly source: PostingSource;
  readonly origin: Slot;
  readonly firstSlot: Slot;
  readonly endSlot: Slot;
}

/** One piece of a search: through indexes, through memory, and where there is neither through the entries themselves. */
export class CandidateSearch {
  readonly #options: CandidateSearchOptions;
  readonly #slots: Slot[] = [];
  readonly #budget: SearchBudget = newBudget();
  /** Entries were read: a piece does that once. */
  #hasRead = false;

  constructor(options: CandidateSearchOptions) {
    this.#options = options;
  }

  run(): Candidates {
    const { range, directory, memory, pageReads } = this.#options;
    const end = minSlot(range.end, directory.endSlot);
    const from = maxSlot(range.from, directory.beginSlot);
    const isForward = range.direction === "forward";
    if (from >= end) return { slots: [], searchedTo: isForward ? minSlot(range.from, range.end) : range.from };
    const pageReadsEnd = pageReads() + pageReadsMax;
    const begin = isForward ? from : end;
    let at = begin;
    while (isForward ? at < end : at > from) {
      const wanted = isForward ? at : ((at - 1) as Slot);
      let stretch = this.#stretchAt(wanted);
      // What must be read is a piece of its own: whoever asks for it may first wait until it has its index.
      if (stretch === undefined && at !== begin) break;
      if (stretch === undefined && wanted >= memory.firstSlot && !(isForward && memory.mayPass(at, end))) {
        // Memory has no holes: what lies between comes first, piece by piece.
        if (!this.#remember()) break;
        stretch = this.#stretchAt(wanted);
        if (stretch === undefined) break;
      }
      if (stretch === undefined && this.#hasRead) break;
      const [first, last] = isForward ? [at, end] : [from, at];
      at = stretch === undefined ? this.#scan(first, last) : this.#search(stretch, first, last);
      if (this.#budget.steps <= 0 || this.#budget.found <= 0 || pageReads() >= pageReadsEnd) break;
    }
    return { slots: this.#slots, searchedTo: isForward || at > from ? at : range.from };
  }

  /** What of [from, end) the stretch holds. Returns how far it came. */
  #search({ source, origin, firstSlot, endSlot }: Stretch, from: Slot, end: Slot): Slot {
    const { query, range } = this.#options;
    const numbers = {
      from: maxSlot(from, firstSlot) - origin,
      end: minSlot(end, endSlot) - origin,
      direction: range.direction,
    };
    const take = (entry: number) => this.#slots.push(slotPlus(origin, entry));
    return slotPlus(origin, searchPostings(source, query, numbers, this.#budget, take));
  }

  /** What knows the hashes of the entry at `slot`; undefined where it must be read. */
  #stretchAt(slot: Slot): Stretch | undefined {
    const { directory, memory, withIndex } = this.#options;
    const segment = directory.ofSlot(slot);
    if (segment?.content.kind === "indexed") {
      const { begin } = segment.content;
      const found = withIndex(segment, (index) => stretchOf(index, begin.slot, slot));
      if (found !== undefined) return found;
    }
    if (slot < memory.firstSlot || slot >= memory.endSlot) return undefined;
    const table = memory.tableOf(slot);
    return { source: table, origin: table.firstSlot, firstSlot: table.firstSlot, endSlot: table.endSlot };
  }

  /** Brings the next entries into memory; false where this piece has read already. */
  #remember(): boolean {
    if (this.#hasRead) return false;
    const { memory, read, directory } = this.#options;
    memory.add(read(memory.endSlot, directory.endSlot, limits.searchPieceBytes));
    this.#hasRead = true;
    return true;
  }

  /** Looks at the entries themselves: older than memory, or not worth what it takes to bring memory there. Returns how far it came. */
  #scan(from: Slot, end: Slot): Slot {
    const { query, read, range, directory, memory } = this.#options;
    this.#hasRead = true;
    const matching = (entries: readonly Entry[]): Slot[] =>
      entries.flatMap((entry) => (entry.kind === "batch" && query.mayMatch(guardsOf(entry)) ? [entry.slot] : []));
    if (range.direction === "forward") {
      const entries = read(from, end, limits.searchPieceBytes);
      this.#slots.push(...matching(entries));
      if (from >= memory.endSlot) memory.passed(entries.length);
      return slotPlus(from, entries.length);
    }
    // Where an entry begins is known of the first one of a group only.
    const last = (end - 1) as Slot;
    const segment = directory.ofSlot(last);
    const place = segment === undefined ? undefined : placeOf(segment, last);
    const first = maxSlot(from, place?.firstSlot ?? last);
    this.#slots.push(...matching(read(first, end, Number.POSITIVE_INFINITY)).reverse());
    return first;
  }
}

/** Pages of indexes that one piece reads from disk, about: it may be over once it has read so many. */
const pageReadsMax = 64;

/** The table that holds `slot`, or the stretch between two tables, where no entry has a type or a tag. */
function stretchOf(index: SegmentIndex, begin: Slot, slot: Slot): Stretch {
  const entry = slot - begin;
  const { end } = index.header;
  let firstEntry = 0;
  for (const table of index.tables()) {
    if (entry < table.firstEntry) return emptyStretch(begin, firstEntry, table.firstEntry);
    firstEntry = table.endEntry;
    if (entry >= table.endEntry) continue;
    return {
      source: index.source(table),
      origin: begin,
      firstSlot: slotPlus(begin, table.firstEntry),
      endSlot: slotPlus(begin, table.endEntry),
    };
  }
  return emptyStretch(begin, firstEntry, end.slot - begin);
}

const emptyStretch = (begin: Slot, from: number, end: number): Stretch => ({
  source: { list: () => undefined },
  origin: begin,
  firstSlot: slotPlus(begin, from),
  endSlot: slotPlus(begin, end),
});
