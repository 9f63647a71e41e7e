import { DirectoryQuota } from "../base/directory-quota.ts";
import { type Disk, DiskError, type DiskFile } from "./disk.ts";
import { logDirectory, machinesDirectory, reserveDirectory, snapshotsDirectory, trashDirectory } from "./paths.ts";

/**
 * What the files take that storage writes, in bytes, by what they are for. Sizes of files; what a file system adds is not in it, nor
 * are the states of machines.
 */
export interface SpaceUsed {
  /** Segments, the spare and indexes. */
  log: number;
  trash: number;
  snapshots: number;
  reserve: number;
  /** The superblock and other small files. */
  rest: number;
}

type Area = keyof SpaceUsed;

interface Entry {
  size: number;
  area: Area;
}

/**
 * The disk of one data directory, with an account of its bytes that is right after every call, and a quota: what would take the
 * directory above it fails with EDQUOT, as on a file system that has one, before anything is written. What machines save under it is
 * counted by those who write it: here only what is there to begin with.
 */
export class AccountedDisk implements Disk {
  readonly used: SpaceUsed = { log: 0, trash: 0, snapshots: 0, reserve: 0, rest: 0 };
  readonly #disk: Disk;
  readonly #dir: string;
  readonly #quota: DirectoryQuota;
  readonly #entries = new Map<string, Entry>();

  /** Measures what is there: a directory that was formatted. */
  constructor(disk: Disk, dir: string, quota: DirectoryQuota = new DirectoryQuota()) {
    this.#disk = disk;
    this.#dir = dir;
    this.#quota = quota;
    this.#measure();
  }

  /** Of the whole directory. */
  get usedBytes(): number {
    return this.#quota.usedBytes;
  }

  create(path: string): DiskFile {
    const file = this.#disk.create(path);
    return this.#wrap(file, this.#enter(path, 0));
  }

  open(path: string, access: "read" | "write"): DiskFile {
    const file = this.#disk.open(path, access);
    const entry = this.#entries.get(path) ?? this.#enter(path, file.size());
    return access === "read" ? file : this.#wrap(file, entry);
  }

  exists(path: string): boolean {
    return this.#disk.exists(path);
  }

  makeDirectory(path: string): void {
    this.#disk.makeDirectory(path);
  }

  list(path: string): string[] {
    return this.#disk.list(path);
  }

  rename(from: string, to: string): void {
    this.#disk.rename(from, to);
    this.#forget(to);
    const entry = this.#entries.get(from);
    if (entry === undefined) return;
    this.#entries.delete(from);
    this.#entries.set(to, entry);
    this.used[entry.area] -= entry.size;
    entry.area = this.#areaOf(to);
    this.used[entry.area] += entry.size;
  }

  remove(path: string): void {
    this.#disk.remove(path);
    this.#forget(path);
  }

  removeDirectory(path: string): void {
    this.#disk.removeDirectory(path);
  }

  syncDirectory(path: string): void {
    this.#disk.syncDirectory(path);
  }

  #measure(): void {
    const disk = this.#disk;
    const directories = [logDirectory, trashDirectory, snapshotsDirectory, reserveDirectory].map((of) => of(this.#dir));
    const machines = machinesDirectory(this.#dir);
    const found = new Set<string>([...directories, machines]);
    if (disk.exists(machines)) this.#quota.add(sizeUnder(disk, machines));
    const measure = (directory: string): void => {
      for (const name of disk.list(directory)) {
        const path = `${directory}/${name}`;
        if (!found.has(path)) this.#enter(path, sizeOf(disk, path));
      }
    };
    for (const directory of directories.filter((each) => disk.exists(each))) {
      if (directory !== snapshotsDirectory(this.#dir)) measure(directory);
      else for (const name of disk.list(directory)) measure(`${directory}/${name}`);
    }
    measure(this.#dir);
  }

  #wrap(file: DiskFile, entry: Entry): DiskFile {
    const grow = <T>(length: number, syscall: string, work: () => T): T => {
      const before = entry.size;
      this.#grow(entry, length - before, syscall, file.path);
      try {
        return work();
      } catch (error) {
        // As much as there was room for may have been written.
        this.#settle(entry, error instanceof DiskError ? file.size() : before);
        throw error;
      }
    };
    return {
      path: file.path,
      size: () => file.size(),
      read: (offset, target) => file.read(offset, target),
      write: (offset, parts) => {
        let end = offset;
        for (const part of parts) end += part.length;
        if (end <= entry.size) return file.write(offset, parts);
        grow(end, "write", () => file.write(offset, parts));
      },
      sync: () => file.sync(),
      resize: (length) => {
        if (length > entry.size) return grow(length, "fallocate", () => file.resize(length));
        file.resize(length);
        this.#settle(entry, length);
      },
      close: () => file.close(),
    };
  }

  #grow(entry: Entry, bytes: number, syscall: string, path: string): void {
    if (bytes <= 0) return;
    if (!this.#quota.take(bytes)) throw new DiskError("EDQUOT", syscall, path);
    this.used[entry.area] += bytes;
    entry.size += bytes;
  }

  #count(area: Area, bytes: number): void {
    this.used[area] += bytes;
    this.#quota.add(bytes);
  }

  #enter(path: string, size: number): Entry {
    const entry = { size, area: this.#areaOf(path) };
    this.#forget(path);
    this.#entries.set(path, entry);
    this.#count(entry.area, size);
    return entry;
  }

  #forget(path: string): void {
    const entry = this.#entries.get(path);
    if (entry === undefined) return;
    this.#entries.delete(path);
    this.#count(entry.area, -entry.size);
    // Whoever still has it open changes nothing that counts.
    entry.size = Number.POSITIVE_INFINITY;
  }

  #settle(entry: Entry, size: number): void {
    if (entry.size === Number.POSITIVE_INFINITY) return;
    this.#count(entry.area, size - entry.size);
    entry.size = size;
  }

  #areaOf(path: string): Area {
    const under = (directory: string): boolean => path.startsWith(`${directory}/`);
    if (under(logDirectory(this.#dir))) return "log";
    if (under(trashDirectory(this.#dir))) return "trash";
    if (under(snapshotsDirectory(this.#dir))) return "snapshots";
    return under(reserveDirectory(this.#dir)) ? "reserve" : "rest";
  }
}

/** Of a file, or of all files in a directory. */
function sizeUnder(disk: Disk, path: string): number {
  let names: readonly string[];
  try {
    names = disk.list(path);
  } catch (error) {
    if (error instanceof DiskError && error.errno === "ENOTDIR") return sizeOf(disk, path);
    throw error;
  }
  return names.reduce((bytes, name) => bytes + sizeUnder(disk, `${path}/${name}`), 0);
}

function sizeOf(disk: Disk, path: string): number {
  const file = disk.open(path, "read");
  try {
    return file.size();
  } finally {
    file.close();
  }
}
