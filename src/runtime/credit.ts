import { assert } from "../base/assert.ts";

export interface CreditBounds {
  readonly bytes: number;
  readonly count: number;
}

/**
 * Counts what was sent and not taken yet. At the soft bounds `hasRoom` turns false and streams stop reading; since each of many
 * callers may have one more in its hand, only twice the bounds are refused. The same rule as that of the queue of proposals.
 */
export class Credit {
  readonly #bounds: CreditBounds;
  #bytes = 0;
  #count = 0;
  /** True from the moment that a soft bound was met until both are half free again, so that streams do not flutter. */
  #full = false;
  #whenRoom: (() => void)[] = [];

  constructor(bounds: CreditBounds) {
    this.#bounds = bounds;
  }

  get hasRoom(): boolean {
    return !this.#full;
  }

  /** Calls back once, when there is room; at once (but never within this call) if there is. */
  whenRoom(callback: () => void): void {
    if (this.#full) this.#whenRoom.push(callback);
    else queueMicrotask(callback);
  }

  /** False if even the hard bounds are met: nothing was counted. */
  use(bytes: number): boolean {
    if (this.#count >= 2 * this.#bounds.count || this.#bytes + bytes > 2 * this.#bounds.bytes) return false;
    this.#count += 1;
    this.#bytes += bytes;
    if (this.#count >= this.#bounds.count || this.#bytes >= this.#bounds.bytes) this.#full = true;
    return true;
  }

  giveBack(count: number, bytes: number): void {
    this.#count -= count;
    this.#bytes -= bytes;
    assert(this.#count >= 0 && this.#bytes >= 0, "no more credit comes back than was used");
    if (this.#full && this.#count * 2 <= this.#bounds.count && this.#bytes * 2 <= this.#bounds.bytes) this.open();
  }

  /** Lets all that wait go on: there is room, or what they wait for will refuse them. */
  open(): void {
    this.#full = false;
    const callbacks = this.#whenRoom;
    this.#whenRoom = [];
    for (const callback of callbacks) queueMicrotask(callback);
  }
}
