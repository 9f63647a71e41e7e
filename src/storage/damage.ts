import { type ErrorFacts, PaxlogError } from "../base/errors.ts";
import { DiskError } from "./disk.ts";

/** What recovery can find wrong; the fact `reason` of a DAMAGED error. Documented in docs/formats.md. */
export type DamageReason =
  // The superblock.
  | "NOT_FOUND"
  | "QUORUM_LOST"
  | "FORK"
  | "NOT_MONOTONIC"
  // Segments as files.
  | "SEGMENT_MISSING"
  | "SEGMENT_UNKNOWN"
  | "SEGMENT_DAMAGED"
  | "SEGMENT_FOREIGN"
  | "SEGMENT_TRUNCATED"
  // Groups in them.
  | "GROUP_ROTTEN"
  | "GROUP_OUT_OF_ORDER"
  | "GROUP_LOST"
  | "CHAIN_BROKEN"
  // Snapshots.
  | "SNAPSHOT_MISSING"
  | "SNAPSHOT_DAMAGED"
  // Log and superblock against each other.
  | "REPLACE_LOST"
  | "BALLOT_AHEAD"
  | "DECIDED_CUT";

const advice =
  "The node does not start on damaged data. Keep the directory for examination; start the node again on an intact copy of this same directory, or replace the member.";

/** The directory holds something that no crash can leave. Names the file, and the offset and group where there are such. */
export function damaged(reason: DamageReason, what: string, facts: ErrorFacts): PaxlogError {
  return new PaxlogError("DAMAGED", `${what} (${reason}). ${advice}`, { facts: { reason, ...facts } });
}

/** A file of a later release: nothing is guessed, nothing is skipped. */
export function formatUnknown(what: string, version: number, facts: ErrorFacts): PaxlogError {
  return new PaxlogError(
    "FORMAT_UNKNOWN",
    `${what} has format version ${version}, which this release does not know. Start the release that wrote it, or a later one.`,
    { facts: { version, ...facts } },
  );
}

/** The error of a write or sync that failed: nothing that depends on it may be told to anyone (P12). */
export function storageFailed(cause: unknown, directory: string): PaxlogError {
  const errno = cause instanceof DiskError ? cause.errno : "";
  const why = cause instanceof Error ? cause.message : String(cause);
  const full = errno === "ENOSPC" || errno === "EDQUOT" ? " Make room on the disk, then start the node again." : "";
  return new PaxlogError(
    "STORAGE_FAILED",
    `the storage in ${directory} failed and takes no more writes: ${why}.${full} What was not acknowledged may or may not be in the log.`,
    { cause, outcome: "unknown", facts: { directory, ...(errno === "" ? {} : { errno }) } },
  );
}

const unusable: ReadonlySet<string> = new Set(["EACCES", "EPERM", "EROFS", "ENOENT", "ENOTDIR", "EISDIR", "ELOOP"]);

/** What an error means that came up while the directory was opened. */
export function openingFailed(cause: unknown, directory: string): unknown {
  if (!(cause instanceof DiskError)) return cause;
  if (!unusable.has(cause.errno)) return storageFailed(cause, directory);
  return new PaxlogError(
    "DIRECTORY_UNUSABLE",
    `the directory ${directory} cannot be used: ${cause.message}. Give one that this user may read and write.`,
    { cause, facts: { directory, errno: cause.errno } },
  );
}
