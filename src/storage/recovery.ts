import { defined } from "../base/assert.ts";
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import { maxSlot, type Slot } from "../base/types.ts";
import { compareBallots, showBallot } from "../core/ballot.ts";
import type { Genesis, LogBase } from "../core/durable.ts";
import type { Entry } from "../core/entry.ts";
import type { Log } from "../core/log.ts";
import type { SequencerSnapshot } from "../core/sequencer.ts";
import { claimedGeneration } from "../format/group.ts";
import { decodeSegmentHeader, type SegmentHeader, segmentHeaderBytes } from "../format/segment.ts";
import type { Superblock } from "../format/superblock.ts";
import { BlockReader, isZero, readSound } from "./block-reader.ts";
import { damaged, formatUnknown } from "./damage.ts";
import type { Disk, DiskFile } from "./disk.ts";
import { type FoundIndex, findIndexes } from "./found-indexes.ts";
import type { IndexedSegment } from "./index-builder.ts";
import type { LogEnd, OpenSegment } from "./log.ts";
import { generationOf, indexGenerationOf, indexPath, logDirectory, segmentPath, unfinished } from "./paths.ts";
import type { GroupPlace } from "./places.ts";
import { LogScan, type SegmentEnd } from "./scan.ts";
import type { SegmentSpan } from "./segments.ts";

export interface RecoveryInput {
  readonly disk: Disk;
  readonly dir: string;
  readonly hashing: Hashing;
  readonly superblock: Superblock;
  /** What the entries below its end amount to; undefined where the log is whole from its first slot on. */
  readonly snapshot: SequencerSnapshot | undefined;
}

export interface RecoveredLog {
  readonly end: LogEnd;
  readonly base: LogBase;
  readonly window: readonly Entry[];
  /** What the entries below the base amount to. */
  readonly sequencer: SequencerSnapshot;
  /** Where the groups lie of segments without an index. */
  readonly layout: readonly GroupPlace[];
  /** Segments with an index, in order. */
  readonly indexed: readonly IndexedSegment[];
  /** Where the next group goes; undefined where the log has no segment yet. */
  readonly segment: OpenSegment | undefined;
  /** The end of a torn group behind `segment.offset`: the log goes on in a new segment. */
  readonly tornEnd: number | undefined;
  /** All that have headers, the open one last. */
  readonly segments: readonly SegmentSpan[];
  /** A spare included, also one that the superblock does not know of yet. */
  readonly highestGeneration: number;
  /** The last generation, where it has no header of its own yet: zeros, or the old bytes of a segment that was used before. */
  readonly spare: "zeros" | "recycled" | undefined;
}

/**
 * Reads the log behind the snapshot, with every segment that has no index, and comes to a verdict (STORAGE 4). Changes nothing but
 * unfinished files and indexes that no segment needs, so a second recovery sees what this one saw. What is read is synced first: a
 * closed segment that is passed by was, before its successor was begun.
 *
 * @throws PaxlogError DAMAGED with a DamageReason, FORMAT_UNKNOWN. Never an empty restart.
 */
export function recoverLog(input: RecoveryInput): RecoveredLog {
  const { superblock, snapshot } = input;
  const { generations, indexes } = listFiles(input);
  const segments = readSegments(input, generations);
  const headed = segments.filter((segment): segment is HeadedSegment => segment.header !== undefined);
  const found = findIndexes({
    ...input,
    headers: headed.map(({ header }) => header),
    generations: indexes,
    foldedEnd: snapshot?.end ?? superblock.logBegin.slot,
  });
  const { scan, end } = scanSegments(input, headed, found);
  checkAgainstSuperblock(scan, superblock, input.dir);
  scan.raiseDecidedEnd(maxSlot(superblock.decidedEnd, snapshot?.end ?? superblock.decidedEnd));
  const last = headed[headed.length - 1];
  return {
    end: endOf(scan),
    ...windowOf(scan),
    sequencer: scan.state.save(),
    layout: scan.layout.filter(({ generation }) => !found.has(generation)),
    indexed: [...found.values()]
      .map(({ generation, begin, end }) => ({ generation, begin, end }))
      .sort((a, b) => a.generation - b.generation),
    segment:
      last === undefined || end === undefined ? undefined : { tag: last.header, offset: end.offset, size: last.size },
    // When a node is closed nothing is being written: old bytes of a recycled file are all that can lie there.
    tornEnd: superblock.clean ? undefined : end?.tornEnd,
    segments: headed.map(({ header }) => spanOf(header, scan)),
    highestGeneration: superblock.beginGeneration - 1 + segments.length,
    spare: segments[segments.length - 1]?.spare,
  };
}

/** Reads every segment but those whose index lets them be passed by, and comes to the verdict on the last one's end. */
function scanSegments(
  { disk, dir, hashing, superblock, snapshot }: RecoveryInput,
  headed: readonly HeadedSegment[],
  found: ReadonlyMap<number, FoundIndex>,
): { readonly scan: LogScan; readonly end: SegmentEnd | undefined } {
  const scan = new LogScan(hashing, superblock.logBegin, {
    sequence: superblock.beginSequence,
    ballot: superblock.beginBallot,
    durableSequence: superblock.durableSequence,
    snapshot,
  });
  let end: SegmentEnd | undefined;
  headed.forEach(({ generation, header }, index) => {
    const known = found.get(generation);
    if (known?.canSkip === true && scan.passBy(header, known.header)) return;
    const next = headed[index + 1]?.header;
    const file = disk.open(segmentPath(dir, generation), "write");
    try {
      // What is read may have been written by a process that died before its sync.
      file.sync();
      if (next === undefined) end = scan.last(file, header);
      else scan.sealed(file, header, next.previousEnd);
    } finally {
      file.close();
    }
  });
  return { scan, end };
}

interface FoundSegment {
  readonly generation: number;
  readonly size: number;
  /** undefined: a spare. */
  readonly header: SegmentHeader | undefined;
  readonly spare: "zeros" | "recycled" | undefined;
}

type HeadedSegment = FoundSegment & { readonly header: SegmentHeader };

/** All segments in order of generation, each with a valid header but for a spare at the end. */
function readSegments(input: RecoveryInput, generations: readonly number[]): FoundSegment[] {
  const { disk, dir, superblock } = input;
  return generations.map((generation, index) => {
    const isLast = index + 1 === generations.length;
    const file = disk.open(segmentPath(dir, generation), isLast ? "write" : "read");
    try {
      if (isLast) file.sync();
      const read = readHeader(input, file, generation, isLast);
      const header = typeof read === "string" ? undefined : read;
      if (header !== undefined && generation > superblock.highestGeneration) {
        throw damaged("SEGMENT_UNKNOWN", `${file.path} was begun, and the superblock does not know of it`, {
          file: file.path,
        });
      }
      return { generation, size: file.size(), header, spare: typeof read === "string" ? read : undefined };
    } finally {
      file.close();
    }
  });
}

/**
 * Segments, dense from the log's begin to the highest one in the superblock; one more may have been made when the power failed. And
 * the generations for which there is an index.
 */
function listFiles({ disk, dir, superblock }: RecoveryInput) {
  const directory = logDirectory(dir);
  if (!disk.exists(directory)) throw damaged("SEGMENT_MISSING", `${directory} is missing`, { file: directory });
  disk.syncDirectory(directory);
  const found = new Set<number>();
  const indexes = new Set<number>();
  for (const name of disk.list(directory)) {
    const path = `${directory}/${name}`;
    if (name.endsWith(unfinished)) {
      disk.remove(path);
      continue;
    }
    const indexed = indexGenerationOf(name);
    if (indexed !== undefined) {
      indexes.add(indexed);
      continue;
    }
    const generation = generationOf(name);
    const begun = superblock.state.genesis !== undefined;
    const highest = superblock.highestGeneration + (begun ? 1 : 0);
    // What is below the begin was trimmed, and a crash came before it was taken away.
    if (generation !== undefined && generation < superblock.beginGeneration) continue;
    if (generation === undefined || generation > highest) {
      throw damaged("SEGMENT_UNKNOWN", `${path} is no segment that this node made`, { file: path });
    }
    found.add(generation);
  }
  // An index whose segment was trimmed is of no use.
  for (const generation of indexes) {
    if (found.has(generation)) continue;
    disk.remove(indexPath(dir, generation));
    indexes.delete(generation);
  }
  const generations: number[] = [];
  for (let generation = superblock.beginGeneration; ; generation += 1) {
    if (found.has(generation)) {
      generations.push(generation);
    } else if (generation <= superblock.highestGeneration) {
      const file = segmentPath(dir, generation);
      throw damaged("SEGMENT_MISSING", `${file} was made and is missing`, { file });
    } else {
      return { generations, indexes };
    }
  }
}

/** The header of a segment, checked against its owner; or what a spare, which can only be the last, consists of. */
function readHeader(
  input: RecoveryInput,
  file: DiskFile,
  generation: number,
  last: boolean,
): SegmentHeader | "zeros" | "recycled" {
  const decoded = decodeSegmentHeader(readSound(file, 0, segmentHeaderBytes), input.hashing);
  if (decoded.kind === "unknownVersion") {
    throw formatUnknown(`the segment ${file.path}`, decoded.version, { file: file.path, offset: 0 });
  }
  const facts = { file: file.path, offset: 0 };
  if (decoded.kind === "malformed") {
    const content = last ? contentOf(input, file, false) : "unknown";
    if (content !== "unknown") return content;
    throw damaged("SEGMENT_DAMAGED", `the header of ${file.path} is damaged: ${decoded.reason}`, facts);
  }
  const { header } = decoded;
  const genesis: Genesis | undefined = input.superblock.state.genesis;
  const isOurs =
    header.clusterId === genesis?.clusterId &&
    header.nodeId === genesis.nodeId &&
    header.nodeUid === input.superblock.identity.nodeUid;
  if (isOurs && header.generation === generation) return header;
  if (isOurs && last && header.generation < input.superblock.beginGeneration) {
    if (contentOf(input, file, true) !== "unknown") return "recycled";
    throw damaged("SEGMENT_DAMAGED", `${file.path} has groups, and the header of an older segment`, facts);
  }
  throw damaged("SEGMENT_FOREIGN", `${file.path} belongs to another node, cluster or place`, facts);
}

/**
 * What lies behind the header's place in a file without a header of its own: nothing, or the groups of a trimmed segment that
 * the file was before (`hasOldHeader`: it still says so itself). A header is durable before its first group is written, so a
 * file with a group of a generation that is not trimmed had one, and has lost it: "unknown", as anything else.
 */
function contentOf(
  { hashing, superblock }: RecoveryInput,
  file: DiskFile,
  hasOldHeader: boolean,
): "zeros" | "recycled" | "unknown" {
  const size = file.size();
  const reader = new BlockReader(file, size);
  let isEmpty = true;
  let isRecycled = hasOldHeader;
  for (let offset = segmentHeaderBytes; offset < size; offset += limits.blockBytes) {
    const block = reader.read(offset, limits.blockBytes);
    if (isZero(block)) continue;
    isEmpty = false;
    const claimed = claimedGeneration(block, offset, hashing);
    if (claimed === undefined) continue;
    if (claimed >= superblock.beginGeneration) return "unknown";
    isRecycled = true;
  }
  if (isEmpty) return "zeros";
  return isRecycled ? "recycled" : "unknown";
}

/** The log may be ahead of the superblock by a REPLACE that was promised; the superblock is never ahead of the log (PROTOCOL 3). */
function checkAgainstSuperblock(scan: LogScan, superblock: Superblock, dir: string): void {
  const { promised, acceptedBallot } = superblock.state;
  const facts = { directory: dir, logBallot: showBallot(scan.ballot) };
  if (superblock.durableSequence > scan.sequence) {
    const what = `groups up to ${superblock.durableSequence} were durable, the log ends with group ${scan.sequence}`;
    throw damaged("GROUP_LOST", what, { directory: dir, group: scan.sequence + 1 });
  }
  if (superblock.clean && superblock.durableSequence < scan.sequence) {
    const what = `the log goes on behind group ${superblock.durableSequence}, with which the node was closed`;
    throw damaged("NOT_MONOTONIC", what, { directory: dir, group: scan.sequence });
  }
  // Before the first ballot acceptedBallot may name the node itself with n = 0, which no group carries.
  if (acceptedBallot.n > 0 && compareBallots(acceptedBallot, scan.ballot) > 0) {
    const what = `the log lacks the replace of ballot ${showBallot(acceptedBallot)}, which was durable`;
    throw damaged("REPLACE_LOST", what, { ...facts, acceptedBallot: showBallot(acceptedBallot) });
  }
  if (compareBallots(scan.ballot, promised) > 0) {
    const what = `the log has the ballot ${showBallot(scan.ballot)}, above ${showBallot(promised)}, which is the last that was promised`;
    throw damaged("BALLOT_AHEAD", what, { ...facts, promised: showBallot(promised) });
  }
}

function spanOf({ generation, begin, firstSequence, ballot }: SegmentHeader, scan: LogScan): SegmentSpan {
  return { generation, begin, firstSequence, ballot, lowestSlot: scan.lowestSlots.get(generation) ?? begin.slot };
}

function endOf({ log, ballot, decidedEnd, sequence }: LogScan): LogEnd {
  return { ...baseAt(log, log.acceptedEnd), ballot, decidedEnd, sequence };
}

/** The log at decidedEnd and what is uncertain behind it. Copies, so that the chunks that were read can go. */
function windowOf({ log, decidedEnd }: LogScan): { readonly base: LogBase; readonly window: readonly Entry[] } {
  const entries = log.range(decidedEnd, log.acceptedEnd, Number.POSITIVE_INFINITY);
  return { base: baseAt(log, decidedEnd), window: entries.map((entry) => ({ ...entry, bytes: entry.bytes.slice() })) };
}

const baseAt = (log: Log, slot: Slot): LogBase => ({
  slot,
  hash: defined(log.hashBefore(slot), `the hash at slot ${slot}`),
  position: log.positionAt(slot),
  time: log.timeBefore(slot),
});
