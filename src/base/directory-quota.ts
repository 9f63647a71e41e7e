/**
 * What the files of a data directory take, of what they may take, in bytes: in memory that all threads share which write there. Each
 * takes what it needs before it writes, so that together they never pass the quota, and gives back what it removed.
 */
export class DirectoryQuota {
  readonly memory: SharedArrayBuffer;
  readonly #cells: BigInt64Array;

  /** `quota`: bytes from 1 on, or the memory of another thread's; without one there is no limit. */
  constructor(quota: number | SharedArrayBuffer = Number.MAX_SAFE_INTEGER) {
    this.memory = typeof quota === "number" ? new SharedArrayBuffer(2 * BigInt64Array.BYTES_PER_ELEMENT) : quota;
    this.#cells = new BigInt64Array(this.memory);
    if (typeof quota === "number") this.#cells[cell.quota] = BigInt(Math.min(quota, Number.MAX_SAFE_INTEGER));
  }

  get quotaBytes(): number {
    return Number(this.#cells[cell.quota]);
  }

  get usedBytes(): number {
    return Number(Atomics.load(this.#cells, cell.used));
  }

  /** Counts so many bytes more, 1 or more. False, and nothing is counted, where that would pass the quota. */
  take(bytes: number): boolean {
    const quota = this.#cells[cell.quota]!;
    for (let used = Atomics.load(this.#cells, cell.used); used + BigInt(bytes) <= quota; ) {
      const before = Atomics.compareExchange(this.#cells, cell.used, used, used + BigInt(bytes));
      if (before === used) return true;
      used = before;
    }
    return false;
  }

  /** Counts what is there already, or, where negative, what is there no more. */
  add(bytes: number): void {
    Atomics.add(this.#cells, cell.used, BigInt(bytes));
  }
}

const cell = { quota: 0, used: 1 } as const;
