import {
  closeSync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmdirSync,
  statSync,
  unlinkSync,
  writevSync,
} from "node:fs";
import { type Disk, DiskError, type DiskFile } from "./disk.ts";
import { parentOf } from "./paths.ts";
import { systemCall } from "./system-call.ts";

/** The most pieces that one writev takes (IOV_MAX of Linux). */
const piecesMax = 1024;

/** The portable disk: node:fs, buffered, synced with fdatasync. */
export class NodeDisk implements Disk {
  create(path: string): DiskFile {
    return systemCall("open", path, () => new NodeFile(path, openSync(path, "wx+", 0o600)));
  }

  open(path: string, access: "read" | "write"): DiskFile {
    return systemCall("open", path, () => new NodeFile(path, openSync(path, access === "read" ? "r" : "r+")));
  }

  exists(path: string): boolean {
    return systemCall("stat", path, () => statSync(path, { throwIfNoEntry: false }) !== undefined);
  }

  makeDirectory(path: string): void {
    systemCall("mkdir", path, () => makeDirectories(path));
  }

  list(path: string): string[] {
    return systemCall("readdir", path, () => readdirSync(path).sort());
  }

  rename(from: string, to: string): void {
    systemCall("rename", from, () => renameSync(from, to));
  }

  remove(path: string): void {
    systemCall("unlink", path, () => unlinkSync(path));
  }

  removeDirectory(path: string): void {
    systemCall("rmdir", path, () => rmdirSync(path));
  }

  syncDirectory(path: string): void {
    systemCall("fsync", path, () => {
      const descriptor = openSync(path, "r");
      try {
        fsyncSync(descriptor);
      } finally {
        closeSync(descriptor);
      }
    });
  }
}

class NodeFile implements DiskFile {
  readonly path: string;
  readonly #descriptor: number;

  constructor(path: string, descriptor: number) {
    this.path = path;
    this.#descriptor = descriptor;
  }

  size(): number {
    return systemCall("fstat", this.path, () => fstatSync(this.#descriptor).size);
  }

  read(offset: number, target: Uint8Array): number {
    return systemCall("read", this.path, () => {
      let done = 0;
      while (done < target.length) {
        const count = readSync(this.#descriptor, target, done, target.length - done, offset + done);
        if (count === 0) break;
        done += count;
      }
      return done;
    });
  }

  write(offset: number, parts: readonly Uint8Array[]): void {
    systemCall("write", this.path, () => {
      let position = offset;
      for (let begin = 0; begin < parts.length; begin += piecesMax) {
        position += this.#writeAll(position, parts.slice(begin, begin + piecesMax));
      }
    });
  }

  /** Writes at most piecesMax parts whole, and returns their length. */
  #writeAll(offset: number, parts: Uint8Array[]): number {
    let left = parts.filter((part) => part.length > 0);
    let done = 0;
    while (left.length > 0) {
      const count = writevSync(this.#descriptor, left, offset + done);
      if (count === 0) throw new DiskError("EIO", "write", this.path);
      done += count;
      left = withoutFirst(left, count);
    }
    return done;
  }

  sync(): void {
    systemCall("fdatasync", this.path, () => fdatasyncSync(this.#descriptor));
  }

  resize(length: number): void {
    systemCall("ftruncate", this.path, () => ftruncateSync(this.#descriptor, length));
  }

  close(): void {
    systemCall("close", this.path, () => closeSync(this.#descriptor));
  }
}

/** Makes a directory and its parents. By hand: mkdir's own recursion never ends below some special file systems. */
function makeDirectories(path: string): void {
  const make = (): void => {
    mkdirSync(path, { mode: 0o700 });
  };
  try {
    make();
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "EEXIST" && statSync(path).isDirectory()) return;
    if (code !== "ENOENT" || parentOf(path) === path) throw cause;
    makeDirectories(parentOf(path));
    make();
  }
}

/** What remains to be written after `count` bytes were. */
function withoutFirst(parts: readonly Uint8Array[], count: number): Uint8Array[] {
  let skip = count;
  let index = 0;
  while (index < parts.length && skip >= parts[index]!.length) {
    skip -= parts[index]!.length;
    index += 1;
  }
  const left = parts.slice(index);
  if (skip > 0) left[0] = left[0]!.subarray(skip);
  return left;
}
