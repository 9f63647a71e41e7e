/**
 * The entry: what one slot of the log holds. The same bytes on every node, on disk and on the wire. Little-endian.
 *
 *   offset  size  field
 *        0    16  hash            XXH3-128 over bytes [16, 136)
 *       16    16  prevHash        hash of the entry before; of clusterId and logId for the first
 *       32    16  payloadHash     XXH3-128 over the payload
 *       48     1  version         1
 *       49     1  kind            core/entry.ts
 *       50     2  reserved        0
 *       52     4  logId           1 is the only log for now
 *       56     8  slot            from 1
 *       64    16  originBallot    ballot.ts
 *       80     8  floor           at most slot
 *       88     8  firstPosition   from 1
 *       96     8  time            hybrid logical milliseconds
 *      104     8  session         0: none
 *      112     8  serial          0: none
 *      120     4  recordCount     at least 1 in a batch, 0 in every other kind
 *      124     4  batchChecksum   CRC32C over the batch
 *      128     4  guardLength     bytes of the payload that stand before the batch
 *      132     4  payloadLength   guards and batch together
 *      136        payload         guards, then the batch as its client sent it
 *
 * Since prevHash and payloadHash lie under the hash, an equal hash at a slot means an equal log up to it.
 */
import { assert } from "../base/assert.ts";
import type { BatchTools } from "../base/batch-tools.ts";
import { readU64, toHex, viewOf, writeHex, writeU64 } from "../base/bytes.ts";
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import { defaultLogId, type Hash, type Position, type Slot, type Uid } from "../base/types.ts";
import {
  type Entry,
  type EntryHeader,
  type EntryKind,
  type EntryMaker,
  entryKinds,
  type Payload,
} from "../core/entry.ts";
import { readBallot, writeBallot } from "./ballot.ts";

export const entryHeaderBytes = 136;
const entryVersion = 1;

const at = {
  hash: 0,
  prevHash: 16,
  payloadHash: 32,
  version: 48,
  kind: 49,
  reserved: 50,
  logId: 52,
  slot: 56,
  originBallot: 64,
  floor: 80,
  firstPosition: 88,
  time: 96,
  session: 104,
  serial: 112,
  recordCount: 120,
  batchChecksum: 124,
  guardLength: 128,
  payloadLength: 132,
} as const;

/** Kind by its number; undefined where no kind has it. */
const kindOfNumber: readonly (EntryKind | undefined)[] = (() => {
  const kinds: (EntryKind | undefined)[] = [];
  for (const [kind, number] of Object.entries(entryKinds)) kinds[number] = kind as EntryKind;
  return kinds;
})();

export type DecodedEntry =
  /** `end` is the offset after the entry. */
  | { readonly kind: "ok"; readonly entry: Entry; readonly end: number }
  | { readonly kind: "malformed"; readonly reason: string };

export type DecodedEntries =
  | { readonly kind: "ok"; readonly entries: Entry[] }
  /** `offset` is where the first bad entry begins. */
  | { readonly kind: "malformed"; readonly reason: string; readonly offset: number };

/** Where the bytes of entries are laid. */
export interface EntryMemory {
  /** So many bytes, which hold anything. */
  take(length: number): Uint8Array;
  /** These bytes, copied there. */
  copyOf(source: Uint8Array): Uint8Array;
  /** Says what was laid into memory taken before: entries up to this slot. In the same turn. */
  hold(bytes: Uint8Array, lastSlot: Slot): void;
}

/** Memory of its own for each entry, for as long as someone looks at it. */
export const plainMemory: EntryMemory = {
  take: (length) => new Uint8Array(length),
  copyOf: (source) => source.slice(),
  hold: () => {},
};

/** The prevHash of a log's first entry. */
export function firstHash(clusterId: Uid, hashing: Hashing, logId: number = defaultLogId): Hash {
  const bytes = new Uint8Array(20);
  writeHex(bytes, 0, clusterId);
  viewOf(bytes).setUint32(16, logId, true);
  return hashing.xxh3(bytes);
}

export interface EntryMakerOptions {
  readonly memory?: EntryMemory;
  readonly logId?: number;
  /** Copies a batch and names it in one pass. */
  readonly copyAndHash?: BatchTools["copyAndHash"];
}

/**
 * The function with which the core makes entries: one copy of the payload, which also shows whether the batch still is what it
 * was when it was checked.
 */
export function makeEntryMaker(hashing: Hashing, options: EntryMakerOptions = {}): EntryMaker {
  const { memory = plainMemory, logId = defaultLogId, copyAndHash } = options;
  const layPayload = (bytes: Uint8Array, payload: Payload, batchChecksum: number): Hash => {
    const { guards, batch } = payload;
    if (copyAndHash !== undefined && guards.length === 0) {
      const copied = copyAndHash(batch, bytes, entryHeaderBytes);
      assert(copied.crc32c === batchChecksum, "a batch changed in memory after it was checked");
      return copied.xxh3;
    }
    bytes.set(guards, entryHeaderBytes);
    bytes.set(batch, entryHeaderBytes + guards.length);
    return hashing.xxh3(bytes.subarray(entryHeaderBytes));
  };
  return (header, payload) => {
    assert(header.guardLength === payload.guards.length, "guardLength is the length of the guards");
    const payloadLength = payload.guards.length + payload.batch.length;
    const bytes = memory.take(entryHeaderBytes + payloadLength);
    memory.hold(bytes, header.slot);
    const payloadHash = layPayload(bytes, payload, header.batchChecksum);

    const view = viewOf(bytes);
    writeHex(bytes, at.prevHash, header.prevHash);
    writeHex(bytes, at.payloadHash, payloadHash);
    view.setUint8(at.version, entryVersion);
    view.setUint8(at.kind, entryKinds[header.kind]);
    view.setUint16(at.reserved, 0, true);
    view.setUint32(at.logId, logId, true);
    writeU64(view, at.slot, header.slot);
    writeBallot(view, at.originBallot, header.originBallot);
    writeU64(view, at.floor, header.floor);
    writeU64(view, at.firstPosition, header.firstPosition);
    writeU64(view, at.time, header.time);
    writeU64(view, at.session, header.session);
    writeU64(view, at.serial, header.serial);
    view.setUint32(at.recordCount, header.recordCount, true);
    view.setUint32(at.batchChecksum, header.batchChecksum, true);
    view.setUint32(at.guardLength, header.guardLength, true);
    view.setUint32(at.payloadLength, payloadLength, true);
    const hash = hashing.xxh3(bytes.subarray(at.prevHash, entryHeaderBytes));
    writeHex(bytes, at.hash, hash);
    return entryOf(header, hash, bytes);
  };
}

/** One place makes Entry objects, so that all of them have one shape. */
function entryOf(header: EntryHeader, hash: Hash, bytes: Uint8Array): Entry {
  return {
    slot: header.slot,
    originBallot: header.originBallot,
    floor: header.floor,
    kind: header.kind,
    firstPosition: header.firstPosition,
    recordCount: header.recordCount,
    time: header.time,
    session: header.session,
    serial: header.serial,
    batchChecksum: header.batchChecksum,
    guardLength: header.guardLength,
    prevHash: header.prevHash,
    hash,
    bytes,
  };
}

/**
 * The entry that begins at `offset`, with everything in it verified: both hashes, the batch's checksum, and every field's
 * range. Whether it follows the entry before is not looked at. `entry.bytes` is a view of `bytes`, not a copy.
 */
export function decodeEntry(bytes: Uint8Array, offset: number, hashing: Hashing): DecodedEntry {
  return decodeAt(bytes, viewOf(bytes), offset, hashing);
}

/** A run of entries that fill `bytes` from end to end: each verified, slots consecutive, hashes chained. */
export function decodeEntries(bytes: Uint8Array, hashing: Hashing): DecodedEntries {
  const view = viewOf(bytes);
  const entries: Entry[] = [];
  let previous: Entry | undefined;
  for (let offset = 0; offset < bytes.length; ) {
    const decoded = decodeAt(bytes, view, offset, hashing);
    if (decoded.kind === "malformed") return { ...decoded, offset };
    const entry = decoded.entry;
    if (previous !== undefined) {
      if (entry.slot !== previous.slot + 1) {
        return { kind: "malformed", reason: `slot ${entry.slot} follows slot ${previous.slot}`, offset };
      }
      if (entry.prevHash !== previous.hash) {
        return { kind: "malformed", reason: `entry ${entry.slot} does not continue the chain`, offset };
      }
    }
    entries.push(entry);
    previous = entry;
    offset = decoded.end;
  }
  return { kind: "ok", entries };
}

/** The batch as its client sent it; empty for a control entry. A view. */
export function batchOf(entry: Entry): Uint8Array {
  return entry.bytes.subarray(entryHeaderBytes + entry.guardLength);
}

/** The hashes of types and tags that stand before the batch. A view. */
export function guardsOf(entry: Entry): Uint8Array {
  return entry.bytes.subarray(entryHeaderBytes, entryHeaderBytes + entry.guardLength);
}

/**
 * The length that the entry at `offset` claims, for finding the next one without verifying this one; undefined where the bytes
 * end inside its header. Nothing read here has been checked.
 */
export function claimedEntryLength(bytes: Uint8Array, offset: number): number | undefined {
  if (offset + entryHeaderBytes > bytes.length) return undefined;
  return entryHeaderBytes + viewOf(bytes).getUint32(offset + at.payloadLength, true);
}

/** What the index of a segment needs of an entry. */
export interface IndexedFacts {
  readonly slot: Slot;
  readonly floor: Slot;
  readonly firstPosition: Position;
  readonly guardLength: number;
  /** Of the whole entry, in bytes. */
  readonly length: number;
}

/**
 * The facts of the entry that begins at `offset`, for bytes whose checksum as a group has just matched: this looks at no hash.
 * undefined where it is longer than `room`, of which its header at least must be in the view.
 */
export function indexedFactsAt(view: DataView, offset: number, room: number): IndexedFacts | undefined {
  if (offset + entryHeaderBytes > view.byteLength) return undefined;
  const guardLength = view.getUint32(offset + at.guardLength, true);
  const length = entryHeaderBytes + view.getUint32(offset + at.payloadLength, true);
  if (length > room || entryHeaderBytes + guardLength > length) return undefined;
  return {
    slot: readU64(view, offset + at.slot) as Slot,
    floor: readU64(view, offset + at.floor) as Slot,
    firstPosition: readU64(view, offset + at.firstPosition) as Position,
    guardLength,
    length,
  };
}

const malformed = (reason: string): DecodedEntry => ({ kind: "malformed", reason });

function decodeAt(bytes: Uint8Array, view: DataView, offset: number, hashing: Hashing): DecodedEntry {
  const payloadBegin = offset + entryHeaderBytes;
  if (payloadBegin > bytes.length) return malformed("the bytes end inside the entry's header");

  // Version and lengths come first: they say where the entry ends and how to read the rest. They lie under the hash too.
  const version = view.getUint8(offset + at.version);
  if (version !== entryVersion) return malformed(`entry version ${version} is unknown`);
  const guardLength = view.getUint32(offset + at.guardLength, true);
  const payloadLength = view.getUint32(offset + at.payloadLength, true);
  if (guardLength > payloadLength) return malformed("the guards are longer than the payload");
  if (guardLength > limits.entryGuardBytesMax) return malformed("the guards are longer than the limit");
  if (payloadLength - guardLength > limits.batchBytesMax) return malformed("the batch is longer than the limit");
  const end = payloadBegin + payloadLength;
  if (end > bytes.length) return malformed("the bytes end inside the entry's payload");

  const hash = hashing.xxh3(bytes.subarray(offset + at.prevHash, payloadBegin));
  if (hash !== toHex(bytes, offset, offset + 16)) return malformed("the entry's hash does not match its header");
  const payloadHash = hashing.xxh3(bytes.subarray(payloadBegin, end));
  if (payloadHash !== toHex(bytes, offset + at.payloadHash, offset + at.payloadHash + 16)) {
    return malformed("the payload's hash does not match its bytes");
  }
  const header = readHeader(bytes, view, offset);
  if (typeof header === "string") return malformed(header);
  if (hashing.crc32c(bytes.subarray(payloadBegin + guardLength, end)) !== header.batchChecksum) {
    return malformed("the batch's checksum does not match its bytes");
  }
  return { kind: "ok", entry: entryOf(header, hash, bytes.subarray(offset, end)), end };
}

/** The fields of a header whose hash holds, or what is wrong with them: a sound hash does not make a field legal. */
function readHeader(bytes: Uint8Array, view: DataView, offset: number): EntryHeader | string {
  const kind = kindOfNumber[view.getUint8(offset + at.kind)];
  if (kind === undefined) return `entry kind ${view.getUint8(offset + at.kind)} is unknown`;
  if (view.getUint16(offset + at.reserved, true) !== 0) return "the reserved field is not zero";
  const logId = view.getUint32(offset + at.logId, true);
  if (logId !== defaultLogId) return `log ${logId} is unknown`;

  const header: EntryHeader = {
    slot: readU64(view, offset + at.slot) as Slot,
    originBallot: readBallot(view, offset + at.originBallot),
    floor: readU64(view, offset + at.floor) as Slot,
    kind,
    firstPosition: readU64(view, offset + at.firstPosition) as Position,
    recordCount: view.getUint32(offset + at.recordCount, true),
    time: readU64(view, offset + at.time),
    session: readU64(view, offset + at.session),
    serial: readU64(view, offset + at.serial),
    batchChecksum: view.getUint32(offset + at.batchChecksum, true),
    guardLength: view.getUint32(offset + at.guardLength, true),
    prevHash: toHex(bytes, offset + at.prevHash, offset + at.prevHash + 16) as Hash,
  };
  // readU64 gives -1 for what a number cannot hold exactly.
  if (header.originBallot.n < 0 || header.time < 0 || header.session < 0 || header.serial < 0) {
    return "a field holds 2^53 or more";
  }
  if (header.slot < 1 || header.firstPosition < 1) return "slots and positions count from 1, below 2^53";
  if (header.floor < 0 || header.floor > header.slot) return "the floor is above the slot";
  if (!Number.isSafeInteger(header.firstPosition + header.recordCount)) return "positions end below 2^53";
  if ((kind === "batch") !== header.recordCount > 0) return `a ${kind} entry cannot hold ${header.recordCount} records`;
  return header;
}
