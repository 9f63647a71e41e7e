import type { ReadBatch, ReadRequest, ReadResponse } from "../format/api-codec.ts";
import { LogBatch, type LogBatchParts } from "./log-batch.ts";
import type { ReadPlan } from "./read-plan.ts";

/**
 * Where one read is, over all the streams that serve it. It moves only with what was handed out, and over what a node says does not
 * match: so a new stream, on any node, begins exactly behind what was delivered.
 */
export class ReadProgress {
  readonly #plan: ReadPlan;
  readonly #forward: boolean;
  /** The next position in the direction of the read; undefined while no node has said where the read begins. */
  #next: number | undefined;
  #recordsLeft: number;
  #bytesLeft: number;
  /** Anything was handed out or passed over. */
  #moved = false;

  constructor(plan: ReadPlan) {
    this.#plan = plan;
    this.#forward = plan.direction === "forward";
    this.#recordsLeft = plan.limit;
    this.#bytesLeft = plan.maxBytes;
    if (plan.start.from > 0) this.#next = plan.start.from;
  }

  /** 0 while it is not known. */
  get next(): number {
    return this.#next ?? 0;
  }

  /** Whether a node that has less of the log than this one would be behind the read. */
  get hasMoved(): boolean {
    return this.#moved;
  }

  get isOver(): boolean {
    return this.#recordsLeft <= 0 || this.#bytesLeft <= 0 || (!this.#forward && this.#moved && this.#next === 0);
  }

  /** The node has no more. */
  end(): void {
    this.#recordsLeft = 0;
  }

  /** What is still to be read, in the words of a request. */
  get rest(): Omit<ReadRequest, "logId" | "follow" | "freshness"> {
    const { start, to, toTime, direction, query } = this.#plan;
    const finite = (left: number): number => (Number.isFinite(left) ? left : 0);
    const place = this.#next === undefined ? start : { from: this.#next };
    return {
      ...place,
      to,
      toTime,
      direction,
      query,
      limit: finite(this.#recordsLeft),
      maxBytes: finite(this.#bytesLeft),
    };
  }

  /** A node took the read up at this position; 0 where it did not say. */
  begin(position: number): void {
    if (position > 0 && !this.#moved) this.#next = position;
  }

  /** The records of a batch that are due, or "none", or what is wrong with it. Nothing moves before `pass`. */
  due(stored: ReadBatch): LogBatch | "none" | "leaves out records" {
    const end = stored.firstPosition + stored.recordCount;
    // A read forward that began where a node likes begins with what it sends first.
    this.#next ??= this.#forward ? stored.firstPosition : end - 1;
    if (this.#forward ? end <= this.#next : stored.firstPosition > this.#next) return "none";
    if (stored.ordinals !== undefined) return this.#chosen(stored, stored.ordinals);
    const leavesOut = this.#forward ? stored.firstPosition > this.#next : end - 1 < this.#next;
    // With a query a node may pass over what does not match.
    if (leavesOut && this.#plan.query === undefined) return "leaves out records";
    return this.#neighbours(stored, end);
  }

  #neighbours(stored: ReadBatch, end: number): LogBatch | "none" {
    const [low, high] = this.#window(stored.firstPosition, end);
    const count = Math.min(high - low, this.#recordsLeft);
    if (count <= 0) return "none";
    const first = this.#forward ? low : high - count;
    const { batch: bytes, recordCount: encodedCount, time, session } = stored;
    const at = { begin: first - stored.firstPosition, count };
    return new LogBatch({ bytes, encodedCount, time, session, first, at });
  }

  #chosen(stored: ReadBatch, ordinals: readonly number[]): LogBatch | "none" {
    const { firstPosition, recordCount, selected = false, time, session } = stored;
    const [low, high] = this.#window(firstPosition, firstPosition + recordCount);
    const at: number[] = [];
    const positions: number[] = [];
    for (const [index, ordinal] of ordinals.entries()) {
      const position = firstPosition + ordinal;
      if (position < low || position >= high) continue;
      at.push(selected ? index : ordinal);
      positions.push(position);
    }
    const begin = this.#forward ? 0 : Math.max(0, at.length - this.#recordsLeft);
    const end = begin + Math.min(at.length, this.#recordsLeft);
    const parts: LogBatchParts = {
      bytes: stored.batch,
      encodedCount: selected ? ordinals.length : recordCount,
      time,
      session,
      first: positions[begin] ?? 0,
      at: at.slice(begin, end),
      positions: positions.slice(begin, end),
    };
    return at.length === 0 ? "none" : new LogBatch(parts);
  }

  /** The part of [begin, end) that the read has not passed and does not end before. */
  #window(begin: number, end: number): readonly [number, number] {
    const { to } = this.#plan;
    const next = this.#next!;
    return this.#forward
      ? [Math.max(begin, next), to === undefined ? end : Math.min(end, to)]
      : [to === undefined ? begin : Math.max(begin, to + 1), Math.min(end, next + 1)];
  }

  /** Takes the batch into account. False: it would be more than the bytes that were asked for, and must not be handed out. */
  pass(batch: LogBatch, stored: ReadBatch): boolean {
    if (this.#bytesLeft < this.#plan.maxBytes && stored.batch.length > this.#bytesLeft) {
      this.#bytesLeft = 0;
      return false;
    }
    this.#moved = true;
    this.#next = this.#forward ? batch.last + 1 : batch.first - 1;
    this.#recordsLeft -= batch.count;
    this.#bytesLeft -= stored.batch.length;
    return true;
  }

  /** All of an answer was handed out: what the node searched behind it, without finding anything, is passed too. */
  searched({ next = 0 }: ReadResponse): void {
    if (this.#plan.query === undefined || this.isOver) return;
    if (this.#forward ? next > this.next : next < this.next) {
      this.#moved = true;
      this.#next = next;
    }
  }
}
