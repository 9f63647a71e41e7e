import { viewOf } from "../base/bytes.ts";
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import { maxSlot, type Slot } from "../base/types.ts";
import type { LogBase } from "../core/durable.ts";
import { type Entry, nextPositionOf } from "../core/entry.ts";
import { decodeEntry, entryHeaderBytes, type IndexedFacts, indexedFactsAt } from "../format/entry.ts";
import { decodeGroupHeader, type GroupHeader, groupExtent, groupHeaderBytes } from "../format/group.ts";
import { pageContentBytes } from "../format/index-page.ts";
import type { PostingTableHeader } from "../format/posting-table.ts";
import { decodeSegmentHeader, type SegmentHeader, segmentHeaderBytes } from "../format/segment.ts";
import { indexEntryBytes } from "../format/segment-index.ts";
import { BlockReader, readSound } from "./block-reader.ts";
import type { Disk, DiskFile } from "./disk.ts";
import { IndexWriter } from "./index-writer.ts";
import { segmentPath } from "./paths.ts";

/** The index of a closed segment that is to be built: all its slots are decided. Crosses threads. */
export interface IndexJob {
  readonly generation: number;
  /** The chain before the first of the segment's entries that stands. */
  readonly begin: LogBase;
  /** After the last one that stands. */
  readonly endSlot: Slot;
}

/** A segment whose index is there. Crosses threads. */
export interface IndexedSegment {
  readonly generation: number;
  readonly begin: LogBase;
  readonly end: LogBase;
}

export interface IndexBuildOptions {
  readonly disk: Disk;
  readonly dir: string;
  readonly hashing: Hashing;
  readonly job: IndexJob;
}

/**
 * Builds the index of one segment, in pieces of about limits.readAheadBytes: whoever runs it may do something else between two. It
 * reads every group and checks its checksum; batches are not looked into. Changes nothing but the index's own file.
 *
 * @throws Error where the segment is not what the job says: damaged, trimmed meanwhile, or not decided. Then there is no index.
 */
export function* buildIndex(options: IndexBuildOptions): Generator<void, IndexedSegment> {
  const { disk, dir, hashing, job } = options;
  const next = headerOf(options, job.generation + 1);
  const file = disk.open(segmentPath(dir, job.generation), "read");
  try {
    const header = headerOf(options, job.generation);
    const entries = new StandingEntries();
    const facts = yield* readGroups(options, file, header, next.previousEnd, entries);
    entries.cut(job.endSlot);
    const end = endOf(options, file, entries);
    const writer = new IndexWriter(disk, dir, hashing, {
      ...facts,
      nonce: header.nonce,
      clusterId: header.clusterId,
      generation: job.generation,
      fileEnd: next.previousEnd,
      begin: job.begin,
      end,
      writtenEnd: { slot: next.begin.slot, hash: next.begin.hash },
    });
    try {
      yield* writeSections(writer, entries, job.begin);
    } catch (cause) {
      writer.abandon();
      throw cause;
    }
    return { generation: job.generation, begin: job.begin, end };
  } finally {
    file.close();
  }
}

function headerOf({ disk, dir, hashing }: IndexBuildOptions, generation: number): SegmentHeader {
  const file = disk.open(segmentPath(dir, generation), "read");
  try {
    const decoded = decodeSegmentHeader(readSound(file, 0, segmentHeaderBytes), hashing);
    if (decoded.kind === "ok" && decoded.header.generation === generation) return decoded.header;
    throw new Error(`${file.path} has no header of its own`);
  } finally {
    file.close();
  }
}

/** Takes every group's entries, and what of the header only the groups know. */
function* readGroups(
  { hashing }: IndexBuildOptions,
  file: DiskFile,
  tag: SegmentHeader,
  fileEnd: number,
  entries: StandingEntries,
) {
  const reader = new BlockReader(file, fileEnd);
  let { ballot } = tag;
  let sequence = tag.firstSequence - 1;
  let decidedEnd = 0 as Slot;
  let unpaused = 0;
  for (let offset = segmentHeaderBytes; offset < fileEnd; ) {
    const decoded = decodeGroupHeader(reader.read(offset, groupHeaderBytes), tag, offset, hashing);
    if (decoded.kind !== "ok" || decoded.header.sequence !== sequence + 1) throw damagedAt(file, offset);
    const { header } = decoded;
    const bytes = reader.read(offset + groupHeaderBytes, header.entriesLength);
    if (hashing.crc32c(bytes) !== header.entriesChecksum) throw damagedAt(file, offset);
    if (header.kind === "replace") {
      ballot = header.ballot;
      entries.cut(header.firstSlot);
    }
    const floor = entries.take(bytes, header, offset + groupHeaderBytes);
    if (floor === undefined) throw damagedAt(file, offset);
    decidedEnd = maxSlot(decidedEnd, maxSlot(header.decidedEnd, floor));
    sequence = header.sequence;
    const extent = groupExtent(header.entriesLength);
    offset += extent;
    unpaused += extent;
    if (unpaused >= limits.readAheadBytes) {
      unpaused = 0;
      yield;
    }
  }
  return { ballot, lastSequence: sequence, decidedEnd };
}

/** Checks that the entries are those of the job, and says where they end. */
function endOf({ hashing, job }: IndexBuildOptions, file: DiskFile, entries: StandingEntries): LogBase {
  const { begin, endSlot } = job;
  if (entries.count === 0) {
    if (begin.slot !== endSlot) throw new Error(`${file.path} has none of the entries up to ${endSlot}`);
    return begin;
  }
  const first = entryAt(file, entries.offsets.values[0]!, hashing);
  const last = entryAt(file, entries.offsets.values[entries.count - 1]!, hashing);
  const continues =
    first.slot === begin.slot && first.prevHash === begin.hash && first.firstPosition === begin.position;
  if (!continues) throw new Error(`${file.path} does not continue the log at slot ${begin.slot}`);
  if (last.slot + 1 !== endSlot) throw new Error(`${file.path} ends at slot ${last.slot}, not before ${endSlot}`);
  return { slot: endSlot, hash: last.hash, position: nextPositionOf(last), time: last.time };
}

function entryAt(file: DiskFile, offset: number, hashing: Hashing): Entry {
  const facts = indexedFactsAt(viewOf(readSound(file, offset, entryHeaderBytes)), 0, Number.POSITIVE_INFINITY);
  const decoded = decodeEntry(readSound(file, offset, facts?.length ?? 0), 0, hashing);
  if (decoded.kind === "malformed") throw damagedAt(file, offset);
  return decoded.entry;
}

function* writeSections(writer: IndexWriter, entries: StandingEntries, begin: LogBase): Generator<void, void> {
  const { count } = entries;
  const columns = new Uint32Array(2 * count);
  const perPage = pageContentBytes / indexEntryBytes;
  const samples = new Uint32Array(Math.ceil(count / perPage));
  for (let index = 0; index < count; index += 1) {
    columns[2 * index] = entries.offsets.values[index]!;
    columns[2 * index + 1] = entries.positions.values[index]! - begin.position;
    if (index % perPage === 0) samples[index / perPage] = columns[2 * index + 1]!;
  }
  const entriesPage = writer.section(columns);
  const samplesPage = writer.section(samples);
  yield;
  const headers: PostingTableHeader[] = [];
  for (let from = 0; from < count; ) {
    const to = entries.tableEnd(from);
    const postings = entries.postings(from, to);
    if (postings.entries.length > 0) headers.push(writer.table(from, to, postings));
    from = to;
    yield;
  }
  writer.finish({ entriesPage, samplesPage, tablesPage: writer.tables(headers), tableCount: headers.length });
}

/** The entries that stand, as far as the segment was read; a REPLACE takes the last ones out again. */
class StandingEntries {
  readonly offsets = new Column((length) => new Uint32Array(length));
  readonly positions = new Column((length) => new Float64Array(length));
  /** Where each entry's postings begin. */
  readonly #postingBegins = new Column((length) => new Uint32Array(length));
  readonly #lows = new Column((length) => new Uint32Array(length));
  readonly #highs = new Column((length) => new Uint32Array(length));
  #firstSlot = 0;

  get count(): number {
    return this.offsets.length;
  }

  /** Takes a group's entries, which lie at `offset` of the file. Returns the last one's floor; undefined where they are damaged. */
  take(bytes: Uint8Array, header: GroupHeader, offset: number): Slot | undefined {
    const view = viewOf(bytes);
    let floor = 0 as Slot;
    let begin = 0;
    for (let index = 0; index < header.entryCount; index += 1) {
      const facts = indexedFactsAt(view, begin, view.byteLength - begin);
      if (facts === undefined || facts.slot !== header.firstSlot + index) return undefined;
      if (this.count === 0) this.#firstSlot = facts.slot;
      if (facts.slot !== this.#firstSlot + this.count) return undefined;
      this.#push(facts, view, begin, offset);
      begin += facts.length;
      floor = facts.floor;
    }
    return begin === bytes.length ? floor : undefined;
  }

  /** Voids every slot at or above `slot`. */
  cut(slot: Slot): void {
    const count = Math.max(0, slot - this.#firstSlot);
    if (count >= this.count) return;
    const postings = this.#postingBegins.values[count]!;
    for (const column of [this.offsets, this.positions, this.#postingBegins]) column.cut(count);
    for (const column of [this.#lows, this.#highs]) column.cut(postings);
  }

  /** Where the table that begins with entry `from` ends: at least one entry, and no more postings than a table takes. */
  tableEnd(from: number): number {
    const most = this.#postingsBefore(from) + limits.indexTablePostings;
    let to = from + 1;
    while (to < this.count && this.#postingsBefore(to + 1) <= most) to += 1;
    return to;
  }

  postings(from: number, to: number) {
    const [begin, end] = [this.#postingsBefore(from), this.#postingsBefore(to)];
    const entries = new Uint32Array(end - begin);
    for (let entry = from; entry < to; entry += 1) {
      entries.fill(entry, this.#postingsBefore(entry) - begin, this.#postingsBefore(entry + 1) - begin);
    }
    return { lows: this.#lows.values.slice(begin, end), highs: this.#highs.values.slice(begin, end), entries };
  }

  #postingsBefore(entry: number): number {
    return entry < this.count ? this.#postingBegins.values[entry]! : this.#lows.length;
  }

  #push({ firstPosition, guardLength }: IndexedFacts, view: DataView, begin: number, offset: number): void {
    this.offsets.push(offset + begin);
    this.positions.push(firstPosition);
    this.#postingBegins.push(this.#lows.length);
    const end = begin + entryHeaderBytes + guardLength;
    for (let at = begin + entryHeaderBytes; at < end; at += 8) {
      this.#lows.push(view.getUint32(at, true));
      this.#highs.push(view.getUint32(at + 4, true));
    }
  }
}

/** A typed array that grows. */
class Column<Values extends Uint32Array | Float64Array> {
  readonly #make: (length: number) => Values;
  values: Values;
  length = 0;

  constructor(make: (length: number) => Values) {
    this.#make = make;
    this.values = make(1024);
  }

  push(value: number): void {
    if (this.length === this.values.length) {
      const grown = this.#make(2 * this.length);
      grown.set(this.values);
      this.values = grown;
    }
    this.values[this.length] = value;
    this.length += 1;
  }

  cut(length: number): void {
    this.length = length;
  }
}

const damagedAt = (file: DiskFile, offset: number): Error => new Error(`${file.path} is damaged at ${offset}`);
