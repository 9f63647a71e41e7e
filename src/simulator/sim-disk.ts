import { type Disk, DiskError, type DiskFile } from "../storage/disk.ts";
import type { Random } from "./random.ts";
import { SimFile, type Survival } from "./sim-file.ts";

/** The power failed in the middle of an operation. Nothing works on this disk until `crash()` has brought it back. */
export class SimulatedCrash extends Error {
  override readonly name = "SimulatedCrash";
  constructor(operation: string) {
    super(`the power failed in ${operation}`);
  }
}

type Node = SimFile | "directory";

/** A change of names that is not durable yet. */
interface NameChange {
  readonly kind: "put" | "rename" | "remove";
  readonly path: string;
  /** Target of a rename. */
  readonly to: string | undefined;
  /** What was created or moved. */
  readonly node: Node;
  /** Directories that must be synced before it is durable. */
  readonly unsyncedIn: Set<string>;
}

/**
 * A disk in memory that can lose power. It promises no more than POSIX does: data and size of a file are durable after sync(), its name
 * after syncDirectory() of each directory concerned, and of everything else any legal subset may be left.
 *
 * `crash()` draws what is left; `crashAfter(k)` makes the k-th changing operation from now fail in the middle of its work.
 */
export class SimDisk implements Disk {
  readonly #random: Random;
  #names = new Map<string, Node>([["", "directory"]]);
  #durableNames = new Map<string, Node>([["", "directory"]]);
  #pending: NameChange[] = [];
  /** Handles of before a crash are dead. */
  #epoch = 0;
  #crashed = false;
  #operationsLeft = Number.POSITIVE_INFINITY;
  #operations = 0;
  #syncs = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Changing operations so far: creations, writes, resizes, syncs, renames, removals. */
  get operations(): number {
    return this.#operations;
  }

  /** Syncs of files and directories so far. */
  get syncs(): number {
    return this.#syncs;
  }

  /** True from a simulated power failure until `crash()`. */
  get crashed(): boolean {
    return this.#crashed;
  }

  /** The k-th changing operation from now (k >= 1) throws SimulatedCrash, done in full, in part or not at all. */
  crashAfter(k: number): void {
    this.#operationsLeft = k;
  }

  /** The power fails now and comes back: what was not synced is kept, lost or torn at random, and all open files are gone. */
  crash(survival: Survival = this.#drawSurvival()): void {
    this.#loseNames(survival);
    const files = new Set([...this.#names.values(), ...this.#durableNames.values()]);
    for (const node of files) if (node !== "directory") node.crash(survival, this.#random);
    this.#names = new Map(this.#durableNames);
    this.#pending = [];
    this.#epoch += 1;
    this.#crashed = false;
    this.#operationsLeft = Number.POSITIVE_INFINITY;
  }

  /** Flips one bit of what a file holds, durably: rot at rest. */
  flipBit(path: string, offset: number, bit: number): void {
    const file = this.#fileAt(path, "flipBit");
    const byte = new Uint8Array(1);
    file.read(offset, byte);
    file.write(offset, Uint8Array.of(byte[0]! ^ (1 << bit)));
    file.sync();
  }

  create(path: string): DiskFile {
    const name = normalize(path);
    this.#checkPower("create");
    if (this.#names.has(name)) throw new DiskError("EEXIST", "open", path);
    this.#checkParent(name, "open", path);
    const file = new SimFile();
    this.#operate("create", () => this.#put(name, file));
    return this.#handle(path, file, "write");
  }

  open(path: string, access: "read" | "write"): DiskFile {
    this.#checkPower("open");
    return this.#handle(path, this.#fileAt(path, "open"), access);
  }

  exists(path: string): boolean {
    this.#checkPower("stat");
    return this.#names.has(normalize(path));
  }

  makeDirectory(path: string): void {
    const name = normalize(path);
    this.#checkPower("mkdir");
    const there = this.#names.get(name);
    if (there === "directory") return;
    if (there !== undefined) throw new DiskError("EEXIST", "mkdir", path);
    this.#checkParent(name, "mkdir", path);
    this.#operate("mkdir", () => this.#put(name, "directory"));
  }

  list(path: string): string[] {
    const name = normalize(path);
    this.#checkPower("readdir");
    this.#checkDirectory(name, "readdir", path);
    const names: string[] = [];
    for (const child of this.#names.keys())
      if (child !== "" && parentOf(child) === name) names.push(child.slice(name.length + 1));
    return names.sort();
  }

  rename(from: string, to: string): void {
    const path = normalize(from);
    const target = normalize(to);
    this.#checkPower("rename");
    const node = this.#names.get(path);
    if (node === undefined) throw new DiskError("ENOENT", "rename", from);
    if (node === "directory") throw new DiskError("EISDIR", "rename", from);
    if (this.#names.get(target) === "directory") throw new DiskError("EISDIR", "rename", to);
    this.#checkParent(target, "rename", to);
    this.#operate("rename", () => {
      this.#names.delete(path);
      this.#names.set(target, node);
      const unsyncedIn = new Set([parentOf(path), parentOf(target)]);
      this.#pending.push({ kind: "rename", path, to: target, node, unsyncedIn });
    });
  }

  remove(path: string): void {
    const name = normalize(path);
    this.#checkPower("unlink");
    const file = this.#fileAt(path, "unlink");
    this.#operate("unlink", () => this.#remove(name, file));
  }

  removeDirectory(path: string): void {
    const name = normalize(path);
    this.#checkPower("rmdir");
    this.#checkDirectory(name, "rmdir", path);
    if (this.list(path).length > 0) throw new DiskError("ENOTEMPTY", "rmdir", path);
    this.#operate("rmdir", () => this.#remove(name, "directory"));
  }

  syncDirectory(path: string): void {
    const name = normalize(path);
    this.#checkPower("fsync");
    this.#checkDirectory(name, "fsync", path);
    this.#operate("syncDirectory", () => {
      this.#syncs += 1;
      this.#makeNamesDurable(name);
    });
  }

  /** One changing operation; the power may fail in it. */
  #operate(name: string, work: () => void, partly?: () => void): void {
    this.#operations += 1;
    this.#operationsLeft -= 1;
    if (this.#operationsLeft > 0) {
      work();
      return;
    }
    this.#crashed = true;
    if (this.#random.chance(0.5)) work();
    else partly?.();
    throw new SimulatedCrash(name);
  }

  #put(path: string, node: Node): void {
    this.#names.set(path, node);
    this.#pending.push({ kind: "put", path, to: undefined, node, unsyncedIn: new Set([parentOf(path)]) });
  }

  #remove(path: string, node: Node): void {
    this.#names.delete(path);
    this.#pending.push({ kind: "remove", path, to: undefined, node, unsyncedIn: new Set([parentOf(path)]) });
  }

  /** A change is durable once its last directory is synced; so is then every earlier change that it builds on. */
  #makeNamesDurable(directory: string): void {
    const durable = new Set<NameChange>();
    for (const change of this.#pending) {
      change.unsyncedIn.delete(directory);
      if (change.unsyncedIn.size === 0) durable.add(change);
    }
    for (let i = this.#pending.length - 1; i >= 0; i -= 1) {
      const change = this.#pending[i]!;
      if (durable.has(change)) continue;
      const isNeeded = this.#pending.slice(i + 1).some((later) => durable.has(later) && touchSameName(change, later));
      if (isNeeded) durable.add(change);
    }
    for (const change of this.#pending) if (durable.has(change)) applyChange(this.#durableNames, change);
    this.#pending = this.#pending.filter((change) => !durable.has(change));
  }

  /** Of the changes of names that nobody synced, a prefix (a journal) or any subset that fits together (no journal) is left. */
  #loseNames(survival: Survival): void {
    const count = this.#pending.length;
    const prefix = survival === "all" ? count : survival === "none" ? 0 : this.#random.between(0, count);
    const isJournaled = survival !== "some" || this.#random.chance(0.5);
    for (const [index, change] of this.#pending.entries()) {
      const isKept = isJournaled ? index < prefix : this.#random.chance(0.5);
      if (isKept) applyChange(this.#durableNames, change);
    }
  }

  #drawSurvival(): Survival {
    return this.#random.pick(["all", "none", "some", "some", "some"]);
  }

  #fileAt(path: string, syscall: string): SimFile {
    const node = this.#names.get(normalize(path));
    if (node === undefined) throw new DiskError("ENOENT", syscall, path);
    if (node === "directory") throw new DiskError("EISDIR", syscall, path);
    return node;
  }

  #checkParent(name: string, syscall: string, path: string): void {
    this.#checkDirectory(parentOf(name), syscall, path);
  }

  #checkDirectory(name: string, syscall: string, path: string): void {
    const node = this.#names.get(name);
    if (node === undefined) throw new DiskError("ENOENT", syscall, path);
    if (node !== "directory") throw new DiskError("ENOTDIR", syscall, path);
  }

  #checkPower(operation: string): void {
    if (this.#crashed) throw new SimulatedCrash(operation);
  }

  #handle(path: string, file: SimFile, access: "read" | "write"): DiskFile {
    const epoch = this.#epoch;
    let isOpen = true;
    const check = (syscall: string, needsWrite: boolean): void => {
      this.#checkPower(syscall);
      if (epoch !== this.#epoch) throw new SimulatedCrash(syscall);
      if (!isOpen || (needsWrite && access === "read")) throw new DiskError("EBADF", syscall, path);
    };
    return {
      path,
      size: () => {
        check("fstat", false);
        return file.size;
      },
      read: (offset, target) => {
        check("read", false);
        return file.read(offset, target);
      },
      write: (offset, parts) => {
        check("write", true);
        this.#operate(
          "write",
          () => writeParts(file, offset, parts, Number.POSITIVE_INFINITY),
          () => {
            let length = 0;
            for (const part of parts) length += part.length;
            writeParts(file, offset, parts, this.#random.below(length + 1));
          },
        );
      },
      sync: () => {
        check("fdatasync", false);
        this.#operate("sync", () => {
          this.#syncs += 1;
          file.sync();
        });
      },
      resize: (length) => {
        check("ftruncate", true);
        this.#operate("resize", () => file.resize(length));
      },
      // Closing makes nothing durable, and a process that lost power has closed everything.
      close: () => {
        isOpen = false;
      },
    };
  }
}

/** Writes at most `lengthMax` bytes of the parts. */
function writeParts(file: SimFile, offset: number, parts: readonly Uint8Array[], lengthMax: number): void {
  let done = 0;
  for (const part of parts) {
    const taken = part.subarray(0, Math.max(0, lengthMax - done));
    file.write(offset + done, taken);
    done += taken.length;
  }
}

/** Takes a change over into the durable names, if what it builds on is there. */
function applyChange(names: Map<string, Node>, change: NameChange): void {
  if (change.kind === "put") {
    const isFree = !names.has(change.path) && names.get(parentOf(change.path)) === "directory";
    if (isFree) names.set(change.path, change.node);
    return;
  }
  if (names.get(change.path) !== change.node) return;
  if (change.to !== undefined && names.get(parentOf(change.to)) !== "directory") return;
  const isHeld = change.node === "directory" && [...names.keys()].some((name) => parentOf(name) === change.path);
  if (change.kind === "remove" && isHeld) return;
  names.delete(change.path);
  if (change.to !== undefined) names.set(change.to, change.node);
}

function touchSameName(a: NameChange, b: NameChange): boolean {
  const namesOf = (change: NameChange) => [change.path, ...(change.to === undefined ? [] : [change.to])];
  const parentsOf = (change: NameChange) => namesOf(change).map(parentOf);
  return namesOf(a).some((name) => namesOf(b).includes(name) || parentsOf(b).includes(name));
}

const normalize = (path: string): string => {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  return parts.length === 0 ? "" : `/${parts.join("/")}`;
};
const parentOf = (path: string): string => path.slice(0, path.lastIndexOf("/"));
