import type { Slot } from "../base/types.ts";

/** Which entries are asked about: [from, end), looked at from its begin or from its end. */
export interface CandidateRange {
  readonly from: Slot;
  readonly end: Slot;
  readonly direction: "forward" | "backward";
}

/** One piece of an answer. Whoever wants the rest asks again: from `searchedTo` on, or, backward, for what ends there. */
export interface Candidates {
  /** Slots of entries that may match, in the order of the direction: the entries themselves are the truth. */
  readonly slots: readonly Slot[];
  /** Forward: nothing in [from, searchedTo) matches but in these slots. Backward: nothing in [searchedTo, end). */
  readonly searchedTo: Slot;
}
