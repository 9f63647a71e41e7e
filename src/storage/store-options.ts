import { toHex } from "../base/bytes.ts";
import type { DirectoryQuota } from "../base/directory-quota.ts";
import { PaxlogError } from "../base/errors.ts";
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import { firstPosition, firstSlot, type Hash, type Uid } from "../base/types.ts";
import { noBallot } from "../core/ballot.ts";
import type { Superblock } from "../format/superblock.ts";
import type { Disk } from "./disk.ts";

export interface StoreOptions {
  readonly disk: Disk;
  readonly dir: string;
  readonly hashing: Hashing;
  /** Fresh random bytes: nodeUid and the nonces of segments. */
  readonly randomBytes: (count: number) => Uint8Array;
  /** Of the node. A directory belongs to the name that it was formatted for. */
  readonly name: string;
  /** Size of new segments, a multiple of 4 KiB; the default is limits.segmentBytesDefault. */
  readonly segmentBytes?: number;
  /** What the directory may take in all, and takes; no limit but the disk's by default. */
  readonly quota?: DirectoryQuota | undefined;
}

/** Of a directory that is being formatted. */
export function freshSuperblock({ randomBytes, name }: StoreOptions, segmentBytes: number): Superblock {
  return {
    identity: { name, nodeUid: toHex(randomBytes(16)) as Uid, incarnation: 0 },
    state: { genesis: undefined, started: false, promised: noBallot, acceptedBallot: noBallot },
    logBegin: { slot: firstSlot, hash: "" as Hash, position: firstPosition, time: 0 },
    beginGeneration: 1,
    highestGeneration: 0,
    durableSequence: 0,
    decidedEnd: firstSlot,
    segmentBytes,
    beginSequence: 0,
    beginBallot: noBallot,
    snapshot: undefined,
    clean: true,
  };
}

export function checkName({ identity }: Superblock, { name, dir }: StoreOptions): void {
  if (identity.name === name) return;
  throw new PaxlogError(
    "DIRECTORY_UNUSABLE",
    `the directory ${dir} belongs to the node "${identity.name}", not to "${name}". Start this node on its own directory, or an empty one.`,
    { facts: { directory: dir, name, owner: identity.name } },
  );
}

export function checkSegmentBytes(segmentBytes: number): void {
  const { segmentBytesMin, segmentBytesMax, blockBytes } = limits;
  if (segmentBytes >= segmentBytesMin && segmentBytes <= segmentBytesMax && segmentBytes % blockBytes === 0) return;
  throw new PaxlogError(
    "INVALID_ARGUMENT",
    `the segment size must be a multiple of ${blockBytes} from ${segmentBytesMin} to ${segmentBytesMax}, is ${segmentBytes}`,
    { facts: { segmentBytes } },
  );
}
