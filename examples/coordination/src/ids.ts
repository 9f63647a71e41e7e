// Ids that nobody else hands out. A server takes a block of numbers from a counter that all share, and hands them out by itself.
import type { Counter } from "paxlog";

export class Ids {
  readonly #counter: Counter;
  readonly #blockSize: number;
  #next = 1;
  #last = 0;
  #taking: Promise<void> | undefined;

  /** What is left of a block when a server ends is never handed out: ids are unique, and have gaps. */
  constructor(counter: Counter, blockSize = 1000) {
    this.#counter = counter;
    this.#blockSize = blockSize;
  }

  async next(): Promise<number> {
    while (this.#next > this.#last) {
      this.#taking ??= this.#take();
      await this.#taking;
    }
    this.#next += 1;
    return this.#next - 1;
  }

  async #take(): Promise<void> {
    try {
      const { first, last } = await this.#counter.take(this.#blockSize);
      this.#next = first;
      this.#last = last;
    } finally {
      this.#taking = undefined;
    }
  }
}
