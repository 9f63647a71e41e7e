import { type Disk, DiskError, type DiskFile } from "../../src/storage/disk.ts";

const sectorBytes = 512;

/** A file's content: what is durable, and the writes since the last sync in their order. */
interface Inode {
  durable: Buffer;
  pending: { readonly offset: number; readonly bytes: Buffer }[];
  /** What reads see. */
  current: Buffer;
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
      let left: Buffer = Buffer.from(inode.durable);
      for (const { offset, bytes } of inode.pending) {
        for (let at = 0; at < bytes.length; ) {
          // Sectors are those of the file, not of the write.
          const length = Math.min(sectorBytes - ((offset + at) % sectorBytes), bytes.length - at);
          if (keeps(sector)) left = written(left, offset + at, bytes.subarray(at, at + length));
          sector += 1;
          at += length;
        }
      }
      const copy: Inode = { durable: left, pending: [], current: Buffer.from(left) };
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
    const inode: Inode = { durable: Buffer.alloc(0), pending: [], current: Buffer.alloc(0) };
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
      read: (offset, target) => inode.current.copy(target, 0, offset, offset + target.length),
      write: (offset, parts) => {
        const bytes = Buffer.concat(parts);
        // A write that is cut may have happened all the same.
        inode.pending.push({ offset, bytes });
        this.operation(path);
        inode.current = written(inode.current, offset, bytes);
      },
      sync: () => {
        this.operation(path);
        for (const { offset, bytes } of inode.pending) inode.durable = written(inode.durable, offset, bytes);
        inode.pending = [];
      },
      resize: (length) => {
        this.operation(path);
        inode.current = resized(inode.current, length);
        // Its size changes at once: a shorter file cannot come back, a longer one only holds zeros.
        inode.durable = resized(inode.durable, length);
      },
      close: () => {},
    };
  }
}

function resized(bytes: Buffer, length: number): Buffer {
  const result = Buffer.alloc(length);
  bytes.copy(result);
  return result;
}

function written(bytes: Buffer, offset: number, part: Uint8Array): Buffer {
  const result = offset + part.length > bytes.length ? resized(bytes, offset + part.length) : bytes;
  result.set(part, offset);
  return result;
}
