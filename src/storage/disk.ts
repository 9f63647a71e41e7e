/**
 * The only door to files (STORAGE.md 9). Synchronous: whoever owns a file blocks on a thread of its own. Implementations:
 * node-disk.ts (node:fs) and the simulator's disk; one contract suite for all. Errors are thrown as DiskError.
 */
export interface Disk {
  /** Creates a file that must not exist, of mode 0600. Durable only after sync() and syncDirectory(). */
  create(path: string): DiskFile;
  /** Opens a file that must exist. */
  open(path: string, access: "read" | "write"): DiskFile;
  exists(path: string): boolean;
  /** Creates a directory of mode 0700; no error where it exists. */
  makeDirectory(path: string): void;
  /** Names in a directory, sorted. */
  list(path: string): string[];
  /** Moves a file; replaces the target atomically. Durable only after syncDirectory() of both parents. */
  rename(from: string, to: string): void;
  remove(path: string): void;
  /** Removes a directory that is empty. */
  removeDirectory(path: string): void;
  /** Makes creations, renames and removals in a directory durable. */
  syncDirectory(path: string): void;
}

export interface DiskFile {
  readonly path: string;
  size(): number;
  /** Reads up to target.length bytes; returns how many, less only at the end of the file. */
  read(offset: number, target: Uint8Array): number;
  /** Writes all the parts, one after another, at `offset`. Short writes are continued; no progress is an error. */
  write(offset: number, parts: readonly Uint8Array[]): void;
  /** Makes data and size durable (fdatasync). After a failure nothing may be assumed of what was written. */
  sync(): void;
  /** Makes the file exactly this long; new bytes read as zeros and their space is reserved where the system can. */
  resize(length: number): void;
  close(): void;
}

/** A failed call to the system: `syscall` and the errno name as they are ("EIO", "ENOSPC", "EACCES", ...). */
export class DiskError extends Error {
  override readonly name = "DiskError";
  readonly errno: string;
  readonly syscall: string;
  readonly path: string;

  constructor(errno: string, syscall: string, path: string, cause?: unknown) {
    super(`${syscall} of ${path} failed with ${errno}`, cause === undefined ? undefined : { cause });
    this.errno = errno;
    this.syscall = syscall;
    this.path = path;
  }
}
