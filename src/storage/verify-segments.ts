import type { Hashing } from "../base/hashing.ts";
import type { SegmentTag } from "../format/group.ts";
import { decodeSegmentHeader, type SegmentHeader, segmentHeaderBytes } from "../format/segment.ts";
import type { Superblock } from "../format/superblock.ts";
import { readSound } from "./block-reader.ts";
import type { DamageReason } from "./damage.ts";
import type { Disk, DiskFile } from "./disk.ts";
import type { OnFault } from "./fault.ts";
import { generationOf, indexGenerationOf, logDirectory, segmentPath, unfinished } from "./paths.ts";
import { nonceFromGroups } from "./verify-segment.ts";

export interface FoundSegment {
  readonly generation: number;
  readonly file: DiskFile;
  /** undefined where it is damaged, or the file is a spare. */
  readonly header: SegmentHeader | undefined;
  readonly tag: SegmentTag | undefined;
}

export interface FindOptions {
  readonly disk: Disk;
  readonly dir: string;
  readonly hashing: Hashing;
  readonly superblock: Superblock | undefined;
  readonly onFault: OnFault;
}

/**
 * All segments of the log that are there, in order, open for reading, with a fault for each that is not and for each file that does
 * not belong. The caller closes the files.
 */
export function findSegments(options: FindOptions): FoundSegment[] {
  return new Finder(options).openSegments();
}

class Finder {
  readonly #options: FindOptions;

  constructor(options: FindOptions) {
    this.#options = options;
  }

  openSegments(): FoundSegment[] {
    const { disk, dir, superblock } = this.#options;
    const directory = logDirectory(dir);
    if (!disk.exists(directory)) {
      this.#damaged(directory, undefined, "SEGMENT_MISSING", "the directory of segments is missing");
      return [];
    }
    const generations: number[] = [];
    for (const name of disk.list(directory)) {
      const generation = generationOf(name);
      if (generation !== undefined) generations.push(generation);
      else if (!name.endsWith(unfinished) && indexGenerationOf(name) === undefined) {
        this.#damaged(
          `${directory}/${name}`,
          undefined,
          "SEGMENT_UNKNOWN",
          "the file is no segment that this node made",
        );
      }
    }
    generations.sort((a, b) => a - b);
    this.#checkGenerations(generations, superblock);
    const belonging = generations.filter((generation) => generation >= (superblock?.beginGeneration ?? 1));
    return belonging.map((generation, index) => this.#open(generation, index + 1 === belonging.length, superblock));
  }

  /** Dense from the log's begin to the highest one in the superblock; one more may have been made when the power failed. */
  #checkGenerations(generations: readonly number[], superblock: Superblock | undefined): void {
    const first = superblock?.beginGeneration ?? generations[0] ?? 1;
    const highest = superblock?.highestGeneration ?? generations[generations.length - 1] ?? 0;
    const found = new Set(generations);
    for (let generation = first; generation <= highest; generation += 1) {
      if (found.has(generation)) continue;
      this.#damaged(
        segmentPath(this.#options.dir, generation),
        undefined,
        "SEGMENT_MISSING",
        "the segment was made and is missing",
      );
    }
    for (const generation of generations) {
      if (superblock === undefined || generation <= highest + 1) continue;
      const path = segmentPath(this.#options.dir, generation);
      this.#damaged(path, undefined, "SEGMENT_UNKNOWN", "the superblock knows of no such segment");
    }
  }

  #open(generation: number, last: boolean, superblock: Superblock | undefined): FoundSegment {
    const { disk, dir, hashing } = this.#options;
    const file = disk.open(segmentPath(dir, generation), "read");
    const decoded = decodeSegmentHeader(readSound(file, 0, segmentHeaderBytes), hashing);
    const begin = superblock?.beginGeneration ?? 1;
    if (decoded.kind === "ok") {
      const { header } = decoded;
      if (header.generation === generation && this.#isOurs(header, superblock)) {
        return { generation, file, header, tag: header };
      }
      const isSpare = last && header.generation < begin && this.#isOurs(header, superblock);
      if (!isSpare) {
        const text = `the header is that of segment ${header.generation} of node ${header.nodeUid}, or of another cluster`;
        this.#damaged(file.path, 0, "SEGMENT_FOREIGN", text);
      }
      return { generation, file, header: undefined, tag: undefined };
    }
    // A file in whose place no group of its own was ever written is the next segment, made ahead.
    const nonce = nonceFromGroups(file, generation, hashing);
    if (nonce === undefined && last) return { generation, file, header: undefined, tag: undefined };
    const why = decoded.kind === "malformed" ? decoded.reason : `its format version ${decoded.version} is unknown`;
    this.#damaged(file.path, 0, "SEGMENT_DAMAGED", `the segment's header is damaged: ${why}`);
    const clusterId = superblock?.state.genesis?.clusterId;
    const tag = nonce === undefined || clusterId === undefined ? undefined : { nonce, clusterId, generation };
    return { generation, file, header: undefined, tag };
  }

  #isOurs(header: SegmentHeader, superblock: Superblock | undefined): boolean {
    if (superblock === undefined) return true;
    const { identity, state } = superblock;
    return (
      header.clusterId === state.genesis?.clusterId &&
      header.nodeId === state.genesis.nodeId &&
      header.nodeUid === identity.nodeUid
    );
  }

  #damaged(file: string, offset: number | undefined, reason: DamageReason, text: string): void {
    this.#options.onFault({ file, offset, verdict: "damaged", reason, text });
  }
}
