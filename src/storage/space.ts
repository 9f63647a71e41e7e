import { type Disk, DiskError } from "./disk.ts";
import { parentOf } from "./paths.ts";
import { isFull, makeFile, Reserve } from "./reserve.ts";
import { Trash } from "./trash.ts";

/**
 * "full": the next segment could not be made ahead, and what is left is for trimming, votes and what is under way. "reserve": the log
 * has gone on into that, and one segment is left.
 */
export type SpaceState = "enough" | "full" | "reserve";

/**
 * The room of a data directory: where the next segment comes from, and whether the log may grow (STORAGE 7). The disk counts as
 * full as soon as the next segment cannot be made ahead, which is before the reserve is touched. It counts as having room again
 * only when the reserve is whole and a next segment is there: in between lie some segments, so that the state does not flutter.
 */
export class DiskSpace {
  readonly trash: Trash;
  readonly #disk: Disk;
  readonly #reserve: Reserve;
  readonly #segmentBytes: number;
  #state: SpaceState = "enough";

  /** Takes stock; makes nothing yet. */
  constructor(disk: Disk, dir: string, segmentBytes: number) {
    this.#disk = disk;
    this.#segmentBytes = segmentBytes;
    this.trash = new Trash(disk, dir);
    this.#reserve = new Reserve(disk, dir, segmentBytes);
  }

  get state(): SpaceState {
    return this.#state;
  }

  /**
   * Makes the file of the next segment at `path`, durable with its name, from what is trimmed or free. undefined, and the state
   * "full", where there is neither; where it is needed at once, from the reserve then.
   *
   * @throws DiskError ENOSPC where it is needed at once and the reserve is used up: the node can only stop.
   */
  makeSegment(path: string, neededNow: boolean): "zeros" | "recycled" | undefined {
    let made: "zeros" | "recycled" | undefined;
    if (this.trash.recycle(path, this.#segmentBytes)) made = "recycled";
    else if (makeFile(this.#disk, path, this.#segmentBytes, true)) made = "zeros";
    else {
      if (this.#state === "enough") this.#state = "full";
      if (!neededNow) return undefined;
      if (!this.#reserve.takeForLog(path)) throw new DiskError("ENOSPC", "fallocate", path);
      this.#state = "reserve";
      made = "zeros";
    }
    this.#disk.syncDirectory(parentOf(path));
    return made;
  }

  /** Makes what is missing of the reserve, as far as there is room. A node that starts without all of it starts full. */
  open(): void {
    while (this.fillReserve());
    if (this.#reserve.isWhole) return;
    this.#state = this.#reserve.wasTakenForLog ? "reserve" : "full";
  }

  /** Makes one missing file of the reserve. False where nothing is missing, or there is no room for it. */
  fillReserve(): boolean {
    return !this.#reserve.isWhole && this.#reserve.fillOne(this.trash);
  }

  get reserveIsWhole(): boolean {
    return this.#reserve.isWhole;
  }

  /** There is a next segment and a whole reserve. */
  hasRoomAgain(): void {
    this.#state = "enough";
  }

  /** Runs what writes a part of a snapshot; where the disk is full once more, in the room that the reserve keeps for it. */
  forSnapshot<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (!isFull(error)) throw error;
      if (this.#state === "enough") this.#state = "full";
      if (!this.#reserve.releaseForSnapshot()) throw error;
      return work();
    }
  }
}
