import type { Commit } from "../storage/commit.ts";
import type { StoreWrite } from "../storage/write.ts";
import { fromMs, type VirtualClock } from "./clock.ts";
import type { Random } from "./random.ts";
import type { SimDisk } from "./sim-disk.ts";

/** What the simulator needs of a store: the real one, opened over a simulated disk. */
export interface OpenedStore {
  /** Whether something waits for `commit`. */
  readonly pending: boolean;
  submit(write: StoreWrite): void;
  /** Makes the next unit of what was submitted durable, or a piece of what waits for such a moment; what is to be told of it. */
  commit(): Commit | undefined;
  /** Writes a MARK group, if the last group is not proven durable yet. */
  mark(): void;
}

/** How slow the disk is. Rates are probabilities for each commit, times are microseconds. */
export interface DiskConditions {
  readonly syncMinUs: number;
  readonly syncMeanUs: number;
  readonly stallRate: number;
  readonly stallMaxUs: number;
}

export const fastDisk: DiskConditions = { syncMinUs: 100, syncMeanUs: 400, stallRate: 0, stallMaxUs: 0 };

const markIdleUs = fromMs(10);

/**
 * The storage thread of a simulated node: one commit at a time, which takes virtual time; what is submitted meanwhile gathers for
 * the next. The work on the disk is done at the begin or at the end of that time, so that a crash finds it done, not
 * begun, or, at the node's last moment, in the middle of any of its operations.
 */
export class SimStorage {
  readonly #clock: VirtualClock;
  readonly #random: Random;
  readonly #disk: SimDisk;
  readonly #store: OpenedStore;
  readonly #conditions: () => DiskConditions;
  readonly #onCommit: (commit: Commit) => void;
  /** The power failed while the store worked. */
  readonly #onCrash: () => void;
  /** The commit that runs, if its work on the disk is not done yet. */
  #unfinished: (() => void) | undefined;
  #isBusy = false;
  #isClosed = false;
  #idleGeneration = 0;

  constructor(options: {
    readonly clock: VirtualClock;
    readonly random: Random;
    readonly disk: SimDisk;
    readonly store: OpenedStore;
    readonly conditions: () => DiskConditions;
    readonly onCommit: (commit: Commit) => void;
    readonly onCrash: () => void;
  }) {
    this.#clock = options.clock;
    this.#random = options.random;
    this.#disk = options.disk;
    this.#store = options.store;
    this.#conditions = options.conditions;
    this.#onCommit = options.onCommit;
    this.#onCrash = options.onCrash;
  }

  submit(writes: readonly StoreWrite[]): void {
    if (this.#isClosed) return;
    for (const write of writes) this.#store.submit(write);
    this.#commitNext();
  }

  /**
   * The process dies. A commit whose work was not done may have come as far as any of its operations: it is run into a power
   * failure on the way.
   */
  kill(): void {
    this.#isClosed = true;
    const work = this.#unfinished;
    if (work === undefined || this.#disk.crashed || this.#random.chance(0.3)) return;
    this.#disk.crashAfter(this.#random.between(1, 6));
    try {
      work();
    } catch (error) {
      if (!this.#disk.crashed) throw error;
    }
  }

  #commitNext(): void {
    if (this.#isBusy || this.#isClosed || !this.#store.pending) return;
    this.#isBusy = true;
    this.#idleGeneration += 1;
    this.#run(
      () => this.#store.commit(),
      (commit) => {
        if (commit !== undefined) this.#onCommit(commit);
        if (!this.#store.pending) this.#markWhenIdle();
      },
    );
  }

  #markWhenIdle(): void {
    const generation = this.#idleGeneration;
    this.#clock.after(markIdleUs, () => {
      if (this.#isBusy || this.#isClosed || generation !== this.#idleGeneration) return;
      this.#isBusy = true;
      this.#run(
        () => this.#store.mark(),
        () => {},
      );
    });
  }

  /** Does the work at the begin or the end of the time that it takes, then tells, then goes on with what gathered. */
  #run<T>(work: () => T, done: (result: T) => void): void {
    const { syncMinUs, syncMeanUs, stallRate, stallMaxUs } = this.#conditions();
    let durationUs = syncMinUs + Math.floor(this.#random.exponential(syncMeanUs));
    if (this.#random.chance(stallRate)) durationUs += this.#random.below(stallMaxUs + 1);
    const early = this.#random.chance(0.5) ? this.#attempt(work) : undefined;
    if (early === "crashed") return;
    if (early === undefined) this.#unfinished = work;
    this.#clock.after(durationUs, () => {
      if (this.#isClosed) return;
      this.#unfinished = undefined;
      const result = early ?? this.#attempt(work);
      if (result === "crashed") return;
      this.#isBusy = false;
      done(result.value);
      this.#commitNext();
    });
  }

  #attempt<T>(work: () => T): { readonly value: T } | "crashed" {
    try {
      return { value: work() };
    } catch (error) {
      if (!this.#disk.crashed) throw error;
      this.#isClosed = true;
      // Not from within: whoever submitted is in the middle of a turn.
      this.#clock.after(0, this.#onCrash);
      return "crashed";
    }
  }
}
