import { assert } from "../base/assert.ts";
import type { Hashing } from "../base/hashing.ts";
import type { Hash } from "../base/types.ts";
import { compareBallots, showBallot } from "../core/ballot.ts";
import {
  decodeSuperblock,
  encodeSuperblock,
  type Superblock,
  type SuperblockCopy,
  setCopyNumber,
  superblockCopies,
  superblockCopyBytes,
} from "../format/superblock.ts";
import { readSound } from "./block-reader.ts";
import type { StoreCounters } from "./counters.ts";
import { damaged, formatUnknown } from "./damage.ts";
import type { Disk, DiskFile } from "./disk.ts";
import { parentOf, unfinished } from "./paths.ts";

/**
 * The four copies of the superblock (STORAGE 5). A write is durable once copies 1 and 2, and after them 3 and 4, are synced: at
 * every moment at least two copies of one superblock are whole, the last durable one or the one being written.
 */
export class SuperblockStore {
  readonly #file: DiskFile;
  readonly #hashing: Hashing;
  readonly #counters: StoreCounters;
  #sequence: number;
  #checksum: Hash;
  #current: Superblock;

  private constructor(file: DiskFile, hashing: Hashing, counters: StoreCounters, copy: SuperblockCopy) {
    this.#file = file;
    this.#hashing = hashing;
    this.#counters = counters;
    this.#sequence = copy.sequence;
    this.#checksum = copy.checksum;
    this.#current = copy.superblock;
  }

  /** Makes the file, whole and durable before it has its name. */
  static format(disk: Disk, path: string, superblock: Superblock, hashing: Hashing): void {
    const { bytes } = encodeSuperblock(superblock, 1, "", hashing);
    const file = disk.create(path + unfinished);
    try {
      file.write(0, copiesOf(bytes));
      file.sync();
    } finally {
      file.close();
    }
    disk.rename(path + unfinished, path);
    disk.syncDirectory(parentOf(path));
  }

  /**
   * Reads the copies, takes the highest sequence that two equal ones have, and writes it over the others before anything else.
   *
   * @throws PaxlogError DAMAGED with the reason NOT_FOUND, QUORUM_LOST, FORK or NOT_MONOTONIC; FORMAT_UNKNOWN.
   */
  static open(disk: Disk, path: string, hashing: Hashing, counters: StoreCounters): SuperblockStore {
    if (!disk.exists(path)) throw damaged("NOT_FOUND", "the superblock is missing", { file: path });
    const file = disk.open(path, "write");
    try {
      // What an earlier process failed to sync may be in memory and not on disk: first sync, then believe.
      file.sync();
      const copies = readCopies(file, hashing);
      checkHistory(copies, path);
      const winner = winnerOf(copies, path);
      repair(file, copies, winner);
      return new SuperblockStore(file, hashing, counters, winner);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** What is durable now. */
  get current(): Superblock {
    return this.#current;
  }

  /** Makes `superblock` durable. Neither ballot ever goes back. */
  write(superblock: Superblock): void {
    const before = this.#current.state;
    const { state } = superblock;
    assert(
      compareBallots(state.promised, before.promised) >= 0,
      `promised goes back from ${showBallot(before.promised)} to ${showBallot(state.promised)}`,
    );
    assert(
      compareBallots(state.acceptedBallot, before.acceptedBallot) >= 0,
      `acceptedBallot goes back from ${showBallot(before.acceptedBallot)} to ${showBallot(state.acceptedBallot)}`,
    );
    const { bytes, checksum } = encodeSuperblock(superblock, this.#sequence + 1, this.#checksum, this.#hashing);
    const parts = copiesOf(bytes);
    for (const first of [0, 2]) {
      this.#file.write(first * superblockCopyBytes, parts.slice(first, first + 2));
      this.#file.sync();
      this.#counters.syncs += 1;
    }
    this.#counters.bytes += superblockCopies * superblockCopyBytes;
    this.#counters.superblockWrites += 1;
    this.#sequence += 1;
    this.#checksum = checksum;
    this.#current = superblock;
  }

  close(): void {
    this.#file.close();
  }
}

function copiesOf(bytes: Uint8Array): Uint8Array[] {
  return Array.from({ length: superblockCopies }, (_, copy) => {
    const part = bytes.slice();
    setCopyNumber(part, copy);
    return part;
  });
}

export interface ReadCopy extends SuperblockCopy {
  readonly bytes: Uint8Array;
}

/** By place; undefined where the copy is not whole. */
export type Copies = readonly (ReadCopy | undefined)[];

export function readCopies(file: DiskFile, hashing: Hashing): Copies {
  const copies: (ReadCopy | undefined)[] = [];
  for (let place = 0; place < superblockCopies; place += 1) {
    const bytes = readSound(file, place * superblockCopyBytes, superblockCopyBytes);
    const decoded = decodeSuperblock(bytes, place, hashing);
    if (decoded.kind === "unknownVersion") {
      throw formatUnknown("the superblock", decoded.version, { file: file.path, offset: place * superblockCopyBytes });
    }
    copies.push(decoded.kind === "ok" ? { ...decoded.copy, bytes } : undefined);
  }
  return copies;
}

/** Every two whole copies must be two moments of one history. */
export function checkHistory(copies: Copies, path: string): void {
  const whole = copies.filter((copy) => copy !== undefined).sort((a, b) => a.sequence - b.sequence);
  for (let index = 1; index < whole.length; index += 1) {
    const older = whole[index - 1]!;
    const newer = whole[index]!;
    const facts = { file: path, sequence: newer.sequence };
    if (older.checksum === newer.checksum) continue;
    if (older.sequence === newer.sequence) {
      throw damaged("FORK", `two superblocks have the sequence ${newer.sequence} and different content`, facts);
    }
    if (older.sequence + 1 === newer.sequence && newer.previous !== older.checksum) {
      throw damaged("FORK", `superblock ${newer.sequence} does not follow the one before it`, facts);
    }
    if (goesBack(older.superblock, newer.superblock)) {
      throw damaged("NOT_MONOTONIC", `superblock ${newer.sequence} takes back what an older one says`, facts);
    }
  }
}

function goesBack(older: Superblock, newer: Superblock): boolean {
  return (
    compareBallots(newer.state.promised, older.state.promised) < 0 ||
    compareBallots(newer.state.acceptedBallot, older.state.acceptedBallot) < 0 ||
    newer.identity.incarnation < older.identity.incarnation ||
    newer.identity.nodeUid !== older.identity.nodeUid ||
    newer.highestGeneration < older.highestGeneration ||
    newer.durableSequence < older.durableSequence
  );
}

export function winnerOf(copies: Copies, path: string): ReadCopy {
  let winner: ReadCopy | undefined;
  for (const copy of copies) {
    if (copy === undefined || (winner !== undefined && copy.sequence <= winner.sequence)) continue;
    if (copies.filter((other) => other?.checksum === copy.checksum).length >= 2) winner = copy;
  }
  if (winner === undefined) throw damaged("QUORUM_LOST", "no two copies of the superblock are equal", { file: path });
  return winner;
}

/** Writes only over copies that are not the winner's: the number of those never falls. */
function repair(file: DiskFile, copies: Copies, winner: ReadCopy): void {
  const parts = copiesOf(winner.bytes);
  let repaired = false;
  copies.forEach((copy, place) => {
    if (copy?.checksum === winner.checksum) return;
    file.write(place * superblockCopyBytes, [parts[place]!]);
    repaired = true;
  });
  if (repaired) file.sync();
}
