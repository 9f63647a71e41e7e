import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import type { Entry } from "../core/entry.ts";
import { claimedEntryLength, decodeEntries, decodeEntry } from "../format/entry.ts";
import {
  claimedTag,
  decodeGroupHeader,
  type GroupHeader,
  groupExtent,
  groupHeaderBytes,
  type SegmentTag,
} from "../format/group.ts";
import { segmentHeaderBytes } from "../format/segment.ts";
import { BlockReader, isZero } from "./block-reader.ts";
import type { DiskFile } from "./disk.ts";
import type { OnFault } from "./fault.ts";
import type { LogChain } from "./verify-chain.ts";

/** A group as it lies in its file. */
export interface FoundGroup {
  readonly header: GroupHeader;
  readonly offset: number;
  /** undefined where some of its entries are not sound. */
  readonly entries: readonly Entry[] | undefined;
}

export interface SegmentScanOptions {
  readonly hashing: Hashing;
  readonly file: DiskFile;
  readonly tag: SegmentTag;
  /** Of the file when its header was written; 0 where the header is lost. */
  readonly madeBytes: number;
  /** Where the next segment's header says that this one ends; undefined for the last one. */
  readonly sealedEnd: number | undefined;
  /** Groups up to this one were durable, as the superblock says. */
  readonly durableSequence: number;
  /** The node was closed cleanly: behind the last group there are at most old bytes of a recycled file. */
  readonly clean: boolean;
  readonly chain: LogChain;
  readonly onFault: OnFault;
  readonly onGroup?: ((group: FoundGroup) => void) | undefined;
}

/** One segment's groups, from its header to its end, in spite of any that are damaged. */
export class SegmentScan {
  readonly #options: SegmentScanOptions;
  readonly #end: number;
  readonly #reader: BlockReader;
  groupCount = 0;

  constructor(options: SegmentScanOptions) {
    this.#options = options;
    const size = options.file.size();
    this.#end = Math.min(options.sealedEnd ?? size, size);
    this.#reader = new BlockReader(options.file, this.#end);
  }

  /** Returns the offset after the last group. */
  run(): number {
    const { sealedEnd, madeBytes, file, onFault } = this.#options;
    let offset = segmentHeaderBytes;
    while (offset < this.#end) {
      const next = this.#one(offset);
      if (next === undefined) break;
      offset = next;
    }
    // A sealed segment may have been shortened to its end, where that was torn.
    if (this.#end < (sealedEnd ?? madeBytes)) {
      const text =
        sealedEnd === undefined
          ? `the file is shorter than the ${madeBytes} bytes that it was made with`
          : `the file ends before ${sealedEnd}, the end that the next segment names`;
      onFault({ file: file.path, offset: this.#end, verdict: "damaged", reason: "SEGMENT_TRUNCATED", text });
      if (sealedEnd !== undefined) this.#options.chain.gap();
    }
    return offset;
  }

  /** Looks at what is at `offset`, and says where to look next; undefined where nothing follows. */
  #one(offset: number): number | undefined {
    const { chain, onGroup } = this.#options;
    const header = this.#header(offset);
    if (typeof header === "string") return this.#skip(offset, header);
    const extent = groupExtent(header.entriesLength);
    if (offset + extent > this.#end) return this.#skip(offset, "the group runs past the segment's end");
    this.groupCount += 1;
    const entries = this.#entries(header, offset);
    onGroup?.({ header, offset, entries });
    if (entries !== undefined) chain.group(header, entries, { file: this.#options.file.path, offset });
    else chain.sequence = Math.max(chain.sequence, header.sequence);
    return offset + extent;
  }

  #header(offset: number): GroupHeader | string {
    const { hashing, tag, file, onFault } = this.#options;
    const decoded = decodeGroupHeader(this.#reader.read(offset, groupHeaderBytes), tag, offset, hashing);
    if (decoded.kind === "ok") return decoded.header;
    if (decoded.kind === "none") return decoded.reason;
    const text = `a group of format version ${decoded.version}, which this release does not know`;
    onFault({ file: file.path, offset, verdict: "damaged", reason: "FORMAT_UNKNOWN", text });
    return "its format is unknown";
  }

  /** The entries of a group whose header is sound. If they are not all sound, tells which slots are lost. */
  #entries(header: GroupHeader, offset: number): readonly Entry[] | undefined {
    const { hashing } = this.#options;
    const begin = offset + groupHeaderBytes;
    const bytes = this.#reader.read(begin, header.entriesLength);
    const decoded = decodeEntries(bytes, hashing);
    if (decoded.kind === "malformed") return this.#lost(header, begin, bytes, decoded.reason);
    const { entries } = decoded;
    const first = entries[0];
    if (entries.length !== header.entryCount) return this.#bad(header, offset, "it holds another number of entries");
    if (first !== undefined && (first.slot !== header.firstSlot || first.prevHash !== header.prevHash)) {
      return this.#bad(header, offset, "its entries do not begin where its header says");
    }
    if (hashing.crc32c(bytes) !== header.entriesChecksum) {
      return this.#bad(header, offset, "the checksum of its entries does not match");
    }
    return entries;
  }

  #bad(header: GroupHeader, offset: number, reason: string): undefined {
    const { sequence: group, firstSlot: from, entryCount } = header;
    const slots = { from, end: from + entryCount };
    this.#damaged(offset, `group ${group} is damaged: ${reason}`, group, entryCount === 0 ? undefined : slots);
  }

  /** A fault for each entry that is not sound; where a length cannot be trusted, the rest of the group is one. */
  #lost(header: GroupHeader, begin: number, bytes: Uint8Array, reason: string): undefined {
    const { hashing } = this.#options;
    const groupEnd = header.firstSlot + header.entryCount;
    let slot: number = header.firstSlot;
    let told = false;
    for (let offset = 0; offset < bytes.length && slot < groupEnd; slot += 1) {
      const decoded = decodeEntry(bytes, offset, hashing);
      if (decoded.kind === "ok" && decoded.entry.slot === slot) {
        offset = decoded.end;
        continue;
      }
      told = true;
      const why = decoded.kind === "ok" ? `slot ${decoded.entry.slot} stands here` : decoded.reason;
      const next = offset + (claimedEntryLength(bytes, offset) ?? bytes.length);
      const goesOn = next < bytes.length && decodeEntry(bytes, next, hashing).kind === "ok";
      const end = goesOn || next === bytes.length ? slot + 1 : groupEnd;
      const text = `the entry of slot ${slot} in group ${header.sequence} is damaged: ${why}`;
      this.#damaged(begin + offset, text, header.sequence, { from: slot, end });
      if (!goesOn) break;
      offset = next;
    }
    if (!told) return this.#bad(header, begin - groupHeaderBytes, reason);
    // What is sound among them was looked at one by one.
    this.#options.chain.gap(groupEnd);
  }

  /** No group begins at `offset`. Where the next one is, and what that proves of what was here. */
  #skip(offset: number, reason: string): number | undefined {
    const { chain, sealedEnd, durableSequence, clean, file, onFault } = this.#options;
    const next = this.#nextGroup(offset);
    const lost = chain.sequence + 1;
    const text = `group ${lost} was durable and is damaged: ${reason}`;
    if (next !== undefined) {
      if (sealedEnd !== undefined || next.header.durableSequence >= lost) this.#damaged(offset, text, lost);
      else if (next.header.sequence >= lost) {
        this.#damaged(offset, `group ${lost} is not where it was written: ${reason}`, lost);
      }
      return next.offset;
    }
    if (sealedEnd !== undefined) {
      this.#damaged(offset, text, lost);
      return undefined;
    }
    const written = this.#lastWritten(offset);
    if (durableSequence >= lost) {
      if (written !== undefined && !clean) this.#damaged(offset, text, lost);
      else this.#missing(offset, lost);
    } else if (written !== undefined && !clean) {
      const torn = `${written - offset} bytes that were being written and never acknowledged: void`;
      onFault({ file: file.path, offset, verdict: "torn", reason: "TORN_END", text: torn });
    }
    return undefined;
  }

  #nextGroup(offset: number): { readonly offset: number; readonly header: GroupHeader } | undefined {
    for (let at = offset + limits.blockBytes; at < this.#end; at += limits.blockBytes) {
      const { hashing, tag } = this.#options;
      const decoded = decodeGroupHeader(this.#reader.read(at, groupHeaderBytes), tag, at, hashing);
      if (decoded.kind === "ok") return { offset: at, header: decoded.header };
    }
    return undefined;
  }

  /** After the last block that is not zeros; undefined where there is none. */
  #lastWritten(offset: number): number | undefined {
    let end: number | undefined;
    for (let at = offset; at < this.#end; at += limits.blockBytes) {
      const block = this.#reader.read(at, limits.blockBytes);
      if (!isZero(block)) end = at + block.length;
    }
    return end;
  }

  #damaged(offset: number, text: string, group: number, slots?: { from: number; end: number }): undefined {
    const { file, onFault, chain } = this.#options;
    const fault = { file: file.path, offset, verdict: "damaged", reason: "GROUP_ROTTEN", text, group } as const;
    onFault(slots === undefined ? fault : { ...fault, slots });
    chain.gap(slots?.end);
  }

  #missing(offset: number, group: number): void {
    const { file, onFault, chain } = this.#options;
    const text = `group ${group} was durable and is not here`;
    onFault({ file: file.path, offset, verdict: "damaged", reason: "GROUP_LOST", text, group });
    chain.gap();
  }
}

/** The nonce that groups of a segment carry whose own header is lost; undefined where no group claims to be of it. */
export function nonceFromGroups(file: DiskFile, generation: number, hashing: Hashing): SegmentTag["nonce"] | undefined {
  const size = file.size();
  const reader = new BlockReader(file, size);
  for (let offset = segmentHeaderBytes; offset < size; offset += limits.blockBytes) {
    const claimed = claimedTag(reader.read(offset, groupHeaderBytes), offset, hashing);
    if (claimed?.generation === generation) return claimed.nonce;
  }
  return undefined;
}
