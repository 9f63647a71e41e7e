/**
 * The segment header: the first 4 KiB of a segment file (STORAGE 2). Groups follow from offset 4,096 on. Little-endian.
 *
 *   offset  size  field
 *        0     8  magic          "PAXLSEG" and a zero
 *        8     4  checksum       CRC32C over bytes [12, 4096)
 *       12     1  version        1
 *       13     3  reserved       0
 *       16    16  nonce          random; every group header of the file carries it; never leaves the node
 *       32    16  clusterId
 *       48    16  nodeUid
 *       64     4  nodeId
 *       68     4  reserved       0
 *       72     8  generation     from 1, dense, never used twice
 *       80     8  size           of the file when the header was written: a shorter last segment has lost its end
 *       88     8  firstSequence  of the groups in here; the last group of the segment before has the number before it
 *       96     8  beginSlot      the log's end when the segment was begun
 *      104    16  beginHash      hash of the log before beginSlot
 *      120    16  ballot         of the last REPLACE before this segment, or zeros
 *      136     8  previousEnd    offset after the last valid group of the segment before: what lies behind it there is void
 *      144     8  beginPosition  of the next record at beginSlot
 *      152     8  beginTime      of the last entry before beginSlot, or 0
 *      160        zeros
 */
import { readU64, toHex, viewOf, writeHex, writeU64 } from "../base/bytes.ts";
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import type { Hash, NodeId, Position, Slot, Uid } from "../base/types.ts";
import type { Ballot } from "../core/ballot.ts";
import type { LogBase } from "../core/durable.ts";
import { readBallot, writeBallot } from "./ballot.ts";

/** A header takes one block, so that no group ever shares one with it. */
export const segmentHeaderBytes = limits.blockBytes;
const segmentVersion = 1;
const magic = Buffer.from("PAXLSEG\0", "latin1");
const checksumBegin = 12;

const at = {
  magic: 0,
  checksum: 8,
  version: 12,
  nonce: 16,
  clusterId: 32,
  nodeUid: 48,
  nodeId: 64,
  generation: 72,
  size: 80,
  firstSequence: 88,
  beginSlot: 96,
  beginHash: 104,
  ballot: 120,
  previousEnd: 136,
  beginPosition: 144,
  beginTime: 152,
} as const;

export interface SegmentHeader {
  /** 16 random bytes in hexadecimal. */
  readonly nonce: Uid;
  readonly clusterId: Uid;
  readonly nodeUid: Uid;
  readonly nodeId: NodeId;
  readonly generation: number;
  readonly size: number;
  readonly firstSequence: number;
  /** The log's end when the segment was begun. A later REPLACE may have cut below it. */
  readonly begin: LogBase;
  readonly ballot: Ballot;
  /** 0 in the first segment of a log. */
  readonly previousEnd: number;
}

export type DecodedSegment =
  | { readonly kind: "ok"; readonly header: SegmentHeader }
  | { readonly kind: "malformed"; readonly reason: string }
  /** An intact header that a later release wrote. */
  | { readonly kind: "unknownVersion"; readonly version: number };

export function encodeSegmentHeader(header: SegmentHeader, hashing: Hashing): Uint8Array {
  const bytes = new Uint8Array(segmentHeaderBytes);
  const view = viewOf(bytes);
  bytes.set(magic, at.magic);
  view.setUint8(at.version, segmentVersion);
  writeHex(bytes, at.nonce, header.nonce);
  writeHex(bytes, at.clusterId, header.clusterId);
  writeHex(bytes, at.nodeUid, header.nodeUid);
  view.setUint32(at.nodeId, header.nodeId, true);
  writeU64(view, at.generation, header.generation);
  writeU64(view, at.size, header.size);
  writeU64(view, at.firstSequence, header.firstSequence);
  writeU64(view, at.beginSlot, header.begin.slot);
  writeHex(bytes, at.beginHash, header.begin.hash);
  writeBallot(view, at.ballot, header.ballot);
  writeU64(view, at.previousEnd, header.previousEnd);
  writeU64(view, at.beginPosition, header.begin.position);
  writeU64(view, at.beginTime, header.begin.time);
  view.setUint32(at.checksum, hashing.crc32c(bytes.subarray(checksumBegin)), true);
  return bytes;
}

/** `bytes` are the first 4 KiB of the file. Whether the header belongs to this node and file is for the caller to judge. */
export function decodeSegmentHeader(bytes: Uint8Array, hashing: Hashing): DecodedSegment {
  if (bytes.length < segmentHeaderBytes) return malformed("the file ends inside its header");
  const view = viewOf(bytes);
  for (let index = 0; index < magic.length; index += 1) {
    if (bytes[index] !== magic[index]) return malformed("the file does not begin with a segment header");
  }
  const checksum = hashing.crc32c(bytes.subarray(checksumBegin, segmentHeaderBytes));
  if (checksum !== view.getUint32(at.checksum, true)) return malformed("the header's checksum does not match");
  const version = view.getUint8(at.version);
  if (version !== segmentVersion) return { kind: "unknownVersion", version };

  const header: SegmentHeader = {
    nonce: toHex(bytes, at.nonce, at.nonce + 16) as Uid,
    clusterId: toHex(bytes, at.clusterId, at.clusterId + 16) as Uid,
    nodeUid: toHex(bytes, at.nodeUid, at.nodeUid + 16) as Uid,
    nodeId: view.getUint32(at.nodeId, true) as NodeId,
    generation: readU64(view, at.generation),
    size: readU64(view, at.size),
    firstSequence: readU64(view, at.firstSequence),
    begin: {
      slot: readU64(view, at.beginSlot) as Slot,
      hash: toHex(bytes, at.beginHash, at.beginHash + 16) as Hash,
      position: readU64(view, at.beginPosition) as Position,
      time: readU64(view, at.beginTime),
    },
    ballot: readBallot(view, at.ballot),
    previousEnd: readU64(view, at.previousEnd),
  };
  // readU64 gives -1 for what a number cannot hold exactly.
  const { begin } = header;
  const fromOne = [header.generation, header.firstSequence, begin.slot, begin.position];
  if (fromOne.some((value) => value < 1) || header.ballot.n < 0 || begin.time < 0) {
    return malformed("a field is out of its range");
  }
  if (header.size < segmentHeaderBytes || header.previousEnd < 0) return malformed("a size is out of its range");
  return { kind: "ok", header };
}

const malformed = (reason: string): DecodedSegment => ({ kind: "malformed", reason });
