import type { NodeId, Slot } from "../base/types.ts";
import { compareBallots } from "./ballot.ts";
import type { Context } from "./context.ts";
import type { PromiseMessage } from "./message.ts";

/** What a quorum of Promises says about the log (docs/protocol.md, section 7, step 1). */
export type Choice =
  | {
      readonly kind: "chosen";
      readonly best: NodeId;
      /** Largest decidedEnd among the promises: the chosen log holds all below it. */
      readonly decidedEnd: Slot;
      /** Where the chosen log ends. */
      readonly end: Slot;
      /** First slot at which the own log does not certainly agree with the chosen one; `end` if there is none. */
      readonly fetchFrom: Slot;
    }
  /** The best log ends below what was decided, or differs from it: a larger ballot has decided meanwhile (C13). */
  | { readonly kind: "outranked" };

/** Chooses among promises that do not abstain; `promises` holds this node's own. */
export function chooseLog(ctx: Context, promises: ReadonlyMap<NodeId, PromiseMessage>): Choice {
  let best: [NodeId, PromiseMessage] | undefined;
  let decided: PromiseMessage | undefined;
  for (const [node, promise] of promises) {
    if (promise.abstains) continue;
    if (best === undefined || comparePromises(promise, best[1]) > 0) best = [node, promise];
    if (decided === undefined || promise.decidedEnd > decided.decidedEnd) decided = promise;
  }
  if (best === undefined || decided === undefined) return { kind: "outranked" };
  const [node, log] = best;
  if (log.acceptedEnd < decided.decidedEnd) return { kind: "outranked" };
  const hashAtDecided = hashBefore(log, decided.decidedEnd);
  if (hashAtDecided !== undefined && hashAtDecided !== decided.decidedHash) return { kind: "outranked" };
  const fetchFrom = firstDifference(ctx, log);
  if (fetchFrom === undefined) return { kind: "outranked" };
  return { kind: "chosen", best: node, decidedEnd: decided.decidedEnd, end: log.acceptedEnd, fetchFrom };
}

function comparePromises(a: PromiseMessage, b: PromiseMessage): number {
  return compareBallots(a.acceptedBallot, b.acceptedBallot) || a.acceptedEnd - b.acceptedEnd;
}

/** Hash of a promiser's log before `slot`, if its Promise shows it. */
export function hashBefore(promise: PromiseMessage, slot: Slot): string | undefined {
  if (slot === promise.decidedEnd) return promise.decidedHash;
  return promise.window[slot - 1 - promise.decidedEnd]?.hash;
}

/** Where the own log begins to differ from a promiser's; undefined if that promiser contradicts what is decided here. */
function firstDifference(ctx: Context, promise: PromiseMessage): Slot | undefined {
  const { log, decidedEnd } = ctx;
  let slot: Slot;
  if (promise.decidedEnd <= decidedEnd) {
    if (promise.acceptedEnd < decidedEnd || hashBefore(promise, decidedEnd) !== log.hashBefore(decidedEnd))
      return undefined;
    slot = decidedEnd;
  } else {
    // Its decided end lies in or beyond the own log: equal hash there means equal log up to it.
    if (log.hashBefore(promise.decidedEnd) !== promise.decidedHash) return decidedEnd;
    slot = promise.decidedEnd;
  }
  while (slot < promise.acceptedEnd && log.at(slot)?.hash === promise.window[slot - promise.decidedEnd]?.hash) {
    slot = (slot + 1) as Slot;
  }
  return slot;
}
