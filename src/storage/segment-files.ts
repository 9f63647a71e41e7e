import { PaxlogError } from "../base/errors.ts";
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import { decodeSegmentHeader, type SegmentHeader, segmentHeaderBytes } from "../format/segment.ts";
import { readSound } from "./block-reader.ts";
import { damaged } from "./damage.ts";
import { type Disk, DiskError, type DiskFile } from "./disk.ts";
import { IndexDamaged, PageCache } from "./page-cache.ts";
import { indexPath, segmentPath } from "./paths.ts";
import { SegmentIndex } from "./segment-index.ts";

export interface SegmentFile {
  readonly file: DiskFile;
  readonly tag: SegmentHeader;
}

/** Things by generation that hold a file open, the least recently used one closed first. */
class OpenFiles<Item> {
  readonly #countMax: number;
  readonly #open: (generation: number) => Item;
  readonly #close: (item: Item) => void;
  readonly #items = new Map<number, Item>();

  constructor(countMax: number, open: (generation: number) => Item, close: (item: Item) => void) {
    this.#countMax = countMax;
    this.#open = open;
    this.#close = close;
  }

  get(generation: number): Item {
    let item = this.#items.get(generation);
    if (item === undefined) {
      item = this.#open(generation);
      const oldest = this.#items.keys().next();
      if (this.#items.size >= this.#countMax && !oldest.done) this.drop(oldest.value);
    } else {
      this.#items.delete(generation);
    }
    // Set anew, it is the most recently used.
    this.#items.set(generation, item);
    return item;
  }

  drop(generation: number): void {
    const item = this.#items.get(generation);
    if (item === undefined) return;
    this.#items.delete(generation);
    this.#close(item);
  }

  dropBelow(generation: number): void {
    for (const other of [...this.#items.keys()]) if (other < generation) this.drop(other);
  }

  close(): void {
    this.dropBelow(Number.POSITIVE_INFINITY);
  }
}

/** The files that one reader looks into: a bounded number of segments and of indexes at once. */
export class SegmentFiles {
  readonly #disk: Disk;
  readonly #dir: string;
  readonly #hashing: Hashing;
  readonly #pages: PageCache;
  readonly #segments = new OpenFiles<SegmentFile>(
    limits.readerFilesMax,
    (generation) => this.#openSegment(generation),
    ({ file }) => file.close(),
  );
  readonly #indexes = new OpenFiles<SegmentIndex>(
    limits.indexFilesMax,
    (generation) => this.#openIndex(generation),
    (index) => index.close(),
  );

  constructor(disk: Disk, dir: string, hashing: Hashing) {
    this.#disk = disk;
    this.#dir = dir;
    this.#hashing = hashing;
    this.#pages = new PageCache(hashing);
  }

  /** @throws PaxlogError DAMAGED where the header is not this segment's. */
  segment(generation: number): SegmentFile {
    return this.#segments.get(generation);
  }

  /** @throws IndexDamaged, also where there is none. */
  index(generation: number): SegmentIndex {
    return this.#indexes.get(generation);
  }

  /** Pages of indexes that were read from disk so far. */
  get pageReads(): number {
    return this.#pages.reads;
  }

  /** Forgets an index: another one is to stand in its place. */
  dropIndex(generation: number): void {
    this.#indexes.drop(generation);
    this.#pages.drop(generation);
  }

  /** Forgets what was trimmed. */
  dropBelow(generation: number): void {
    this.#segments.dropBelow(generation);
    this.#indexes.dropBelow(generation);
  }

  close(): void {
    this.#segments.close();
    this.#indexes.close();
  }

  #openSegment(generation: number): SegmentFile {
    const file = openedSegment(this.#disk, this.#dir, generation);
    try {
      const decoded = decodeSegmentHeader(readSound(file, 0, segmentHeaderBytes), this.#hashing);
      if (decoded.kind === "ok" && decoded.header.generation === generation) return { file, tag: decoded.header };
      throw damaged("SEGMENT_DAMAGED", `the header of ${file.path} is damaged`, { file: file.path, offset: 0 });
    } catch (error) {
      file.close();
      throw error;
    }
  }

  #openIndex(generation: number): SegmentIndex {
    const file = openedIndex(this.#disk, this.#dir, generation);
    try {
      return new SegmentIndex(file, generation, this.#pages, this.#hashing);
    } catch (error) {
      file.close();
      throw error;
    }
  }
}

/**
 * Whether what a reader has open is another segment by now: its own was trimmed, and its file serves again. The new header comes before
 * any other byte, so whoever finds old bytes under the old header has read what was written.
 */
export function isRecycled({ file, tag }: SegmentFile, hashing: Hashing): boolean {
  const decoded = decodeSegmentHeader(readSound(file, 0, segmentHeaderBytes), hashing);
  return decoded.kind === "ok" && decoded.header.nonce !== tag.nonce;
}

/** The segment was trimmed a moment ago, and whoever asks for it will hear of that next. */
export function trimmedMeanwhile(generation: number): PaxlogError {
  const message = `segment ${generation} is not there any more: it was trimmed while it was to be read`;
  return new PaxlogError("POSITION_BELOW_HEAD", message, { facts: { segment: generation } });
}

function openedSegment(disk: Disk, dir: string, generation: number): DiskFile {
  try {
    return disk.open(segmentPath(dir, generation), "read");
  } catch (cause) {
    if (cause instanceof DiskError && cause.errno === "ENOENT") throw trimmedMeanwhile(generation);
    throw cause;
  }
}

function openedIndex(disk: Disk, dir: string, generation: number): DiskFile {
  try {
    return disk.open(indexPath(dir, generation), "read");
  } catch (cause) {
    if (cause instanceof DiskError && cause.errno === "ENOENT") throw new IndexDamaged(generation, "it is missing");
    throw cause;
  }
}
