import { assert } from "../base/assert.ts";
import type { Position, Slot } from "../base/types.ts";

/** Where a group with entries lies, and which of its entries stand. Crosses threads, so it holds numbers only. */
export interface GroupPlace {
  /** Of the segment. */
  readonly generation: number;
  /** Of the group's header in its file. */
  readonly offset: number;
  /** Of all its entries, in bytes, without header and padding. */
  readonly entriesLength: number;
  readonly firstSlot: Slot;
  /** After the last entry that no later REPLACE voids. */
  readonly endSlot: Slot;
  /** Position of the first record. */
  readonly firstPosition: Position;
  /** After the last record that was written; above the last that stands where a REPLACE cut the group. */
  readonly endPosition: Position;
}

/** Voids every slot at or above `voidFrom`. */
export function cutPlaces(places: GroupPlace[], voidFrom: Slot): void {
  while (places.length > 0 && places[places.length - 1]!.firstSlot >= voidFrom) places.pop();
  const last = places[places.length - 1];
  if (last !== undefined && last.endSlot > voidFrom) places[places.length - 1] = { ...last, endSlot: voidFrom };
}

const firstCapacity = 256;

/**
 * The places of a whole log, found by slot or position. One place takes 28 bytes: a place ends where the next begins, so
 * only begins are kept.
 */
export class PlaceTable {
  #count = 0;
  #firstSlots = new Float64Array(firstCapacity);
  #firstPositions = new Float64Array(firstCapacity);
  #generations = new Uint32Array(firstCapacity);
  #offsets = new Uint32Array(firstCapacity);
  #lengths = new Uint32Array(firstCapacity);
  #endSlot = 0;
  #endPosition = 0;

  get length(): number {
    return this.#count;
  }

  /** After the last slot; 0 while the table is empty. */
  get endSlot(): Slot {
    return this.#endSlot as Slot;
  }

  /** Adds a place that continues the last one. */
  add(place: GroupPlace): void {
    assert(this.#count === 0 || place.firstSlot === this.#endSlot, `a group at slot ${place.firstSlot} leaves a hole`);
    if (this.#count === this.#firstSlots.length) this.#grow();
    const index = this.#count;
    this.#firstSlots[index] = place.firstSlot;
    this.#firstPositions[index] = place.firstPosition;
    this.#generations[index] = place.generation;
    this.#offsets[index] = place.offset;
    this.#lengths[index] = place.entriesLength;
    this.#endSlot = place.endSlot;
    this.#endPosition = place.endPosition;
    this.#count += 1;
  }

  /** Voids every slot at or above `voidFrom`. */
  cut(voidFrom: Slot): void {
    if (voidFrom >= this.#endSlot) return;
    while (this.#count > 0 && this.#firstSlots[this.#count - 1]! >= voidFrom) {
      this.#count -= 1;
      this.#endPosition = this.#firstPositions[this.#count]!;
    }
    this.#endSlot = this.#count === 0 ? 0 : voidFrom;
  }

  /** Forgets the places that lie wholly below `slot`. */
  dropBelow(slot: Slot): void {
    let dropped = 0;
    while (
      dropped < this.#count &&
      (dropped + 1 < this.#count ? this.#firstSlots[dropped + 1]! : this.#endSlot) <= slot
    ) {
      dropped += 1;
    }
    if (dropped === 0) return;
    for (const column of [this.#firstSlots, this.#firstPositions, this.#generations, this.#offsets, this.#lengths]) {
      column.copyWithin(0, dropped, this.#count);
    }
    this.#count -= dropped;
  }

  at(index: number): GroupPlace {
    assert(index >= 0 && index < this.#count, `no place ${index}`);
    const last = index + 1 === this.#count;
    return {
      generation: this.#generations[index]!,
      offset: this.#offsets[index]!,
      entriesLength: this.#lengths[index]!,
      firstSlot: this.#firstSlots[index]! as Slot,
      endSlot: (last ? this.#endSlot : this.#firstSlots[index + 1]!) as Slot,
      firstPosition: this.#firstPositions[index]! as Position,
      endPosition: (last ? this.#endPosition : this.#firstPositions[index + 1]!) as Position,
    };
  }

  /** Index of the place that holds `slot`; undefined outside of the log. */
  findSlot(slot: Slot): number | undefined {
    if (slot >= this.#endSlot) return undefined;
    return lastAtOrBelow(this.#firstSlots, this.#count, slot);
  }

  /** Index of the only place that can hold the record at `position`; undefined outside of the log. */
  findPosition(position: Position): number | undefined {
    if (position >= this.#endPosition) return undefined;
    return lastAtOrBelow(this.#firstPositions, this.#count, position);
  }

  #grow(): void {
    const capacity = this.#firstSlots.length * 2;
    const grown = <T extends Float64Array | Uint32Array>(column: T, larger: T): T => {
      larger.set(column);
      return larger;
    };
    this.#firstSlots = grown(this.#firstSlots, new Float64Array(capacity));
    this.#firstPositions = grown(this.#firstPositions, new Float64Array(capacity));
    this.#generations = grown(this.#generations, new Uint32Array(capacity));
    this.#offsets = grown(this.#offsets, new Uint32Array(capacity));
    this.#lengths = grown(this.#lengths, new Uint32Array(capacity));
  }
}

/** Index of the last of `count` ascending values that is at most `value`. */
function lastAtOrBelow(values: Float64Array, count: number, value: number): number | undefined {
  let low = -1;
  let high = count;
  // Invariant: values[low] <= value < values[high], where both are there.
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (values[middle]! <= value) low = middle;
    else high = middle;
  }
  return low < 0 ? undefined : low;
}
