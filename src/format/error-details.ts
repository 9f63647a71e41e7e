/**
 * A PaxlogError on the wire: a gRPC status code, its message, and the trailer `grpc-status-details-bin`, which holds a
 * google.rpc.Status with one google.rpc.ErrorInfo:
 *
 *   domain    "paxlog"
 *   reason    the error's code
 *   metadata  "outcome" ("none" or "unknown"), "retryable" ("true" or "false"), and the error's facts
 */
import { type ErrorCode, type ErrorFacts, errorCodes, PaxlogError } from "../base/errors.ts";
import { google } from "./generated/wire.js";
import { asBuffer, decoding } from "./wire-value.ts";

/** The trailer's name. */
export const errorDetailsTrailer = "grpc-status-details-bin";

const domain = "paxlog";
const errorInfoType = "type.googleapis.com/google.rpc.ErrorInfo";

/** The numbers of gRPC's status codes that are used here. */
export const grpcStatuses = {
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
} as const;
type GrpcStatusName = keyof typeof grpcStatuses;

/**
 * For clients that know gRPC's codes only. UNAVAILABLE invites generic middleware to try again, so it stands only where nothing
 * was written; an append whose fate is not known is UNKNOWN. ABORTED is what gRPC has for "read and decide again",
 * FAILED_PRECONDITION for "do not try again until something changed".
 */
const statusNames: Readonly<Record<ErrorCode, GrpcStatusName>> = {
  INVALID_ARGUMENT: "INVALID_ARGUMENT",
  RECORD_TOO_LARGE: "INVALID_ARGUMENT",
  BATCH_TOO_LARGE: "INVALID_ARGUMENT",
  BATCH_MALFORMED: "INVALID_ARGUMENT",
  CHECKSUM_MISMATCH: "INVALID_ARGUMENT",
  GUARD_TOO_LARGE: "INVALID_ARGUMENT",
  TYPE_RESERVED: "INVALID_ARGUMENT",
  UNKNOWN_LOG: "NOT_FOUND",
  POSITION_PAST_TAIL: "OUT_OF_RANGE",
  POSITION_BELOW_HEAD: "OUT_OF_RANGE",
  HOLD_TAKEN: "FAILED_PRECONDITION",
  NOT_LEADER: "FAILED_PRECONDITION",
  LEADER_LOST: "UNAVAILABLE",
  UNAVAILABLE: "UNAVAILABLE",
  OVERLOADED: "RESOURCE_EXHAUSTED",
  NO_SPACE: "RESOURCE_EXHAUSTED",
  TAIL_MISMATCH: "ABORTED",
  FENCED: "FAILED_PRECONDITION",
  CONDITION_FAILED: "ABORTED",
  STREAM_REVISION_MISMATCH: "ABORTED",
  SESSION_UNKNOWN: "NOT_FOUND",
  SESSION_OVERFLOW: "RESOURCE_EXHAUSTED",
  SESSION_GAP: "ABORTED",
  COMMAND_MALFORMED: "INVALID_ARGUMENT",
  MACHINE_FAILED: "INTERNAL",
  MACHINE_DIFFERS: "INTERNAL",
  NONDETERMINISTIC: "INTERNAL",
  REPLY_GONE: "OUT_OF_RANGE",
  MACHINE_UNKNOWN: "NOT_FOUND",
  MACHINE_STOPPED: "FAILED_PRECONDITION",
  REPLY_TOO_LARGE: "OUT_OF_RANGE",
  CHANGES_GONE: "OUT_OF_RANGE",
  COUNTER_OUT_OF_RANGE: "OUT_OF_RANGE",
  OBJECTS_FULL: "RESOURCE_EXHAUSTED",
  SPACE_FULL: "RESOURCE_EXHAUSTED",
  TRANSACTION_TOO_LARGE: "INVALID_ARGUMENT",
  SESSION_REQUIRED: "INVALID_ARGUMENT",
  PROCEDURE_UNKNOWN: "NOT_FOUND",
  PROCEDURE_FAILED: "ABORTED",
  LEASE_TAKEN: "FAILED_PRECONDITION",
  LEASE_LOST: "FAILED_PRECONDITION",
  FOREIGN_CLUSTER: "FAILED_PRECONDITION",
  NODE_REPLACED: "FAILED_PRECONDITION",
  OLD_INCARNATION: "FAILED_PRECONDITION",
  CLUSTER_MISMATCH: "FAILED_PRECONDITION",
  MOVED: "FAILED_PRECONDITION",
  DIRECTORY_IN_USE: "FAILED_PRECONDITION",
  DIRECTORY_UNUSABLE: "FAILED_PRECONDITION",
  DAMAGED: "DATA_LOSS",
  FORMAT_UNKNOWN: "FAILED_PRECONDITION",
  STORAGE_FAILED: "INTERNAL",
  ADDRESS_IN_USE: "FAILED_PRECONDITION",
  ADDRESS_UNUSABLE: "FAILED_PRECONDITION",
  INSECURE_ADDRESS: "FAILED_PRECONDITION",
  INVARIANT_BROKEN: "INTERNAL",
  STATE_DIVERGED: "INTERNAL",
  CANCELLED: "CANCELLED",
  DEADLINE_EXCEEDED: "DEADLINE_EXCEEDED",
  CLOSED: "UNAVAILABLE",
};

/** The number of the gRPC status that carries this error. */
export function grpcStatusOf(error: PaxlogError): number {
  const name = statusNames[error.code];
  return grpcStatuses[error.outcome === "unknown" && name === "UNAVAILABLE" ? "UNKNOWN" : name];
}

/** The trailer's bytes. */
export function encodeErrorDetails(error: PaxlogError): Buffer {
  return asBuffer(google.rpc.Status.encode(errorStatusBody(error)).finish());
}

/** The google.rpc.Status of an error. Cause and stack stay here: they are for the log of the node, not for its clients. */
export function errorStatusBody(error: PaxlogError): google.rpc.Status.$Properties {
  const metadata: Record<string, string> = { outcome: error.outcome, retryable: String(error.retryable) };
  for (const [name, value] of Object.entries(error.facts)) metadata[name] = String(value);
  const info = google.rpc.ErrorInfo.encode({ reason: error.code, domain, metadata }).finish();
  return { code: grpcStatusOf(error), message: error.message, details: [{ type_url: errorInfoType, value: info }] };
}

/**
 * The error in a trailer; undefined where it holds none of ours. A code that this version does not know counts as none: the
 * caller falls back to the gRPC status.
 */
export function decodeErrorDetails(bytes: Uint8Array): PaxlogError | undefined {
  const decoded = decoding(() => errorOfStatus(google.rpc.Status.decode(bytes)));
  return decoded.kind === "ok" ? decoded.value : undefined;
}

/** As decodeErrorDetails, of a status that stands in another message. For use inside `decoding`. */
export function errorOfStatus(status: google.rpc.Status.$Properties): PaxlogError | undefined {
  for (const detail of status.details ?? []) {
    if (detail.type_url !== errorInfoType) continue;
    const info = google.rpc.ErrorInfo.decode(detail.value ?? new Uint8Array(0));
    if (info.domain === domain) return errorOf(status.message ?? "", info.reason ?? "", info.metadata ?? {});
  }
  return undefined;
}

function errorOf(message: string, reason: string, metadata: Record<string, string>): PaxlogError | undefined {
  const code = errorCodes.find((candidate) => candidate === reason);
  if (code === undefined) return undefined;
  const named = new Map(Object.entries(metadata));
  const outcome = named.get("outcome") === "unknown" ? "unknown" : "none";
  const retryable = named.get("retryable") === "true";
  return new PaxlogError(code, message, { outcome, retryable, facts: factsOf(named) });
}

/** A fact that reads as a whole number was one: the names of facts that are text (addresses, names) are never only digits. */
function factsOf(named: ReadonlyMap<string, string>): ErrorFacts {
  const facts = new Map<string, string | number>();
  for (const [name, text] of named) {
    if (name === "outcome" || name === "retryable" || name === "__proto__") continue;
    const number = Number(text);
    facts.set(name, /^\d{1,16}$/.test(text) && Number.isSafeInteger(number) ? number : text);
  }
  return Object.fromEntries(facts);
}
