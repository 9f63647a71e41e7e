import { limits } from "../base/limits.ts";
import type { Disk } from "./disk.ts";
import { generationOf, indexName, logDirectory, segmentName, trashDirectory, unfinished } from "./paths.ts";

/**
 * The directory trash/: segments that were trimmed, until they are the next ones or are removed, and the torn ends that recovery
 * put aside. Nothing in it is needed. Names of segments are generations, those of torn ends `<segment>.<offset>`.
 */
export class Trash {
  readonly #disk: Disk;
  readonly #dir: string;
  /** Generations of the trimmed segments, ascending. */
  readonly #segments: number[] = [];

  constructor(disk: Disk, dir: string) {
    this.#disk = disk;
    this.#dir = dir;
    const directory = trashDirectory(dir);
    if (!disk.exists(directory)) disk.makeDirectory(directory);
    for (const name of disk.list(directory)) {
      const generation = generationOf(name);
      if (name.endsWith(unfinished)) disk.remove(`${directory}/${name}`);
      else if (generation !== undefined) this.#segments.push(generation);
    }
    this.#segments.sort((a, b) => a - b);
  }

  /**
   * Takes every segment below `beginGeneration` out of log/, where the superblock already says that none of them is part of the
   * log: also those that a crash left there. Durable when it returns. Whoever has one open goes on reading it.
   */
  takeSegments(beginGeneration: number): void {
    const disk = this.#disk;
    const directory = logDirectory(this.#dir);
    const names = new Set(disk.list(directory));
    let taken = false;
    for (const name of names) {
      const generation = Number.parseInt(name, 10);
      if (!(generation < beginGeneration)) continue;
      if (name === segmentName(generation)) {
        disk.rename(`${directory}/${name}`, this.#path(name));
        this.#segments.push(generation);
        taken = true;
      } else if (name === indexName(generation)) {
        disk.remove(`${directory}/${name}`);
        taken = true;
      }
    }
    if (!taken) return;
    this.#segments.sort((a, b) => a - b);
    this.#sync();
  }

  /**
   * Moves a trimmed segment of exactly this size to `path`, durably in here; false where there is none. Its bytes are old ones: what
   * they say of themselves names a generation that is not part of the log.
   */
  recycle(path: string, bytes: number): boolean {
    for (let generation = this.#segments.shift(); generation !== undefined; generation = this.#segments.shift()) {
      const from = this.#path(segmentName(generation));
      if (this.#sizeOf(from) === bytes) {
        this.#disk.rename(from, path);
        this.#disk.syncDirectory(trashDirectory(this.#dir));
        return true;
      }
      this.#disk.remove(from);
      this.#disk.syncDirectory(trashDirectory(this.#dir));
    }
    return false;
  }

  /** Whether there are more trimmed segments than may be of use. */
  get hasSurplus(): boolean {
    return this.#segments.length > limits.recycledSegmentsMax;
  }

  /** Removes one segment of the surplus. */
  sweep(): void {
    const oldest = this.hasSurplus ? this.#segments.shift() : undefined;
    if (oldest === undefined) return;
    this.#disk.remove(this.#path(segmentName(oldest)));
    this.#disk.syncDirectory(trashDirectory(this.#dir));
  }

  /** Keeps what a torn end consists of. Only the newest few stay: a node that crashes again and again must not fill its disk. */
  putTornEnd(generation: number, offset: number, bytes: Uint8Array): void {
    const disk = this.#disk;
    const name = `${segmentName(generation)}.${offset}`;
    const kept: string[] = [];
    for (const other of disk.list(trashDirectory(this.#dir))) {
      if (generationOf(other) !== undefined) continue;
      if (other === name) disk.remove(this.#path(other));
      else kept.push(other);
    }
    // Names begin with the generation, so the oldest come first.
    const surplus = Math.max(0, kept.length - limits.trashFilesMax + 1);
    for (const other of kept.slice(0, surplus)) disk.remove(this.#path(other));
    const path = this.#path(name);
    const file = disk.create(path + unfinished);
    try {
      file.write(0, [bytes]);
      file.sync();
    } finally {
      file.close();
    }
    disk.rename(path + unfinished, path);
    disk.syncDirectory(trashDirectory(this.#dir));
  }

  /** First where they came from: a segment that is in neither place after a crash would still be one that nobody needs. */
  #sync(): void {
    this.#disk.syncDirectory(logDirectory(this.#dir));
    this.#disk.syncDirectory(trashDirectory(this.#dir));
  }

  #sizeOf(path: string): number {
    const file = this.#disk.open(path, "read");
    try {
      return file.size();
    } finally {
      file.close();
    }
  }

  #path(name: string): string {
    return `${trashDirectory(this.#dir)}/${name}`;
  }
}
