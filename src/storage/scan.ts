import { defined } from "../base/assert.ts";
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import { maxSlot, minSlot, type Slot } from "../base/types.ts";
import { type Ballot, compareBallots, showBallot } from "../core/ballot.ts";
import type { LogBase } from "../core/durable.ts";
import { type Entry, nextPositionOf } from "../core/entry.ts";
import { Log } from "../core/log.ts";
import type { EntryParts, SequencerSnapshot } from "../core/sequencer.ts";
import { decodeEntries } from "../format/entry.ts";
import { makeEntryParts } from "../format/entry-parts.ts";
import {
  decodeGroupHeader,
  type GroupHeader,
  groupExtent,
  groupHeaderBytes,
  type SegmentTag,
} from "../format/group.ts";
import { type SegmentHeader, segmentHeaderBytes } from "../format/segment.ts";
import type { SegmentIndexHeader } from "../format/segment-index.ts";
import { emptySnapshot, LogState } from "../sequencer/log-state.ts";
import { BlockReader, isZero } from "./block-reader.ts";
import { type DamageReason, damaged, formatUnknown } from "./damage.ts";
import type { DiskFile } from "./disk.ts";
import { cutPlaces, type GroupPlace } from "./places.ts";

type ReadGroup =
  | { readonly kind: "group"; readonly header: GroupHeader; readonly entries: Entry[]; readonly extent: number }
  | { readonly kind: "bad"; readonly reason: string };

/** How a last segment ends. */
export interface SegmentEnd {
  /** After its last valid group. */
  readonly offset: number;
  /** After the last byte of a group that was never acknowledged; undefined where only zeros follow. */
  readonly tornEnd: number | undefined;
}

/** What is known at the log's begin. */
export interface ScanStart {
  /** Of the last group before it. */
  readonly sequence: number;
  /** Of the last REPLACE before it. */
  readonly ballot: Ballot;
  /** Groups up to this one were durable, as the superblock says. */
  readonly durableSequence: number;
  /** What the entries below its end amount to: those are not folded again. */
  readonly snapshot: SequencerSnapshot | undefined;
}

/**
 * Builds the log from groups, in the order of segments and file offsets, and gives each bad group its verdict (STORAGE 4). Of
 * the log it holds the end only, from the largest decidedEnd that a group or a floor has named.
 */
export class LogScan {
  readonly #hashing: Hashing;
  /** Groups up to this one were durable, as the superblock says. */
  readonly #durableSequence: number;
  /** [decidedEnd, end). */
  log: Log;
  readonly layout: GroupPlace[] = [];
  /** The lowest slot that a group begins with, by the generation of its segment. */
  readonly lowestSlots = new Map<number, Slot>();
  /** What the entries below decidedEnd amount to for the sequencer. */
  readonly state: LogState;
  readonly #parts: EntryParts;
  ballot: Ballot;
  decidedEnd: Slot;
  /** Of the last valid group. */
  sequence: number;

  constructor(hashing: Hashing, begin: LogBase, start: ScanStart) {
    this.#hashing = hashing;
    this.#durableSequence = start.durableSequence;
    this.log = new Log(begin, [], 0);
    const { slot: end, position: nextPosition, time } = begin;
    this.state = new LogState(start.snapshot ?? { ...emptySnapshot, end, nextPosition, time });
    this.#parts = makeEntryParts(hashing);
    this.decidedEnd = begin.slot;
    this.sequence = start.sequence;
    this.ballot = start.ballot;
  }

  /**
   * Passes by a closed segment whose index says what it holds, all of it decided and in the snapshot. False, and nothing done, where
   * the log so far is not what the index continues: then the segment is to be read.
   */
  passBy(header: SegmentHeader, { begin, end, lastSequence, ballot }: SegmentIndexHeader): boolean {
    const { log } = this;
    // A REPLACE in the segment may have voided the end of the log before it, never what is decided.
    const continues =
      header.firstSequence === this.sequence + 1 &&
      compareBallots(header.ballot, this.ballot) === 0 &&
      begin.slot >= log.memoryBegin &&
      begin.slot <= log.acceptedEnd &&
      begin.hash === log.hashBefore(begin.slot) &&
      end.slot <= this.state.end;
    if (!continues) return false;
    cutPlaces(this.layout, begin.slot);
    this.log = new Log(end, [], 0);
    this.lowestSlots.set(header.generation, begin.slot);
    this.decidedEnd = maxSlot(this.decidedEnd, end.slot);
    this.sequence = lastSequence;
    this.ballot = ballot;
    return true;
  }

  /** A segment whose successor names its end: every group up to there was durable, and what lies behind is not looked at. */
  sealed(file: DiskFile, header: SegmentHeader, end: number): void {
    this.#begin(file, header);
    if (file.size() < end) {
      throw this.#damage(
        "SEGMENT_TRUNCATED",
        `${file.path} ends before the end that the next segment names`,
        file,
        end,
      );
    }
    const reader = new BlockReader(file, end);
    let offset = segmentHeaderBytes;
    while (offset < end) {
      const read = this.#read(reader, file, header, offset, end);
      if (read.kind === "bad" || read.header.sequence !== this.sequence + 1) {
        const reason = read.kind === "bad" ? read.reason : `it has the number ${read.header.sequence}`;
        throw this.#rotten(file, offset, reason);
      }
      this.#apply(read.header, read.entries, file, header.generation, offset);
      offset += read.extent;
    }
  }

  /** The last segment, which may end in a group that was being written when the power failed. */
  last(file: DiskFile, header: SegmentHeader): SegmentEnd {
    this.#begin(file, header);
    const size = file.size();
    if (size < header.size) {
      throw this.#damage("SEGMENT_TRUNCATED", `${file.path} is shorter than it was made`, file, size);
    }
    const reader = new BlockReader(file, size);
    let offset = segmentHeaderBytes;
    let bad = "the file ends";
    while (offset < size) {
      const read = this.#read(reader, file, header, offset, size);
      if (read.kind === "bad") {
        bad = read.reason;
        break;
      }
      this.#checkOrder(read.header, file, offset);
      this.#apply(read.header, read.entries, file, header.generation, offset);
      offset += read.extent;
    }
    const tornEnd = this.#judgeEnd(reader, file, header, offset, size, bad);
    if (this.#durableSequence > this.sequence) {
      if (tornEnd !== undefined) throw this.#rotten(file, offset, bad);
      const lost = this.sequence + 1;
      throw this.#damage("GROUP_LOST", `group ${lost} was durable and is not in ${file.path}`, file, offset, lost);
    }
    return { offset, tornEnd };
  }

  /**
   * Looks behind the last valid group. A valid group there proves that the one before it was durable, so it rotted. Without
   * such evidence whatever is there was never acknowledged: torn. Returns its end.
   */
  #judgeEnd(reader: BlockReader, file: DiskFile, header: SegmentHeader, offset: number, size: number, bad: string) {
    let end: number | undefined;
    for (let begin = offset; begin < size; begin += limits.blockBytes) {
      const block = reader.read(begin, limits.blockBytes);
      if (isZero(block)) continue;
      end = begin + block.length;
      const decoded = this.#decode(block, file, header, begin);
      if (decoded.kind === "none" || begin === offset) continue;
      this.#checkOrder(decoded.header, file, begin);
      // Its own number is the expected one and its place is not: two groups of one number were written.
      if (decoded.header.durableSequence > this.sequence) throw this.#rotten(file, offset, bad);
      throw this.#outOfOrder(decoded.header, file, begin);
    }
    return end;
  }

  #begin(file: DiskFile, header: SegmentHeader): void {
    const { log } = this;
    const follows =
      header.firstSequence === this.sequence + 1 &&
      header.begin.slot === log.acceptedEnd &&
      header.begin.hash === log.hashBefore(log.acceptedEnd) &&
      header.begin.position === log.positionAt(log.acceptedEnd) &&
      header.begin.time === log.timeBefore(log.acceptedEnd) &&
      compareBallots(header.ballot, this.ballot) === 0;
    if (follows) return;
    throw this.#damage("CHAIN_BROKEN", `the header of ${file.path} does not continue the log before it`, file, 0);
  }

  #decode(bytes: Uint8Array, file: DiskFile, tag: SegmentTag, offset: number) {
    const decoded = decodeGroupHeader(bytes, tag, offset, this.#hashing);
    if (decoded.kind !== "unknownVersion") return decoded;
    throw formatUnknown(`a group in ${file.path}`, decoded.version, { file: file.path, offset });
  }

  #read(reader: BlockReader, file: DiskFile, tag: SegmentTag, offset: number, end: number): ReadGroup {
    const decoded = this.#decode(reader.read(offset, groupHeaderBytes), file, tag, offset);
    if (decoded.kind === "none") return { kind: "bad", reason: decoded.reason };
    const { header } = decoded;
    const extent = groupExtent(header.entriesLength);
    if (offset + extent > end) return { kind: "bad", reason: "it runs past the segment's end" };
    const bytes = reader.read(offset + groupHeaderBytes, header.entriesLength);
    if (bytes.length < header.entriesLength || this.#hashing.crc32c(bytes) !== header.entriesChecksum) {
      return { kind: "bad", reason: "the checksum of its entries does not match" };
    }
    const entries = decodeEntries(bytes, this.#hashing);
    if (entries.kind === "malformed") return { kind: "bad", reason: entries.reason };
    const first = entries.entries[0];
    if (entries.entries.length !== header.entryCount)
      return { kind: "bad", reason: "it holds another number of entries" };
    if (first !== undefined && (first.slot !== header.firstSlot || first.prevHash !== header.prevHash)) {
      return { kind: "bad", reason: "its entries do not begin where its header says" };
    }
    return { kind: "group", header, entries: entries.entries, extent };
  }

  /** A valid group of another number than the next one: some group before it is not where it was written, or comes twice. */
  #checkOrder(header: GroupHeader, file: DiskFile, offset: number): void {
    if (header.sequence === this.sequence + 1) return;
    if (header.sequence > this.sequence + 1 && header.durableSequence > this.sequence) {
      const lost = this.sequence + 1;
      throw this.#rotten(file, offset, `group ${header.sequence} follows and proves that group ${lost} was durable`);
    }
    throw this.#outOfOrder(header, file, offset);
  }

  #apply(header: GroupHeader, entries: Entry[], file: DiskFile, generation: number, offset: number): void {
    const { log } = this;
    const fail = (reason: DamageReason, what: string) =>
      this.#damage(reason, `group ${header.sequence} ${what}`, file, offset, header.sequence);
    if (header.firstSlot < log.memoryBegin)
      throw fail("DECIDED_CUT", `changes slots below ${log.memoryBegin}, which are decided`);
    if (header.firstSlot > log.acceptedEnd) throw fail("CHAIN_BROKEN", `leaves a hole behind slot ${log.acceptedEnd}`);
    if (header.kind === "replace") {
      if (compareBallots(header.ballot, this.ballot) < 0) throw fail("CHAIN_BROKEN", "takes the log's ballot back");
      this.ballot = header.ballot;
    } else if (header.firstSlot < log.acceptedEnd) {
      throw fail("CHAIN_BROKEN", "repeats slots without replacing them");
    }
    if (header.prevHash !== log.hashBefore(header.firstSlot)) throw fail("CHAIN_BROKEN", "does not continue the chain");

    this.lowestSlots.set(generation, minSlot(this.lowestSlots.get(generation) ?? header.firstSlot, header.firstSlot));
    log.cut(header.firstSlot);
    cutPlaces(this.layout, header.firstSlot);
    log.append(entries);
    const first = entries[0];
    const last = entries[entries.length - 1];
    if (first !== undefined && last !== undefined) {
      this.layout.push({
        generation,
        offset,
        entriesLength: header.entriesLength,
        firstSlot: first.slot,
        endSlot: log.acceptedEnd,
        firstPosition: first.firstPosition,
        endPosition: nextPositionOf(last),
      });
      this.raiseDecidedEnd(last.floor);
    }
    this.raiseDecidedEnd(header.decidedEnd);
    this.sequence = header.sequence;
  }

  /** Takes a hint or a floor; what lies below it leaves the memory. */
  raiseDecidedEnd(hint: Slot): void {
    this.decidedEnd = maxSlot(this.decidedEnd, minSlot(hint, this.log.acceptedEnd));
    while (this.state.end < this.decidedEnd) {
      const entry = defined(this.log.at(this.state.end), "a decided entry");
      const fault = this.state.apply(entry, this.#parts);
      if (fault !== undefined) throw damaged("CHAIN_BROKEN", `no sequencer can have ordered this log: ${fault}`, {});
    }
    this.log.dropBelow(this.decidedEnd);
  }

  #damage(reason: DamageReason, what: string, file: DiskFile, offset: number, group?: number) {
    return damaged(reason, what, { file: file.path, offset, ...(group === undefined ? {} : { group }) });
  }

  #rotten(file: DiskFile, offset: number, reason: string) {
    const group = this.sequence + 1;
    const what = `group ${group} in ${file.path} at ${offset} was durable and is damaged: ${reason}`;
    return this.#damage("GROUP_ROTTEN", what, file, offset, group);
  }

  #outOfOrder(header: GroupHeader, file: DiskFile, offset: number) {
    const what = `group ${header.sequence} of ${showBallot(header.ballot)} lies in ${file.path} at ${offset}, behind group ${this.sequence}`;
    return this.#damage("GROUP_OUT_OF_ORDER", what, file, offset, header.sequence);
  }
}
