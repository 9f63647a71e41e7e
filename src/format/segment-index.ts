/**
 * The index of a closed segment whose slots are all decided: where each of its entries lies, and which of them bear which types and
 * tags. Derived from the segment alone, so it may be lost: it is built again. A file of pages (index-page.ts); little-endian.
 *
 *   header (page 0)
 *   offset  size  field of the content
 *        0     8  magic         "PAXLIDX" and a zero
 *        8     1  version       1
 *        9     3  reserved      0
 *       12     4  pageCount     of the file
 *       16    16  nonce         of the segment
 *       32    16  clusterId
 *       48     8  generation    of the segment
 *       56     8  fileEnd       offset after the segment's last group
 *       64     8  lastSequence  of that group
 *       72    16  ballot        of the last REPLACE up to there
 *       88    40  begin         slot u64, hash, position u64, time u64: the chain before the first entry that stands
 *      128    40  end           ... and behind the last one
 *      168    24  writtenEnd    slot u64, hash: the chain where the segment was closed; behind `end` where a later segment
 *                               voided what this one ends with
 *      192     8  decidedEnd    the largest floor or hint in the segment
 *      200     4  entriesPage   first page of the entries: for each slot from begin to end 8 bytes, its offset in the segment u32
 *                               and its first position, less that of `begin`, u32
 *      204     4  samplesPage   for each page of entries the position that it begins with, u32
 *      208     4  tablesPage    for each posting table 40 bytes (posting-table.ts)
 *      212     4  tableCount
 *      216        zeros
 *
 * A segment with no entry that stands has an index too: its header lets recovery pass it by.
 */
import { readU64, toHex, viewOf, writeHex, writeU64 } from "../base/bytes.ts";
import type { Hashing } from "../base/hashing.ts";
import type { Hash, Position, Slot, Uid } from "../base/types.ts";
import type { Ballot } from "../core/ballot.ts";
import type { LogBase } from "../core/durable.ts";
import { readBallot, writeBallot } from "./ballot.ts";
import { contentOf, isSoundPage, pageBytes, sealPage } from "./index-page.ts";

const indexVersion = 1;
const magic = Buffer.from("PAXLIDX\0", "latin1");

const at = {
  magic: 0,
  version: 8,
  pageCount: 12,
  nonce: 16,
  clusterId: 32,
  generation: 48,
  fileEnd: 56,
  lastSequence: 64,
  ballot: 72,
  begin: 88,
  end: 128,
  writtenEnd: 168,
  decidedEnd: 192,
  entriesPage: 200,
  samplesPage: 204,
  tablesPage: 208,
  tableCount: 212,
} as const;

/** Of an entry in the index. */
export const indexEntryBytes = 8;

export interface SegmentIndexHeader {
  readonly pageCount: number;
  readonly nonce: Uid;
  readonly clusterId: Uid;
  readonly generation: number;
  readonly fileEnd: number;
  readonly lastSequence: number;
  readonly ballot: Ballot;
  readonly begin: LogBase;
  readonly end: LogBase;
  readonly writtenEnd: { readonly slot: Slot; readonly hash: Hash };
  readonly decidedEnd: Slot;
  readonly entriesPage: number;
  readonly samplesPage: number;
  readonly tablesPage: number;
  readonly tableCount: number;
}

export type DecodedIndexHeader =
  | { readonly kind: "ok"; readonly header: SegmentIndexHeader }
  /** Damaged, or of another release: either way it is built anew. */
  | { readonly kind: "malformed"; readonly reason: string };

/** Page 0. */
export function encodeIndexHeader(header: SegmentIndexHeader, hashing: Hashing): Uint8Array {
  const page = new Uint8Array(pageBytes);
  const bytes = contentOf(page);
  const view = viewOf(bytes);
  bytes.set(magic, at.magic);
  view.setUint8(at.version, indexVersion);
  view.setUint32(at.pageCount, header.pageCount, true);
  writeHex(bytes, at.nonce, header.nonce);
  writeHex(bytes, at.clusterId, header.clusterId);
  writeU64(view, at.generation, header.generation);
  writeU64(view, at.fileEnd, header.fileEnd);
  writeU64(view, at.lastSequence, header.lastSequence);
  writeBallot(view, at.ballot, header.ballot);
  writeBase(bytes, at.begin, header.begin);
  writeBase(bytes, at.end, header.end);
  writeU64(view, at.writtenEnd, header.writtenEnd.slot);
  writeHex(bytes, at.writtenEnd + 8, header.writtenEnd.hash);
  writeU64(view, at.decidedEnd, header.decidedEnd);
  view.setUint32(at.entriesPage, header.entriesPage, true);
  view.setUint32(at.samplesPage, header.samplesPage, true);
  view.setUint32(at.tablesPage, header.tablesPage, true);
  view.setUint32(at.tableCount, header.tableCount, true);
  sealPage(page, 0, header.nonce, hashing);
  return page;
}

/** `page` are the first 4 KiB of the file. Whether the index is of this segment is for the caller to judge. */
export function decodeIndexHeader(page: Uint8Array, hashing: Hashing): DecodedIndexHeader {
  if (!isSoundPage(page, 0, undefined, hashing)) return malformed("its first page is damaged");
  const bytes = contentOf(page);
  const view = viewOf(bytes);
  for (let index = 0; index < magic.length; index += 1) {
    if (bytes[index] !== magic[index]) return malformed("it does not begin with the header of an index");
  }
  if (view.getUint8(at.version) !== indexVersion) return malformed(`its version is ${view.getUint8(at.version)}`);
  const header: SegmentIndexHeader = {
    pageCount: view.getUint32(at.pageCount, true),
    nonce: toHex(bytes, at.nonce, at.nonce + 16) as Uid,
    clusterId: toHex(bytes, at.clusterId, at.clusterId + 16) as Uid,
    generation: readU64(view, at.generation),
    fileEnd: readU64(view, at.fileEnd),
    lastSequence: readU64(view, at.lastSequence),
    ballot: readBallot(view, at.ballot),
    begin: readBase(bytes, at.begin),
    end: readBase(bytes, at.end),
    writtenEnd: {
      slot: readU64(view, at.writtenEnd) as Slot,
      hash: toHex(bytes, at.writtenEnd + 8, at.writtenEnd + 24) as Hash,
    },
    decidedEnd: readU64(view, at.decidedEnd) as Slot,
    entriesPage: view.getUint32(at.entriesPage, true),
    samplesPage: view.getUint32(at.samplesPage, true),
    tablesPage: view.getUint32(at.tablesPage, true),
    tableCount: view.getUint32(at.tableCount, true),
  };
  const { begin, end, writtenEnd } = header;
  // readU64 gives -1 for what a number cannot hold exactly.
  const numbers = [
    header.generation,
    header.fileEnd,
    header.lastSequence,
    begin.position,
    end.position,
    begin.time,
    end.time,
  ];
  if (numbers.some((number) => number < 0) || header.ballot.n < 0 || begin.slot < 1 || header.decidedEnd < 0) {
    return malformed("a field is out of its range");
  }
  if (end.slot < begin.slot || writtenEnd.slot < end.slot) return malformed("its slots are out of order");
  return { kind: "ok", header };
}

function writeBase(bytes: Uint8Array, offset: number, { slot, hash, position, time }: LogBase): void {
  const view = viewOf(bytes);
  writeU64(view, offset, slot);
  writeHex(bytes, offset + 8, hash);
  writeU64(view, offset + 24, position);
  writeU64(view, offset + 32, time);
}

function readBase(bytes: Uint8Array, offset: number): LogBase {
  const view = viewOf(bytes);
  return {
    slot: readU64(view, offset) as Slot,
    hash: toHex(bytes, offset + 8, offset + 24) as Hash,
    position: readU64(view, offset + 24) as Position,
    time: readU64(view, offset + 32),
  };
}

const malformed = (reason: string): DecodedIndexHeader => ({ kind: "malformed", reason });
