/**
 * The manifest of a snapshot: names its content, chunk by chunk (STORAGE 1). Little-endian, and the same bytes on every node.
 *
 *   offset  size  field
 *        0     8  magic       "PAXLSNP" and a zero
 *        8    16  rootHash    XXH3-128 over bytes [24, end)
 *       24     1  version     1
 *       25     7  reserved    0
 *       32    16  clusterId
 *       48     8  slot        the content is what the entries below it amount to
 *       56    16  hash        of the log before slot
 *       72     8  position    of the next record at slot
 *       80     8  time        of the last entry before slot, or 0
 *       88     8  length      of the content
 *       96     4  chunkBytes  of every chunk but the last, which may be shorter
 *      100     4  chunkCount
 *      104  16 x chunkCount   XXH3-128 of each chunk
 *
 * A chunk is a file of its bytes and nothing else. The root hash covers the chunks by their hashes, so it names every byte.
 */
import { readU64, toHex, viewOf, writeHex, writeU64 } from "../base/bytes.ts";
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import type { Hash, Position, Slot, Uid } from "../base/types.ts";
import type { LogBase } from "../core/durable.ts";

const manifestVersion = 1;
const magic = Buffer.from("PAXLSNP\0", "latin1");
const hashedBegin = 24;
const hashBytes = 16;

const at = {
  magic: 0,
  rootHash: 8,
  version: 24,
  clusterId: 32,
  slot: 48,
  hash: 56,
  position: 72,
  time: 80,
  length: 88,
  chunkBytes: 96,
  chunkCount: 100,
  chunks: 104,
} as const;

/** What a snapshot consists of. */
export interface SnapshotManifest {
  readonly clusterId: Uid;
  /** The log at the snapshot's slot. */
  readonly base: LogBase;
  /** Of the content, in bytes; at least 1. */
  readonly length: number;
  /** Of each piece of limits.snapshotChunkBytes, in order. */
  readonly chunkHashes: readonly Hash[];
}

/** How many chunks a content of this length has. */
export const chunkCountOf = (length: number): number => Math.ceil(length / limits.snapshotChunkBytes);

/** Length of chunk `number`, from 0. */
export const chunkLengthOf = (length: number, number: number): number =>
  Math.min(limits.snapshotChunkBytes, length - number * limits.snapshotChunkBytes);

/** Largest manifest that there can be. */
export const manifestBytesMax: number = at.chunks + hashBytes * chunkCountOf(limits.snapshotBytesMax);

/** `rootHash` names the snapshot in the log, the superblock and between nodes. */
export function encodeManifest(
  { clusterId, base, length, chunkHashes }: SnapshotManifest,
  hashing: Hashing,
): { readonly bytes: Uint8Array; readonly rootHash: Hash } {
  const bytes = new Uint8Array(at.chunks + hashBytes * chunkHashes.length);
  const view = viewOf(bytes);
  bytes.set(magic, at.magic);
  view.setUint8(at.version, manifestVersion);
  writeHex(bytes, at.clusterId, clusterId);
  writeU64(view, at.slot, base.slot);
  writeHex(bytes, at.hash, base.hash);
  writeU64(view, at.position, base.position);
  writeU64(view, at.time, base.time);
  writeU64(view, at.length, length);
  view.setUint32(at.chunkBytes, limits.snapshotChunkBytes, true);
  view.setUint32(at.chunkCount, chunkHashes.length, true);
  chunkHashes.forEach((hash, number) => {
    writeHex(bytes, at.chunks + hashBytes * number, hash);
  });
  const rootHash = hashing.xxh3(bytes.subarray(hashedBegin));
  writeHex(bytes, at.rootHash, rootHash);
  return { bytes, rootHash };
}

export type DecodedManifest =
  | { readonly kind: "ok"; readonly manifest: SnapshotManifest; readonly rootHash: Hash }
  | { readonly kind: "malformed"; readonly reason: string }
  /** An intact manifest that a later release wrote. */
  | { readonly kind: "unknownVersion"; readonly version: number };

/** Decodes the bytes of a manifest, no fewer and no more. Whether it is of this cluster is for the caller to judge. */
export function decodeManifest(bytes: Uint8Array, hashing: Hashing): DecodedManifest {
  if (bytes.length < at.chunks) return malformed("it ends inside its header");
  const view = viewOf(bytes);
  for (let index = 0; index < magic.length; index += 1) {
    if (bytes[index] !== magic[index]) return malformed("no manifest begins here");
  }
  const rootHash = hashing.xxh3(bytes.subarray(hashedBegin));
  if (rootHash !== toHex(bytes, at.rootHash, at.rootHash + hashBytes)) return malformed("the root hash does not match");
  const version = view.getUint8(at.version);
  if (version !== manifestVersion) return { kind: "unknownVersion", version };

  const base: LogBase = {
    slot: readU64(view, at.slot) as Slot,
    hash: toHex(bytes, at.hash, at.hash + hashBytes) as Hash,
    position: readU64(view, at.position) as Position,
    time: readU64(view, at.time),
  };
  const length = readU64(view, at.length);
  const count = view.getUint32(at.chunkCount, true);
  if (base.slot < 1 || base.position < 1 || base.time < 0) return malformed("a field is out of its range");
  if (length < 1 || length > limits.snapshotBytesMax) return malformed("the content's length is out of its range");
  if (view.getUint32(at.chunkBytes, true) !== limits.snapshotChunkBytes)
    return malformed("its chunks have another size");
  if (count !== chunkCountOf(length) || bytes.length !== at.chunks + hashBytes * count) {
    return malformed("the number of its chunks does not fit its length");
  }
  const chunkHashes = Array.from({ length: count }, (_, number) => {
    const begin = at.chunks + hashBytes * number;
    return toHex(bytes, begin, begin + hashBytes) as Hash;
  });
  const clusterId = toHex(bytes, at.clusterId, at.clusterId + hashBytes) as Uid;
  return { kind: "ok", manifest: { clusterId, base, length, chunkHashes }, rootHash };
}

const malformed = (reason: string): DecodedManifest => ({ kind: "malformed", reason });
