import type { Hashing } from "../base/hashing.ts";
import type { Slot } from "../base/types.ts";
import { compareBallots } from "../core/ballot.ts";
import type { LogBase } from "../core/durable.ts";
import { pageBytes } from "../format/index-page.ts";
import type { SegmentHeader } from "../format/segment.ts";
import { decodeIndexHeader, type SegmentIndexHeader } from "../format/segment-index.ts";
import { readSound } from "./block-reader.ts";
import type { Disk } from "./disk.ts";
import type { IndexedSegment } from "./index-builder.ts";
import { indexPath } from "./paths.ts";

/** A segment whose index was found, and whether recovery may pass the segment by. */
export interface FoundIndex extends IndexedSegment {
  readonly header: SegmentIndexHeader;
  readonly canSkip: boolean;
}

/**
 * The indexes of closed segments that agree with the segments' headers and with each other, by generation. Of each one page is read;
 * what is behind it is verified when it is used.
 *
 * A segment can be passed by where all its entries are below `foldedEnd`: what they amount to is known. One whose end a later segment
 * voided can be only together with that one, since what comes next continues its own end, not the one that stands.
 */
export function findIndexes(options: {
  readonly disk: Disk;
  readonly dir: string;
  readonly hashing: Hashing;
  /** Of all segments that have one, in order. */
  readonly headers: readonly SegmentHeader[];
  /** Generations for which there is a file. */
  readonly generations: ReadonlySet<number>;
  readonly foldedEnd: Slot;
}): ReadonlyMap<number, FoundIndex> {
  const { headers, generations, foldedEnd } = options;
  const found = new Map<number, FoundIndex>();
  let later: FoundIndex | undefined;
  // The last segment is open.
  for (let index = headers.length - 2; index >= 0; index -= 1) {
    const segment = headers[index]!;
    const next = headers[index + 1]!;
    const header = generations.has(segment.generation) ? readIndexHeader(options, segment.generation) : undefined;
    if (header === undefined || !belongs(header, segment, next)) {
      later = undefined;
      continue;
    }
    const { generation, begin, end } = header;
    // Indexes are derived: where two of them contradict each other neither is believed, and the segments are read.
    if (later !== undefined && !isSameBase(end, later.begin)) return new Map();
    const isWhole = end.slot === header.writtenEnd.slot;
    if (!isWhole && later === undefined) continue;
    const canSkip = end.slot <= foldedEnd && (isWhole || later?.canSkip === true);
    later = { generation, begin, end, header, canSkip };
    found.set(generation, later);
  }
  return found;
}

function readIndexHeader(
  { disk, dir, hashing }: { readonly disk: Disk; readonly dir: string; readonly hashing: Hashing },
  generation: number,
): SegmentIndexHeader | undefined {
  const file = disk.open(indexPath(dir, generation), "read");
  try {
    const decoded = decodeIndexHeader(readSound(file, 0, pageBytes), hashing);
    if (decoded.kind === "malformed" || decoded.header.pageCount * pageBytes > file.size()) return undefined;
    return decoded.header;
  } finally {
    file.close();
  }
}

/** Whether an index is of this segment, and of the whole of it. */
function belongs(header: SegmentIndexHeader, segment: SegmentHeader, next: SegmentHeader): boolean {
  return (
    header.nonce === segment.nonce &&
    header.clusterId === segment.clusterId &&
    header.generation === segment.generation &&
    header.fileEnd === next.previousEnd &&
    header.lastSequence === next.firstSequence - 1 &&
    compareBallots(header.ballot, next.ballot) === 0 &&
    header.writtenEnd.slot === next.begin.slot &&
    header.writtenEnd.hash === next.begin.hash
  );
}

const isSameBase = (a: LogBase, b: LogBase): boolean =>
  a.slot === b.slot && a.hash === b.hash && a.position === b.position && a.time === b.time;
