/**
 * The group: the unit on disk, everything that one sync covers (STORAGE 2). Little-endian.
 *
 *   group = header (192 bytes) | entries, one after another | zeros up to the next multiple of 4 KiB
 *
 *   offset  size  field of the header
 *        0     8  magic            "PAXLGRP" and a zero
 *        8     4  headerChecksum   CRC32C over bytes [12, 192)
 *       12     1  version          1
 *       13     1  kind             1 APPEND, 2 REPLACE, 3 MARK
 *       14     2  reserved         0
 *       16    16  segmentNonce     the random bytes of the segment's header
 *       32     8  clusterTag       first 8 bytes of clusterId
 *       40     8  generation       of the segment
 *       48     8  offset           of this header in its file
 *       56     8  sequence         from 1, dense over all segments
 *       64     8  durableSequence  the last group whose sync had returned when this one was written
 *       72     8  firstSlot        of the entries; where a MARK or an empty REPLACE has none, the log's end
 *       80    16  prevHash         of the log before firstSlot
 *       96    16  ballot           of a REPLACE; else zeros
 *      112     8  decidedEnd       a hint, never above what was durable
 *      120     4  entryCount
 *      124     4  entriesLength    in bytes, without padding
 *      128     4  entriesChecksum  CRC32C over the entries
 *      132    60  reserved         0
 *
 * A header counts only where it says itself that it lies (offset, generation) and only with the nonce of its segment, which
 * never leaves the node: neither stale bytes, nor a misdirected write, nor a record's bytes can pass for a group.
 * Group g+1 is written only after the sync of g has returned, so a readable header proves every group before it durable.
 */
import { alignUp, readU64, toHex, viewOf, writeHex, writeU64 } from "../base/bytes.ts";
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import type { Hash, Slot, Uid } from "../base/types.ts";
import { type Ballot, noBallot } from "../core/ballot.ts";
import { readBallot, writeBallot } from "./ballot.ts";

export const groupHeaderBytes = 192;
const groupVersion = 1;
const magic = Buffer.from("PAXLGRP\0", "latin1");
const checksumBegin = 12;

const at = {
  magic: 0,
  headerChecksum: 8,
  version: 12,
  kind: 13,
  segmentNonce: 16,
  clusterTag: 32,
  generation: 40,
  offset: 48,
  sequence: 56,
  durableSequence: 64,
  firstSlot: 72,
  prevHash: 80,
  ballot: 96,
  decidedEnd: 112,
  entryCount: 120,
  entriesLength: 124,
  entriesChecksum: 128,
} as const;

/** Stored: never renumber. */
const groupKinds = { append: 1, replace: 2, mark: 3 } as const;
export type GroupKind = keyof typeof groupKinds;

const kindOfNumber: readonly (GroupKind | undefined)[] = [undefined, "append", "replace", "mark"];

/** What a group says of itself, less what only says where it lies. */
export interface GroupHeader {
  readonly kind: GroupKind;
  readonly sequence: number;
  readonly durableSequence: number;
  readonly firstSlot: Slot;
  readonly prevHash: Hash;
  /** Of a REPLACE; noBallot for the other kinds. */
  readonly ballot: Ballot;
  readonly decidedEnd: Slot;
  readonly entryCount: number;
  readonly entriesLength: number;
  readonly entriesChecksum: number;
}

/** What ties a group to its segment. */
export interface SegmentTag {
  readonly clusterId: Uid;
  readonly generation: number;
  /** 16 random bytes in hexadecimal. */
  readonly nonce: Uid;
}

export type DecodedGroup =
  | { readonly kind: "ok"; readonly header: GroupHeader }
  /** No group begins here, as far as these bytes say. */
  | { readonly kind: "none"; readonly reason: string }
  /** A group, intact, that a later release wrote. */
  | { readonly kind: "unknownVersion"; readonly version: number };

/** Bytes that a group takes in its file, padding included. */
export const groupExtent = (entriesLength: number): number =>
  alignUp(groupHeaderBytes + entriesLength, limits.blockBytes);

export function encodeGroupHeader(header: GroupHeader, tag: SegmentTag, offset: number, hashing: Hashing): Uint8Array {
  const bytes = new Uint8Array(groupHeaderBytes);
  const view = viewOf(bytes);
  bytes.set(magic, at.magic);
  view.setUint8(at.version, groupVersion);
  view.setUint8(at.kind, groupKinds[header.kind]);
  writeHex(bytes, at.segmentNonce, tag.nonce);
  writeHex(bytes, at.clusterTag, tag.clusterId.slice(0, 16));
  writeU64(view, at.generation, tag.generation);
  writeU64(view, at.offset, offset);
  writeU64(view, at.sequence, header.sequence);
  writeU64(view, at.durableSequence, header.durableSequence);
  writeU64(view, at.firstSlot, header.firstSlot);
  writeHex(bytes, at.prevHash, header.prevHash);
  writeBallot(view, at.ballot, header.ballot);
  writeU64(view, at.decidedEnd, header.decidedEnd);
  view.setUint32(at.entryCount, header.entryCount, true);
  view.setUint32(at.entriesLength, header.entriesLength, true);
  view.setUint32(at.entriesChecksum, header.entriesChecksum, true);
  view.setUint32(at.headerChecksum, hashing.crc32c(bytes.subarray(checksumBegin)), true);
  return bytes;
}

/** The header at the begin of `bytes`, which were read at `offset` of the segment that `tag` names. */
export function decodeGroupHeader(bytes: Uint8Array, tag: SegmentTag, offset: number, hashing: Hashing): DecodedGroup {
  if (bytes.length < groupHeaderBytes) return none("the bytes end inside the header");
  const view = viewOf(bytes);
  for (let index = 0; index < magic.length; index += 1) {
    if (bytes[index] !== magic[index]) return none("no group begins here");
  }
  const checksum = hashing.crc32c(bytes.subarray(checksumBegin, groupHeaderBytes));
  if (checksum !== view.getUint32(at.headerChecksum, true)) return none("the header's checksum does not match");
  if (toHex(bytes, at.segmentNonce, at.segmentNonce + 16) !== tag.nonce) return none("a group of another segment");
  if (toHex(bytes, at.clusterTag, at.clusterTag + 8) !== tag.clusterId.slice(0, 16)) return none("another cluster");
  if (readU64(view, at.generation) !== tag.generation) return none("a group of another generation");
  if (readU64(view, at.offset) !== offset) return none("a group of another place");

  const version = view.getUint8(at.version);
  const kind = kindOfNumber[view.getUint8(at.kind)];
  if (version !== groupVersion || kind === undefined) return { kind: "unknownVersion", version };
  const header: GroupHeader = {
    kind,
    sequence: readU64(view, at.sequence),
    durableSequence: readU64(view, at.durableSequence),
    firstSlot: readU64(view, at.firstSlot) as Slot,
    prevHash: toHex(bytes, at.prevHash, at.prevHash + 16) as Hash,
    ballot: kind === "replace" ? readBallot(view, at.ballot) : noBallot,
    decidedEnd: readU64(view, at.decidedEnd) as Slot,
    entryCount: view.getUint32(at.entryCount, true),
    entriesLength: view.getUint32(at.entriesLength, true),
    entriesChecksum: view.getUint32(at.entriesChecksum, true),
  };
  // readU64 gives -1 for what a number cannot hold exactly.
  if (header.sequence < 1 || header.firstSlot < 1 || header.decidedEnd < 0 || header.ballot.n < 0) {
    return none("a field is out of its range");
  }
  if (header.durableSequence < 0 || header.durableSequence >= header.sequence) {
    return none("it calls itself durable before it was written");
  }
  return { kind: "ok", header };
}

/**
 * The generation that an intact header at the begin of `bytes`, which were read at `offset`, says it belongs to; undefined where
 * there is none. For a file whose nonce nobody knows: a record may forge such a header, so it proves nothing but suspicion.
 */
export function claimedGeneration(bytes: Uint8Array, offset: number, hashing: Hashing): number | undefined {
  return claimedTag(bytes, offset, hashing)?.generation;
}

/** As `claimedGeneration`, with the nonce of the segment. */
export function claimedTag(
  bytes: Uint8Array,
  offset: number,
  hashing: Hashing,
): Pick<SegmentTag, "generation" | "nonce"> | undefined {
  if (bytes.length < groupHeaderBytes) return undefined;
  const view = viewOf(bytes);
  for (let index = 0; index < magic.length; index += 1) if (bytes[index] !== magic[index]) return undefined;
  const checksum = hashing.crc32c(bytes.subarray(checksumBegin, groupHeaderBytes));
  if (checksum !== view.getUint32(at.headerChecksum, true) || readU64(view, at.offset) !== offset) return undefined;
  const nonce = toHex(bytes, at.segmentNonce, at.segmentNonce + 16) as Uid;
  return { generation: readU64(view, at.generation), nonce };
}

const none = (reason: string): DecodedGroup => ({ kind: "none", reason });

/** CRC32C over bytes that lie in pieces. */
export function checksumOf(parts: readonly Uint8Array[], hashing: Hashing): number {
  let checksum = 0;
  for (const part of parts) checksum = hashing.crc32c(part, checksum);
  return checksum;
}
