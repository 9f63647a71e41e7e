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

/**
 * Sees to it that closed segments get their indexes, one at a time, in the background: one after the other while the log is calm, and
 * for a small part of the time while it grows. Until it has its index a segment is searched entry by entry.
 */
export class IndexJobs {
  readonly #options: IndexJobsOptions;
  readonly #timer: NodeJS.Timeout;
  #running: IndexJob | undefined;
  #beganMs = 0;
  /** Until then only a calm log gets its next index. */
  #restUntilMs = 0;
  /** The log's decided end at the last look: where it has not moved nobody is held up. */
  #endBefore = 0 as Slot;
  /** Since when the next segment is not there. */
  #missingSinceMs: number | undefined;

  constructor(options: IndexJobsOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#look(), limits.indexPollMs);
    // A log that nothing else holds open does not wait for its indexes.
    this.#timer.unref();
    options.reader.onIndexDamaged = (cause) => options.note(`${cause.message}; it is built again`);
  }

  built(indexed: IndexedSegment): void {
    this.#running = undefined;
    this.#options.reader.indexed(indexed);
    this.#options.onWritten(indexed.generation);
    // What is built is read from the disk that appends are synced to: under load they come first, and the indexes later.
    const now = performance.now();
    this.#restUntilMs = now + limits.indexRestFactor * (now - this.#beganMs);
    if (this.#options.decidedEnd() === this.#endBefore) this.#next();
  }

  failed(generation: number, reason: string): void {
    this.#running = undefined;
    if (!this.#options.reader.indexFailed(generation)) return;
    this.#options.note(
      `the index of segment ${generation} was not built: ${reason}. Reads of it take longer until the next start`,
    );
  }

  stop(): void {
    clearInterval(this.#timer);
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
      this.#running = reader.nextIndexJob(decidedEnd());
    } catch (cause) {
      // The segment may have been trimmed, and the word of it be on its way: a later look will know.
      this.#missingSinceMs ??= this.#beganMs;
      const isMissing = cause instanceof PaxlogError && cause.code === "POSITION_BELOW_HEAD";
      if (!isMissing || this.#beganMs - this.#missingSinceMs >= limits.segmentMissingMs) onDamaged(cause);
      return;
    }
    this.#missingSinceMs = undefined;
    if (this.#running !== undefined) build(this.#running);
  }
}
