import { assert } from "../base/assert.ts";
import { equalBytes } from "../base/bytes.ts";
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import type { Hash, Slot, Uid } from "../base/types.ts";
import type { LogBase, SnapshotReference } from "../core/durable.ts";
import {
  chunkCountOf,
  chunkLengthOf,
  decodeManifest,
  encodeManifest,
  type SnapshotManifest,
} from "../format/snapshot.ts";
import { readSound } from "./block-reader.ts";
import type { Disk, DiskFile } from "./disk.ts";
import { chunkPath, manifestPath, snapshotDirectory, snapshotsDirectory, unfinished } from "./paths.ts";

export interface SnapshotWriterOptions {
  readonly disk: Disk;
  readonly dir: string;
  readonly hashing: Hashing;
}

/** Makes the directory of a snapshot, empty. Its name is durable once the snapshot's manifest is. */
function freshDirectory(disk: Disk, dir: string, slot: Slot): void {
  const directory = snapshotDirectory(dir, slot);
  if (disk.exists(directory)) for (const name of disk.list(directory)) disk.remove(`${directory}/${name}`);
  disk.makeDirectory(directory);
}

/** Writes a manifest that is whole under its name, and makes every name of its snapshot durable. */
function putManifest({ disk, dir }: SnapshotWriterOptions, slot: Slot, bytes: Uint8Array): void {
  const path = manifestPath(dir, slot);
  if (disk.exists(path + unfinished)) disk.remove(path + unfinished);
  const file = disk.create(path + unfinished);
  try {
    file.write(0, [bytes]);
    file.sync();
  } finally {
    file.close();
  }
  disk.rename(path + unfinished, path);
  disk.syncDirectory(snapshotDirectory(dir, slot));
  disk.syncDirectory(snapshotsDirectory(dir));
}

/** One snapshot on its way to the disk: a piece at each step, chunk after chunk, the manifest last. */
export class SnapshotWriting {
  readonly #options: SnapshotWriterOptions;
  readonly #clusterId: Uid;
  readonly #base: LogBase;
  readonly #content: Uint8Array;
  readonly #chunkHashes: Hash[] = [];
  #begun = false;
  /** The chunk that is being written, and how much of it is. */
  #chunk: { readonly file: DiskFile; done: number } | undefined;

  constructor(options: SnapshotWriterOptions, clusterId: Uid, base: LogBase, content: Uint8Array) {
    assert(content.length > 0 && content.length <= limits.snapshotBytesMax, `a snapshot of ${content.length} bytes`);
    this.#options = options;
    this.#clusterId = clusterId;
    this.#base = base;
    this.#content = content;
  }

  get slot(): Slot {
    return this.#base.slot;
  }

  /**
   * Writes the next piece; a step that found the disk full may be taken again. Returns what names the snapshot when every byte of
   * it is durable.
   */
  step(): SnapshotReference | undefined {
    const { disk, dir, hashing } = this.#options;
    const { slot } = this.#base;
    if (!this.#begun) freshDirectory(disk, dir, slot);
    this.#begun = true;
    if (this.#chunkHashes.length < chunkCountOf(this.#content.length)) {
      this.#writePiece();
      return undefined;
    }
    const length = this.#content.length;
    const manifest = { clusterId: this.#clusterId, base: this.#base, length, chunkHashes: this.#chunkHashes };
    const { bytes, rootHash } = encodeManifest(manifest, hashing);
    putManifest(this.#options, slot, bytes);
    return { slot, rootHash };
  }

  close(): void {
    this.#chunk?.file.close();
    this.#chunk = undefined;
  }

  #writePiece(): void {
    const { disk, dir, hashing } = this.#options;
    const number = this.#chunkHashes.length;
    const begin = number * limits.snapshotChunkBytes;
    const length = chunkLengthOf(this.#content.length, number);
    this.#chunk ??= { file: disk.create(chunkPath(dir, this.#base.slot, number)), done: 0 };
    const chunk = this.#chunk;
    const end = Math.min(chunk.done + limits.snapshotPieceBytes, length);
    chunk.file.write(chunk.done, [this.#content.subarray(begin + chunk.done, begin + end)]);
    chunk.done = end;
    if (end < length) return;
    chunk.file.sync();
    this.close();
    this.#chunkHashes.push(hashing.xxh3(this.#content.subarray(begin, begin + length)));
  }
}

/** A snapshot that comes from another node: its manifest is written first, so that after a restart the rest can follow. */
export class SnapshotReceiving {
  readonly reference: SnapshotReference;
  readonly #options: SnapshotWriterOptions;
  readonly #manifest: SnapshotManifest;
  readonly #bytes: Uint8Array;
  #chunksDurable = 0;

  /** Begins, or goes on with what an earlier attempt left; undefined where `isWanted` says so. The manifest was checked before. */
  static begin(
    options: SnapshotWriterOptions,
    bytes: Uint8Array,
    isWanted: (reference: SnapshotReference, clusterId: Uid) => boolean,
  ): SnapshotReceiving | undefined {
    const decoded = decodeManifest(bytes, options.hashing);
    assert(decoded.kind === "ok", "a manifest is checked before it is handed to storage");
    const { manifest, rootHash } = decoded;
    const reference = { slot: manifest.base.slot, rootHash };
    if (!isWanted(reference, manifest.clusterId)) return undefined;
    const receiving = new SnapshotReceiving(options, bytes, manifest, reference);
    const there = readWhole(options.disk, manifestPath(options.dir, reference.slot), bytes.length + 1);
    if (there !== undefined && equalBytes(there, bytes)) {
      receiving.#countChunks();
    } else {
      freshDirectory(options.disk, options.dir, reference.slot);
      putManifest(options, reference.slot, bytes);
    }
    return receiving;
  }

  private constructor(
    options: SnapshotWriterOptions,
    bytes: Uint8Array,
    manifest: SnapshotManifest,
    reference: SnapshotReference,
  ) {
    this.#options = options;
    this.#bytes = bytes;
    this.#manifest = manifest;
    this.reference = reference;
  }

  /** Whether these bytes are its manifest. */
  isOf(manifest: Uint8Array): boolean {
    return equalBytes(manifest, this.#bytes);
  }

  get chunkCount(): number {
    return this.#manifest.chunkHashes.length;
  }

  get chunksDurable(): number {
    return this.#chunksDurable;
  }

  get isWhole(): boolean {
    return this.#chunksDurable === this.chunkCount;
  }

  /** Takes the next chunk, durably. One that is not the next, or whose bytes are not those that the manifest names, is left out. */
  take(number: number, bytes: Uint8Array): void {
    const { disk, dir } = this.#options;
    if (number !== this.#chunksDurable || !this.#isChunk(number, bytes)) return;
    const { slot } = this.reference;
    const path = chunkPath(dir, slot, number);
    if (disk.exists(path)) disk.remove(path);
    const file = disk.create(path);
    try {
      file.write(0, [bytes]);
      file.sync();
    } finally {
      file.close();
    }
    disk.syncDirectory(snapshotDirectory(dir, slot));
    this.#chunksDurable += 1;
  }

  #isChunk(number: number, bytes: Uint8Array): boolean {
    const { length, chunkHashes } = this.#manifest;
    if (number >= chunkHashes.length || bytes.length !== chunkLengthOf(length, number)) return false;
    return this.#options.hashing.xxh3(bytes) === chunkHashes[number];
  }

  /** How many chunks, from the first on, are whole on disk. */
  #countChunks(): void {
    const { disk, dir } = this.#options;
    const { slot } = this.reference;
    disk.syncDirectory(snapshotDirectory(dir, slot));
    for (let number = 0; number < this.chunkCount; number += 1) {
      const path = chunkPath(dir, slot, number);
      const bytes = readWhole(disk, path, limits.snapshotChunkBytes + 1);
      if (bytes === undefined || !this.#isChunk(number, bytes)) return;
      this.#chunksDurable += 1;
    }
  }
}

/** Syncs a file and reads it, at most this much of it; undefined where it is not there. What is read is durable. */
function readWhole(disk: Disk, path: string, lengthMax: number): Uint8Array | undefined {
  if (!disk.exists(path)) return undefined;
  const file = disk.open(path, "write");
  try {
    file.sync();
    return readSound(file, 0, Math.min(lengthMax, file.size()));
  } finally {
    file.close();
  }
}
