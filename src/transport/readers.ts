import { limits } from "../base/limits.ts";
import { ReadTurns } from "./read-turns.ts";

/** A message to a read of everything that stands at the tail: all of those that stand there get the same. */
export interface LiveMessage {
  readonly from: number;
  readonly next: number;
  readonly head: number;
  readonly tail: number;
  readonly bytes: Buffer;
}

/**
 * What the reads of one node share: the memory for what their callers have not taken yet, the time of their thread, and the clock of
 * their heartbeats. Ten thousand idle readers have one timer between them.
 */
export class Readers {
  readonly turns = new ReadTurns();
  /** The last one that was made: what ten readers wait for is read and encoded once. */
  live: LiveMessage | undefined;
  /** Handed to streams and not yet taken by their sockets. */
  #waitingBytes = 0;
  readonly #beats: readonly Set<() => void>[] = Array.from({ length: beatsPerPeriod }, () => new Set());
  #beatCount = 0;
  /** The bucket whose turn comes next. */
  #next = 0;
  #timer: NodeJS.Timeout | undefined;

  /**
   * How much one reader may have waiting: plenty while there is plenty, a share of what is left otherwise, and always a little. So
   * all of them together stay within limits.readersBufferBytes and that little for each, and those that stall first cannot shut
   * out the rest.
   */
  get bufferBytes(): number {
    const left = Math.max(0, limits.readersBufferBytes - this.#waitingBytes);
    return Math.max(limits.readerBufferBytesMin, Math.min(limits.readerBufferBytes, left / 8));
  }

  /** Adds to what waits; less than nothing once it was taken. */
  wait(bytes: number): void {
    this.#waitingBytes += bytes;
  }

  /** Calls back about every limits.readHeartbeatMs, less often where there are very many, until the returned function is called. */
  onBeat(beat: () => void): () => void {
    const bucket = this.#beats[(this.#next + beatsPerPeriod - 1) % beatsPerPeriod]!;
    bucket.add(beat);
    this.#beatCount += 1;
    // What is read holds the process, not the clock.
    this.#timer ??= this.#nextTick();
    return () => {
      if (!bucket.delete(beat)) return;
      this.#beatCount -= 1;
      if (this.#beatCount > 0) return;
      clearTimeout(this.#timer);
      this.#timer = undefined;
    };
  }

  /** Sooner or later after the last one, as there are few or many to be told. */
  #nextTick(): NodeJS.Timeout {
    const periodMs = Math.max(limits.readHeartbeatMs, (1000 * this.#beatCount) / limits.readHeartbeatsPerSecond);
    return setTimeout(() => this.#tick(), Math.min(periodMs, limits.readHeartbeatMsMax) / beatsPerPeriod).unref();
  }

  #tick(): void {
    const bucket = this.#beats[this.#next]!;
    this.#next = (this.#next + 1) % beatsPerPeriod;
    for (const beat of [...bucket]) beat();
    if (this.#timer !== undefined) this.#timer = this.#nextTick();
  }
}

/** Readers hear their heartbeats spread over the period, so that ten thousand of them are no burst. */
const beatsPerPeriod = 32;
