import { assert } from "../base/assert.ts";
import type { Slot } from "../base/types.ts";
import { type Ballot, compareBallots, sameBallot, showBallot } from "./ballot.ts";
import type { Context } from "./context.ts";

/** What is compared before and after each step. The numbers are those of docs/invariants.md. */
export interface Checkpoint {
  readonly promised: Ballot;
  readonly acceptedBallot: Ballot;
  readonly decidedEnd: Slot;
  readonly visibleEnd: Slot;
}

export function checkpoint(ctx: Context): Checkpoint {
  const { promised, acceptedBallot, decidedEnd, visibleEnd } = ctx;
  return { promised, acceptedBallot, decidedEnd, visibleEnd };
}

/** What must hold between two events. */
export function checkBasic(ctx: Context): void {
  const { log, decidedEnd, flushedEnd, acceptedEnd } = ctx;
  // 1. The ends are ordered.
  assert(decidedEnd <= acceptedEnd, () => `invariant 1: decidedEnd ${decidedEnd} above acceptedEnd ${acceptedEnd}`);
  assert(flushedEnd <= acceptedEnd, () => `invariant 1: flushedEnd ${flushedEnd} above acceptedEnd ${acceptedEnd}`);
  // 2. What is undecided is in memory.
  assert(
    log.memoryBegin <= ctx.visibleEnd,
    () => `invariant 2: memory begins at ${log.memoryBegin}, above ${ctx.visibleEnd}`,
  );
  // 3. No ballot is accepted that was not promised (P4).
  assert(
    compareBallots(ctx.acceptedBallot, ctx.promised) <= 0,
    () => `invariant 3: accepted ${showBallot(ctx.acceptedBallot)} above the promise ${showBallot(ctx.promised)}`,
  );
  // 4. Who leads has promised nothing larger than its own ballot, and only ballots that it took itself (P10).
  if (ctx.role === "leader") {
    assert(ctx.promising.nodeId === ctx.self, () => `invariant 4: a leader promised ${showBallot(ctx.promising)}`);
    assert(
      compareBallots(ctx.promising, ctx.promisedAtStart) > 0,
      "invariant 4: a leader's ballot was not taken since the start",
    );
  }
}

/** What a step may never undo. */
export function checkDelta(before: Checkpoint, ctx: Context): void {
  // 5. Promises never go back (P1).
  assert(compareBallots(ctx.promised, before.promised) >= 0, "invariant 5: the promise went back");
  // 6. Accepted ballots never go back.
  assert(
    sameBallot(ctx.acceptedBallot, before.acceptedBallot) ||
      compareBallots(ctx.acceptedBallot, before.acceptedBallot) > 0,
    "invariant 6: the accepted ballot went back",
  );
  // 7. Decided and shown slots stay so.
  assert(ctx.decidedEnd >= before.decidedEnd, "invariant 7: decidedEnd went back");
  assert(ctx.visibleEnd >= before.visibleEnd, "invariant 7: visibleEnd went back");
}
