import { assert } from "../base/assert.ts";

/** Something that happens later, unless it is cancelled before. */
export interface Timer {
  readonly atUs: number;
  cancelled: boolean;
}

interface Scheduled extends Timer {
  readonly order: number;
  readonly action: () => void;
}

/**
 * Virtual time, in whole microseconds. What is due at the same time happens in the order in which it was scheduled, so a run
 * depends on nothing but its seed.
 */
export class VirtualClock {
  #nowUs = 0;
  #order = 0;
  /** A binary heap by (atUs, order). */
  readonly #heap: Scheduled[] = [];

  get nowUs(): number {
    return this.#nowUs;
  }

  after(delayUs: number, action: () => void): Timer {
    assert(delayUs >= 0, `nothing can be scheduled ${delayUs} us from now`);
    const timer = { atUs: this.#nowUs + Math.floor(delayUs), order: this.#order, action, cancelled: false };
    this.#order += 1;
    this.#push(timer);
    return timer;
  }

  /** Lets the next thing happen. False where nothing is left at or before `untilUs`; time then stands at `untilUs`. */
  step(untilUs: number): boolean {
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.atUs > untilUs) {
        this.#nowUs = Math.max(this.#nowUs, untilUs);
        return false;
      }
      this.#pop();
      if (next.cancelled) continue;
      this.#nowUs = next.atUs;
      next.action();
      return true;
    }
  }

  #push(timer: Scheduled): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(timer);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(timer, heap[parent]!)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = timer;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = index * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
      if (!isBefore(heap[child]!, last)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
  }
}

const isBefore = (a: Scheduled, b: Scheduled): boolean => a.atUs < b.atUs || (a.atUs === b.atUs && a.order < b.order);

export const fromMs = (milliseconds: number): number => Math.round(milliseconds * 1000);
