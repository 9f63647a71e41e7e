import { limits } from "../base/limits.ts";
import type { StoreCounters } from "./counters.ts";
import type { DiskFile } from "./disk.ts";
import { isFull } from "./reserve.ts";

/**
 * The space of a segment file. A group that goes where something was written before is synced in half the time of one that goes
 * to reserved space, for which the file system has to write down that it is in use now. So zeros are written ahead, over what
 * reads as zeros or is void: a crash in the middle leaves nothing to judge.
 */
export interface Space {
  readonly file: DiskFile;
  readonly size: number;
  /** Every byte below it was written before. Moves forward only. */
  writtenEnd: number;
}

/** Writes zeros over the next slice that was never written, at `from` or behind, durably. False where there is none left. */
export function fillNext(space: Space, from: number, counters: StoreCounters): boolean {
  const begin = Math.max(space.writtenEnd, from);
  const end = Math.min(begin + limits.fillBytes, space.size);
  if (begin >= end) return false;
  try {
    space.file.write(begin, [slice.subarray(0, end - begin)]);
  } catch (error) {
    if (!isFull(error)) throw error;
    // Nothing depends on the zeros. What space there is belongs to the groups.
    space.writtenEnd = space.size;
    return false;
  }
  space.file.sync();
  space.writtenEnd = end;
  counters.filledBytes += end - begin;
  counters.syncs += 1;
  return true;
}

/** Notes that a group was written at [begin, end), and counts what of it went to space that was only reserved. */
export function takeSpace(space: Space, begin: number, end: number, counters: StoreCounters): void {
  if (end <= space.writtenEnd) return;
  counters.reservedBytes += end - Math.max(begin, space.writtenEnd);
  space.writtenEnd = end;
}

const slice = new Uint8Array(limits.fillBytes);
