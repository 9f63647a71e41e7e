import { PaxlogError } from "../base/errors.ts";
import type { Position } from "../base/types.ts";
import type { Query } from "../core/guards.ts";
import type { Direction, FreshnessKind, ReadRequest } from "../format/api-codec.ts";
import type { LogBackend } from "./backend.ts";
import { freshen } from "./freshness.ts";
import { checkQuery } from "./guards-check.ts";

/** A read that was asked for in the words of a request, in positions. */
export interface BegunRead {
  readonly direction: Direction;
  readonly follow: boolean;
  readonly query: Query | undefined;
  /** The first position to look at. A read that has nothing to look at begins at its end. */
  readonly begin: number;
  /** Not looked at any more. Forward Infinity: it ends by something else, or never. */
  readonly end: number;
  /** Where a read that follows ends: before the first record of this time. It lies ahead of the tail. */
  readonly timeAhead: number | undefined;
  /** What the node said the tail was: a read that does not follow reaches it and is caught up. */
  readonly tail: Position;
  readonly recordsMax: number;
  readonly bytesMax: number;
  readonly freshness: FreshnessKind;
}

/**
 * Checks a request and waits until it can be answered as fresh as it asks.
 * @throws PaxlogError INVALID_ARGUMENT, POSITION_BELOW_HEAD, POSITION_PAST_TAIL, UNAVAILABLE.
 */
export async function beginRead(backend: LogBackend, request: ReadRequest, signal: AbortSignal): Promise<BegunRead> {
  const { direction = "forward", follow, query, limit, maxBytes = 0 } = request;
  if (follow && direction === "backward") {
    throw new PaxlogError(
      "INVALID_ARGUMENT",
      "a read that follows goes forward: what is to come has no order backward",
    );
  }
  if (query !== undefined) checkQuery(query);
  const freshness = await freshen(backend, request.freshness, signal);
  const bounds = backend.bounds();
  const at = { backend, request, ...bounds };
  const range = direction === "forward" ? await forwardRange(at) : await backwardRange(at);
  return {
    direction,
    follow,
    query,
    ...range,
    tail: bounds.tail,
    recordsMax: limit || Number.POSITIVE_INFINITY,
    bytesMax: maxBytes || Number.POSITIVE_INFINITY,
    freshness,
  };
}

interface At {
  readonly backend: LogBackend;
  readonly request: ReadRequest;
  readonly head: Position;
  readonly tail: Position;
}

type Range = Pick<BegunRead, "begin" | "end" | "timeAhead">;

async function forwardRange({ backend, request, head, tail }: At): Promise<Range> {
  const { from, fromTime, beforeTail, to = 0, toTime, follow } = request;
  let begin: number = from || head;
  if (fromTime !== undefined) begin = await backend.positionOfTime(fromTime);
  if (beforeTail !== undefined) begin = Math.max(head, tail - beforeTail);
  if (begin < head) throw belowHead(begin, head);
  if (begin > tail && !follow) throw pastTail(begin, tail);
  let end = follow ? Number.POSITIVE_INFINITY : tail;
  if (to > 0) end = Math.min(end, to);
  let timeAhead: number | undefined;
  if (toTime !== undefined) {
    const found = await backend.positionOfTime(toTime);
    if (found < tail) end = Math.min(end, found);
    else if (follow) timeAhead = toTime;
  }
  return { begin, end, timeAhead };
}

async function backwardRange({ backend, request, head, tail }: At): Promise<Range> {
  const { from, fromTime, beforeTail, to = 0, toTime } = request;
  let begin: number = from || tail;
  // Log time is in whole milliseconds: what is not later than a time lies before the first record that is.
  if (fromTime !== undefined) begin = (await backend.positionOfTime(fromTime + 1)) - 1;
  if (beforeTail !== undefined) begin = Math.max(head, tail - beforeTail);
  if (from > 0 && begin < head) throw belowHead(begin, head);
  if (begin > tail) throw pastTail(begin, tail);
  const ends = [to, toTime === undefined ? 0 : (await backend.positionOfTime(toTime + 1)) - 1, head - 1];
  return { begin: Math.min(begin, tail - 1), end: Math.max(...ends), timeAhead: undefined };
}

export function belowHead(from: number, head: Position): PaxlogError {
  const message = `position ${from} is below the head ${head}: those records were trimmed. Read from ${head} on`;
  return new PaxlogError("POSITION_BELOW_HEAD", message, { facts: { head } });
}

function pastTail(from: number, tail: Position): PaxlogError {
  const message = `position ${from} is past the tail ${tail}: nothing is there yet. Read from ${tail} at most, or follow`;
  return new PaxlogError("POSITION_PAST_TAIL", message, { facts: { tail } });
}
