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
}

export const noCounts = (): StoreCounters => ({ groups: 0, syncs: 0, bytes: 0, superblockWrites: 0, segments: 0 });
