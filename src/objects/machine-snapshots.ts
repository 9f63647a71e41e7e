/**
 * Snapshots of one machine on disk: machines/<name>/<position>, the newest two. A header, then the pieces of the hosted state.
 * Little-endian:
 *
 *   offset  size  field
 *        0     8  magic     "PAXLMCH" and a zero
 *        8     4  format    1
 *       12     4  version   of the machine
 *       16     8  position  every record below it is in the state
 *       24     8  length    of the state
 *       32    16  hash      of the state: XXH3-128 of the XXH3-128s of its pieces of 1 MiB
 *       48    64  name      UTF-8, filled up with zeros
 *      112     4  checksum  CRC32C of bytes [0, 112)
 *      128        the state
 *
 * A file that has its name was written and synced whole. The hash is what nodes compare, too.
 */
import { closeSync, fsync, openSync, readdirSync, readSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { assert } from "../base/assert.ts";
import { readU64, viewOf, writeU64 } from "../base/bytes.ts";
import { DirectoryQuota } from "../base/directory-quota.ts";
import { PaxlogError } from "../base/errors.ts";
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import type { SnapshotHeader } from "../format/object-codec.ts";
import { machinesDirectory } from "../storage/paths.ts";
import type { HostedSource } from "./hosted-machine.ts";
import { HashedPieces } from "./state-hash.ts";

const magic = Buffer.from("PAXLMCH\0", "latin1");
const at = { magic: 0, format: 8, version: 12, position: 16, length: 24, hash: 32, name: 48, checksum: 112 } as const;
const headerBytes = 128;
const nameBytes = 64;
const formatNumber = 1;
/** Not positions: files that are being written, or came from another node and are read from until an own one stands. */
const nextName = "next";
const receivedName = "received";

const synced = promisify(fsync);

/** A state that is being written. It ends by one of `end` and `abandon`, which follows a throw too. */
export interface SnapshotFile {
  /** The next bytes. @throws what the file system says, where it does not take them. */
  add(chunk: Uint8Array): void;
  /** All was added. */
  end(state: Pick<SnapshotHeader, "hash" | "length">): WrittenSnapshot;
  abandon(): void;
}

/** A state that was written and not synced yet. It can be read from at once. */
export interface WrittenSnapshot {
  readonly header: SnapshotHeader;
  readonly source: HostedSource;
  /** Makes it durable under its name, and lets older ones than the newest two go. */
  keep(): Promise<void>;
}

export class MachineSnapshots {
  readonly #dir: string;
  readonly #machine: string;
  readonly #hashing: Hashing;
  readonly #quota: DirectoryQuota;

  /** Its files count against `quota`: those that are there are counted by then. */
  constructor(dir: string, machine: string, hashing: Hashing, quota: DirectoryQuota = new DirectoryQuota()) {
    this.#dir = join(machinesDirectory(dir), machine);
    this.#machine = machine;
    this.#hashing = hashing;
    this.#quota = quota;
  }

  async prepare(): Promise<void> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    for (const name of [nextName, receivedName]) this.#remove(join(this.#dir, name));
  }

  /** Positions, the newest first. */
  list(): number[] {
    const names = readdirSync(this.#dir).filter((name) => /^[1-9]\d{0,15}$/.test(name));
    return names.map(Number).sort((a, b) => b - a);
  }

  /** @throws PaxlogError DAMAGED for a header that is none. What follows it is verified by whoever reads it all. */
  open(position: number): { readonly header: SnapshotHeader; readonly source: HostedSource } {
    const path = join(this.#dir, String(position));
    const header = this.#headerOf(path);
    if (header.position !== position) throw damaged(path, `it is of position ${header.position}`);
    return { header, source: this.#sourceOf(header, () => path) };
  }

  /** Bytes of the state from an offset on; fewer than asked for only at its end. */
  read(position: number, offset: number, length: number): Uint8Array {
    const file = openSync(join(this.#dir, String(position)), "r");
    try {
      return readAt(file, headerBytes + offset, length);
    } finally {
      closeSync(file);
    }
  }

  /**
   * Begins to write a state. Nothing of an older snapshot is touched. @throws PaxlogError NO_SPACE where the quota has no room for more of
   * it, here and as it is written; what the file system says.
   */
  begin(version: number, position: number): SnapshotFile {
    const path = join(this.#dir, nextName);
    this.#remove(path);
    let taken = this.#take(path, headerBytes);
    let file: number;
    try {
      file = openSync(path, "w", 0o600);
    } catch (cause) {
      this.#quota.add(-taken);
      throw cause;
    }
    let end = headerBytes;
    const abandon = (): void => {
      closeSync(file);
      rmSync(path, { force: true });
      this.#quota.add(-taken);
    };
    return {
      abandon,
      add: (chunk) => {
        taken += this.#take(path, chunk.length);
        writeAll(file, chunk, end);
        end += chunk.length;
      },
      end: ({ hash, length }) => {
        assert(end === headerBytes + length, "all of a state was written");
        const header = { machine: this.#machine, version, position, length, hash };
        writeAll(file, encodeHeader(header, this.#hashing), 0);
        return this.#written(path, file, header);
      },
    };
  }

  #written(path: string, file: number, header: SnapshotHeader): WrittenSnapshot {
    let current = path;
    const source = this.#sourceOf(header, () => current);
    return {
      header,
      source,
      keep: async () => {
        await synced(file).finally(() => closeSync(file));
        const kept = join(this.#dir, String(header.position));
        // At once: whoever reads from it meanwhile finds it under one of the names.
        const replaced = sizeOf(kept);
        renameSync(path, kept);
        this.#quota.add(-replaced);
        current = kept;
        await this.#syncDirectory();
        for (const old of this.list().slice(2)) this.#remove(join(this.#dir, String(old)));
        // The machine goes back to this state now, no more to another node's.
        this.#remove(join(this.#dir, receivedName));
      },
    };
  }

  /** Takes the bytes of a state from another node. They are verified when they are read. `add` throws as that of `begin`. */
  receive(): { add(piece: Uint8Array): void; source(header: SnapshotHeader): HostedSource } {
    const path = join(this.#dir, receivedName);
    this.#remove(path);
    let end = headerBytes;
    const add = (piece: Uint8Array): void => {
      const before = sizeOf(path);
      const taken = this.#take(path, end + piece.length - before);
      try {
        const file = openSync(path, end === headerBytes ? "w" : "r+", 0o600);
        try {
          writeAll(file, piece, end);
          end += piece.length;
        } finally {
          closeSync(file);
        }
      } finally {
        this.#quota.add(sizeOf(path) - before - taken);
      }
    };
    return { add, source: (header) => this.#sourceOf(header, () => path) };
  }

  /** What is newer than a position is not to be trusted. */
  removeAbove(position: number): void {
    for (const each of this.list()) if (each > position) this.#remove(join(this.#dir, String(each)));
  }

  #take(path: string, bytes: number): number {
    if (bytes === 0 || this.#quota.take(bytes)) return bytes;
    const { quotaBytes: limit } = this.#quota;
    throw new PaxlogError("NO_SPACE", `the quota of ${limit} bytes has no room for ${path}`, { facts: { limit } });
  }

  #remove(path: string): void {
    const bytes = sizeOf(path);
    rmSync(path, { force: true });
    this.#quota.add(-bytes);
  }

  async #syncDirectory(): Promise<void> {
    const directory = await open(this.#dir, "r");
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }

  #headerOf(path: string): SnapshotHeader {
    const file = openSync(path, "r");
    try {
      const header = decodeHeader(readAt(file, 0, headerBytes), this.#hashing, path);
      if (header.machine !== this.#machine) throw damaged(path, `it is of the machine ${header.machine}`);
      return header;
    } finally {
      closeSync(file);
    }
  }

  #sourceOf({ version, position, length, hash }: SnapshotHeader, path: () => string): HostedSource {
    const hashing = this.#hashing;
    const pieces = { [Symbol.iterator]: () => verified(path(), length, hash, hashing) };
    return { name: this.#machine, version, position, length, pieces };
  }
}

/** 0 where there is no such file. */
const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;

/** The pieces of a file, which throws DAMAGED behind the last one where they are not what the header says. */
function* verified(path: string, length: number, hash: Uint8Array, hashing: Hashing): Iterator<Uint8Array> {
  const hashed = new HashedPieces(hashing);
  const file = openSync(path, "r");
  try {
    for (let offset = 0; offset < length; ) {
      const piece = readAt(file, headerBytes + offset, Math.min(limits.snapshotChunkBytes, length - offset));
      if (piece.length === 0) throw damaged(path, `it ends after ${offset} of ${length} bytes`);
      hashed.add(piece);
      offset += piece.length;
      yield piece;
    }
  } finally {
    closeSync(file);
  }
  if (Buffer.compare(hashed.hash(), hash) !== 0) throw damaged(path, "its bytes are not what its hash says");
}

function writeAll(file: number, bytes: Uint8Array, offset: number): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done, bytes.length - done, offset + done);
}

function readAt(file: number, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const count = readSync(file, bytes, done, length - done, offset + done);
    if (count === 0) break;
    done += count;
  }
  return bytes.subarray(0, done);
}

function encodeHeader({ machine, version, position, length, hash }: SnapshotHeader, hashing: Hashing): Uint8Array {
  const bytes = new Uint8Array(headerBytes);
  const view = viewOf(bytes);
  bytes.set(magic, at.magic);
  view.setUint32(at.format, formatNumber, true);
  view.setUint32(at.version, version, true);
  writeU64(view, at.position, position);
  writeU64(view, at.length, length);
  bytes.set(hash, at.hash);
  bytes.set(Buffer.from(machine), at.name);
  view.setUint32(at.checksum, hashing.crc32c(bytes.subarray(0, at.checksum)), true);
  return bytes;
}

function decodeHeader(bytes: Uint8Array, hashing: Hashing, path: string): SnapshotHeader {
  if (bytes.length < headerBytes || Buffer.compare(bytes.subarray(0, magic.length), magic) !== 0) {
    throw damaged(path, "it does not begin as a snapshot does");
  }
  const view = viewOf(bytes);
  if (view.getUint32(at.checksum, true) !== hashing.crc32c(bytes.subarray(0, at.checksum))) {
    throw damaged(path, "its header is not what its checksum says");
  }
  const format = view.getUint32(at.format, true);
  if (format !== formatNumber) {
    throw new PaxlogError("FORMAT_UNKNOWN", `${path} is of format ${format}, this version reads ${formatNumber}`);
  }
  const name = Buffer.from(bytes.subarray(at.name, at.name + nameBytes));
  return {
    machine: name.toString("utf8").replace(/\0+$/, ""),
    version: view.getUint32(at.version, true),
    position: readU64(view, at.position),
    length: readU64(view, at.length),
    hash: bytes.slice(at.hash, at.hash + 16),
  };
}

function damaged(path: string, reason: string): PaxlogError {
  return new PaxlogError("DAMAGED", `the snapshot ${path} is damaged: ${reason}`, { facts: { file: path } });
}
