import { limits } from "../base/limits.ts";
import { type Disk, DiskError } from "./disk.ts";
import { reserveDirectory, unfinished } from "./paths.ts";

/** A disk, or a quota of it, that has no more room. */
export const isFull = (error: unknown): boolean =>
  error instanceof DiskError && (error.errno === "ENOSPC" || error.errno === "EDQUOT");

/** Where a file may come from instead of from free space. */
export interface FileSource {
  /** Moves a file of exactly this size to `path`; false where there is none. */
  recycle(path: string, bytes: number): boolean;
}

/**
 * The directory reserve/: files that hold nothing but room, made while there is some, so that the log and a snapshot can go on for a
 * while on a full disk, long enough to trim. What a crash takes of it is made again.
 */
export class Reserve {
  readonly #disk: Disk;
  readonly #dir: string;
  readonly #fileBytes: number;
  readonly #held = new Set<number>();

  /** Takes stock. Files of another size, from another setting of the segment size, give their room back. */
  constructor(disk: Disk, dir: string, fileBytes: number) {
    this.#disk = disk;
    this.#dir = dir;
    this.#fileBytes = fileBytes;
    const directory = reserveDirectory(dir);
    if (!disk.exists(directory)) {
      disk.makeDirectory(directory);
      disk.syncDirectory(dir);
    }
    for (const name of disk.list(directory)) {
      const path = `${directory}/${name}`;
      const number = Number(name);
      const known = Number.isInteger(number) && number >= 1 && number <= limits.reserveFiles;
      if (known && this.#sizeOf(path) === fileBytes) this.#held.add(number);
      else disk.remove(path);
    }
  }

  get isWhole(): boolean {
    return this.#held.size === limits.reserveFiles;
  }

  /** Not all of what the log may take is there. */
  get wasTakenForLog(): boolean {
    const forLog = [...this.#held].filter((number) => number < limits.reserveFiles);
    return forLog.length < limits.reserveFiles - 1;
  }

  /** Makes one file that is missing, out of `source` or of free space. False where there is none of either. */
  fillOne(source: FileSource): boolean {
    for (let number = 1; number <= limits.reserveFiles; number += 1) {
      if (this.#held.has(number)) continue;
      const path = this.#path(number);
      if (!source.recycle(path, this.#fileBytes) && !makeFile(this.#disk, path, this.#fileBytes)) return false;
      this.#disk.syncDirectory(reserveDirectory(this.#dir));
      this.#held.add(number);
      return true;
    }
    return false;
  }

  /** Moves a file to `path`, to be the next segment: the caller makes its new name durable. False where none is left for the log. */
  takeForLog(path: string): boolean {
    for (let number = 1; number < limits.reserveFiles; number += 1) {
      if (!this.#held.delete(number)) continue;
      this.#disk.rename(this.#path(number), path);
      this.#disk.syncDirectory(reserveDirectory(this.#dir));
      return true;
    }
    return false;
  }

  /** Gives room for a snapshot; false where that was done before. */
  releaseForSnapshot(): boolean {
    if (!this.#held.delete(limits.reserveFiles)) return false;
    this.#disk.remove(this.#path(limits.reserveFiles));
    this.#disk.syncDirectory(reserveDirectory(this.#dir));
    return true;
  }

  #path(number: number): string {
    return `${reserveDirectory(this.#dir)}/${number}`;
  }

  #sizeOf(path: string): number {
    const file = this.#disk.open(path, "read");
    try {
      return file.size();
    } finally {
      file.close();
    }
  }
}

/** Makes a file of this size, whole; false, and nothing is left of it, where the disk is full. Its name is not durable yet. */
export function makeFile(disk: Disk, path: string, bytes: number, sync = false): boolean {
  const unready = path + unfinished;
  if (disk.exists(unready)) disk.remove(unready);
  try {
    const file = disk.create(unready);
    try {
      file.resize(bytes);
      if (sync) file.sync();
    } finally {
      file.close();
    }
  } catch (error) {
    if (!isFull(error)) throw error;
    if (disk.exists(unready)) disk.remove(unready);
    return false;
  }
  disk.rename(unready, path);
  return true;
}
