import { type ErrorCode, type PaxlogError, toPaxlogError } from "../base/errors.ts";

/** Stable: scripts rely on them. */
export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  unavailable: 3,
  directory: 4,
  address: 5,
  refused: 6,
  unknown: 7,
  conflict: 8,
  fenced: 9,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

export const exitCodesHelp = `
Exit codes:
  0  done
  1  failed for a reason that is none of the below
  2  wrong usage: an unknown flag, a bad value, a request that can never succeed
  3  unavailable: no node answers, no leader, overloaded, or out of time; nothing was written
  4  the directory: in use, not writable, damaged, of an unknown format, or its disk failed
  5  the address: in use, or not of this machine
  6  refused by the cluster: a wiped node, a foreign or outdated directory, other members
  7  an append's outcome is not known: it may be in the log, now or later
  8  the log is not as an append demanded: nothing was written; read, and decide again
  9  fenced: somebody with a larger token took over`;

const exitCodeOfError: Readonly<Partial<Record<ErrorCode, ExitCode>>> = {
  INVALID_ARGUMENT: exitCodes.usage,
  RECORD_TOO_LARGE: exitCodes.usage,
  BATCH_TOO_LARGE: exitCodes.usage,
  GUARD_TOO_LARGE: exitCodes.usage,
  TYPE_RESERVED: exitCodes.usage,
  UNKNOWN_LOG: exitCodes.usage,
  POSITION_PAST_TAIL: exitCodes.usage,
  POSITION_BELOW_HEAD: exitCodes.usage,
  INSECURE_ADDRESS: exitCodes.usage,
  NOT_LEADER: exitCodes.unavailable,
  LEADER_LOST: exitCodes.unavailable,
  UNAVAILABLE: exitCodes.unavailable,
  OVERLOADED: exitCodes.unavailable,
  NO_SPACE: exitCodes.unavailable,
  DEADLINE_EXCEEDED: exitCodes.unavailable,
  SESSION_OVERFLOW: exitCodes.unavailable,
  SESSION_GAP: exitCodes.unavailable,
  COMMAND_MALFORMED: exitCodes.failed,
  MACHINE_FAILED: exitCodes.failed,
  MACHINE_DIFFERS: exitCodes.failed,
  NONDETERMINISTIC: exitCodes.failed,
  REPLY_GONE: exitCodes.failed,
  MACHINE_UNKNOWN: exitCodes.usage,
  MACHINE_STOPPED: exitCodes.unavailable,
  REPLY_TOO_LARGE: exitCodes.failed,
  CHANGES_GONE: exitCodes.usage,
  COUNTER_OUT_OF_RANGE: exitCodes.conflict,
  OBJECTS_FULL: exitCodes.conflict,
  SPACE_FULL: exitCodes.conflict,
  TRANSACTION_TOO_LARGE: exitCodes.usage,
  SESSION_REQUIRED: exitCodes.usage,
  PROCEDURE_UNKNOWN: exitCodes.usage,
  PROCEDURE_FAILED: exitCodes.conflict,
  LEASE_TAKEN: exitCodes.conflict,
  LEASE_LOST: exitCodes.fenced,
  DIRECTORY_IN_USE: exitCodes.directory,
  DIRECTORY_UNUSABLE: exitCodes.directory,
  DAMAGED: exitCodes.directory,
  FORMAT_UNKNOWN: exitCodes.directory,
  STORAGE_FAILED: exitCodes.directory,
  ADDRESS_IN_USE: exitCodes.address,
  ADDRESS_UNUSABLE: exitCodes.address,
  FOREIGN_CLUSTER: exitCodes.refused,
  NODE_REPLACED: exitCodes.refused,
  OLD_INCARNATION: exitCodes.refused,
  CLUSTER_MISMATCH: exitCodes.refused,
  MOVED: exitCodes.refused,
  HOLD_TAKEN: exitCodes.conflict,
  TAIL_MISMATCH: exitCodes.conflict,
  CONDITION_FAILED: exitCodes.conflict,
  STREAM_REVISION_MISMATCH: exitCodes.conflict,
  FENCED: exitCodes.fenced,
};

export function exitCodeOf(cause: unknown): ExitCode {
  const error: PaxlogError = toPaxlogError(cause);
  if (error.outcome === "unknown" && error.code !== "STORAGE_FAILED") return exitCodes.unknown;
  return exitCodeOfError[error.code] ?? exitCodes.failed;
}
