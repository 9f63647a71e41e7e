/**
 * Every message between the threads of a node. Three threads own everything: main the handle, engine the core and all of gRPC,
 * storage the open segment and the superblock (DESIGN 5). Engine and storage talk over a port of their own; a wake-up costs tens of
 * microseconds, so each message carries all that a turn or a commit brought.
 */
import type { MessagePort } from "node:worker_threads";
import { type ErrorCode, type ErrorFacts, type Outcome, PaxlogError, toPaxlogError } from "../base/errors.ts";
import type { NodeStatus } from "../transport/backend.ts";

/** A PaxlogError as plain data: the class does not survive the way between threads. */
export interface ErrorData {
  readonly code: ErrorCode;
  readonly message: string;
  readonly outcome: Outcome;
  readonly retryable: boolean;
  readonly facts: ErrorFacts;
}

export function packError(cause: unknown, code?: ErrorCode): ErrorData {
  const error = toPaxlogError(cause, code);
  return {
    code: error.code,
    message: error.message,
    outcome: error.outcome,
    retryable: error.retryable,
    facts: error.facts,
  };
}

export function unpackError(data: ErrorData): PaxlogError {
  return new PaxlogError(data.code, data.message, data);
}
