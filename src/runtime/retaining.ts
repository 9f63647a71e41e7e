import { assertNever } from "../base/assert.ts";
import { PaxlogError } from "../base/errors.ts";
import type { Position, Slot } from "../base/types.ts";
import type { LogHead } from "../core/durable.ts";
import type { Hold } from "../core/retained.ts";
import type { HoldStatus } from "../format/retain-codec.ts";
import type { RetainResult } from "../transport/backend.ts";
import type { ControlAnswer } from "./proposer.ts";

/** The visible log, as far as positions are looked up in it. */
export interface VisibleLog {
  readonly head: LogHead;
  readonly tail: LogHead;
  slotOf(position: Position): Slot;
}

/**
 * Where a position stands. Below the head nothing does any more: then the slot is that of the head, and whoever judges the position
 * sees that it is below.
 *
 * @throws PaxlogError POSITION_PAST_TAIL.
 */
export function placeIn(position: Position, { head, tail, slotOf }: VisibleLog): LogHead {
  if (position > tail.position) {
    const message = `position ${position} is behind the tail ${tail.position}: nothing is there yet`;
    throw new PaxlogError("POSITION_PAST_TAIL", message, { facts: { tail: tail.position } });
  }
  if (position === tail.position) return tail;
  return { position, slot: position <= head.position ? head.slot : slotOf(position) };
}

/** The core's answer as callers get it. */
export function retainResult(answer: ControlAnswer): RetainResult {
  switch (answer.kind) {
    case "trimmed":
      return { head: answer.head, heldBy: answer.hold === undefined ? undefined : holdStatus(answer.hold) };
    case "held":
      return { hold: holdStatus(answer.hold) };
    case "dropped":
      return { existed: answer.existed };
    case "session":
    case "fenced":
      throw new PaxlogError("INVARIANT_BROKEN", `what is to be kept is answered as ${answer.kind}`);
    default:
      return assertNever(answer);
  }
}

export const holdStatus = ({ name, owner, at, expiresAt }: Hold): HoldStatus => ({
  name,
  owner,
  position: at.position,
  expiresAt,
});
