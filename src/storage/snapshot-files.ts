import { concat } from "../base/bytes.ts";
import type { Hashing } from "../base/hashing.ts";
import type { SnapshotReference } from "../core/durable.ts";
import { chunkLengthOf, decodeManifest, manifestBytesMax, type SnapshotManifest } from "../format/snapshot.ts";
import { readSound } from "./block-reader.ts";
import { damaged, formatUnknown } from "./damage.ts";
import { type Disk, DiskError, type DiskFile } from "./disk.ts";
import { chunkPath, manifestPath } from "./paths.ts";

export interface StoredManifest {
  readonly manifest: SnapshotManifest;
  /** As on disk: what another node is sent. */
  readonly bytes: Uint8Array;
}

/**
 * Reads snapshots on any thread, through descriptors of its own. Every byte that it returns was verified in that read. A snapshot
 * goes when a newer one is durable; then the answer is undefined, and the newer one is to be asked for.
 */
export class SnapshotFiles {
  readonly #disk: Disk;
  readonly #dir: string;
  readonly #hashing: Hashing;

  constructor(disk: Disk, dir: string, hashing: Hashing) {
    this.#disk = disk;
    this.#dir = dir;
    this.#hashing = hashing;
  }

  /** @throws PaxlogError DAMAGED (SNAPSHOT_DAMAGED), FORMAT_UNKNOWN. */
  manifest({ slot, rootHash }: SnapshotReference): StoredManifest | undefined {
    const path = manifestPath(this.#dir, slot);
    const bytes = this.#read(path, manifestBytesMax);
    if (bytes === undefined) return undefined;
    const decoded = decodeManifest(bytes, this.#hashing);
    const facts = { file: path, slot };
    if (decoded.kind === "unknownVersion") throw formatUnknown(`the manifest ${path}`, decoded.version, facts);
    const reason = decoded.kind === "malformed" ? decoded.reason : "it names another snapshot";
    if (decoded.kind === "ok" && decoded.rootHash === rootHash && decoded.manifest.base.slot === slot) {
      return { manifest: decoded.manifest, bytes };
    }
    throw damaged("SNAPSHOT_DAMAGED", `the manifest ${path} is damaged: ${reason}`, facts);
  }

  /** Chunk `number` of the snapshot, from 0. @throws PaxlogError DAMAGED (SNAPSHOT_DAMAGED). */
  chunk({ base, length, chunkHashes }: SnapshotManifest, number: number): Uint8Array | undefined {
    const path = chunkPath(this.#dir, base.slot, number);
    const bytes = this.#read(path, chunkLengthOf(length, number) + 1);
    if (bytes === undefined) return undefined;
    if (bytes.length === chunkLengthOf(length, number) && this.#hashing.xxh3(bytes) === chunkHashes[number])
      return bytes;
    throw damaged("SNAPSHOT_DAMAGED", `the chunk ${path} is damaged`, { file: path, slot: base.slot, chunk: number });
  }

  #read(path: string, lengthMax: number): Uint8Array | undefined {
    let file: DiskFile;
    try {
      file = this.#disk.open(path, "read");
    } catch (error) {
      if (error instanceof DiskError && error.errno === "ENOENT") return undefined;
      throw error;
    }
    try {
      return readSound(file, 0, Math.min(lengthMax, file.size()));
    } finally {
      file.close();
    }
  }
}

/**
 * The whole snapshot that the superblock names, verified: the start of a recovery.
 *
 * @throws PaxlogError DAMAGED (SNAPSHOT_MISSING, SNAPSHOT_DAMAGED), FORMAT_UNKNOWN.
 */
export function loadSnapshot(
  disk: Disk,
  dir: string,
  reference: SnapshotReference,
  hashing: Hashing,
): { readonly manifest: SnapshotManifest; readonly content: Uint8Array } {
  const files = new SnapshotFiles(disk, dir, hashing);
  const missing = (file: string) =>
    damaged("SNAPSHOT_MISSING", `${file} is missing, and the superblock names it`, { file, slot: reference.slot });
  const stored = files.manifest(reference);
  if (stored === undefined) throw missing(manifestPath(dir, reference.slot));
  const { manifest } = stored;
  const chunks = manifest.chunkHashes.map((_, number) => {
    const chunk = files.chunk(manifest, number);
    if (chunk === undefined) throw missing(chunkPath(dir, reference.slot, number));
    return chunk;
  });
  return { manifest, content: concat(chunks) };
}
