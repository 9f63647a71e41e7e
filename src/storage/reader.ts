import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import {
  firstPosition,
  firstSlot,
  type Hash,
  maxSlot,
  minSlot,
  type Position,
  type Slot,
  slotPlus,
} from "../base/types.ts";
import type { LogBase, LogHead } from "../core/durable.ts";
import { type Entry, nextPositionOf } from "../core/entry.ts";
import type { QueryHashes } from "../format/batch-match.ts";
import { decodeEntry } from "../format/entry.ts";
import { decodeGroupHeader, groupHeaderBytes } from "../format/group.ts";
import { CandidateSearch } from "./candidate-search.ts";
import type { CandidateRange, Candidates } from "./candidates.ts";
import { Chunk, readBytesMin } from "./chunk.ts";
import { damaged } from "./damage.ts";
import type { Disk } from "./disk.ts";
import type { IndexedSegment, IndexJob } from "./index-builder.ts";
import { IndexPlanner } from "./index-planner.ts";
import { MemoryPostings } from "./memory-postings.ts";
import { IndexDamaged } from "./page-cache.ts";
import { scanPlaces } from "./place-scan.ts";
import type { GroupPlace } from "./places.ts";
import { beginOf, beginPositionOf, endOf, type KnownSegment, placeOf, SegmentDirectory } from "./segment-directory.ts";
import { isRecycled, type SegmentFile, SegmentFiles, trimmedMeanwhile } from "./segment-files.ts";
import type { SegmentIndex } from "./segment-index.ts";

/** Where reading goes on inside of a group: the entry of `slot` lies at `offset`, behind an entry with this hash. */
interface Resume {
  readonly offset: number;
  readonly prevHash: Hash;
}

/** Entries that can be read one after another: the first one lies at `offset`, behind an entry with this hash if it is known. */
interface Run {
  readonly segment: SegmentFile;
  readonly chunk: Chunk;
  readonly offset: number;
  readonly prevHash: Hash | undefined;
  /** After the last one. */
  readonly endSlot: Slot;
  /** Where the entry of `slot` lies; `behind` is where the one before it ends. undefined where an index is damaged. */
  readonly offsetOf: (slot: Slot, behind: number) => number | undefined;
  /** An entry in a group whose places alone are known: where it lies is found by stepping, so it is remembered. */
  readonly isStepped: boolean;
}

/** The part of a commit that readers look at. */
export interface ReadableCommit {
  readonly places: readonly GroupPlace[];
  readonly voidFrom?: Slot;
  readonly logBegin?: LogBase;
  readonly installed?: unknown;
}

/** What is known of the log beside the groups whose places are given. */
export interface ReaderStart {
  /** The chain before the log's first entry. */
  readonly begin: LogBase;
  /** Segments with an index, which lie between the groups. */
  readonly indexed: readonly IndexedSegment[];
}

/**
 * Reads the durable log on any thread, through descriptors of its own: what it is told of is never changed in place. It knows
 * the places that it was given, at first and with each commit, finds the rest through indexes, and verifies every entry in the read
 * that returns it. What it keeps in memory does not grow with the log, but for some numbers for each segment.
 */
export class LogReader {
  readonly #hashing: Hashing;
  readonly #directory: SegmentDirectory;
  readonly #files: SegmentFiles;
  readonly #planner: IndexPlanner;
  readonly #memory: MemoryPostings;
  #begin: LogBase;
  /** By slot, the least recently made first. */
  readonly #resumes = new Map<Slot, Resume>();

  /** Told of an index that turned out to be of no use; its segment is read without it, and indexed again. */
  onIndexDamaged: (cause: IndexDamaged) => void = () => {};

  constructor(disk: Disk, dir: string, hashing: Hashing, layout: readonly GroupPlace[], start: ReaderStart = wholeLog) {
    const { begin, indexed } = start;
    this.#hashing = hashing;
    this.#files = new SegmentFiles(disk, dir, hashing);
    this.#directory = new SegmentDirectory(layout, indexed);
    this.#planner = new IndexPlanner(this.#directory, indexed, (slot) => this.#baseAt(slot));
    this.#begin = begin;
    this.#memory = new MemoryPostings(indexed.reduce((slot, { end }) => maxSlot(slot, end.slot), begin.slot));
  }

  /** First slot that this reader does not know. 0 while it knows none. */
  get end(): Slot {
    return this.#directory.endSlot;
  }

  /** Takes what a commit made known: where the log begins now, and what was written. */
  take({ places, voidFrom, logBegin, installed }: ReadableCommit): void {
    if (logBegin !== undefined && installed !== undefined) this.restart(logBegin);
    else if (logBegin !== undefined) this.trim(logBegin);
    this.add(places, voidFrom);
  }

  /** Takes what a commit made durable: first `voidFrom` and all above it becomes void, then the places are added. */
  add(places: readonly GroupPlace[], voidFrom?: Slot): void {
    if (voidFrom !== undefined) {
      this.#directory.cut(voidFrom);
      this.#memory.cut(voidFrom);
      for (const slot of this.#resumes.keys()) if (slot >= voidFrom) this.#resumes.delete(slot);
    }
    for (const place of places) this.#directory.add(place);
  }

  /** Forgets what lies below the log's begin: it was trimmed, and its files go. */
  trim(begin: LogBase): void {
    this.#begin = begin;
    this.#directory.dropBelow(begin.slot);
    this.#memory.dropBelow(begin.slot);
    const first = this.#directory.segments[0];
    if (first !== undefined) this.#files.dropBelow(first.generation);
    for (const slot of this.#resumes.keys()) if (slot < begin.slot) this.#resumes.delete(slot);
  }

  /** The log was emptied, and goes on at `begin`: a snapshot was installed. Nothing that was known of it holds. */
  restart(begin: LogBase): void {
    this.#directory.cutAll();
    this.#memory.restart(begin.slot);
    this.#files.close();
    this.#resumes.clear();
    this.#begin = begin;
  }

  /** Nothing below it is on the disk. */
  get beginSlot(): Slot {
    return this.#begin.slot;
  }

  /** Where the segments begin in which entries stand, oldest first. */
  get segmentBegins(): LogHead[] {
    return this.#directory.segments.map((segment) => ({ position: beginPositionOf(segment), slot: beginOf(segment) }));
  }

  // ---- Indexes

  /** The index that is to be built next, where everything below `decidedEnd` is decided; undefined where there is none to build. */
  nextIndexJob(decidedEnd: Slot): IndexJob | undefined {
    return this.#planner.next(decidedEnd);
  }

  /**
   * The job for the closed segment without an index that a search which comes to `slot` has to read: the one that holds it, or one
   * before it that is not in memory yet, since memory has no holes.
   */
  indexJobAt(slot: Slot, decidedEnd: Slot): IndexJob | undefined {
    const { firstSlot, endSlot } = this.#memory;
    if (slot >= firstSlot && slot < endSlot) return undefined;
    const job = this.#planner.jobAt(slot, decidedEnd);
    return job ?? (slot >= endSlot && !this.#isIndexed(slot) ? this.#planner.jobAt(endSlot, decidedEnd) : undefined);
  }

  #isIndexed(slot: Slot): boolean {
    return this.#directory.ofSlot(slot)?.content.kind === "indexed";
  }

  /** The index of a job is there: from now on it is used, and the places of its segment are forgotten. */
  indexed({ generation, begin, end }: IndexedSegment): void {
    this.#planner.settle(generation);
    this.#files.dropIndex(generation);
    this.#directory.replace({ generation, content: { kind: "indexed", begin, end } });
    this.#memory.dropBelow(end.slot);
  }

  /** The index of a job could not be built; it is tried again after the next start. False where its segment was trimmed meanwhile. */
  indexFailed(generation: number): boolean {
    this.#planner.settle(generation);
    return this.#directory.segments.some((segment) => segment.generation === generation);
  }

  // ---- Reading

  /**
   * Entries from `fromSlot` to below `endSlot`, as many as fit bytesMax, at least one where fromSlot is known. Their bytes are
   * views of memory that only they use.
   *
   * @throws PaxlogError DAMAGED where the bytes on disk are not what was written.
   */
  read(fromSlot: Slot, endSlot: Slot, bytesMax: number): Entry[] {
    const entries: Entry[] = [];
    const end = minSlot(endSlot, this.end);
    let bytes = 0;
    for (let slot = fromSlot; slot < end; ) {
      const run = this.#runAt(slot, end);
      if (run === undefined) break;
      const before = entries[entries.length - 1];
      const taken = this.#readRun(run, slot, minSlot(end, run.endSlot), bytesMax - bytes, before);
      // Its index turned out to be damaged on the way: its places are known now.
      if (taken === undefined) continue;
      for (const entry of taken.entries) {
        entries.push(entry);
        bytes += entry.bytes.length;
      }
      slot = slotPlus(slot, taken.entries.length);
      if (!taken.whole) break;
    }
    return entries;
  }

  /** The slot of the entry that holds the record at `position`; undefined where no known entry holds it. */
  slotOfPosition(position: Position): Slot | undefined {
    const segment = this.#directory.ofPosition(position);
    if (segment === undefined) return undefined;
    if (segment.content.kind === "indexed") {
      if (position >= segment.content.end.position) return undefined;
      const slot = this.#withIndex(segment, (index) => index.slotOfPosition(position));
      return slot ?? this.slotOfPosition(position);
    }
    const { places } = segment.content;
    const index = places.findPosition(position);
    if (index === undefined) return undefined;
    const place = places.at(index);
    for (let slot = place.firstSlot; slot < place.endSlot; ) {
      for (const entry of this.read(slot, place.endSlot, limits.readAheadBytes)) {
        if (position < entry.firstPosition + entry.recordCount) return entry.slot;
        slot = slotPlus(entry.slot, 1);
      }
    }
    return undefined;
  }

  /**
   * The first slot whose entry has this log time or a later one; `end` where there is none. Log time never goes back, so all
   * entries before it are earlier and none behind it is.
   */
  slotOfTime(time: number): Slot {
    let low: number = this.#directory.beginSlot;
    let high: number = this.end;
    // Invariant: every entry below `low` is earlier than `time`, none from `high` on is.
    while (low < high) {
      const middle = Math.floor((low + high) / 2) as Slot;
      const entry = this.read(middle, slotPlus(middle, 1), 0)[0];
      if (entry !== undefined && entry.time < time) low = middle + 1;
      else high = middle;
    }
    return low as Slot;
  }

  /**
   * A piece of the entries in [from, end) that may match, found by the hashes of their types and tags, without reading a batch. Goes
   * on at `searchedTo`, which may be where it began: the piece was spent on bringing newer entries into memory. A piece costs about
   * as much as reading limits.searchPieceBytes, and may name no slot.
   *
   * @throws PaxlogError DAMAGED where the bytes on disk are not what was written.
   */
  candidates(query: QueryHashes, range: CandidateRange): Candidates {
    return new CandidateSearch({
      query,
      range,
      directory: this.#directory,
      memory: this.#memory,
      read: (from, end, bytesMax) => this.read(from, end, bytesMax),
      withIndex: (segment, use) => this.#withIndex(segment, use),
      pageReads: () => this.#files.pageReads,
    }).run();
  }

  close(): void {
    this.#files.close();
    this.#resumes.clear();
  }

  #runAt(slot: Slot, end: Slot): Run | undefined {
    const segment = this.#directory.ofSlot(slot);
    if (segment === undefined) return undefined;
    const run = segment.content.kind === "indexed" ? this.#indexedRun(segment, slot, end) : undefined;
    return run ?? this.#steppedRun(segment, slot);
  }

  /** To the segment's end. undefined where its index is damaged. */
  #indexedRun(segment: KnownSegment, slot: Slot, end: Slot): Run | undefined {
    return this.#withIndex(segment, (index) => {
      const opened = this.#files.segment(segment.generation);
      const endSlot = minSlot(end, endOf(segment));
      const bytesEnd = endSlot < endOf(segment) ? index.offsetOf(endSlot) : index.header.fileEnd;
      return {
        segment: opened,
        chunk: new Chunk(opened.file, bytesEnd),
        offset: index.offsetOf(slot),
        prevHash: undefined,
        endSlot,
        offsetOf: (next) => this.#withIndex(segment, () => index.offsetOf(next)),
        isStepped: false,
      };
    });
  }

  /** One group, by its place. */
  #steppedRun({ generation }: KnownSegment, slot: Slot): Run | undefined {
    const known = this.#directory.ofSlot(slot);
    const place = known === undefined ? undefined : placeOf(known, slot);
    if (place === undefined) return undefined;
    const segment = this.#files.segment(generation);
    const chunk = new Chunk(segment.file, place.offset + groupHeaderBytes + place.entriesLength);
    const resume = this.#resumes.get(slot);
    let offset = resume?.offset ?? this.#checkHeader(chunk, segment, place);
    // Entries before the wanted one are stepped over unverified: a wrong step ends at an entry of another slot.
    for (let step = resume === undefined ? slot - place.firstSlot : 0; step > 0; step -= 1) {
      offset += chunk.lengthAt(offset) ?? this.#fail(segment, offset, "an entry is cut off");
    }
    const offsetOf = (_: Slot, behind: number) => behind;
    const { endSlot } = place;
    return { segment, chunk, offset, prevHash: resume?.prevHash, endSlot, offsetOf, isStepped: true };
  }

  /** Entries from `slot` to below `stop` while they fit `room`; the first of all in any case. */
  #readRun(run: Run, slot: Slot, stop: Slot, room: number, before: Entry | undefined) {
    const { segment, chunk } = run;
    const entries: Entry[] = [];
    let prevHash = before?.hash ?? run.prevHash;
    let { offset } = run;
    let next = slot;
    let used = 0;
    while (next < stop) {
      const length = chunk.lengthAt(offset) ?? this.#fail(segment, offset, "an entry is cut off");
      if (used + length > room && (before !== undefined || entries.length > 0)) break;
      const decoded = decodeEntry(chunk.bytes(offset, length, room - used), 0, this.#hashing);
      if (decoded.kind === "malformed") return this.#fail(segment, offset, decoded.reason);
      const { entry } = decoded;
      if (entry.slot !== next) return this.#fail(segment, offset, `slot ${entry.slot} lies in the place of ${next}`);
      if (prevHash !== undefined && entry.prevHash !== prevHash) {
        return this.#fail(segment, offset, `entry ${next} does not continue the chain`);
      }
      entries.push(entry);
      used += length;
      prevHash = entry.hash;
      next = slotPlus(next, 1);
      const behind = offset + length;
      const nextOffset = next < stop ? run.offsetOf(next, behind) : behind;
      if (nextOffset === undefined) return undefined;
      offset = nextOffset;
    }
    if (run.isStepped && next < run.endSlot && prevHash !== undefined) this.#remember(next, { offset, prevHash });
    return { entries, whole: next === stop };
  }

  /** Checks that the group that begins here is the one that was written; returns where its entries begin. */
  #checkHeader(chunk: Chunk, segment: SegmentFile, place: GroupPlace): number {
    const bytes = chunk.bytes(place.offset, groupHeaderBytes, readBytesMin);
    const decoded = decodeGroupHeader(bytes, segment.tag, place.offset, this.#hashing);
    if (decoded.kind === "ok" && decoded.header.firstSlot === place.firstSlot) return place.offset + groupHeaderBytes;
    return this.#fail(segment, place.offset, decoded.kind === "none" ? decoded.reason : "it is another group");
  }

  /** undefined where the index turns out to be damaged: then the segment's places are known instead. */
  #withIndex<T>(segment: KnownSegment, use: (index: SegmentIndex) => T): T | undefined {
    try {
      return use(this.#files.index(segment.generation));
    } catch (cause) {
      if (!(cause instanceof IndexDamaged)) throw cause;
      this.#goWithout(segment, cause);
      return undefined;
    }
  }

  #goWithout({ generation, content }: KnownSegment, cause: IndexDamaged): void {
    if (content.kind !== "indexed") return;
    this.#files.dropIndex(generation);
    const fileEnd = this.#files.segment(generation + 1).tag.previousEnd;
    const places = scanPlaces(this.#files.segment(generation), fileEnd, content.end, this.#hashing);
    this.#directory.replace({ generation, content: { kind: "places", places } });
    this.#planner.unsettle(generation);
    this.onIndexDamaged(cause);
  }

  /** The chain before `slot`, which is known: as its entry, and the one before it, say. */
  #baseAt(slot: Slot): LogBase | undefined {
    const [isFirst, read] = [slot === this.#directory.beginSlot, (at: Slot) => this.read(at, slotPlus(at, 1), 0)[0]];
    const entry = read(isFirst ? slot : ((slot - 1) as Slot));
    if (entry === undefined) return undefined;
    if (!isFirst) return { slot, hash: entry.hash, position: nextPositionOf(entry), time: entry.time };
    return { slot, hash: entry.prevHash, position: entry.firstPosition, time: this.#begin.time };
  }

  #remember(slot: Slot, resume: Resume): void {
    const oldest = this.#resumes.keys().next();
    if (this.#resumes.size >= limits.readerPlacesMax && !oldest.done) this.#resumes.delete(oldest.value);
    this.#resumes.set(slot, resume);
  }

  #fail(segment: SegmentFile, offset: number, reason: string): never {
    const { file, tag } = segment;
    if (isRecycled(segment, this.#hashing)) throw trimmedMeanwhile(tag.generation);
    throw damaged("GROUP_ROTTEN", `what was durable in ${file.path} at ${offset} is damaged: ${reason}`, {
      file: file.path,
      offset,
    });
  }
}

/** Of a reader that is given all places. */
const wholeLog: ReaderStart = {
  begin: { slot: firstSlot, hash: "" as Hash, position: firstPosition, time: 0 },
  indexed: [],
};
