import { limits } from "../base/limits.ts";
import type { NativeFile, NativeFiles } from "../native/files.ts";
import { type Disk, DiskError, type DiskFile } from "./disk.ts";
import { NodeDisk } from "./node-disk.ts";
import { systemCall } from "./system-call.ts";

/**
 * How what is written becomes durable. "buffered": through the page cache, then fdatasync. "direct": from aligned memory past the
 * cache (O_DIRECT), durable when the write returns (O_DSYNC). The bytes on disk are the same.
 */
export type WriteMode = "buffered" | "direct";

/** Files through the addon, on Linux. Names and directories go through node:fs, which is never on the path of an append. */
export class NativeDisk implements Disk {
  readonly mode: WriteMode;
  readonly #files: NativeFiles;
  readonly #names = new NodeDisk();
  readonly #staging: Staging;

  constructor(files: NativeFiles, mode: WriteMode) {
    this.mode = mode;
    this.#files = files;
    this.#staging = new Staging(files);
  }

  create(path: string): DiskFile {
    const file = systemCall("open", path, () => this.#files.open(path, { create: true }));
    return this.#file(path, file);
  }

  open(path: string, access: "read" | "write"): DiskFile {
    const file = systemCall("open", path, () => this.#files.open(path, { write: access === "write" }));
    return access === "read" ? new BufferedFile(path, file) : this.#file(path, file);
  }

  exists(path: string): boolean {
    return this.#names.exists(path);
  }

  makeDirectory(path: string): void {
    this.#names.makeDirectory(path);
  }

  list(path: string): string[] {
    return this.#names.list(path);
  }

  rename(from: string, to: string): void {
    this.#names.rename(from, to);
  }

  remove(path: string): void {
    this.#names.remove(path);
  }

  removeDirectory(path: string): void {
    this.#names.removeDirectory(path);
  }

  syncDirectory(path: string): void {
    systemCall("fsync", path, () => {
      const directory = this.#files.open(path, { write: false, directory: true });
      try {
        directory.syncAll();
      } finally {
        directory.close();
      }
    });
  }

  #file(path: string, file: NativeFile): DiskFile {
    const direct = this.mode === "direct" ? this.#openDirect(path, file) : undefined;
    return direct === undefined ? new BufferedFile(path, file) : new DirectFile(path, file, direct, this.#staging);
  }

  /** undefined where the file system has no such access: then everything goes through the cache. */
  #openDirect(path: string, file: NativeFile): NativeFile | undefined {
    try {
      return systemCall("open", path, () => this.#files.open(path, { direct: true, dataSync: true }));
    } catch (error) {
      if (isRefused(error)) return undefined;
      file.close();
      throw error;
    }
  }
}

class BufferedFile implements DiskFile {
  readonly path: string;
  readonly #file: NativeFile;

  constructor(path: string, file: NativeFile) {
    this.path = path;
    this.#file = file;
  }

  size(): number {
    return systemCall("fstat", this.path, () => this.#file.size());
  }

  read(offset: number, target: Uint8Array): number {
    return systemCall("read", this.path, () => this.#file.read(offset, target));
  }

  write(offset: number, parts: readonly Uint8Array[]): void {
    systemCall("write", this.path, () => this.#file.write(offset, parts));
  }

  sync(): void {
    systemCall("fdatasync", this.path, () => this.#file.syncData());
  }

  resize(length: number): void {
    const before = this.size();
    if (length < before) systemCall("ftruncate", this.path, () => this.#file.resize(length));
    else if (length > before) this.#grow(length);
  }

  /** Reserves the space. Where a file system cannot, the file is made longer without it. */
  #grow(length: number): void {
    try {
      systemCall("fallocate", this.path, () => this.#file.preallocate(length));
    } catch (error) {
      if (!isRefused(error)) throw error;
      systemCall("ftruncate", this.path, () => this.#file.resize(length));
    }
  }

  close(): void {
    systemCall("close", this.path, () => this.#file.close());
  }
}

/**
 * Two descriptors of one file: whole blocks at whole blocks go through the direct one, anything else through the page cache,
 * which the system keeps consistent with what went past it. Reads go through the cache.
 */
class DirectFile extends BufferedFile {
  /** Opened together with the other one: later the path may name another file. */
  readonly #direct: NativeFile;
  readonly #staging: Staging;
  /** Whether there is something that only a sync makes durable. At first nobody knows what an earlier process left behind. */
  #unsynced = true;

  constructor(path: string, file: NativeFile, direct: NativeFile, staging: Staging) {
    super(path, file);
    this.#direct = direct;
    this.#staging = staging;
  }

  override write(offset: number, parts: readonly Uint8Array[]): void {
    if (!areBlocks(offset, parts)) {
      this.#unsynced = true;
      return super.write(offset, parts);
    }
    let at = offset;
    for (const blocks of this.#staging.gather(parts)) {
      systemCall("write", this.path, () => this.#direct.write(at, [blocks]));
      at += blocks.length;
    }
  }

  override sync(): void {
    if (!this.#unsynced) return;
    super.sync();
    this.#unsynced = false;
  }

  override resize(length: number): void {
    this.#unsynced = true;
    super.resize(length);
  }

  override close(): void {
    systemCall("close", this.path, () => this.#direct.close());
    super.close();
  }
}

function areBlocks(offset: number, parts: readonly Uint8Array[]): boolean {
  let length = 0;
  for (const part of parts) length += part.length;
  return length > 0 && offset % limits.blockBytes === 0 && length % limits.blockBytes === 0;
}

/** A file system that does not have what was asked of it; nothing has failed. */
const isRefused = (error: unknown): boolean =>
  error instanceof DiskError && (error.errno === "EINVAL" || error.errno === "EOPNOTSUPP");

/** Aligned memory that what is to be written is gathered in; one for all files of a disk, since its calls block. */
class Staging {
  readonly #files: NativeFiles;
  #memory: Uint8Array | undefined;

  constructor(files: NativeFiles) {
    this.#files = files;
  }

  /** The bytes of the parts, a multiple of the block in all, in pieces of whole blocks. A piece is valid until the next. */
  *gather(parts: readonly Uint8Array[]): Generator<Uint8Array> {
    this.#memory ??= this.#files.allocateAligned(limits.stagingBytes, limits.blockBytes);
    const memory = this.#memory;
    let fitting: Uint8Array[] = [];
    let length = 0;
    for (let part of parts) {
      while (length + part.length > memory.length) {
        const room = memory.length - length;
        this.#files.gather(memory, [...fitting, part.subarray(0, room)]);
        yield memory;
        part = part.subarray(room);
        fitting = [];
        length = 0;
      }
      fitting.push(part);
      length += part.length;
    }
    if (length === 0) return;
    this.#files.gather(memory, fitting);
    yield memory.subarray(0, length);
  }
}
