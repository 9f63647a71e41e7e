import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";

/** What nobody has ordered yet. */
export interface Queued {
  /** What it takes of the queue's room. */
  readonly bytes: number;
}

export interface ProposalQueueBounds {
  readonly bytes: number;
  readonly count: number;
}

/**
 * Proposals on their way to the core, in the order of their arrival. Bounded twice. At the soft bounds `hasRoom` turns false and
 * streams stop reading; since each of many callers may have one more in its hand, they are refused only at twice the bounds.
 */
export class ProposalQueue<T extends Queued> {
  readonly #bounds: ProposalQueueBounds;
  #waiting: T[] = [];
  /** Index of the oldest one; those before it were taken. */
  #begin = 0;
  #bytes = 0;
  /** True from the moment that a soft bound was met until both are half free again, so that streams do not flutter. */
  #full = false;
  #whenRoom: (() => void)[] = [];

  constructor(bounds: ProposalQueueBounds = { bytes: limits.proposalQueueBytes, count: limits.proposalQueueCount }) {
    this.#bounds = bounds;
  }

  get length(): number {
    return this.#waiting.length - this.#begin;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get hasRoom(): boolean {
    return !this.#full;
  }

  /** Calls back once, when there is room; at once (but never within this call) if there is. */
  whenRoom(callback: () => void): void {
    if (this.#full) this.#whenRoom.push(callback);
    else queueMicrotask(callback);
  }

  /** False if even the hard bounds are met: the caller keeps the proposal and refuses it. */
  offer(proposal: T): boolean {
    const { bytes } = proposal;
    if (this.length >= 2 * this.#bounds.count || this.#bytes + bytes > 2 * this.#bounds.bytes) return false;
    this.#waiting.push(proposal);
    this.#bytes += bytes;
    if (this.length >= this.#bounds.count || this.#bytes >= this.#bounds.bytes) this.#full = true;
    return true;
  }

  /** The oldest one, or undefined. */
  take(): T | undefined {
    const proposal = this.#waiting[this.#begin];
    if (proposal === undefined) return undefined;
    this.#begin += 1;
    this.#bytes -= proposal.bytes;
    assert(this.#bytes >= 0, "the queue of proposals counts its bytes");
    if (this.#begin === this.#waiting.length) {
      this.#waiting = [];
      this.#begin = 0;
    } else if (this.#begin >= 1024 && this.#begin * 2 > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#begin);
      this.#begin = 0;
    }
    this.#noteRoom();
    return proposal;
  }

  #noteRoom(): void {
    if (!this.#full || this.length * 2 > this.#bounds.count || this.#bytes * 2 > this.#bounds.bytes) return;
    this.#full = false;
    const callbacks = this.#whenRoom;
    this.#whenRoom = [];
    for (const callback of callbacks) queueMicrotask(callback);
  }
}
