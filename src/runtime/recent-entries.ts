import { limits } from "../base/limits.ts";
import { anyHash, type TagHash } from "../base/tag-hash.ts";
import type { Position, Slot } from "../base/types.ts";
import type { TagWindow } from "../sequencer/tag-window.ts";

/** The hashes of recent entries, which the sequencer of every node keeps: what it judges conditions by serves readers as well. */
export interface RecentEntries {
  /** First slot whose entry is not in the window yet. */
  readonly windowEnd: Slot;
  readonly window: Pick<TagWindow, "coveredFrom" | "newest" | "older" | "firstPositionOf" | "endPositionOf">;
}

/**
 * First positions of the entries with records in [begin, end) that bear one of the hashes, ascending: found by walking back from
 * the newest of each, so it costs what it finds. undefined where the window does not reach back to `begin`, or it would be too many.
 */
export function entriesBearing(
  { window }: RecentEntries,
  hashes: readonly Readonly<TagHash>[],
  begin: Position,
  end: Position,
): Position[] | undefined {
  if (window.coveredFrom > begin) return undefined;
  const found = new Set<Position>();
  let steps = 0;
  for (const { low, high } of [...hashes, anyHash]) {
    for (let posting = window.newest(low, high); posting >= 0; posting = window.older(posting)) {
      if (window.endPositionOf(posting) <= begin) break;
      steps += 1;
      if (steps > limits.searchEntriesMax) return undefined;
      const first = window.firstPositionOf(posting);
      if (first < end) found.add(first);
    }
  }
  return [...found].sort((a, b) => a - b);
}
