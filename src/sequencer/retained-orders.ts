import { limits } from "../base/limits.ts";
import type { AppendAnswer } from "../core/effect.ts";
import type { DropHoldProposal, PutHoldProposal, TrimProposal } from "../core/event.ts";
import { type Hold, holdBefore } from "../core/retained.ts";
import { encodeHold, encodeTrim } from "./retained-control.ts";
import type { RetainedState } from "./retained-state.ts";

/** What becomes of a proposal: an entry with this content, or the answer alone. */
export type RetainedOrder =
  | {
      readonly kind: "entry";
      readonly entry: "trim" | "hold";
      readonly content: Uint8Array;
      readonly answer: AppendAnswer;
    }
  | { readonly kind: "answer"; readonly answer: AppendAnswer };

/** To where it may go: a hold on the way stops it, and where the head is behind that already nothing is ordered. */
export function orderTrim({ ordered }: RetainedState, { to }: TrimProposal): RetainedOrder {
  const hold = holdBefore(ordered.holds, to.position);
  const head = hold === undefined ? to : hold.at;
  if (head.position <= ordered.head.position) {
    return { kind: "answer", answer: { kind: "trimmed", head: ordered.head.position, hold } };
  }
  const answer = { kind: "trimmed", head: head.position, hold } as const;
  return { kind: "entry", entry: "trim", content: encodeTrim(head), answer };
}

/** `time` is that of the entry. */
export function orderPutHold(state: RetainedState, proposal: PutHoldProposal, time: number): RetainedOrder {
  const { name, owner, at, ttlMs } = proposal;
  const { head, holds } = state.ordered;
  const known = state.holdOf(name);
  if (known !== undefined && known.owner !== owner) {
    return { kind: "answer", answer: { kind: "holdTaken", owner: known.owner } };
  }
  if (at.position < head.position) return { kind: "answer", answer: { kind: "belowHead", head: head.position } };
  if (known === undefined && holds.length >= limits.holdsMax) {
    return { kind: "answer", answer: { kind: "failed", code: "OVERLOADED", outcome: "none" } };
  }
  const hold: Hold = { name, owner, at, expiresAt: time + holdTtl(ttlMs) };
  return { kind: "entry", entry: "hold", content: encodeHold({ op: "put", hold }), answer: { kind: "held", hold } };
}

export function orderDropHold(state: RetainedState, { name }: DropHoldProposal): RetainedOrder {
  if (state.holdOf(name) === undefined) return { kind: "answer", answer: { kind: "dropped", existed: false } };
  const answer = { kind: "dropped", existed: true } as const;
  return { kind: "entry", entry: "hold", content: encodeHold({ op: "drop", name }), answer };
}

/** A time to live within its limits. */
export const holdTtl = (ttlMs: number): number =>
  Math.min(limits.holdTtlMsMax, Math.max(limits.holdTtlMsMin, Math.floor(ttlMs)));
