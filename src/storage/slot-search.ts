import { limits } from "../base/limits.ts";
import { anyHash, type TagHash } from "../base/tag-hash.ts";
import type { QueryHashes } from "../format/batch-match.ts";

export type Direction = "forward" | "backward";

/** The entries that bear one hash, by number, ascending. */
export interface PostingList {
  readonly count: number;
  at(index: number): number;
}

/** Which entries of a range bear which hashes. */
export interface PostingSource {
  list(hash: Readonly<TagHash>): PostingList | undefined;
}

/** What a search may still spend before its piece ends. */
export interface SearchBudget {
  steps: number;
  found: number;
}

export const newBudget = (): SearchBudget => ({ steps: limits.candidateStepsMax, found: limits.candidateSlotsMax });

/**
 * Takes the entries in [from, end) that may match, in the order of `direction`, as far as the budget goes. Returns how far it came:
 * forward, nothing in [from, result) matches but what was taken; backward, nothing in [result, end).
 */
export function searchPostings(
  source: PostingSource,
  query: QueryHashes,
  range: { readonly from: number; readonly end: number; readonly direction: Direction },
  budget: SearchBudget,
  take: (entry: number) => void,
): number {
  const { from, end, direction } = range;
  const [begin, step, last] = direction === "forward" ? [from, 1, end - 1] : [end - 1, -1, from];
  const isBeyond = (at: number): boolean => (direction === "forward" ? at > last : at < last);
  const searched = (at: number): number => (direction === "forward" ? Math.min(at, end) : Math.max(at + 1, from));
  if (isBeyond(begin)) return searched(begin);
  const seeker = seekerOf(source, query, direction, budget);
  if (seeker === undefined) return searched(last + step);
  let at = begin;
  while (!isBeyond(at)) {
    if (budget.steps <= 0 || budget.found <= 0) return searched(at);
    budget.steps -= 1;
    const bound = seeker(at);
    if (bound === at) {
      take(at);
      budget.found -= 1;
      at += step;
    } else {
      at = bound;
    }
  }
  return searched(last + step);
}

/**
 * A bound for the next match: nothing in [at, bound) matches (backward: in (bound, at]); `at` itself is returned where it matches.
 * So a conjunction gives the furthest bound of its parts, a disjunction the nearest, and neither needs to look for more.
 */
type Seeker = (at: number) => number;

/** undefined where nothing can match. */
function seekerOf(source: PostingSource, query: QueryHashes, direction: Direction, budget: SearchBudget) {
  const [nearest, furthest] = direction === "forward" ? [Math.min, Math.max] : [Math.max, Math.min];
  const either = (seekers: readonly Seeker[]): Seeker | undefined => {
    if (seekers.length <= 1) return seekers[0];
    return (at) =>
      seekers.reduce(
        (bound, seeker) => nearest(bound, seeker(at)),
        direction === "forward" ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY,
      );
  };
  const all = (seekers: readonly Seeker[]): Seeker => {
    if (seekers.length === 1) return seekers[0]!;
    return (at) => {
      let bound = at;
      for (const seeker of seekers) bound = furthest(bound, seeker(at));
      return bound;
    };
  };
  const one = (hash: Readonly<TagHash>): Seeker[] => {
    const list = source.list(hash);
    return list === undefined || list.count === 0 ? [] : [listSeeker(list, direction, budget)];
  };
  const items = query.items.flatMap(({ types, tags }): Seeker[] => {
    const parts = tags.map((tag) => one(tag)[0]);
    if (types.length > 0) parts.push(either(types.flatMap(one)));
    const present = parts.filter((part) => part !== undefined);
    return present.length < parts.length ? [] : [all(present)];
  });
  return either([...items, ...one(anyHash)]);
}

/** Looks forward from where it last was: in twice as long strides until it is past the wanted entry, then between the last two. */
function listSeeker(list: PostingList, direction: Direction, budget: SearchBudget): Seeker {
  const { count } = list;
  // Backward the list is seen from its end, its entries negated: then both directions ascend.
  const value =
    direction === "forward" ? (index: number) => list.at(index) : (index: number) => -list.at(count - 1 - index);
  const none = Number.POSITIVE_INFINITY;
  let low = 0;
  let lastAsked = Number.NEGATIVE_INFINITY;
  let lastBound = Number.NEGATIVE_INFINITY;
  const seek = (wanted: number): number => {
    if (wanted >= lastAsked && wanted <= lastBound) return lastBound;
    let stride = 1;
    let high = low;
    while (high < count && value(high) < wanted) {
      low = high + 1;
      high += stride;
      stride *= 2;
      budget.steps -= 1;
    }
    high = Math.min(high, count);
    // Invariant: all below `low` are less than wanted, none from `high` on is.
    while (low < high) {
      const middle = (low + high) >>> 1;
      budget.steps -= 1;
      if (value(middle) < wanted) low = middle + 1;
      else high = middle;
    }
    lastAsked = wanted;
    lastBound = low < count ? value(low) : none;
    return lastBound;
  };
  return direction === "forward" ? seek : (at) => -seek(-at);
}
