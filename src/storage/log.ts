import { assert, defined } from "../base/assert.ts";
import { toHex } from "../base/bytes.ts";
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import { type Hash, maxSlot, type NodeId, type Slot, type Uid } from "../base/types.ts";
import { type Ballot, compareBallots, noBallot, showBallot } from "../core/ballot.ts";
import type { LogBase } from "../core/durable.ts";
import {
  checksumOf,
  encodeGroupHeader,
  type GroupKind,
  groupExtent,
  groupHeaderBytes,
  type SegmentTag,
} from "../format/group.ts";
import { encodeSegmentHeader, segmentHeaderBytes } from "../format/segment.ts";
import { zeros } from "./block-reader.ts";
import type { StoreCounters } from "./counters.ts";
import type { Disk, DiskFile } from "./disk.ts";
import { fillNext, type Space, takeSpace } from "./filling.ts";
import { segmentPath } from "./paths.ts";
import type { GroupPlace } from "./places.ts";
import { SegmentList, type SegmentSpan } from "./segments.ts";
import type { DiskSpace } from "./space.ts";
import type { GroupWrite } from "./write.ts";

/** Where the log on disk ends. */
export interface LogEnd extends LogBase {
  /** Of the last REPLACE. */
  readonly ballot: Ballot;
  /** Largest hint so far: nothing below it may ever be cut (P11). */
  readonly decidedEnd: Slot;
  /** Of the last group. */
  readonly sequence: number;
}

/** The segment that takes the next group, and where. */
export interface OpenSegment {
  readonly tag: SegmentTag;
  readonly offset: number;
  readonly size: number;
}

export interface LogWriterOptions {
  readonly disk: Disk;
  readonly dir: string;
  readonly hashing: Hashing;
  readonly randomBytes: (count: number) => Uint8Array;
  readonly counters: StoreCounters;
  readonly segmentBytes: number;
  readonly end: LogEnd;
  /** undefined where the log has no segment yet. */
  readonly segment: OpenSegment | undefined;
  /** Whose segments these are; called only once there is a genesis. */
  readonly owner: () => { readonly clusterId: Uid; readonly nodeId: NodeId; readonly nodeUid: Uid };
  /** All segments with headers, the open one last. */
  readonly segments: readonly SegmentSpan[];
  /** The generation with which the log begins. */
  readonly beginGeneration: number;
  /** Highest generation whose file was made. */
  readonly highestGeneration: number;
  /** Whether that is a spare of zeros, which may be filled ahead, or of old bytes, which were written before. */
  readonly spare: "zeros" | "recycled" | undefined;
  /** Makes durable, in the superblock, that this generation was made: it comes before the generation's first group. */
  readonly segmentMade: (generation: number) => void;
  /** Where the files of segments come from. */
  readonly space: DiskSpace;
}

/** Writes groups, one at a time: each call returns when what it wrote is durable. Knows nothing of queues and recovery. */
export class LogWriter {
  readonly #options: LogWriterOptions;
  #end: LogEnd;
  #segment: (Space & { readonly tag: SegmentTag; offset: number }) | undefined;
  #highestGeneration: number;
  /** How much of the spare was written before. Its file is opened when there is something to do with it. */
  #spare: { file: DiskFile | undefined; writtenEnd: number } = { file: undefined, writtenEnd: 0 };
  #lastExtent = 0;
  /** Of the last segment before the open one, or before the first one that there will be. */
  #generationBefore: number;
  readonly segments: SegmentList;
  /** Whether the last group with entries is the last thing that was written: then nothing proves yet that it was durable. */
  #unproven = false;

  constructor(options: LogWriterOptions) {
    this.#options = options;
    this.#end = options.end;
    this.#highestGeneration = options.highestGeneration;
    this.#generationBefore = options.beginGeneration - 1;
    this.segments = new SegmentList(options.segments);
    if (options.segment !== undefined) {
      const path = segmentPath(options.dir, options.segment.tag.generation);
      // Who opens a directory does not know how far it was filled; zeros once more do no harm.
      const { offset } = options.segment;
      this.#segment = { ...options.segment, file: options.disk.open(path, "write"), writtenEnd: offset };
    }
    if (options.spare === "recycled") this.#spare.writtenEnd = Number.POSITIVE_INFINITY;
  }

  get end(): LogEnd {
    return this.#end;
  }

  get unproven(): boolean {
    return this.#unproven;
  }

  /** A durable superblock names the last group: that proves it. */
  proven(): void {
    this.#unproven = false;
  }

  /** Sets the hash of the empty log: known from genesis on. */
  setFirstHash(hash: Hash): void {
    assert(this.#end.sequence === 0, "the first hash is set on an empty log");
    this.#end = { ...this.#end, hash };
  }

  /** One APPEND group of all these writes, which continue the log and each other. */
  append(writes: readonly GroupWrite[]): GroupPlace {
    let { slot, hash } = this.#end;
    for (const write of writes) {
      assert(
        write.firstSlot === slot && write.prevHash === hash,
        `the append at ${write.firstSlot} does not continue ${slot}`,
      );
      assert(write.endSlot > write.firstSlot, "an append holds entries");
      slot = write.endSlot;
      hash = write.endHash;
    }
    return defined(this.#write("append", writes), "the place of an append");
  }

  /** One REPLACE group; voids what is at or above its first slot. undefined where it brings no entries. */
  replace(write: GroupWrite, promised: Ballot): GroupPlace | undefined {
    const end = this.#end;
    const ballot = defined(write.ballot, "the ballot of a replace");
    assert(
      compareBallots(ballot, promised) <= 0,
      `replace of ${showBallot(ballot)} before its promise is durable (P4)`,
    );
    assert(compareBallots(ballot, end.ballot) >= 0, `replace of ${showBallot(ballot)} after ${showBallot(end.ballot)}`);
    assert(write.firstSlot >= end.decidedEnd, `replace at ${write.firstSlot} cuts below ${end.decidedEnd} (P11)`);
    assert(write.firstSlot <= end.slot, `replace at ${write.firstSlot} leaves a hole behind ${end.slot}`);
    assert(write.firstSlot < end.slot || write.prevHash === end.hash, "the replace does not continue the chain");
    return this.#write("replace", [write]);
  }

  /** An empty group that proves the one before it durable. */
  mark(): void {
    this.#write("mark", []);
  }

  /**
   * Makes the next segment's file, if it is not there: whole, durable, without a header. False where the disk has no room for it
   * and it is not needed now.
   *
   * @throws DiskError ENOSPC where it is needed now, and the reserve is used up.
   */
  makeSpare(need: "now" | "ahead"): boolean {
    const { dir, space, counters } = this.#options;
    const generation = this.#generation + 1;
    if (this.#highestGeneration >= generation) return true;
    const made = space.makeSegment(segmentPath(dir, generation), need === "now");
    if (made === undefined) return false;
    counters.syncs += 2;
    this.#spare.writtenEnd = made === "recycled" ? Number.POSITIVE_INFINITY : 0;
    this.#highestGeneration = generation;
    this.#options.segmentMade(generation);
    return true;
  }

  get hasSpare(): boolean {
    return this.#highestGeneration > this.#generation;
  }

  /** Whether the open segment is more than half full (or there is none) and its successor was not made yet. */
  get wantsSpare(): boolean {
    if (this.hasSpare) return false;
    return this.#segment === undefined || this.#segment.offset * 2 > this.#segment.size;
  }

  /**
   * The log goes on empty at `begin`, in the spare, which was made; what was written before is void. The caller has made that
   * durable: it is what an opening would find.
   */
  restart(begin: LogBase): void {
    assert(this.hasSpare, "a log restarts in a segment that is there");
    assert(begin.slot >= this.#end.decidedEnd, `a restart at ${begin.slot} below ${this.#end.decidedEnd} (P11)`);
    this.#segment?.file.close();
    this.#segment = undefined;
    this.#generationBefore = this.#highestGeneration - 1;
    this.segments.dropBefore(this.#highestGeneration);
    this.#unproven = false;
    this.#end = { ...begin, ballot: this.#end.ballot, decidedEnd: begin.slot, sequence: this.#end.sequence };
  }

  /**
   * Goes on in the next segment, which can hold a group of this extent. From the moment its header is durable, what lies
   * behind the last group of the old segment is void and never judged again.
   */
  roll(extent: number): void {
    const { hashing, randomBytes, counters, owner } = this.#options;
    this.makeSpare("now");
    const generation = this.#generation + 1;
    const file = this.#openSpare();
    const writtenEnd = Math.min(this.#spare.writtenEnd, file.size());
    const size = Math.max(file.size(), segmentHeaderBytes + extent);
    if (size > file.size()) file.resize(size);
    const tag = { clusterId: owner().clusterId, generation, nonce: toHex(randomBytes(16)) as Uid };
    const header = {
      ...owner(),
      ...tag,
      size,
      firstSequence: this.#end.sequence + 1,
      begin: baseOf(this.#end),
      ballot: this.#end.ballot,
      previousEnd: this.#segment?.offset ?? 0,
    };
    file.write(0, [encodeSegmentHeader(header, hashing)]);
    file.sync();
    counters.syncs += 1;
    counters.bytes += segmentHeaderBytes;
    counters.segments += 1;
    this.#segment?.file.close();
    this.#segment = { tag, file, offset: segmentHeaderBytes, size, writtenEnd };
    const { firstSequence, begin, ballot } = header;
    this.segments.add({ generation, begin, firstSequence, ballot, lowestSlot: begin.slot });
    this.#spare = { file: undefined, writtenEnd: 0 };
    this.#unproven = false;
  }

  /**
   * Between two groups: where the next one, if it is of the last one's size, would go to space that was never written, and zeros
   * cost less than they save, one slice of zeros in front of it.
   */
  fillAhead(): void {
    const segment = this.#segment;
    if (segment === undefined || this.#lastExtent === 0 || this.#lastExtent > limits.fillGroupBytesMax) return;
    if (segment.offset + this.#lastExtent <= segment.writtenEnd) return;
    fillNext(segment, segment.offset, this.#options.counters);
  }

  /** For an idle moment: one slice of zeros, in the open segment first, then in the spare. False where nothing is left to fill. */
  fillIdle(): boolean {
    const { counters } = this.#options;
    if (this.#segment !== undefined && fillNext(this.#segment, this.#segment.offset, counters)) return true;
    if (this.#highestGeneration <= this.#generation || this.#spare.writtenEnd === Number.POSITIVE_INFINITY)
      return false;
    const file = this.#openSpare();
    const space = { file, size: file.size(), writtenEnd: this.#spare.writtenEnd };
    const filled = fillNext(space, 0, counters);
    this.#spare.writtenEnd = filled ? space.writtenEnd : Number.POSITIVE_INFINITY;
    return filled;
  }

  close(): void {
    this.#segment?.file.close();
    this.#segment = undefined;
    this.#spare.file?.close();
    this.#spare.file = undefined;
  }

  #openSpare(): DiskFile {
    const { disk, dir } = this.#options;
    this.#spare.file ??= disk.open(segmentPath(dir, this.#generation + 1), "write");
    return this.#spare.file;
  }

  get #generation(): number {
    return this.#segment?.tag.generation ?? this.#generationBefore;
  }

  /** One write, one sync. The log's end moves only after both. */
  #write(kind: GroupKind, writes: readonly GroupWrite[]): GroupPlace | undefined {
    const { hashing, counters } = this.#options;
    const first = writes[0];
    const last = writes[writes.length - 1];
    const parts = writes.length === 1 ? first!.bytes : writes.flatMap((write) => write.bytes);
    const entriesLength = parts.reduce((length, part) => length + part.length, 0);
    assert(entriesLength <= limits.replaceBytesMax, `a group of ${entriesLength} bytes`);
    const extent = groupExtent(entriesLength);
    if (this.#segment === undefined || this.#segment.offset + extent > this.#segment.size) this.roll(extent);
    const segment = defined(this.#segment, "the open segment");

    const firstSlot = first?.firstSlot ?? this.#end.slot;
    const endSlot = last?.endSlot ?? firstSlot;
    const hint = last?.decidedEnd ?? this.#end.decidedEnd;
    // P7: the hint is never above what is durable when it is written.
    assert(hint <= (kind === "replace" ? firstSlot : this.#end.slot), `the hint ${hint} is above the durable log (P7)`);
    const sequence = this.#end.sequence + 1;
    const ballot = first?.ballot ?? noBallot;
    const header = {
      kind,
      sequence,
      durableSequence: sequence - 1,
      firstSlot,
      prevHash: first?.prevHash ?? this.#end.hash,
      ballot,
      decidedEnd: hint,
      entryCount: endSlot - firstSlot,
      entriesLength,
      entriesChecksum: checksumOf(parts, hashing),
    };
    const headerBytes = encodeGroupHeader(header, segment.tag, segment.offset, hashing);
    const padding = zeros.subarray(0, extent - groupHeaderBytes - entriesLength);
    segment.file.write(segment.offset, [headerBytes, ...parts, padding]);
    segment.file.sync();

    const { offset } = segment;
    this.segments.noteGroup(firstSlot);
    segment.offset += extent;
    takeSpace(segment, offset, segment.offset, counters);
    if (kind !== "mark") this.#lastExtent = extent;
    counters.groups += 1;
    counters.syncs += 1;
    counters.bytes += extent;
    this.#unproven = kind !== "mark";
    this.#end = {
      slot: endSlot,
      hash: last?.endHash ?? this.#end.hash,
      position: last?.positions.end ?? this.#end.position,
      time: last?.endTime ?? this.#end.time,
      ballot: kind === "replace" ? ballot : this.#end.ballot,
      decidedEnd: maxSlot(this.#end.decidedEnd, hint),
      sequence,
    };
    if (endSlot === firstSlot) return undefined;
    const generation = segment.tag.generation;
    const firstPosition = defined(first, "the first write of a group with entries").positions.first;
    const endPosition = this.#end.position;
    return { generation, offset, entriesLength, firstSlot, endSlot, firstPosition, endPosition };
  }
}

const baseOf = ({ slot, hash, position, time }: LogEnd): LogBase => ({ slot, hash, position, time });
