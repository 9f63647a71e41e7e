import type { Hashing } from "../base/hashing.ts";
import type { LogBase } from "../core/durable.ts";
import { pageBytes } from "../format/index-page.ts";
import type { SegmentHeader } from "../format/segment.ts";
import { decodeIndexHeader } from "../format/segment-index.ts";
import type { Superblock } from "../format/superblock.ts";
import { readSound } from "./block-reader.ts";
import type { Disk } from "./disk.ts";
import type { OnFault } from "./fault.ts";
import { indexPath, trashDirectory } from "./paths.ts";
import { LogChain } from "./verify-chain.ts";
import { type FoundGroup, SegmentScan } from "./verify-segment.ts";
import { type FoundSegment, findSegments } from "./verify-segments.ts";
import { verifySuperblock } from "./verify-superblock.ts";

export interface InspectOptions {
  readonly disk: Disk;
  readonly dir: string;
  readonly hashing: Hashing;
  /** What stands in the way: an inspection shows what it can. */
  readonly onFault: OnFault;
}

export interface SegmentView {
  readonly generation: number;
  readonly file: string;
  readonly bytes: number;
  /** sealed: a later one follows. spare: made ahead, nothing is in it. damaged: its header cannot be read. */
  readonly state: "sealed" | "open" | "spare" | "damaged";
  /** The log's end when the segment was begun. */
  readonly begin: LogBase | undefined;
  /** Where the log ended when the next one was begun, or ends now; a later replace may have cut below it. */
  readonly end: LogBase | undefined;
  /** Offset after the last group. */
  readonly usedBytes: number;
  /** Of the first group. */
  readonly firstSequence: number | undefined;
  readonly index: "there" | "damaged" | "none";
}

/** What a directory holds, as far as headers tell. */
export interface DirectoryView {
  readonly dir: string;
  /** undefined where no superblock can be read. */
  readonly superblock: Superblock | undefined;
  /** How often the superblock was written. */
  readonly superblockSequence: number;
  readonly begin: LogBase | undefined;
  readonly end: LogBase | undefined;
  readonly segments: readonly SegmentView[];
  readonly trash: { readonly files: number; readonly bytes: number };
}

/**
 * What is in a data directory: the superblock, the headers of the segments and their indexes, and of the last segment the groups, to
 * know where the log ends. Changes nothing; while the node runs it sees the directory as it was at some moment.
 */
export function inspectDirectory(options: InspectOptions): DirectoryView {
  const { disk, dir, hashing, onFault } = options;
  const read = verifySuperblock(disk, dir, hashing, onFault);
  const found = findSegments({ disk, dir, hashing, superblock: read?.superblock, onFault });
  try {
    const used = found.filter(({ tag }) => tag !== undefined);
    const views = found.map((segment) => viewOf(options, segment, used, read?.superblock));
    const last = views.filter(({ state }) => state === "open" || state === "sealed").at(-1);
    return {
      dir,
      superblock: read?.superblock,
      superblockSequence: read?.sequence ?? 0,
      begin: read?.superblock.logBegin ?? views[0]?.begin,
      end: last === undefined ? read?.superblock.logBegin : last.end,
      segments: views,
      trash: trashOf(disk, dir),
    };
  } finally {
    for (const { file } of found) file.close();
  }
}

/** The groups of one segment, in the order of the file; false where there is no such segment. */
export function inspectGroups(
  options: InspectOptions,
  generation: number,
  onGroup: (group: FoundGroup) => void,
): boolean {
  const { disk, dir, hashing, onFault } = options;
  const superblock = verifySuperblock(disk, dir, hashing, () => {})?.superblock;
  const found = findSegments({ disk, dir, hashing, superblock, onFault: () => {} });
  try {
    const index = found.findIndex((segment) => segment.generation === generation && segment.tag !== undefined);
    if (index < 0) return false;
    scan({ hashing, onFault, onGroup }, found, index, superblock);
    return true;
  } finally {
    for (const { file } of found) file.close();
  }
}

interface ScanOptions {
  readonly hashing: Hashing;
  readonly onFault: OnFault;
  readonly onGroup?: (group: FoundGroup) => void;
}

function scan(
  { hashing, onFault, onGroup }: ScanOptions,
  found: readonly FoundSegment[],
  index: number,
  superblock: Superblock | undefined,
): { readonly chain: LogChain; readonly usedBytes: number } | undefined {
  const { file, header, tag } = found[index]!;
  if (header === undefined || tag === undefined) return undefined;
  const next = found[index + 1]?.header;
  const chain = new LogChain({
    hashing,
    onFault,
    begin: header.begin,
    before: { sequence: header.firstSequence - 1, ballot: header.ballot },
    state: undefined,
  });
  const segment = new SegmentScan({
    ...{ hashing, file, tag, chain, onFault, onGroup },
    madeBytes: next === undefined ? header.size : 0,
    sealedEnd: next?.previousEnd,
    durableSequence: next === undefined ? (superblock?.durableSequence ?? 0) : 0,
    clean: superblock?.clean ?? false,
  });
  return { chain, usedBytes: segment.run() };
}

function viewOf(
  options: InspectOptions,
  segment: FoundSegment,
  used: readonly FoundSegment[],
  superblock: Superblock | undefined,
): SegmentView {
  const { generation, file, header, tag } = segment;
  const next: SegmentHeader | undefined = used[used.indexOf(segment) + 1]?.header;
  const state = tag === undefined ? "spare" : header === undefined ? "damaged" : next === undefined ? "open" : "sealed";
  const facts = { generation, file: file.path, bytes: file.size(), state, begin: header?.begin } as const;
  const rest = { firstSequence: header?.firstSequence, index: indexState(options, generation) };
  if (state === "sealed" && next !== undefined) {
    return { ...facts, ...rest, end: next.begin, usedBytes: next.previousEnd };
  }
  if (state !== "open") return { ...facts, ...rest, end: undefined, usedBytes: 0 };
  const scanned = scan(options, used, used.indexOf(segment), superblock);
  return { ...facts, ...rest, end: scanned?.chain.end, usedBytes: scanned?.usedBytes ?? 0 };
}

function indexState({ disk, dir, hashing }: InspectOptions, generation: number): SegmentView["index"] {
  const path = indexPath(dir, generation);
  if (!disk.exists(path)) return "none";
  const file = disk.open(path, "read");
  try {
    return decodeIndexHeader(readSound(file, 0, pageBytes), hashing).kind === "ok" ? "there" : "damaged";
  } finally {
    file.close();
  }
}

function trashOf(disk: Disk, dir: string): { readonly files: number; readonly bytes: number } {
  const directory = trashDirectory(dir);
  if (!disk.exists(directory)) return { files: 0, bytes: 0 };
  let bytes = 0;
  const names = disk.list(directory);
  for (const name of names) {
    const file = disk.open(`${directory}/${name}`, "read");
    bytes += file.size();
    file.close();
  }
  return { files: names.length, bytes };
}
