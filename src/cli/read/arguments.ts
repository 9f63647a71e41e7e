import { InvalidArgumentError } from "commander";
import { PaxlogError } from "../../base/errors.ts";
import type { ReadFreshness, ReadOptions, RecordQuery } from "../../client/log.ts";
import { wholeNumber } from "../arguments.ts";

/** The flags of `paxlog read` and `paxlog tail` that say which records are meant. */
export interface SelectionFlags {
  readonly query?: RecordQuery;
  readonly type: readonly string[];
  readonly tag: readonly string[];
  readonly local?: true;
  readonly atLeast?: number;
}

/** ... and of `paxlog read` alone. */
export interface RangeFlags extends SelectionFlags {
  readonly from?: number;
  readonly since?: Date;
  readonly last?: number;
  readonly before?: number;
  readonly until?: Date;
  readonly reverse?: true;
  readonly limit?: number;
}

const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A time as an option's parser: a date, or so long ago (90s, 15m, 2h, 7d). `nowMs` is for tests. */
export function time(text: string, nowMs: number = Date.now()): Date {
  const ago = /^([0-9]+)([smhd])$/.exec(text);
  const milliseconds = ago === null ? Date.parse(text) : nowMs - Number(ago[1]) * unitMs[ago[2]!]!;
  // Date.parse takes a bare number for a year.
  if (/^[0-9]+$/.test(text) || !Number.isFinite(milliseconds) || milliseconds < 0) {
    throw new InvalidArgumentError(
      "It must be a date (2026-03-01, 2026-03-01T12:00:00Z) or so long ago (90s, 15m, 2h, 7d).",
    );
  }
  return new Date(milliseconds);
}

/** A query in JSON: one item or a list of them, each with "types" and "tags". What is in them is checked by the library. */
export function query(text: string): RecordQuery {
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === "object" && parsed !== null) return parsed as RecordQuery;
  } catch {
    // Said below.
  }
  throw new InvalidArgumentError('It must be JSON: {"types":["T"],"tags":["a","b"]}, or a list of such items.');
}

export const position = wholeNumber({ min: 1 });

/** What the flags ask for. Throws INVALID_ARGUMENT where two of them contradict each other. */
export function selectionOf(flags: SelectionFlags): Pick<ReadOptions, "query" | "freshness"> {
  const { type, tag, local, atLeast } = flags;
  const named = type.length > 0 || tag.length > 0;
  if (named && flags.query !== undefined) refuse("--query says everything: leave --type and --tag out");
  if (local && atLeast !== undefined) refuse("--local and --at-least contradict each other");
  const freshness: ReadFreshness | undefined = local ? "local" : atLeast === undefined ? undefined : { atLeast };
  return { query: flags.query ?? (named ? { types: type, tags: tag } : undefined), freshness };
}

/** Throws INVALID_ARGUMENT where two of them contradict each other. */
export function rangeOf(flags: RangeFlags): ReadOptions {
  const { from, since, last, before, until } = flags;
  if ([from, since, last].filter((each) => each !== undefined).length > 1) {
    refuse("--from, --since and --last all say where to begin: choose one");
  }
  if (before !== undefined && until !== undefined) refuse("--before and --until both say where to end: choose one");
  const chosen = flags.reverse === true ? newestFirst(flags) : oldestFirst(flags);
  return { ...selectionOf(flags), ...chosen };
}

type Range = Pick<ReadOptions, "from" | "to" | "limit" | "direction">;

function oldestFirst({ from, since, last, before, until, limit }: RangeFlags): Range {
  const start = since === undefined ? undefined : { time: since };
  const end = until === undefined ? undefined : { time: until };
  return { from: from ?? start ?? (last === undefined ? undefined : { tail: -last }), to: before ?? end, limit };
}

/** The same records in the other order: what was the first one is the last, so each end is moved by one. */
function newestFirst({ from, since, last, before, until, limit = last }: RangeFlags): Range {
  const earlier = (time: Date | undefined) => (time === undefined ? undefined : { time: time.getTime() - 1 });
  return {
    direction: "backward",
    from: before === undefined ? earlier(until) : before - 1,
    to: from === undefined ? earlier(since) : from - 1,
    // The last ten, newest first, are the first ten of a read from the end.
    limit: last === undefined ? limit : Math.min(last, limit ?? last),
  };
}

function refuse(text: string): never {
  throw new PaxlogError("INVALID_ARGUMENT", text);
}
