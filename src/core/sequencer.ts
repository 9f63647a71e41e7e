import type { Position, Slot } from "../base/types.ts";
import type { Entry } from "./entry.ts";
import type { AppendProposal } from "./event.ts";

/**
 * Orders proposals: gives each its position and time, and from the guards on refuses some (protocol 14). The core calls it
 * inside `step`; the leader's verdict is the log's verdict, since prevHash fixes the prefix.
 */
export interface Sequencer {
  /**
   * Forgets the overlay of an earlier ballot and starts from the log at `slot`: called when a leader enters phase accept, with
   * the undecided suffix that it took over.
   */
  begin(at: SequencerBegin): void;
  /** The verdict on a proposal for `slot`. */
  order(proposal: AppendProposal, at: { readonly slot: Slot; readonly monotonicMs: number }): Verdict;
  /** Slots below `end` are decided: the overlay below it becomes the base. */
  decided(end: Slot): void;
}

export type Verdict = { readonly kind: "ordered"; readonly firstPosition: Position; readonly time: number };

export interface SequencerBegin {
  readonly position: Position;
  readonly time: number;
  readonly suffix: readonly Entry[];
  /** Both clocks at one moment: from here on log time follows the monotonic one. */
  readonly wallMs: number;
  readonly monotonicMs: number;
}
