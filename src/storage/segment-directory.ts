import { assert } from "../base/assert.ts";
import type { Position, Slot } from "../base/types.ts";
import type { IndexedSegment } from "./index-builder.ts";
import { type GroupPlace, PlaceTable } from "./places.ts";

/** What a reader knows of one segment in which entries stand: where its groups lie, or that its index says where its entries lie. */
export interface KnownSegment {
  readonly generation: number;
  readonly content:
    | { readonly kind: "indexed"; readonly begin: IndexedSegment["begin"]; readonly end: IndexedSegment["end"] }
    | { readonly kind: "places"; readonly places: PlaceTable };
}

export const beginOf = ({ content }: KnownSegment): Slot =>
  content.kind === "indexed" ? content.begin.slot : content.places.at(0).firstSlot;
export const endOf = ({ content }: KnownSegment): Slot =>
  content.kind === "indexed" ? content.end.slot : content.places.endSlot;
export const beginPositionOf = ({ content }: KnownSegment): Position =>
  content.kind === "indexed" ? content.begin.position : content.places.at(0).firstPosition;

/** The group that holds the entry of `slot`; undefined where an index says where it lies. */
export function placeOf({ content }: KnownSegment, slot: Slot): GroupPlace | undefined {
  if (content.kind === "indexed") return undefined;
  const index = content.places.findSlot(slot);
  return index === undefined ? undefined : content.places.at(index);
}

/** The segments of the log in order. An indexed one takes the same little memory, however large it is. */
export class SegmentDirectory {
  readonly #segments: KnownSegment[] = [];

  constructor(layout: readonly GroupPlace[], indexed: readonly IndexedSegment[]) {
    const standing = indexed.filter(({ begin, end }) => end.slot > begin.slot);
    let next = 0;
    const addIndexedBelow = (slot: number): void => {
      for (; next < standing.length && standing[next]!.begin.slot < slot; next += 1) {
        const { generation, begin, end } = standing[next]!;
        this.#push({ generation, content: { kind: "indexed", begin, end } });
      }
    };
    for (const place of layout) {
      addIndexedBelow(place.firstSlot);
      this.add(place);
    }
    addIndexedBelow(Number.POSITIVE_INFINITY);
  }

  get segments(): readonly KnownSegment[] {
    return this.#segments;
  }

  get last(): KnownSegment | undefined {
    return this.#segments[this.#segments.length - 1];
  }

  /** First slot that is known; 0 while none is. */
  get beginSlot(): Slot {
    const first = this.#segments[0];
    return first === undefined ? (0 as Slot) : beginOf(first);
  }

  /** After the last slot; 0 while none is known. */
  get endSlot(): Slot {
    return this.last === undefined ? (0 as Slot) : endOf(this.last);
  }

  /** Adds a place that continues the last one. */
  add(place: GroupPlace): void {
    const { last } = this;
    if (last?.generation === place.generation && last.content.kind === "places") return last.content.places.add(place);
    const places = new PlaceTable();
    places.add(place);
    this.#push({ generation: place.generation, content: { kind: "places", places } });
  }

  /** Voids every slot at or above `voidFrom`: none of an indexed segment, whose slots are decided. */
  cut(voidFrom: Slot): void {
    for (let { last } = this; last !== undefined && endOf(last) > voidFrom; { last } = this) {
      assert(last.content.kind === "places", `slot ${voidFrom} lies in an indexed segment, and is decided`);
      last.content.places.cut(voidFrom);
      if (last.content.places.length > 0) return;
      this.#segments.pop();
    }
  }

  /** Forgets everything. */
  cutAll(): void {
    this.#segments.length = 0;
  }

  /** Forgets the segments that lie wholly below `slot`. */
  dropBelow(slot: Slot): void {
    while (this.#segments[0] !== undefined && endOf(this.#segments[0]) <= slot) this.#segments.shift();
  }

  /** Replaces what is known of a segment; nothing where it is not known, or has other entries than it. */
  replace(segment: KnownSegment): void {
    const index = this.#segments.findIndex(({ generation }) => generation === segment.generation);
    const known = this.#segments[index];
    if (known === undefined || beginOf(known) !== beginOf(segment) || endOf(known) !== endOf(segment)) return;
    this.#segments[index] = segment;
  }

  /** The segment that holds the entry of `slot`; undefined outside of the log. */
  ofSlot(slot: Slot): KnownSegment | undefined {
    if (slot >= this.endSlot) return undefined;
    return this.#lastWhere((segment) => beginOf(segment) <= slot);
  }

  /** The only segment that can hold the record at `position`; undefined below the log. */
  ofPosition(position: Position): KnownSegment | undefined {
    return this.#lastWhere((segment) => beginPositionOf(segment) <= position);
  }

  /** The first segment of a later generation; undefined where there is none. */
  after(generation: number): KnownSegment | undefined {
    return this.#segments.find((segment) => segment.generation > generation);
  }

  #push(segment: KnownSegment): void {
    const { last } = this;
    assert(
      last === undefined || (last.generation < segment.generation && endOf(last) === beginOf(segment)),
      `segment ${segment.generation} does not continue the log at slot ${this.endSlot}`,
    );
    this.#segments.push(segment);
  }

  /** The last segment for which this holds; it holds for none behind the first for which it does not. */
  #lastWhere(holds: (segment: KnownSegment) => boolean): KnownSegment | undefined {
    let low = 0;
    let high = this.#segments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (holds(this.#segments[middle]!)) low = middle + 1;
      else high = middle;
    }
    return this.#segments[low - 1];
  }
}
