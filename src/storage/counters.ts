import type { SpaceUsed } from "./accounted-disk.ts";

/** What a store did since it was opened. */
export interface StoreCounters {
  /** Groups of all kinds. */
  groups: number;
  /** Syncs of files and of directories. */
  syncs: number;
  /** Handed to write, padding and headers included. */
  bytes: number;
  superblockWrites: number;
  /** Segments begun. */
  segments: number;
  /** Zeros written ahead, so that groups go where something was written before. Not part of `bytes`. */
  filledBytes: number;
  /** Of groups that went to space that was only reserved: there the log outran the filling. */
  reservedBytes: number;
  /** What the files of the directory take now, in bytes. */
  readonly used: SpaceUsed;
}

const nothingUsed = (): SpaceUsed => ({ log: 0, trash: 0, snapshots: 0, reserve: 0, rest: 0 });

export const noCounts = (used: SpaceUsed = nothingUsed()): StoreCounters => ({
  groups: 0,
  syncs: 0,
  bytes: 0,
  superblockWrites: 0,
  segments: 0,
  filledBytes: 0,
  reservedBytes: 0,
  used,
});
