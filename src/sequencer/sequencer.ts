import { assert } from "../base/assert.ts";
import { type Position, positionPlus, type Slot } from "../base/types.ts";
import type { AppendProposal } from "../core/event.ts";
import type { Sequencer, SequencerBegin, Verdict } from "../core/sequencer.ts";

/** Gives positions and times. Appends carry no guards yet, so every proposal is ordered. */
export class LogSequencer implements Sequencer {
  #nextPosition: Position | undefined;
  #time = 0;
  /** What the leader's clock is ahead of the monotonic one: fixed when it took its ballot. */
  #wallOffsetMs = 0;

  begin(at: SequencerBegin): void {
    this.#nextPosition = at.position;
    this.#time = at.time;
    this.#wallOffsetMs = at.wallMs - at.monotonicMs;
  }

  /**
   * Time is hybrid: the leader's clock, but never before the entry in front of it. That clock is the wall clock when it took its
   * ballot and monotonic time since, so a jump of the wall clock enters only with a new leader.
   */
  order(proposal: AppendProposal, at: { readonly slot: Slot; readonly monotonicMs: number }): Verdict {
    assert(this.#nextPosition !== undefined, "the sequencer orders only after it began");
    assert(proposal.recordCount >= 1, "a batch has at least one record");
    const firstPosition = this.#nextPosition;
    this.#nextPosition = positionPlus(firstPosition, proposal.recordCount);
    this.#time = Math.max(this.#time, Math.floor(this.#wallOffsetMs + at.monotonicMs));
    return { kind: "ordered", firstPosition, time: this.#time };
  }

  /** Nothing is kept for undecided slots yet. */
  decided(): void {}
}
