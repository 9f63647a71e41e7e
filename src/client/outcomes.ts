import { type ErrorCode, PaxlogError, withOutcome } from "../base/errors.ts";
import type { OutgoingBatch } from "./pending-append.ts";

/** What is wrong with a batch wherever it is sent. Anything else that refuses it is the node's trouble. */
export const batchFaults: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "INVALID_ARGUMENT",
  "RECORD_TOO_LARGE",
  "BATCH_TOO_LARGE",
  "BATCH_MALFORMED",
  "CHECKSUM_MISMATCH",
  "GUARD_TOO_LARGE",
  "TYPE_RESERVED",
  "UNKNOWN_LOG",
  "TAIL_MISMATCH",
  "FENCED",
  "CONDITION_FAILED",
  "STREAM_REVISION_MISMATCH",
  "MACHINE_UNKNOWN",
  "MACHINE_STOPPED",
]);

/** For the callers of batches whose fate nobody knows. */
export function failUnknown(batches: readonly OutgoingBatch[], cause: PaxlogError): void {
  const error = cause.outcome === "unknown" ? cause : unknownError(cause);
  for (const batch of batches) failBatch(batch, error);
}

export function failBatch(batch: OutgoingBatch, error: PaxlogError): void {
  for (const item of batch.items) item.fail(error);
}

/** What is told of a refusal is true of what was refused only; to the rest it means that their answers were lost. */
function unknownError(cause: PaxlogError): PaxlogError {
  const code = cause.code === "DEADLINE_EXCEEDED" || cause.code === "CLOSED" ? cause.code : "UNAVAILABLE";
  const message = `${cause.message}; the records were sent before and may be in the log: read it to find out`;
  return new PaxlogError(code, message, { outcome: "unknown", facts: cause.facts, cause });
}

export function queueFull(limit: number): PaxlogError {
  const message = `${limit} appends wait already and nothing of this one was taken: wait for answers before the next ones`;
  return new PaxlogError("OVERLOADED", message, { facts: { limit } });
}

/** For a caller whose records were never taken by a leader. */
export function unsentError(last: PaxlogError, deadlineMs: number): PaxlogError {
  const code = last.outcome === "none" ? last.code : "UNAVAILABLE";
  const message = `no leader took the records within ${deadlineMs} ms; nothing was written. At last: ${last.message}`;
  return new PaxlogError(code, message, { outcome: "none", facts: last.facts, cause: last });
}

/** For a caller whose records were sent again and again within a session, and got no answer in time. */
export function unansweredError(last: PaxlogError, deadlineMs: number): PaxlogError {
  const message =
    `no leader answered within ${deadlineMs} ms, although the request was sent again; it may be in the log: ` +
    `send it again with its serial, or read to find out. At last: ${last.message}`;
  return new PaxlogError("DEADLINE_EXCEEDED", message, { outcome: "unknown", facts: last.facts, cause: last });
}

/** For calls on a log that has ended. `reason`: what ended it, where nobody closed it. */
export function closedError(outcome: "none" | "unknown", reason?: PaxlogError): PaxlogError {
  if (reason !== undefined) return withOutcome(reason, outcome);
  const ending =
    outcome === "unknown" ? "before the answer came: the records may be in the log" : "nothing was written";
  return new PaxlogError("CLOSED", `the log was closed; ${ending}`, { outcome });
}

/** Why a log is over, as its signal says. */
export function endOfLog(closing: AbortSignal): PaxlogError | undefined {
  return closing.reason instanceof PaxlogError ? closing.reason : undefined;
}

/** The log does not know the batch's session. A batch that was sent once, by nobody but this library, is then certainly not there. */
export function sessionUnknown(batch: OutgoingBatch, error: PaxlogError): PaxlogError {
  const once = !batch.doubtful && batch.items[0]!.serial === undefined;
  return once ? sessionOver(error) : error;
}

/** For calls of a session that is no more: they were not sent, or surely refused. */
export function sessionOver(error: PaxlogError): PaxlogError {
  const message = `the session is no more: it expired or was closed; nothing was written. ${error.message}`;
  return new PaxlogError("SESSION_UNKNOWN", message, { outcome: "none", facts: error.facts, cause: error });
}

/** For those who hold something by a session of which the log says that it is no more. */
export function sessionLost(session: number, cause: PaxlogError): PaxlogError {
  const message = `session ${session} expired or was closed: what it held may be somebody else's by now`;
  return new PaxlogError("LEASE_LOST", message, { facts: { session }, cause });
}
