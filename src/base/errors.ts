/**
 * The one error class of the product. `code` is stable and documented in docs/errors.md, `retryable` says whether the same call
 * may succeed later without a change by the caller, `outcome` whether the write may have happened.
 */
export class PaxlogError extends Error {
  override readonly name = "PaxlogError";
  readonly code: ErrorCode;
  /** Whether trying the same call again may help. It does not say that trying again is safe: see `outcome`. */
  readonly retryable: boolean;
  /** "none": nothing was and nothing will be written. "unknown": the write may be in the log, now or later. */
  readonly outcome: Outcome;
  /** Facts by name, such as `leader`, `head`, `tail`, `limit`, `directory`. Only strings and numbers. */
  readonly facts: ErrorFacts;

  constructor(code: ErrorCode, message: string, options: PaxlogErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? retryableCodes.has(code);
    this.outcome = options.outcome ?? "none";
    this.facts = options.facts ?? {};
  }
}

export type Outcome = "none" | "unknown";
export type ErrorFacts = Readonly<Record<string, string | number>>;

export interface PaxlogErrorOptions {
  readonly cause?: unknown;
  readonly retryable?: boolean;
  readonly outcome?: Outcome;
  readonly facts?: ErrorFacts;
}

/** Stable: a code is never renamed and never given a second meaning. */
export const errorCodes = [
  // The request.
  "INVALID_ARGUMENT",
  "RECORD_TOO_LARGE",
  "BATCH_TOO_LARGE",
  "BATCH_MALFORMED",
  "CHECKSUM_MISMATCH",
  "GUARD_TOO_LARGE",
  "TYPE_RESERVED",
  "UNKNOWN_LOG",
  "POSITION_PAST_TAIL",
  "POSITION_BELOW_HEAD",
  "HOLD_TAKEN",
  // The cluster.
  "NOT_LEADER",
  "LEADER_LOST",
  "UNAVAILABLE",
  "OVERLOADED",
  "NO_SPACE",
  "FOREIGN_CLUSTER",
  "NODE_REPLACED",
  "OLD_INCARNATION",
  "CLUSTER_MISMATCH",
  "MOVED",
  // What an append demanded of the log.
  "TAIL_MISMATCH",
  "FENCED",
  "CONDITION_FAILED",
  "STREAM_REVISION_MISMATCH",
  "SESSION_UNKNOWN",
  "SESSION_OVERFLOW",
  "SESSION_GAP",
  // State machines on the log.
  "COMMAND_MALFORMED",
  "MACHINE_FAILED",
  "MACHINE_DIFFERS",
  "NONDETERMINISTIC",
  "REPLY_GONE",
  "MACHINE_UNKNOWN",
  "MACHINE_STOPPED",
  "REPLY_TOO_LARGE",
  "CHANGES_GONE",
  "COUNTER_OUT_OF_RANGE",
  "OBJECTS_FULL",
  "SPACE_FULL",
  "TRANSACTION_TOO_LARGE",
  "SESSION_REQUIRED",
  "PROCEDURE_UNKNOWN",
  "PROCEDURE_FAILED",
  "LEASE_TAKEN",
  "LEASE_LOST",
  // The node and its directory.
  "DIRECTORY_IN_USE",
  "DIRECTORY_UNUSABLE",
  "DAMAGED",
  "FORMAT_UNKNOWN",
  "STORAGE_FAILED",
  "ADDRESS_IN_USE",
  "ADDRESS_UNUSABLE",
  "INSECURE_ADDRESS",
  "INVARIANT_BROKEN",
  "STATE_DIVERGED",
  // The caller.
  "CANCELLED",
  "DEADLINE_EXCEEDED",
  "CLOSED",
] as const;

export type ErrorCode = (typeof errorCodes)[number];

const judgedAloneCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "TAIL_MISMATCH",
  "FENCED",
  "CONDITION_FAILED",
  "STREAM_REVISION_MISMATCH",
  "SESSION_UNKNOWN",
  "SESSION_OVERFLOW",
  "SESSION_GAP",
]);

/** Whether the error is the verdict on what one append demanded, and says nothing about other appends. */
export const isGuardVerdict = (code: ErrorCode): boolean => judgedAloneCodes.has(code);

const retryableCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "NOT_LEADER",
  "LEADER_LOST",
  "UNAVAILABLE",
  "OVERLOADED",
  "NO_SPACE",
  "SESSION_OVERFLOW",
  "MACHINE_STOPPED",
  "DEADLINE_EXCEEDED",
]);

const ownTroubleCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "STORAGE_FAILED",
  "DAMAGED",
  "STATE_DIVERGED",
  "INVARIANT_BROKEN",
]);

/** Whether the node that said so is of no use any more, which says nothing about the others. */
export const isNodesOwnTrouble = (code: ErrorCode): boolean => ownTroubleCodes.has(code);

/** The same error for calls of which it is known, or not known, that nothing was written. */
export function withOutcome(error: PaxlogError, outcome: Outcome): PaxlogError {
  const { retryable, facts } = error;
  return new PaxlogError(error.code, error.message, { cause: error, outcome, retryable, facts });
}

/** The error as it is, or wrapped: what the public surface throws is always a PaxlogError. */
export function toPaxlogError(cause: unknown, code: ErrorCode = "INVARIANT_BROKEN"): PaxlogError {
  if (cause instanceof PaxlogError) return cause;
  return new PaxlogError(code, cause instanceof Error ? cause.message : String(cause), { cause });
}
