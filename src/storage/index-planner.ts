import type { Slot } from "../base/types.ts";
import type { LogBase } from "../core/durable.ts";
import type { IndexedSegment, IndexJob } from "./index-builder.ts";
import { beginOf, type SegmentDirectory } from "./segment-directory.ts";

/** Says whose index is to be built next: that of the oldest closed segment without one whose slots are all decided. */
export class IndexPlanner {
  readonly #directory: SegmentDirectory;
  /** The chain before an entry that stands; undefined where it cannot be read. */
  readonly #baseAt: (slot: Slot) => LogBase | undefined;
  /** Generations that are indexed, or of which nobody could make an index. */
  readonly #settled: Set<number>;
  #next = 0;
  #first = 0;

  constructor(
    directory: SegmentDirectory,
    indexed: readonly IndexedSegment[],
    baseAt: (slot: Slot) => LogBase | undefined,
  ) {
    this.#directory = directory;
    this.#settled = new Set(indexed.map(({ generation }) => generation));
    this.#baseAt = baseAt;
  }

  next(decidedEnd: Slot): IndexJob | undefined {
    const { segments, last } = this.#directory;
    if (segments[0] === undefined || last === undefined) return undefined;
    const generation = this.#firstUnsettled(segments[0].generation);
    // The open segment is the last one; one without entries that stand may lie anywhere before it.
    return generation < last.generation ? this.#jobOf(generation, decidedEnd) : undefined;
  }

  /** The job for the segment that holds a slot; undefined where it is open or not all decided, has an index or will get none. */
  jobAt(slot: Slot, decidedEnd: Slot): IndexJob | undefined {
    const segment = this.#directory.ofSlot(slot);
    if (segment === undefined || segment.content.kind === "indexed") return undefined;
    return this.#settled.has(segment.generation) ? undefined : this.#jobOf(segment.generation, decidedEnd);
  }

  #jobOf(generation: number, decidedEnd: Slot): IndexJob | undefined {
    const later = this.#directory.after(generation);
    if (later === undefined) return undefined;
    const endSlot = beginOf(later);
    if (endSlot > decidedEnd) return undefined;
    const segment = this.#directory.segments.find((other) => other.generation >= generation);
    const begin = segment === undefined ? undefined : this.#baseAt(beginOf(segment));
    return begin === undefined ? undefined : { generation, begin, endSlot };
  }

  /** Its index is there, or cannot be built before the next start. */
  settle(generation: number): void {
    this.#settled.add(generation);
  }

  /** Its index is to be built again. */
  unsettle(generation: number): void {
    this.#settled.delete(generation);
    this.#next = Math.min(this.#next, generation);
  }

  #firstUnsettled(first: number): number {
    // What was trimmed is forgotten.
    for (; this.#first < first; this.#first += 1) this.#settled.delete(this.#first);
    this.#next = Math.max(this.#next, first);
    while (this.#settled.has(this.#next)) this.#next += 1;
    return this.#next;
  }
}
