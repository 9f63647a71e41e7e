import type { Hashing } from "../base/hashing.ts";
import { type Position, positionPlus } from "../base/types.ts";
import type { EntryParts } from "../core/sequencer.ts";
import { matchBatch } from "./batch-match.ts";
import { batchOf, guardsOf } from "./entry.ts";
import { encodeSessionEnd } from "./session-end.ts";

/** What the sequencer asks of an entry's bytes. */
export function makeEntryParts(hashing: Hashing): EntryParts {
  return {
    batchOf,
    guardsOf,
    checksum: (bytes) => hashing.crc32c(bytes),
    sessionEnd: encodeSessionEnd,
    match: (entry, { query, from, end, want }) => {
      const begin = Math.max(0, from - entry.firstPosition);
      const range = { begin, end: Math.min(entry.recordCount, end - entry.firstPosition), want };
      const ordinal = entry.kind === "batch" ? matchBatch(batchOf(entry), query, range) : undefined;
      return ordinal === undefined ? 0 : (positionPlus(entry.firstPosition, ordinal) as Position);
    },
  };
}
