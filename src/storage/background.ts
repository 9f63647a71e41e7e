import { assert, assertNever } from "../base/assert.ts";
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import { firstSlot, minSlot, type Slot } from "../base/types.ts";
import type { SnapshotReference } from "../core/durable.ts";
import type { Superblock } from "../format/superblock.ts";
import type { Commit } from "./commit.ts";
import type { Disk } from "./disk.ts";
import { manifestPath, snapshotDirectory, snapshotsDirectory } from "./paths.ts";
import { isFull } from "./reserve.ts";
import type { SegmentList } from "./segments.ts";
import { SnapshotReceiving, SnapshotWriting } from "./snapshot-writer.ts";
import type { DiskSpace } from "./space.ts";
import type { BackgroundWrite, ReceiveWrite, SnapshotWrite } from "./write.ts";

/** What of its store the work in the background may touch. */
export interface BackgroundHost {
  readonly superblock: Superblock;
  readonly segments: SegmentList;
  writeSuperblock(change: Partial<Pick<Superblock, "snapshot" | TrimChange>>): void;
}

type TrimChange = "logBegin" | "beginGeneration" | "beginSequence" | "beginBallot";

/** What a step brought; the store adds the ticket. */
export type BackgroundResult = Omit<Commit, "ticket" | "places">;

export interface BackgroundOptions {
  readonly disk: Disk;
  readonly dir: string;
  readonly hashing: Hashing;
  readonly space: DiskSpace;
  readonly host: BackgroundHost;
  /** Of the head, as the log says that was recovered: what a trim did not come to before is done now. */
  readonly headSlot: Slot;
}

/**
 * Snapshots, trims and tidying: work that no append waits for, cut into steps of about a piece of a snapshot each, which the owner
 * of the store takes when there is time. A crash between or inside of any two steps leaves what the superblock names whole.
 */
export class Background {
  readonly #options: BackgroundOptions;
  /** Slots below it may go; moved by trims. */
  #headSlot: Slot;
  #trimDue = true;
  /** There is no room for a snapshot, not even that of the reserve: it goes on when there is. */
  #isStalled = false;
  /** The newest snapshot that was handed over, and is not begun. */
  #waiting: SnapshotWrite | undefined;
  #writing: SnapshotWriting | undefined;
  #receiving: SnapshotReceiving | undefined;
  #received: ReceiveWrite[] = [];
  /** The snapshot before the newest stays until there is a newer one: another node may be in the middle of reading it. */
  #previous: Slot | undefined;
  /** Directories in snapshots/ that may hold something, by slot. */
  readonly #directories: Set<Slot>;
  /** What a node was receiving when it stopped, until it is known whether that goes on. */
  #resumable: Slot | undefined;

  constructor(options: BackgroundOptions) {
    this.#options = options;
    this.#headSlot = options.headSlot;
    const { disk, dir } = options;
    const directory = snapshotsDirectory(dir);
    if (!disk.exists(directory)) {
      disk.makeDirectory(directory);
      disk.syncDirectory(dir);
    }
    const slots = disk.list(directory).map(Number).filter(Number.isSafeInteger) as Slot[];
    this.#directories = new Set(slots);
    const newest = options.host.superblock.snapshot?.slot ?? 0;
    const unfinished = slots.filter((slot) => slot > newest && disk.exists(manifestPath(dir, slot)));
    if (unfinished.length > 0) this.#resumable = Math.max(...unfinished) as Slot;
  }

  submit(write: BackgroundWrite): void {
    switch (write.kind) {
      case "snapshot":
        this.#waiting = write;
        return;
      case "receive":
        if (this.#received.length < limits.snapshotChunksWaiting) this.#received.push(write);
        return;
      case "trim":
        if (write.head.slot > this.#headSlot) this.#headSlot = write.head.slot;
        this.#trimDue = true;
        return;
      default:
        return assertNever(write);
    }
  }

  /** Whether a step would do anything. */
  get isPending(): boolean {
    const { space } = this.#options;
    return (
      this.#trimDue ||
      this.#received.length > 0 ||
      this.#hasSnapshotStep ||
      space.trash.hasSurplus ||
      this.#obsolete() !== undefined
    );
  }

  get #hasSnapshotStep(): boolean {
    return !this.#isStalled && (this.#writing !== undefined || this.#waiting !== undefined);
  }

  /** There may be room again for what found none. */
  retry(): void {
    this.#isStalled = false;
  }

  /** Does the next piece of work; what it brought, if that is for somebody to know. */
  step(): BackgroundResult | undefined {
    if (this.#trimDue) return this.#trim();
    const received = this.#received.shift();
    if (received !== undefined) return this.#receive(received);
    if (this.#hasSnapshotStep) return this.#snapshot();
    this.#sweep();
    return undefined;
  }

  /** The received snapshot that an install names. It stays where it is: from now on the superblock is to name it. */
  takeReceived(slot: Slot, rootHash: string): SnapshotReference {
    const receiving = this.#receiving;
    assert(receiving?.isWhole === true, `an install of the snapshot at ${slot}, which is not here whole`);
    const { reference } = receiving;
    assert(
      reference.slot === slot && reference.rootHash === rootHash,
      `an install of another snapshot than was received`,
    );
    this.#receiving = undefined;
    this.#resumable = undefined;
    return reference;
  }

  close(): void {
    this.#writing?.close();
  }

  /** Superblock first: from then on the segments before the new begin are no part of the log, wherever they lie. */
  #trim(): BackgroundResult | undefined {
    const { host, space } = this.#options;
    this.#trimDue = false;
    const bound = minSlot(this.#headSlot, host.superblock.snapshot?.slot ?? firstSlot);
    const span = host.segments.beginFor(bound);
    if (span === undefined || span === host.segments.first) return undefined;
    const { generation, begin, firstSequence, ballot } = span;
    host.writeSuperblock({
      logBegin: begin,
      beginGeneration: generation,
      beginSequence: firstSequence - 1,
      beginBallot: ballot,
    });
    host.segments.dropBefore(generation);
    space.trash.takeSegments(generation);
    return { logBegin: begin };
  }

  #receive({ manifest, chunk }: ReceiveWrite): BackgroundResult | undefined {
    const receiving = this.#inRoom(() => this.#receivingOf(manifest));
    if (receiving === undefined) return undefined;
    if (chunk !== undefined) this.#inRoom(() => receiving.take(chunk.number, chunk.bytes));
    const { reference, chunksDurable, chunkCount } = receiving;
    return { receiving: { ...reference, chunksDurable, chunkCount } };
  }

  /** What this manifest began, or begins now; undefined where it is of no use here. */
  #receivingOf(manifest: Uint8Array): SnapshotReceiving | undefined {
    const { superblock } = this.#options.host;
    if (this.#receiving?.isOf(manifest) === true) return this.#receiving;
    this.#receiving = undefined;
    const receiving = SnapshotReceiving.begin(this.#options, manifest, (reference, clusterId) => {
      const isOurs = clusterId === superblock.state.genesis?.clusterId && reference.slot !== this.#writing?.slot;
      return isOurs && reference.slot > (superblock.snapshot?.slot ?? 0);
    });
    if (receiving === undefined) return undefined;
    this.#resumable = undefined;
    this.#directories.add(receiving.reference.slot);
    this.#receiving = receiving;
    return receiving;
  }

  #snapshot(): BackgroundResult | undefined {
    const { host } = this.#options;
    this.#writing ??= this.#begin();
    const writing = this.#writing;
    if (writing === undefined) return undefined;
    const done = this.#inRoom(() => ({ snapshot: writing.step() }));
    this.#isStalled = done === undefined;
    if (done?.snapshot === undefined) return undefined;
    this.#writing = undefined;
    const { snapshot } = done;
    this.#previous = host.superblock.snapshot?.slot;
    host.writeSuperblock({ snapshot });
    this.#trimDue = true;
    return { snapshot };
  }

  /** undefined where the disk is full, and what the reserve kept for a snapshot is used. */
  #inRoom<T>(work: () => T): T | undefined {
    try {
      return this.#options.space.forSnapshot(work);
    } catch (error) {
      if (!isFull(error)) throw error;
      return undefined;
    }
  }

  /** undefined where the newest is as new. */
  #begin(): SnapshotWriting | undefined {
    const { host } = this.#options;
    const write = this.#waiting;
    this.#waiting = undefined;
    const { genesis } = host.superblock.state;
    if (write === undefined || genesis === undefined) return undefined;
    const { slot } = write.base;
    if (slot <= (host.superblock.snapshot?.slot ?? 0)) return undefined;
    // It is made here as well now, of the same bytes.
    if (slot === this.#receiving?.reference.slot) this.#receiving = undefined;
    this.#directories.add(slot);
    return new SnapshotWriting(this.#options, genesis.clusterId, write.base, write.content);
  }

  /** A snapshot's directory that nobody names, writes, or may still be reading. */
  #obsolete(): Slot | undefined {
    const used: readonly (Slot | undefined)[] = [
      this.#options.host.superblock.snapshot?.slot,
      this.#previous,
      this.#writing?.slot,
      this.#receiving?.reference.slot,
      this.#resumable,
    ];
    for (const slot of this.#directories) if (!used.includes(slot)) return slot;
    return undefined;
  }

  /** Removes one file that is of no use. */
  #sweep(): void {
    const { disk, dir, space } = this.#options;
    if (space.trash.hasSurplus) return space.trash.sweep();
    const slot = this.#obsolete();
    if (slot === undefined) return;
    const directory = snapshotDirectory(dir, slot);
    // The manifest goes first: what is left of a snapshot must not look like one that may be gone on with.
    const [first] = disk.exists(directory) ? disk.list(directory).reverse() : [];
    if (first !== undefined) {
      disk.remove(`${directory}/${first}`);
      disk.syncDirectory(directory);
      return;
    }
    if (disk.exists(directory)) {
      disk.removeDirectory(directory);
      disk.syncDirectory(snapshotsDirectory(dir));
    }
    this.#directories.delete(slot);
  }
}
