import { concat } from "../base/bytes.ts";
import type { Hashing } from "../base/hashing.ts";
import type { Hash, Slot } from "../base/types.ts";
import type { Genesis, LogBase } from "../core/durable.ts";
import type { SequencerSnapshot } from "../core/sequencer.ts";
import { chunkLengthOf, decodeManifest, manifestBytesMax, type SnapshotManifest } from "../format/snapshot.ts";
import { decodeSnapshot, encodeSnapshot } from "../format/snapshot-state.ts";
import type { Superblock } from "../format/superblock.ts";
import type { LogState } from "../sequencer/log-state.ts";
import { readSound } from "./block-reader.ts";
import type { DamageReason } from "./damage.ts";
import type { Disk } from "./disk.ts";
import type { OnFault } from "./fault.ts";
import { chunkPath, manifestPath } from "./paths.ts";

export interface VerifySnapshotOptions {
  readonly disk: Disk;
  readonly dir: string;
  readonly hashing: Hashing;
  readonly onFault: OnFault;
}

/** The snapshot that the superblock names, every byte of it proved. */
export interface ProvedSnapshot {
  readonly slot: Slot;
  readonly rootHash: Hash;
  /** The log at its slot. */
  readonly base: LogBase;
  readonly bytes: number;
  readonly content: Uint8Array;
  readonly state: SequencerSnapshot;
}

/** Proves the newest snapshot against its own hashes; undefined where there is none, or a fault was told. */
export function verifySnapshot(options: VerifySnapshotOptions, superblock: Superblock): ProvedSnapshot | undefined {
  return superblock.snapshot === undefined ? undefined : new SnapshotVerifier(options, superblock).run();
}

class SnapshotVerifier {
  readonly #options: VerifySnapshotOptions;
  readonly #superblock: Superblock;

  constructor(options: VerifySnapshotOptions, superblock: Superblock) {
    this.#options = options;
    this.#superblock = superblock;
  }

  run(): ProvedSnapshot | undefined {
    const { snapshot, state } = this.#superblock;
    if (snapshot === undefined) return undefined;
    const path = manifestPath(this.#options.dir, snapshot.slot);
    const manifest = this.#manifest(path, snapshot.slot, snapshot.rootHash);
    if (manifest === undefined) return undefined;
    if (manifest.clusterId !== state.genesis?.clusterId) return this.#fault(path, 0, "it is of another cluster");
    const content = this.#content(manifest);
    if (content === undefined) return undefined;
    const decoded = decodeSnapshot(content);
    const { slot, rootHash } = snapshot;
    if (decoded.kind === "ok" && decoded.state.end === slot) {
      return { slot, rootHash, base: manifest.base, bytes: content.length, content, state: decoded.state };
    }
    const why = decoded.kind === "ok" ? `its state ends at slot ${decoded.state.end}` : decoded.reason;
    return this.#fault(chunkPath(this.#options.dir, slot, 0), 0, why);
  }

  #manifest(path: string, slot: Slot, rootHash: Hash): SnapshotManifest | undefined {
    const bytes = this.#read(path, manifestBytesMax);
    if (bytes === undefined) return undefined;
    const decoded = decodeManifest(bytes, this.#options.hashing);
    if (decoded.kind === "unknownVersion") {
      return this.#fault(path, 0, `its format version ${decoded.version} is unknown`, "FORMAT_UNKNOWN");
    }
    if (decoded.kind === "malformed") return this.#fault(path, 0, decoded.reason);
    if (decoded.rootHash !== rootHash || decoded.manifest.base.slot !== slot) {
      return this.#fault(path, 0, "it is not the one that the superblock names");
    }
    return decoded.manifest;
  }

  /** A fault for each chunk that is not what the manifest says. */
  #content({ base, length, chunkHashes }: SnapshotManifest): Uint8Array | undefined {
    const { dir, hashing } = this.#options;
    const chunks: Uint8Array[] = [];
    chunkHashes.forEach((hash, number) => {
      const path = chunkPath(dir, base.slot, number);
      const bytes = this.#read(path, chunkLengthOf(length, number) + 1);
      if (bytes === undefined) return;
      if (bytes.length === chunkLengthOf(length, number) && hashing.xxh3(bytes) === hash) chunks.push(bytes);
      else this.#fault(path, 0, `chunk ${number} is not what the manifest says`);
    });
    return chunks.length === chunkHashes.length ? concat(chunks) : undefined;
  }

  #read(path: string, lengthMax: number): Uint8Array | undefined {
    const { disk } = this.#options;
    if (!disk.exists(path)) return this.#fault(path, undefined, "it is missing", "SNAPSHOT_MISSING");
    const file = disk.open(path, "read");
    try {
      return readSound(file, 0, Math.min(lengthMax, file.size()));
    } finally {
      file.close();
    }
  }

  #fault(
    file: string,
    offset: number | undefined,
    why: string,
    reason: DamageReason | "FORMAT_UNKNOWN" = "SNAPSHOT_DAMAGED",
  ): undefined {
    this.#options.onFault({ file, offset, verdict: "damaged", reason, text: `the newest snapshot is damaged: ${why}` });
  }
}

/** Why the snapshot is not what the entries below its slot amount to, as they were read from the log; undefined where it is. */
export function differsFrom(
  { slot, base, content }: ProvedSnapshot,
  at: LogBase,
  state: LogState | undefined,
  genesis: Genesis | undefined,
): string | undefined {
  if (at.hash !== base.hash || at.position !== base.position) {
    return `the snapshot says that the log before slot ${slot} has the hash ${base.hash}, its entries say ${at.hash}`;
  }
  if (state === undefined || genesis === undefined) return undefined;
  if (Buffer.compare(encodeSnapshot(state.save(), genesis), content) === 0) return undefined;
  return `the snapshot is not what the entries below slot ${slot} amount to`;
}
