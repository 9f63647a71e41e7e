import { viewOf } from "../../src/base/bytes.ts";
import { anyHash, hashOfText, type TagHash } from "../../src/base/tag-hash.ts";
import type { Slot } from "../../src/base/types.ts";
import type { Entry } from "../../src/core/entry.ts";
import type { QueryItem } from "../../src/core/guards.ts";
import { QueryHashes } from "../../src/format/batch-match.ts";
import { guardsOf } from "../../src/format/entry.ts";
import type { CandidateRange } from "../../src/storage/candidates.ts";
import type { Disk } from "../../src/storage/disk.ts";
import { buildIndex, type IndexedSegment, type IndexJob } from "../../src/storage/index-builder.ts";
import type { LogReader } from "../../src/storage/reader.ts";
import { hashing } from "./hashing.ts";

/** The guards of an entry with these types and tags. "*" as a tag is the hash that stands for anything. */
export function guardsWith(types: readonly string[], tags: readonly string[]): Uint8Array {
  const hashes: Readonly<TagHash>[] = [
    ...types.map((type) => hashOfText(type, "type")),
    ...tags.map((tag) => (tag === "*" ? anyHash : hashOfText(tag, "tag"))),
  ];
  const guards = new Uint8Array(8 * hashes.length);
  hashes.forEach(({ low, high }, index) => {
    viewOf(guards).setUint32(8 * index, low, true);
    viewOf(guards).setUint32(8 * index + 4, high, true);
  });
  return guards;
}

export const queryOf = (...items: QueryItem[]): QueryHashes => new QueryHashes({ items });

/** Runs a job to its end. */
export function runJob(disk: Disk, dir: string, job: IndexJob): IndexedSegment {
  const build = buildIndex({ disk, dir, hashing, job });
  for (let step = build.next(); ; step = build.next()) if (step.done === true) return step.value;
}

/** Builds every index that there is to build. */
export function indexAll(disk: Disk, dir: string, reader: LogReader, decidedEnd: Slot): IndexedSegment[] {
  const built: IndexedSegment[] = [];
  for (let job = reader.nextIndexJob(decidedEnd); job !== undefined; job = reader.nextIndexJob(decidedEnd)) {
    const indexed = runJob(disk, dir, job);
    reader.indexed(indexed);
    built.push(indexed);
  }
  return built;
}

/** What looking at every entry finds, in the order of the direction. */
export function truth(entries: readonly Entry[], query: QueryHashes, { from, end, direction }: CandidateRange): Slot[] {
  const slots = entries
    .filter((entry) => entry.kind === "batch" && query.mayMatch(guardsOf(entry)))
    .map(({ slot }) => slot)
    .filter((slot) => slot >= from && slot < end);
  return direction === "forward" ? slots : slots.reverse();
}

/** All pieces of a search, put together, and how many there were. */
export function searchAll(reader: LogReader, query: QueryHashes, range: CandidateRange) {
  const slots: Slot[] = [];
  let pieces = 0;
  let { from, end } = range;
  while (from < end) {
    const { slots: some, searchedTo } = reader.candidates(query, { ...range, from, end });
    slots.push(...some);
    pieces += 1;
    if (range.direction === "forward") from = searchedTo;
    else end = searchedTo;
    if (pieces > 100_000) throw new Error("the search makes no way");
  }
  return { slots, pieces };
}
