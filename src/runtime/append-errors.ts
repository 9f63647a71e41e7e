import { assertNever } from "../base/assert.ts";
import { type ErrorFacts, PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Guards, Refusal } from "../core/guards.ts";

/** Nothing was ordered: the caller goes to the leader, where one is known. */
export function notLeader(name: string, leaderAddress: string | undefined): PaxlogError {
  if (leaderAddress === undefined) {
    return new PaxlogError("NOT_LEADER", `node ${name} does not lead and knows no leader; try again shortly`);
  }
  return new PaxlogError("NOT_LEADER", `node ${name} does not lead; append to ${leaderAddress}`, {
    facts: { leader: leaderAddress },
  });
}

/** A new cluster begins when all of its nodes have met, not a majority: nobody may come later with another idea of who they are. */
export function notBegun(name: string, missing: readonly string[]): PaxlogError {
  const names = missing.join(", ");
  const message = `the cluster has not begun: node ${name} has not met ${names} yet; a new cluster needs all of its nodes to run once`;
  return new PaxlogError("NOT_LEADER", message, { facts: { missing: names } });
}

/** It was ordered and may have reached a majority. */
export function leaderLost(name: string): PaxlogError {
  const message = `node ${name} lost its leadership before this append was decided: it may be in the log, now or later; read to find out`;
  return new PaxlogError("LEADER_LOST", message, { outcome: "unknown" });
}

/** Neither the queue nor the window has room. */
export function overloaded(name: string): PaxlogError {
  return new PaxlogError(
    "OVERLOADED",
    `node ${name} has no room for more appends; wait for answers before sending the next ones`,
  );
}

/** The leader's disk is full and a follower's is not: it leads in a moment. */
export function givesWay(name: string): PaxlogError {
  return new PaxlogError(
    "NOT_LEADER",
    `the disk of node ${name} is full and it gives its leadership up; try again shortly`,
  );
}

/**
 * The disk or quota of the leader is full, or those of so many nodes that no majority has room. What makes room goes on: trims, holds,
 * votes, reads.
 */
export function noSpace(name: string): PaxlogError {
  const message = `the disk of node ${name}, or its quota, is full, or those of too many others: trim the log or make room, and appends go on without more ado`;
  return new PaxlogError("NO_SPACE", message, { facts: { node: name } });
}

/** The session is not known, or does not know the request any more: it may have landed while it did. */
export function sessionUnknown(): PaxlogError {
  const message =
    "the session expired or was closed, or the request is too old: whether it landed is not known; read to find out";
  return new PaxlogError("SESSION_UNKNOWN", message, { outcome: "unknown" });
}

export function sessionOverflow(): PaxlogError {
  const message = `a session has at most ${limits.sessionWindow} requests in flight; wait for answers before sending the next ones`;
  return new PaxlogError("SESSION_OVERFLOW", message, { facts: { limit: limits.sessionWindow } });
}

/** A later request of the session was ordered first, so this one never was and never will be. */
export function sessionGap(): PaxlogError {
  const message =
    "a later request of the session was ordered before this one, which is not in the log and never will be";
  return new PaxlogError("SESSION_GAP", message);
}

/** A guard did not hold: which, what was demanded, and what the sequencer saw. */
export function guardRefused(refusal: Refusal, guards: Guards | undefined): PaxlogError {
  const { guard, index, actual, tail } = refusal;
  const facts: ErrorFacts = { guard, index, tail };
  switch (guard) {
    case "expectedTail":
      return tailMismatch(guards?.expectedTail ?? 0, actual, facts);
    case "fencingToken":
      return fenced(guards?.fencingToken ?? 0, actual, facts);
    case "condition": {
      const message = `a record at position ${actual} matches condition ${index}: read from there and decide again`;
      return new PaxlogError("CONDITION_FAILED", message, { facts: { ...facts, position: actual } });
    }
    case "stream": {
      const { tag = "", expected = 0 } = guards?.streams?.[index] ?? {};
      const seen = actual === 0 ? "has no record" : `has its last record at ${actual}`;
      const message = `stream "${tag}" ${seen}, expected was ${expected}: read what is new and decide again`;
      return new PaxlogError("STREAM_REVISION_MISMATCH", message, { facts: { ...facts, tag, expected, actual } });
    }
    default:
      return assertNever(guard);
  }
}

/** The only thing that a request which is no append can be refused for: its fence is below the log's. */
export function fenceRefused(refusal: Refusal, token: number): PaxlogError {
  const { guard, index, actual, tail } = refusal;
  return fenced(token, actual, { guard, index, tail });
}

/** A hold may be put only where everything is still there. */
export function holdBelowHead(head: number): PaxlogError {
  const message = `the log begins at ${head}: what the hold asks for is trimmed already`;
  return new PaxlogError("POSITION_BELOW_HEAD", message, { facts: { head } });
}

export function holdTaken(proposal: { readonly kind: string } | undefined, owner: string): PaxlogError {
  const name = proposal !== undefined && "name" in proposal ? String(proposal.name) : "";
  return new PaxlogError("HOLD_TAKEN", `the hold "${name}" belongs to "${owner}"`, { facts: { name, owner } });
}

function tailMismatch(expected: number, actual: number, facts: ErrorFacts): PaxlogError {
  const message = `the tail is ${actual}, expected was ${expected}: read what is new and decide again`;
  return new PaxlogError("TAIL_MISMATCH", message, { facts: { ...facts, expected, actual } });
}

function fenced(token: number, fence: number, facts: ErrorFacts): PaxlogError {
  const message = `the log's fence is ${fence}, above the token ${token}: somebody took over, stop writing`;
  return new PaxlogError("FENCED", message, { facts: { ...facts, token, fence } });
}
