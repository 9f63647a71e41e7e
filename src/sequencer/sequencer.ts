import { assert } from "../base/assert.ts";
import { type Position, positionPlus, type Slot } from "../base/types.ts";
import type { Proposal } from "../core/event.ts";
import type { Sequencer, Verdict } from "../core/sequencer.ts";

/** Gives positions and times. Appends carry no guards yet, so every proposal is ordered. */
export class LogSequencer implements Sequencer {
  #nextPosition: Position | undefined;
  #time = 0;

  begin(at: { readonly position: Position; readonly time: number }): void {
    this.#nextPosition = at.position;
    this.#time = at.time;
  }

  /** Time is hybrid: the leader's clock, but never before the entry in front of it. */
  order(proposal: Proposal, at: { readonly slot: Slot; readonly wallMs: number }): Verdict {
    assert(this.#nextPosition !== undefined, "the sequencer orders only after it began");
    assert(proposal.recordCount >= 1, "a batch has at least one record");
    const firstPosition = this.#nextPosition;
    this.#nextPosition = positionPlus(firstPosition, proposal.recordCount);
    this.#time = Math.max(this.#time, Math.floor(at.wallMs));
    return { kind: "ordered", firstPosition, time: this.#time };
  }

  /** Nothing is kept for undecided slots yet. */
  decided(): void {}
}
