import type { Position } from "../base/types.ts";
import type { LogHead } from "../core/durable.ts";

/** How much of the log is kept. What any part of it lets go of goes, holds excepted; undefined: that part lets go of nothing. */
export interface RetentionPolicy {
  /** Records older than this, in log time. */
  readonly ageMs: number | undefined;
  /** What the log takes on a node's disk, counted in whole segments. */
  readonly bytes: number | undefined;
  readonly records: number | undefined;
}

export interface RetainedLog {
  readonly head: LogHead;
  /** The next position. */
  readonly tail: Position;
  /** Where the segments on this disk begin, oldest first. */
  readonly segmentBegins: readonly LogHead[];
  readonly segmentBytes: number;
  /** Of the first record that is not older. */
  positionOfTime(time: number): Position;
}

/**
 * Where a TRIM may move the head by the policy: to the begin of a segment, since only whole segments give space back, and a TRIM for
 * each record would fill the log with what it lets go of. So up to a segment more than the policy asks for is kept. undefined where
 * nothing may go.
 */
export function trimFor(policy: RetentionPolicy, log: RetainedLog, wallMs: number): LogHead | undefined {
  // Behind the tail nothing is decided yet: where a segment begins there may change.
  const isVisible = ({ position }: LogHead) => position > log.head.position && position < log.tail;
  const candidates = log.segmentBegins.filter(isVisible);
  if (candidates.length === 0) return undefined;
  const wanted = Math.max(byAge(policy, log, wallMs), byRecords(policy, log), byBytes(policy, log));
  let target: LogHead | undefined;
  for (const begin of candidates) if (begin.position <= wanted) target = begin;
  return target;
}

function byAge({ ageMs }: RetentionPolicy, log: RetainedLog, wallMs: number): number {
  return ageMs === undefined ? 0 : log.positionOfTime(wallMs - ageMs);
}

const byRecords = ({ records }: RetentionPolicy, { tail }: RetainedLog): number =>
  records === undefined ? 0 : tail - records;

/** The newest segments, as many as fit, at least one. */
function byBytes({ bytes }: RetentionPolicy, { segmentBegins, segmentBytes }: RetainedLog): number {
  if (bytes === undefined) return 0;
  const kept = Math.max(1, Math.floor(bytes / segmentBytes));
  return segmentBegins[segmentBegins.length - kept]?.position ?? 0;
}
