import { assert } from "../base/assert.ts";
import { minSlot, type Slot } from "../base/types.ts";
import type { Ballot } from "../core/ballot.ts";
import type { LogBase } from "../core/durable.ts";

/** A segment with a header, as far as a trim has to know it. */
export interface SegmentSpan {
  readonly generation: number;
  /** The log's end when the segment was begun, as its header says. */
  readonly begin: LogBase;
  /** Of its first group. */
  readonly firstSequence: number;
  /** Of the last REPLACE before it. */
  readonly ballot: Ballot;
  /** The lowest slot that a group in it begins with: below `begin.slot` where a REPLACE cut what older segments hold. */
  readonly lowestSlot: Slot;
}

/** The segments of a log in their order, the open one last. */
export class SegmentList {
  #spans: SegmentSpan[];

  constructor(spans: readonly SegmentSpan[]) {
    this.#spans = [...spans];
  }

  /** The segment with which the log begins; undefined where it has none yet. */
  get first(): SegmentSpan | undefined {
    return this.#spans[0];
  }

  /** A segment was begun. */
  add(span: SegmentSpan): void {
    const last = this.#spans[this.#spans.length - 1];
    assert(last === undefined || last.generation + 1 === span.generation, "generations are dense");
    this.#spans.push(span);
  }

  /** A group that begins with `slot` was written to the last segment. */
  noteGroup(slot: Slot): void {
    const last = this.#spans.length - 1;
    const span = this.#spans[last];
    if (span !== undefined && slot < span.lowestSlot) this.#spans[last] = { ...span, lowestSlot: slot };
  }

  /**
   * The segment with which the log may begin when slots below `bound` need not be kept: the last that begins at or below it, and
   * below whose begin nothing was replaced later. Its header's begin is then the place in the chain that everybody has decided.
   */
  beginFor(bound: Slot): SegmentSpan | undefined {
    let lowest = bound;
    for (let index = this.#spans.length - 1; index >= 0; index -= 1) {
      const span = this.#spans[index]!;
      lowest = minSlot(lowest, span.lowestSlot);
      if (span.begin.slot <= lowest) return span;
    }
    return undefined;
  }

  /** Forgets the segments before this generation. */
  dropBefore(generation: number): void {
    this.#spans = this.#spans.filter((span) => span.generation >= generation);
  }
}
