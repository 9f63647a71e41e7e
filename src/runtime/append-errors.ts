import { type Outcome, PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";

/** Nothing was ordered: the caller goes to the leader, where one is known. */
export function notLeader(name: string, leaderAddress: string | undefined): PaxlogError {
  if (leaderAddress === undefined) {
    return new PaxlogError("NOT_LEADER", `node ${name} does not lead and knows no leader; try again shortly`);
  }
  return new PaxlogError("NOT_LEADER", `node ${name} does not lead; append to ${leaderAddress}`, {
    facts: { leader: leaderAddress },
  });
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

export function sessionGap(): PaxlogError {
  const message = "the session's requests before this one have not arrived; send what is unanswered again, in order";
  return new PaxlogError("SESSION_GAP", message);
}

/** The same error for calls of which it is known, or not known, that nothing was written. */
export function withOutcome(error: PaxlogError, outcome: Outcome): PaxlogError {
  const { retryable, facts } = error;
  return new PaxlogError(error.code, error.message, { cause: error, outcome, retryable, facts });
}
