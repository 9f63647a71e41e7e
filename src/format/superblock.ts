/**
 * The superblock: what a node must remember beside its log (STORAGE 5), in a file of four copies of 4 KiB. One copy,
 * little-endian:
 *
 *   offset  size  field
 *        0     8  magic            "PAXLSUP" and a zero
 *        8    16  checksum         XXH3-128 over bytes [32, 4096)
 *       24     1  copy             0 to 3, its place in the file; outside of the checksum, so that equal copies have equal ones
 *       25     7  reserved         0
 *       32     1  version          1
 *       33     1  flags            bit 0: genesis is there, bit 1: started, bit 2: closed cleanly
 *       34     6  reserved         0
 *       40     8  sequence         from 1, one more with each write
 *       48    16  previous         checksum of the superblock before; zeros in the first
 *       64    16  nodeUid
 *       80     8  incarnation
 *       88    16  clusterId        zeros before genesis
 *      104     4  nodeId           0 before genesis
 *      108     4  reserved         0
 *      112    16  promised         ballot
 *      128    16  acceptedBallot   ballot
 *      144     8  logBegin.slot
 *      152    16  logBegin.hash    zeros before genesis
 *      168     8  logBegin.position
 *      176     8  logBegin.time
 *      184     8  beginGeneration  the segment that holds logBegin
 *      192     8  highestGeneration  made so far, a spare included; 0: none
 *      200     8  durableSequence  groups up to this one are durable
 *      208     8  decidedEnd       a hint, never above what was durable
 *      216     8  segmentBytes     size of new segments
 *      224     8  beginSequence    groups up to this one lie before logBegin
 *      232    16  beginBallot      of the log at logBegin
 *      248     8  snapshot.slot    of the newest durable snapshot; 0: none
 *      256    16  snapshot.rootHash
 *      272     1  length of name, then the name
 *              1  number of members, then for each:
 *                   4 nodeId | 16 nodeUid | 1 + name | 1 + peer address | 1 + client address (UTF-8 with its length before it)
 *              zeros
 */
import { readU64, toHex, viewOf, writeHex, writeU64 } from "../base/bytes.ts";
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import type { Hash, NodeId, Position, Slot, Uid } from "../base/types.ts";
import type { Ballot } from "../core/ballot.ts";
import type { DurableState, Genesis, Identity, LogBase, SnapshotReference } from "../core/durable.ts";
import type { Member } from "../core/message.ts";
import { readBallot, writeBallot } from "./ballot.ts";

export const superblockCopyBytes = limits.superblockCopyBytes;
export const superblockCopies = 4;
const superblockVersion = 1;
const magic = Buffer.from("PAXLSUP\0", "latin1");
const checksumBegin = 32;
const noHash = "00000000000000000000000000000000";

const at = {
  magic: 0,
  checksum: 8,
  copy: 24,
  version: 32,
  flags: 33,
  sequence: 40,
  previous: 48,
  nodeUid: 64,
  incarnation: 80,
  clusterId: 88,
  nodeId: 104,
  promised: 112,
  acceptedBallot: 128,
  logBeginSlot: 144,
  logBeginHash: 152,
  logBeginPosition: 168,
  logBeginTime: 176,
  beginGeneration: 184,
  highestGeneration: 192,
  durableSequence: 200,
  decidedEnd: 208,
  segmentBytes: 216,
  beginSequence: 224,
  beginBallot: 232,
  snapshotSlot: 248,
  snapshotRootHash: 256,
  texts: 272,
} as const;

const flag = { genesis: 1, started: 2, clean: 4 } as const;

export interface Superblock {
  readonly identity: Identity;
  readonly state: DurableState;
  /** Where the log begins; its hash is "" before genesis. */
  readonly logBegin: LogBase;
  readonly beginGeneration: number;
  readonly highestGeneration: number;
  readonly durableSequence: number;
  readonly decidedEnd: Slot;
  readonly segmentBytes: number;
  /** Groups up to this one lie before logBegin. */
  readonly beginSequence: number;
  /** Of the last REPLACE before logBegin. */
  readonly beginBallot: Ballot;
  /** Of the newest durable snapshot; what it names is whole on disk. */
  readonly snapshot: SnapshotReference | undefined;
  readonly clean: boolean;
}

export interface SuperblockCopy {
  readonly sequence: number;
  /** Names the content: copies of one write have the same. */
  readonly checksum: Hash;
  readonly previous: Hash;
  readonly superblock: Superblock;
}

export type DecodedSuperblock =
  | { readonly kind: "ok"; readonly copy: SuperblockCopy }
  | { readonly kind: "malformed"; readonly reason: string }
  /** An intact copy that a later release wrote. */
  | { readonly kind: "unknownVersion"; readonly version: number };

/**
 * The bytes of copy 0; the other copies differ in `setCopyNumber` only. `previous` is the checksum of the superblock before,
 * or "" for the first.
 */
export function encodeSuperblock(
  superblock: Superblock,
  sequence: number,
  previous: Hash | "",
  hashing: Hashing,
): { readonly bytes: Uint8Array; readonly checksum: Hash } {
  const { identity, state, logBegin } = superblock;
  const bytes = new Uint8Array(superblockCopyBytes);
  const view = viewOf(bytes);
  bytes.set(magic, at.magic);
  view.setUint8(at.version, superblockVersion);
  view.setUint8(
    at.flags,
    (state.genesis === undefined ? 0 : flag.genesis) |
      (state.started ? flag.started : 0) |
      (superblock.clean ? flag.clean : 0),
  );
  writeU64(view, at.sequence, sequence);
  writeHex(bytes, at.previous, previous === "" ? noHash : previous);
  writeHex(bytes, at.nodeUid, identity.nodeUid);
  writeU64(view, at.incarnation, identity.incarnation);
  writeHex(bytes, at.clusterId, state.genesis?.clusterId ?? noHash);
  view.setUint32(at.nodeId, state.genesis?.nodeId ?? 0, true);
  writeBallot(view, at.promised, state.promised);
  writeBallot(view, at.acceptedBallot, state.acceptedBallot);
  writeU64(view, at.logBeginSlot, logBegin.slot);
  writeHex(bytes, at.logBeginHash, logBegin.hash === "" ? noHash : logBegin.hash);
  writeU64(view, at.logBeginPosition, logBegin.position);
  writeU64(view, at.logBeginTime, logBegin.time);
  writeU64(view, at.beginGeneration, superblock.beginGeneration);
  writeU64(view, at.highestGeneration, superblock.highestGeneration);
  writeU64(view, at.durableSequence, superblock.durableSequence);
  writeU64(view, at.decidedEnd, superblock.decidedEnd);
  writeU64(view, at.segmentBytes, superblock.segmentBytes);
  writeU64(view, at.beginSequence, superblock.beginSequence);
  writeBallot(view, at.beginBallot, superblock.beginBallot);
  writeU64(view, at.snapshotSlot, superblock.snapshot?.slot ?? 0);
  writeHex(bytes, at.snapshotRootHash, superblock.snapshot?.rootHash ?? noHash);
  writeTexts(bytes, identity.name, state.genesis?.members ?? []);

  const checksum = hashing.xxh3(bytes.subarray(checksumBegin));
  writeHex(bytes, at.checksum, checksum);
  return { bytes, checksum };
}

export function setCopyNumber(bytes: Uint8Array, copy: number): void {
  bytes[at.copy] = copy;
}

/** The copy in `bytes`, which were read from place `copy` of the file. */
export function decodeSuperblock(bytes: Uint8Array, copy: number, hashing: Hashing): DecodedSuperblock {
  if (bytes.length < superblockCopyBytes) return malformed("the file ends inside the copy");
  const view = viewOf(bytes);
  for (let index = 0; index < magic.length; index += 1) {
    if (bytes[index] !== magic[index]) return malformed("no superblock begins here");
  }
  const checksum = hashing.xxh3(bytes.subarray(checksumBegin, superblockCopyBytes));
  if (checksum !== toHex(bytes, at.checksum, at.checksum + 16)) return malformed("the checksum does not match");
  if (bytes[at.copy] !== copy) return malformed(`copy ${bytes[at.copy]} lies in the place of copy ${copy}`);
  for (let index = at.copy + 1; index < checksumBegin; index += 1) {
    if (bytes[index] !== 0) return malformed("a reserved byte is not zero");
  }
  const version = view.getUint8(at.version);
  if (version !== superblockVersion) return { kind: "unknownVersion", version };
  const superblock = readSuperblock(bytes, view);
  if (typeof superblock === "string") return malformed(superblock);
  const previous = toHex(bytes, at.previous, at.previous + 16) as Hash;
  return { kind: "ok", copy: { sequence: readU64(view, at.sequence), checksum, previous, superblock } };
}

const malformed = (reason: string): DecodedSuperblock => ({ kind: "malformed", reason });

/** The content of a copy whose checksum holds, or what is wrong with it. */
function readSuperblock(bytes: Uint8Array, view: DataView): Superblock | string {
  const flags = view.getUint8(at.flags);
  const texts = readTexts(bytes);
  if (texts === undefined) return "the names run past the copy's end";
  const genesis: Genesis | undefined =
    (flags & flag.genesis) === 0
      ? undefined
      : {
          clusterId: toHex(bytes, at.clusterId, at.clusterId + 16) as Uid,
          nodeId: view.getUint32(at.nodeId, true) as NodeId,
          members: texts.members,
        };
  const hash = toHex(bytes, at.logBeginHash, at.logBeginHash + 16);
  const superblock: Superblock = {
    identity: {
      name: texts.name,
      nodeUid: toHex(bytes, at.nodeUid, at.nodeUid + 16) as Uid,
      incarnation: readU64(view, at.incarnation),
    },
    state: {
      genesis,
      started: (flags & flag.started) !== 0,
      promised: readBallot(view, at.promised),
      acceptedBallot: readBallot(view, at.acceptedBallot),
    },
    logBegin: {
      slot: readU64(view, at.logBeginSlot) as Slot,
      hash: (genesis === undefined ? "" : hash) as Hash,
      position: readU64(view, at.logBeginPosition) as Position,
      time: readU64(view, at.logBeginTime),
    },
    beginGeneration: readU64(view, at.beginGeneration),
    highestGeneration: readU64(view, at.highestGeneration),
    durableSequence: readU64(view, at.durableSequence),
    decidedEnd: readU64(view, at.decidedEnd) as Slot,
    segmentBytes: readU64(view, at.segmentBytes),
    beginSequence: readU64(view, at.beginSequence),
    beginBallot: readBallot(view, at.beginBallot),
    snapshot: readSnapshot(bytes, view),
    clean: (flags & flag.clean) !== 0,
  };
  return inRange(superblock) && readU64(view, at.sequence) >= 1 ? superblock : "a field is out of its range";
}

function readSnapshot(bytes: Uint8Array, view: DataView): SnapshotReference | undefined {
  const slot = readU64(view, at.snapshotSlot) as Slot;
  if (slot === 0) return undefined;
  return { slot, rootHash: toHex(bytes, at.snapshotRootHash, at.snapshotRootHash + 16) as Hash };
}

/** readU64 gives -1 for what a number cannot hold exactly. */
function inRange({ identity, state, logBegin, ...rest }: Superblock): boolean {
  const fromZero = [
    identity.incarnation,
    state.promised.n,
    state.acceptedBallot.n,
    logBegin.time,
    rest.beginSequence,
    rest.beginBallot.n,
    rest.highestGeneration,
    rest.durableSequence,
    rest.decidedEnd,
  ];
  const fromOne = [logBegin.slot, logBegin.position, rest.snapshot?.slot ?? 1, rest.beginGeneration, rest.segmentBytes];
  return fromZero.every((value) => value >= 0) && fromOne.every((value) => value >= 1);
}

/** Bytes of a name or address, or a RangeError: its owner checked it against the limits long before. */
function textBytes(text: string): Uint8Array {
  const bytes = Buffer.from(text, "utf8");
  if (bytes.length > 255) throw new RangeError(`too long for a superblock: ${text}`);
  return bytes;
}

function writeTexts(bytes: Uint8Array, name: string, members: readonly Member[]): void {
  let offset: number = at.texts;
  const put = (text: string): void => {
    const encoded = textBytes(text);
    bytes[offset] = encoded.length;
    bytes.set(encoded, offset + 1);
    offset += 1 + encoded.length;
  };
  put(name);
  bytes[offset] = members.length;
  offset += 1;
  for (const member of members) {
    viewOf(bytes).setUint32(offset, member.nodeId, true);
    writeHex(bytes, offset + 4, member.nodeUid);
    offset += 20;
    put(member.name);
    put(member.peerAddress);
    put(member.clientAddress);
  }
}

/** undefined where a length points past the copy's end. */
function readTexts(bytes: Uint8Array): { readonly name: string; readonly members: readonly Member[] } | undefined {
  let offset: number = at.texts;
  const take = (length: number): number => {
    const begin = offset;
    offset += length;
    return begin;
  };
  const text = (): string => {
    const length = bytes[offset] ?? 0;
    const begin = take(1 + length) + 1;
    return Buffer.from(bytes.subarray(begin, begin + length)).toString("utf8");
  };
  const name = text();
  const count = bytes[take(1)] ?? 0;
  const members: Member[] = [];
  for (let index = 0; index < count && offset + 20 <= bytes.length; index += 1) {
    const begin = take(20);
    members.push({
      nodeId: viewOf(bytes).getUint32(begin, true) as NodeId,
      nodeUid: toHex(bytes, begin + 4, begin + 20) as Uid,
      name: text(),
      peerAddress: text(),
      clientAddress: text(),
    });
  }
  return offset <= bytes.length && members.length === count ? { name, members } : undefined;
}
