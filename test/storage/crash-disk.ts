import { type Disk, DiskError, type DiskFile } from "../../src/storage/disk.ts";

const sectorBytes = 512;

const pageBytes = 4096;

/** Bytes of a file by pages that are never changed in place, so that contents share what they have in common; absent ones are zeros. */
class Content {
  readonly length: number;
  readonly #pages: Map<number, Uint8Array>;

  constructor(length = 0, pages: ReadonlyMap<number, Uint8Array> = new Map()) {
    this.length = length;
    this.#pages = new Map(pages);
  }

  read(offset: number, target: Uint8Array): number {
    const length = Math.max(0, Math.min(target.length, this.length - offset));
    target.fill(0, 0, length);
    for (let done = 0; done < length; ) {
      const within = (offset + done) % pageBytes;
      const count = Math.min(pageBytes - within, length - done);
      const page = this.#pages.get(Math.floor((offset + done) / pageBytes));
      if (page !== undefined) target.set(page.subarray(within, within + count), done);
      done += count;
    }
    return length;
  }

  resized(length: number): Content {
    const result = new Content(length, this.#pages);
    for (const number of result.#pages.keys()) if (number * pageBytes >= length) result.#pages.delete(number);
    const last = Math.floor(length / pageBytes);
    const page = result.#pages.get(last);
    if (page !== undefined) result.#pages.set(last, page.slice().fill(0, length % pageBytes));
    return result;
  }

  written(parts: readonly { readonly offset: number; readonly bytes: Uint8Array }[]): Content {
    const end = Math.max(this.length, ...parts.map(({ offset, bytes }) => offset + bytes.length));
    const result = new Content(end, this.#pages);
    for (const { offset, bytes } of parts) result.#put(offset, bytes);
    return result;
  }

  #put(offset: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const number = Math.floor((offset + done) / pageBytes);
      const within = (offset + done) % pageBytes;
      const count = Math.min(pageBytes - within, bytes.length - done);
      const page = this.#pages.get(number)?.slice() ?? new Uint8Array(pageBytes);
      page.set(bytes.subarray(done, done + count), within);
      this.#pages.set(number, page);
      done += count;
    }
  }
}

/** A file's content: what is durable, and the writes since the last sync in their order. */
interface Inode {
  durable: Content;
  pending: { readonly offset: number; readonly bytes: Buffer }[];
  /** What reads see. */
  current: Content;
}

interface NameChange {
  readonly directories: Set<string>;
  readonly apply: (names: Map<string, Inode>) => void;
}

/**
 * A disk in memory that keeps what is durable apart from what is not, and can be cut: after `operationsLeft` operations each
 * call fails. `crashed` then gives a disk with what may be left of it.
 */
export class CrashDisk implements Disk {
  operations = 0;
  operationsLeft = Number.POSITIVE_INFINITY;
  #names = new Map<string, Inode>();
  #durableNames = new Map<string, Inode>();
  #changes: NameChange[] = [];
  readonly #directories = new Set(["", "/"]);

  /** Counts an operation that changes the disk, or fails it. */
  operation(path: string): void {
    if (this.operationsLeft === 0) throw new DiskError("EIO", "cut", path);
    this.operationsLeft -= 1;
    this.operations += 1;
  }

  /**
   * What is left after a loss of power: of the unsynced writes each 512-byte sector that `keeps` says, of the unsynced changes
   * of names the first `changesKept`.
   */
  crashed(keeps: (sector: number) => boolean, changesKept: number): CrashDisk {
    const disk = new CrashDisk();
    for (const directory of this.#directories) disk.#directories.add(directory);
    const names = new Map(this.#durableNames);
    for (const change of this.#changes.slice(0, changesKept)) change.apply(names);
    let sector = 0;
    for (const [path, inode] of names) {
      const kept: { readonly offset: number; readonly bytes: Uint8Array }[] = [];
      for (const { offset, bytes } of inode.pending) {
        for (let at = 0; at < bytes.length; ) {
          // Sectors are those of the file, not of the write.
          const length = Math.min(sectorBytes - ((offset + at) % sectorBytes), bytes.length - at);
          if (keeps(sector)) kept.push({ offset: offset + at, bytes: bytes.subarray(at, at + length) });
          sector += 1;
          at += length;
        }
      }
      const left = kept.length === 0 ? inode.durable : inode.durable.written(kept);
      const copy: Inode = { durable: left, pending: [], current: left };
      disk.#names.set(path, copy);
      disk.#durableNames.set(path, copy);
    }
    return disk;
  }

  get unsyncedChanges(): number {
    return this.#changes.length;
  }

  create(path: string): DiskFile {
    this.operation(path);
    if (this.#names.has(path)) throw new DiskError("EEXIST", "open", path);
    const inode: Inode = { durable: new Content(), pending: [], current: new Content() };
    this.#change([path], (names) => names.set(path, inode));
    return this.#file(path, inode);
  }

  open(path: string): DiskFile {
    const inode = this.#names.get(path);
    if (inode === undefined) throw new DiskError("ENOENT", "open", path);
    return this.#file(path, inode);
  }

  exists(path: string): boolean {
    return this.#names.has(path) || this.#directories.has(path);
  }

  makeDirectory(path: string): void {
    // Directories are durable at once here: what a store does about theirs is covered by the simulator's disk.
    this.#directories.add(path);
  }

  list(path: string): string[] {
    const begin = `${path}/`;
    const all = [...this.#names.keys(), ...this.#directories].filter((name) => name.startsWith(begin));
    return [...new Set(all.map((name) => name.slice(begin.length).split("/")[0]!))].sort();
  }

  rename(from: string, to: string): void {
    this.operation(from);
    const inode = this.#names.get(from);
    if (inode === undefined) throw new DiskError("ENOENT", "rename", from);
    this.#change([from, to], (names) => {
      names.delete(from);
      names.set(to, inode);
    });
  }

  remove(path: string): void {
    this.operation(path);
    if (!this.#names.has(path)) throw new DiskError("ENOENT", "unlink", path);
    this.#change([path], (names) => names.delete(path));
  }

  removeDirectory(path: string): void {
    if (this.list(path).length > 0) throw new DiskError("ENOTEMPTY", "rmdir", path);
    this.#directories.delete(path);
  }

  syncDirectory(path: string): void {
    this.operation(path);
    // In order: a change waits for those before it, so all up to the last that this directory completes are durable.
    for (const change of this.#changes) change.directories.delete(path);
    while (this.#changes[0]?.directories.size === 0) this.#changes.shift()!.apply(this.#durableNames);
  }

  #change(paths: readonly string[], apply: (names: Map<string, Inode>) => void): void {
    const directories = new Set(paths.map((path) => path.slice(0, path.lastIndexOf("/"))));
    apply(this.#names);
    this.#changes.push({ directories, apply });
  }

  #file(path: string, inode: Inode): DiskFile {
    return {
      path,
      size: () => inode.current.length,
      read: (offset, target) => inode.current.read(offset, target),
      write: (offset, parts) => {
        const bytes = Buffer.concat(parts);
        // A write that is cut may have happened all the same.
        inode.pending.push({ offset, bytes });
        this.operation(path);
        inode.current = inode.current.written([{ offset, bytes }]);
      },
      sync: () => {
        this.operation(path);
        if (inode.pending.length > 0) inode.durable = inode.current;
        inode.pending = [];
      },
      resize: (length) => {
        this.operation(path);
        inode.current = inode.current.resized(length);
        // Its size changes at once: a shorter file cannot come back, a longer one only holds zeros.
        inode.durable = inode.durable.resized(length);
      },
      close: () => {},
    };
  }
}
