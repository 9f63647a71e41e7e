import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Slot } from "../base/types.ts";
import type { IndexedSegment, IndexJob } from "../storage/index-builder.ts";
import type { LogReader } from "../storage/reader.ts";

export interface IndexJobsOptions {
  readonly reader: LogReader;
  readonly decidedEnd: () => Slot;
  /** Has an index built on another thread; `built` or `failed` follows. */
  readonly build: (job: IndexJob) => void;
  /** An index was written: for whoever counts the directory's bytes. */
  readonly onWritten: (generation: number) => void;
  /** For people. */
  readonly note: (text: string) => void;
  /** What cannot be read, though it was durable. */
  readonly onDamaged: (cause: unknown) => void;
}

interface Wanted {
  readonly job: IndexJob;
  readonly settled: Promise<void>;
  settle(): void;
}

/**
 * Sees to it that closed segments get their indexes, one at a time, in the background: one after the other while the log is calm, and
 * for a small part of the time while it grows. Until it has its index a segment is searched entry by entry.
 */
export class IndexJobs {
  readonly #options: IndexJobsOptions;
  readonly #timer: NodeJS.Timeout;
  #running: IndexJob | undefined;
  /** Segments whose index somebody waits for, by generation, the longest waiting first: they come before all others. */
  readonly #wanted = new Map<number, Wanted>();
  #beganMs = 0;
  /** Until then only a calm log gets its next index. */
  #restUntilMs = 0;
  /** The log's decided end at the last look: where it has not moved nobody is held up. */
  #endBefore = 0 as Slot;
  /** Since when the next segment is not there. */
  #missingSinceMs: number | undefined;
  #isStopped = false;

  constructor(options: IndexJobsOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#look(), limits.indexPollMs);
    // A log that nothing else holds open does not wait for its indexes.
    this.#timer.unref();
    options.reader.onIndexDamaged = (cause) => options.note(`${cause.message}; it is built again`);
  }

  /**
   * Resolves once the segment that holds `slot` has its index, or it is sure that it gets none, or after limits.indexWaitMs. undefined
   * where there is nothing to wait for: it has one, or it is open. Whoever would search it had better wait: without an index
   * its entries are read one by one on the engine's thread.
   */
  missingAt(slot: Slot): Promise<void> | undefined {
    const job = this.#isStopped ? undefined : this.#options.reader.indexJobAt(slot, this.#options.decidedEnd());
    if (job === undefined) return undefined;
    const wanted = this.#wanted.get(job.generation) ?? wantedOf(job);
    this.#wanted.set(job.generation, wanted);
    this.#next();
    return settledIn(wanted.settled, limits.indexWaitMs);
  }

  built(indexed: IndexedSegment): void {
    this.#running = undefined;
    this.#options.reader.indexed(indexed);
    this.#options.onWritten(indexed.generation);
    this.#settle(indexed.generation);
    // What is built is read from the disk that appends are synced to: under load they come first, and the indexes later.
    const now = performance.now();
    this.#restUntilMs = now + limits.indexRestFactor * (now - this.#beganMs);
    if (this.#wanted.size > 0 || this.#options.decidedEnd() === this.#endBefore) this.#next();
  }

  failed(generation: number, reason: string): void {
    this.#running = undefined;
    const isKnown = this.#options.reader.indexFailed(generation);
    this.#settle(generation);
    if (this.#wanted.size > 0) this.#next();
    if (!isKnown) return;
    this.#options.note(
      `the index of segment ${generation} was not built: ${reason}. Reads of it take longer until the next start`,
    );
  }

  stop(): void {
    this.#isStopped = true;
    clearInterval(this.#timer);
    for (const generation of [...this.#wanted.keys()]) this.#settle(generation);
  }

  #settle(generation: number): void {
    this.#wanted.get(generation)?.settle();
    this.#wanted.delete(generation);
  }

  #look(): void {
    const end = this.#options.decidedEnd();
    const isCalm = end === this.#endBefore;
    this.#endBefore = end;
    if (isCalm || performance.now() >= this.#restUntilMs) this.#next();
  }

  #next(): void {
    if (this.#running !== undefined) return;
    this.#beganMs = performance.now();
    const { reader, decidedEnd, build, onDamaged } = this.#options;
    try {
      this.#running = this.#firstWanted() ?? reader.nextIndexJob(decidedEnd());
    } catch (cause) {
      // The segment may have been trimmed, and the word of it be on its way: a later look will know.
      this.#missingSinceMs ??= this.#beganMs;
      for (const generation of [...this.#wanted.keys()]) this.#settle(generation);
      const isMissing = cause instanceof PaxlogError && cause.code === "POSITION_BELOW_HEAD";
      if (!isMissing || this.#beganMs - this.#missingSinceMs >= limits.segmentMissingMs) onDamaged(cause);
      return;
    }
    this.#missingSinceMs = undefined;
    if (this.#running !== undefined) build(this.#running);
  }

  /** Of those that are still there. */
  #firstWanted(): IndexJob | undefined {
    for (const { job } of this.#wanted.values()) {
      const stillThere = this.#options.reader.indexJobAt(job.begin.slot, this.#options.decidedEnd());
      if (stillThere?.generation === job.generation) return stillThere;
      this.#settle(job.generation);
    }
    return undefined;
  }
}

function wantedOf(job: IndexJob): Wanted {
  let settle: () => void = () => {};
  const settled = new Promise<void>((resolve) => {
    settle = resolve;
  });
  return { job, settled, settle };
}

/** Resolves with the promise, or after the time. */
function settledIn(promise: Promise<void>, milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    void promise.then(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
