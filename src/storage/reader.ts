import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import { type Hash, maxSlot, minSlot, type Position, type Slot, slotPlus } from "../base/types.ts";
import type { LogBase } from "../core/durable.ts";
import type { Entry } from "../core/entry.ts";
import type { QueryHashes } from "../format/batch-match.ts";
import { claimedEntryLength, decodeEntry, entryHeaderBytes, guardsOf } from "../format/entry.ts";
import { decodeGroupHeader, groupHeaderBytes, type SegmentTag } from "../format/group.ts";
import { decodeSegmentHeader, segmentHeaderBytes } from "../format/segment.ts";
import { readSound } from "./block-reader.ts";
import type { CandidateRange, Candidates } from "./candidates.ts";
import { damaged } from "./damage.ts";
import type { Disk, DiskFile } from "./disk.ts";
import { segmentPath } from "./paths.ts";
import { type GroupPlace, PlaceTable } from "./places.ts";

/** Where reading goes on inside of a group: the entry of `slot` lies at `offset`, behind an entry with this hash. */
interface Resume {
  readonly offset: number;
  readonly prevHash: Hash;
}

interface OpenSegment {
  readonly file: DiskFile;
  readonly tag: SegmentTag;
}

/** Reads this much of a group at once, at least: entries are small more often than not. */
const readBytesMin = 64 * 1024;

/**
 * Reads the durable log on any thread, through descriptors of its own: what it is told of is never changed in place. It knows
 * the places that it was given, at first and with each commit, and verifies every entry in the read that returns it.
 */
export class LogReader {
  readonly #disk: Disk;
  readonly #dir: string;
  readonly #hashing: Hashing;
  readonly #places = new PlaceTable();
  /** By generation, the least recently used first. */
  readonly #segments = new Map<number, OpenSegment>();
  /** By slot, the least recently made first. */
  readonly #resumes = new Map<Slot, Resume>();

  constructor(disk: Disk, dir: string, hashing: Hashing, layout: readonly GroupPlace[]) {
    this.#disk = disk;
    this.#dir = dir;
    this.#hashing = hashing;
    for (const place of layout) this.#places.add(place);
  }

  /** First slot that this reader does not know. 0 while it knows none. */
  get end(): Slot {
    return this.#places.endSlot;
  }

  /** Takes what a commit made durable: first `voidFrom` and all above it becomes void, then the places are added. */
  add(places: readonly GroupPlace[], voidFrom?: Slot): void {
    if (voidFrom !== undefined) {
      this.#places.cut(voidFrom);
      for (const slot of this.#resumes.keys()) if (slot >= voidFrom) this.#resumes.delete(slot);
    }
    for (const place of places) this.#places.add(place);
  }

  /**
   * Entries from `fromSlot` to below `endSlot`, as many as fit bytesMax, at least one where fromSlot is known. Their bytes are
   * views of memory that only they use.
   *
   * @throws PaxlogError DAMAGED where the bytes on disk are not what was written.
   */
  read(fromSlot: Slot, endSlot: Slot, bytesMax: number): Entry[] {
    const entries: Entry[] = [];
    const end = minSlot(endSlot, this.#places.endSlot);
    let bytes = 0;
    for (let slot = fromSlot; slot < end; ) {
      const index = this.#places.findSlot(slot);
      if (index === undefined) break;
      const before = entries[entries.length - 1];
      const room = bytesMax - bytes;
      const taken = this.#readGroup(this.#places.at(index), slot, end, room, before, entries.length === 0);
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
    const index = this.#places.findPosition(position);
    if (index === undefined) return undefined;
    const place = this.#places.at(index);
    let slot = place.firstSlot;
    while (slot < place.endSlot) {
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
    let low = 0;
    let high = this.#places.length;
    // Invariant: the first entry of every place below `low` is earlier than `time`, of none from `high` on.
    while (low < high) {
      const middle = (low + high) >>> 1;
      const { firstSlot } = this.#places.at(middle);
      const first = this.read(firstSlot, slotPlus(firstSlot, 1), 0)[0];
      if (first !== undefined && first.time < time) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return this.#places.length === 0 ? this.end : this.#places.at(0).firstSlot;
    const place = this.#places.at(low - 1);
    for (let slot = place.firstSlot; slot < place.endSlot; ) {
      for (const entry of this.read(slot, place.endSlot, limits.readAheadBytes)) {
        if (entry.time >= time) return entry.slot;
        slot = slotPlus(entry.slot, 1);
      }
    }
    return place.endSlot;
  }

  /**
   * A piece of the entries in [from, end) that may match, found by the hashes of their types and tags, without reading a batch. Goes
   * on at `searchedTo`; a piece costs about as much as reading limits.searchPieceBytes, and may be empty.
   *
   * @throws PaxlogError DAMAGED where the bytes on disk are not what was written.
   */
  candidates(query: QueryHashes, { from, end, direction }: CandidateRange): Candidates {
    const slots: Slot[] = [];
    const last = minSlot(end, this.end);
    if (from >= last) return { slots, searchedTo: direction === "forward" ? from : minSlot(from, end) };
    let begin = from;
    if (direction === "backward") {
      const index = this.#places.findSlot((last - 1) as Slot);
      if (index !== undefined) begin = maxSlot(from, this.#places.at(index).firstSlot);
    }
    const bytesMax = direction === "forward" ? limits.searchPieceBytes : Number.POSITIVE_INFINITY;
    const entries = this.read(begin, last, bytesMax);
    for (const entry of entries) {
      if (entry.kind === "batch" && query.mayMatch(guardsOf(entry))) slots.push(entry.slot);
    }
    if (direction === "forward") return { slots, searchedTo: slotPlus(from, entries.length) };
    return { slots: slots.reverse(), searchedTo: begin };
  }

  /** Forgets what lies below the log's begin: it was trimmed, and its files go. */
  trim(begin: LogBase): void {
    this.#places.dropBelow(begin.slot);
    for (const slot of this.#resumes.keys()) if (slot < begin.slot) this.#resumes.delete(slot);
  }

  close(): void {
    for (const { file } of this.#segments.values()) file.close();
    this.#segments.clear();
    this.#resumes.clear();
  }

  /**
   * Entries of one group, from `slot` to below `end`, while they fit `room`; the first one in any case where `first` says so.
   * `whole` is false where room ended before the group did.
   */
  #readGroup(place: GroupPlace, slot: Slot, end: Slot, room: number, before: Entry | undefined, first: boolean) {
    const segment = this.#segment(place.generation);
    const groupEnd = place.offset + groupHeaderBytes + place.entriesLength;
    const resume = this.#resumes.get(slot);
    const entries: Entry[] = [];
    let prevHash = before?.hash ?? resume?.prevHash;
    let at = resume === undefined ? slot - place.firstSlot : 0;
    const chunk = new Chunk(segment.file, groupEnd);
    let offset = resume?.offset ?? this.#checkHeader(chunk, segment, place);

    // Entries before the wanted one are stepped over unverified: a wrong step ends at an entry of another slot.
    for (; at > 0; at -= 1) offset += chunk.lengthAt(offset) ?? this.#fail(segment, offset, "an entry is cut off");
    let next = slot;
    const stop = minSlot(end, place.endSlot);
    let used = 0;
    while (next < stop) {
      const length = chunk.lengthAt(offset) ?? this.#fail(segment, offset, "an entry is cut off");
      if (used + length > room && !(first && entries.length === 0)) break;
      const decoded = decodeEntry(chunk.bytes(offset, length, room - used), 0, this.#hashing);
      if (decoded.kind === "malformed") return this.#fail(segment, offset, decoded.reason);
      const { entry } = decoded;
      if (entry.slot !== next) return this.#fail(segment, offset, `slot ${entry.slot} lies in the place of ${next}`);
      if (prevHash !== undefined && entry.prevHash !== prevHash) {
        return this.#fail(segment, offset, `entry ${next} does not continue the chain`);
      }
      entries.push(entry);
      used += length;
      offset += length;
      prevHash = entry.hash;
      next = slotPlus(next, 1);
    }
    if (next < place.endSlot && prevHash !== undefined) this.#remember(next, { offset, prevHash });
    return { entries, whole: next === stop };
  }

  /** Checks that the group that begins here is the one that was written; returns where its entries begin. */
  #checkHeader(chunk: Chunk, segment: OpenSegment, place: GroupPlace): number {
    const bytes = chunk.bytes(place.offset, groupHeaderBytes, readBytesMin);
    const decoded = decodeGroupHeader(bytes, segment.tag, place.offset, this.#hashing);
    if (decoded.kind === "ok" && decoded.header.firstSlot === place.firstSlot) return place.offset + groupHeaderBytes;
    return this.#fail(segment, place.offset, decoded.kind === "none" ? decoded.reason : "it is another group");
  }

  #segment(generation: number): OpenSegment {
    let segment = this.#segments.get(generation);
    if (segment === undefined) {
      segment = this.#openSegment(generation);
      const oldest = this.#segments.keys().next();
      if (this.#segments.size >= limits.readerFilesMax && !oldest.done) {
        this.#segments.get(oldest.value)?.file.close();
        this.#segments.delete(oldest.value);
      }
    }
    // Set anew, it is the most recently used.
    this.#segments.delete(generation);
    this.#segments.set(generation, segment);
    return segment;
  }

  #openSegment(generation: number): OpenSegment {
    const file = this.#disk.open(segmentPath(this.#dir, generation), "read");
    try {
      const decoded = decodeSegmentHeader(readSound(file, 0, segmentHeaderBytes), this.#hashing);
      if (decoded.kind === "ok" && decoded.header.generation === generation) return { file, tag: decoded.header };
      throw damaged("SEGMENT_DAMAGED", `the header of ${file.path} is damaged`, { file: file.path, offset: 0 });
    } catch (error) {
      file.close();
      throw error;
    }
  }

  #remember(slot: Slot, resume: Resume): void {
    const oldest = this.#resumes.keys().next();
    if (this.#resumes.size >= limits.readerPlacesMax && !oldest.done) this.#resumes.delete(oldest.value);
    this.#resumes.set(slot, resume);
  }

  #fail(segment: OpenSegment, offset: number, reason: string): never {
    const { path } = segment.file;
    throw damaged("GROUP_ROTTEN", `what was durable in ${path} at ${offset} is damaged: ${reason}`, {
      file: path,
      offset,
    });
  }
}

/** A moving window over one group's bytes. What it returns stays valid. */
class Chunk {
  readonly #file: DiskFile;
  readonly #end: number;
  #bytes: Uint8Array = new Uint8Array(0);
  #offset = 0;

  constructor(file: DiskFile, end: number) {
    this.#file = file;
    this.#end = end;
  }

  /** [offset, offset + length), fewer where the group ends; reads `ahead` bytes where it has to read. */
  bytes(offset: number, length: number, ahead: number): Uint8Array {
    const within = offset - this.#offset;
    if (within < 0 || within + length > this.#bytes.length) {
      const wanted = Math.max(length, Math.min(ahead, limits.readAheadBytes), readBytesMin);
      const count = Math.max(0, Math.min(wanted, this.#end - offset));
      this.#bytes = readSound(this.#file, offset, count);
      this.#offset = offset;
      return this.#bytes.subarray(0, length);
    }
    return this.#bytes.subarray(within, within + length);
  }

  /** Length that the entry at `offset` claims; undefined where it does not fit the group. */
  lengthAt(offset: number): number | undefined {
    const length = claimedEntryLength(this.bytes(offset, entryHeaderBytes, readBytesMin), 0);
    return length === undefined || offset + length > this.#end ? undefined : length;
  }
}
