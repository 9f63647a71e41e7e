import { assert, assertNever, defined } from "../base/assert.ts";
import { PaxlogError } from "../base/errors.ts";
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import { maxSlot, type Slot, type Ticket } from "../base/types.ts";
import { largerBallot } from "../core/ballot.ts";
import type { Recovered } from "../core/durable.ts";
import { firstHash } from "../format/entry.ts";
import type { Superblock } from "../format/superblock.ts";
import { AccountedDisk } from "./accounted-disk.ts";
import { Background, type BackgroundHost, type BackgroundResult } from "./background.ts";
import type { Commit } from "./commit.ts";
import { noCounts, type StoreCounters } from "./counters.ts";
import { openingFailed, storageFailed } from "./damage.ts";
import { formatDirectory } from "./directory.ts";
import type { Disk } from "./disk.ts";
import { LogWriter } from "./log.ts";
import { indexPath, superblockPath } from "./paths.ts";
import type { GroupPlace } from "./places.ts";
import type { ReaderStart } from "./reader.ts";
import { recoveredState } from "./recovered-state.ts";
import { type RecoveredLog, recoverLog } from "./recovery.ts";
import { DiskSpace, type SpaceState } from "./space.ts";
import { checkName, checkSegmentBytes, freshSuperblock, type StoreOptions } from "./store-options.ts";
import { SuperblockStore } from "./superblock-store.ts";
import { abandonTornEnd } from "./torn.ts";
import type { BackgroundWrite, GroupWrite, InstallWrite, StoreWrite, SuperblockWrite } from "./write.ts";

/**
 * A data directory in the hands of its one owner: what was recovered, and a queue of writes that become durable one unit at a
 * time, in the order in which they were submitted. Blocking; it belongs on a thread of its own (DESIGN 5).
 *
 * After a failed write or sync the store is poisoned: every call throws STORAGE_FAILED and nothing is tried again (P12).
 */
export class Store {
  /** What the directory held when it was opened: the start of the core. */
  readonly recovered: Recovered;
  /** Where the recovered entries lie that no index covers, and the rest of what a reader starts with. */
  readonly layout: readonly GroupPlace[];
  readonly readerStart: ReaderStart;
  readonly counters: StoreCounters;
  readonly #disk: Disk;
  readonly #dir: string;
  readonly #hashing: Hashing;
  readonly #superblocks: SuperblockStore;
  readonly #log: LogWriter;
  readonly #segmentBytes: number;
  readonly #space: DiskSpace;
  readonly #background: Background;
  #queue: StoreWrite[] = [];
  /** Of the last ordered write that is durable. */
  #ticket = 0 as Ticket;
  /** What the owner knows of the room. */
  #toldSpace: SpaceState = "enough";
  #decidedEnd: Slot;
  #poison: PaxlogError | undefined;
  #closed = false;

  /**
   * Opens the directory, or formats it where it is empty. Before it returns, this opening's incarnation is durable. The caller
   * holds the directory's lock.
   *
   * @throws PaxlogError DAMAGED, FORMAT_UNKNOWN, DIRECTORY_UNUSABLE, STORAGE_FAILED, INVALID_ARGUMENT.
   */
  static open(options: StoreOptions): Store {
    const segmentBytes = options.segmentBytes ?? limits.segmentBytesDefault;
    checkSegmentBytes(segmentBytes);
    let superblocks: SuperblockStore | undefined;
    try {
      const { dir, hashing } = options;
      formatDirectory(options.disk, dir, hashing, () => freshSuperblock(options, segmentBytes));
      const disk = new AccountedDisk(options.disk, dir, options.quota);
      const counters = noCounts(disk.used);
      superblocks = SuperblockStore.open(disk, superblockPath(dir), hashing, counters);
      checkName(superblocks.current, options);
      const snapshot = recoveredState(disk, dir, superblocks.current, hashing);
      const log = recoverLog({ disk, dir, hashing, superblock: superblocks.current, snapshot });
      return new Store({ ...options, disk, segmentBytes }, counters, superblocks, log);
    } catch (error) {
      superblocks?.close();
      throw openingFailed(error, options.dir);
    }
  }

  private constructor(
    options: Required<Pick<StoreOptions, "segmentBytes">> & StoreOptions,
    counters: StoreCounters,
    superblocks: SuperblockStore,
    log: RecoveredLog,
  ) {
    this.#disk = options.disk;
    this.#dir = options.dir;
    this.#hashing = options.hashing;
    const { disk, dir, hashing, segmentBytes } = options;
    this.#segmentBytes = segmentBytes;
    this.#superblocks = superblocks;
    this.counters = counters;
    this.layout = log.layout;
    this.readerStart = { begin: superblocks.current.logBegin, indexed: log.indexed };
    this.#decidedEnd = log.end.decidedEnd;

    const before = superblocks.current;
    const identity = { ...before.identity, incarnation: before.identity.incarnation + 1 };
    // What was read was synced first, so REPLACE is durable and the superblock may say so (P3).
    const state = { ...before.state, acceptedBallot: largerBallot(before.state.acceptedBallot, log.end.ballot) };
    superblocks.write({
      ...before,
      identity,
      state,
      segmentBytes,
      clean: false,
      highestGeneration: log.highestGeneration,
      durableSequence: log.end.sequence,
      decidedEnd: log.end.decidedEnd,
    });
    const { logBegin, snapshot } = before;
    const { base, window, sequencer } = log;
    this.recovered = { identity, state, logBegin, snapshot, base, window, sequencer };
    this.#space = new DiskSpace(disk, dir, segmentBytes);
    this.#log = new LogWriter({
      ...options,
      ...log,
      counters,
      beginGeneration: before.beginGeneration,
      space: this.#space,
      owner: () => {
        const { clusterId, nodeId } = defined(superblocks.current.state.genesis, "the genesis");
        return { clusterId, nodeId, nodeUid: identity.nodeUid };
      },
      segmentMade: (generation) => this.#writeSuperblock({ highestGeneration: generation }),
    });
    if (log.tornEnd !== undefined) {
      const { trash } = this.#space;
      abandonTornEnd({ disk, dir, trash }, defined(log.segment, "the torn segment"), log.tornEnd, this.#log);
    }
    // What a trim that was cut short left, and then the reserve, which may be made of it.
    this.#space.trash.takeSegments(before.beginGeneration);
    this.#space.open();
    const host: BackgroundHost = {
      get superblock() {
        return superblocks.current;
      },
      segments: this.#log.segments,
      writeSuperblock: (change) => this.#writeSuperblock(change),
    };
    const headSlot = sequencer.retained.head.slot;
    this.#background = new Background({ disk, dir, hashing, space: this.#space, host, headSlot });
  }

  /** Whether something waits for `commit`. */
  get pending(): boolean {
    return this.#queue.length > 0;
  }

  /** Takes a write into the queue. Its bytes must not change until it is durable. */
  submit(write: StoreWrite): void {
    this.#check();
    this.#queue.push(write);
  }

  /** Whether `advance` has something to do. */
  get hasBackground(): boolean {
    return this.#background.isPending || this.#wantsSpare || this.#space.state !== this.#toldSpace;
  }

  /** Whether the disk had room when it was last asked for some. */
  get space(): SpaceState {
    return this.#space.state;
  }

  /**
   * For a moment between two commits, or an idle one: does one piece of what no append waits for, about limits.snapshotPieceBytes of
   * the disk's time. Returns what that made known, with the ticket of the last commit.
   */
  advance(): Commit | undefined {
    this.#check();
    return this.#guarded(() => {
      let result: BackgroundResult | undefined;
      if (this.#wantsSpare) this.#log.makeSpare("ahead");
      else if (this.#background.isPending) result = this.#background.step();
      if (result?.logBegin !== undefined) this.#seekRoom();
      const space = this.#space.state;
      if (result === undefined && space === this.#toldSpace) return undefined;
      const told = space === this.#toldSpace ? {} : { space };
      this.#toldSpace = space;
      return { ticket: this.#ticket, places: [], ...result, ...told };
    });
  }

  /** For about once a second while the disk is full: looks whether there is room again. `advance` tells. */
  seekRoom(): void {
    this.#check();
    this.#guarded(() => this.#seekRoom());
  }

  /** Takes what becomes durable when there is time: nothing that has a ticket waits for it. */
  submitBackground(write: BackgroundWrite): void {
    this.#check();
    this.#background.submit(write);
  }

  /** Another thread wrote the index of this segment: its bytes count from now on. It goes where the segment was trimmed meanwhile. */
  noteIndex(generation: number): void {
    this.#check();
    this.#guarded(() => {
      const path = indexPath(this.#dir, generation);
      if (!this.#disk.exists(path)) return;
      if (generation < this.#superblocks.current.beginGeneration) this.#disk.remove(path);
      else this.#disk.open(path, "read").close();
    });
  }

  /**
   * Makes the next unit durable: one superblock, one REPLACE, or one group of all appends that wait next to each other, up to
   * limits.groupBytesMax and at least one. undefined where nothing waits.
   */
  commit(): Commit | undefined {
    this.#check();
    const first = this.#queue[0];
    if (first === undefined) return undefined;
    return this.#guarded(() => {
      const commit = this.#commitNext(first);
      this.#ticket = commit.ticket;
      const { state: space } = this.#space;
      if (space === this.#toldSpace) return commit;
      this.#toldSpace = space;
      return { ...commit, space };
    });
  }

  /**
   * For an idle moment: writes a MARK group where nothing yet proves the last group durable, and makes the next segment ahead
   * of its use. Does nothing where there is nothing to do.
   */
  mark(): void {
    this.#check();
    this.#guarded(() => {
      if (this.#log.unproven) this.#log.mark();
      if (this.#wantsSpare) this.#log.makeSpare("ahead");
    });
  }

  /**
   * Writes zeros ahead of the log, a slice at a time, so that groups go where something was written before. "between" is for the
   * moment after a commit: it does something only where the next group would be the better for it. "idle" goes on to the end of
   * the space that was made; false where nothing is left to do.
   */
  fill(moment: "between" | "idle"): boolean {
    this.#check();
    return this.#guarded(() => {
      if (moment === "idle") return this.#log.fillIdle();
      this.#log.fillAhead();
      return false;
    });
  }

  /**
   * Marks the directory as closed cleanly and lets go of its files. What still waits was never durable and is dropped. A
   * poisoned store only lets go.
   */
  close(): void {
    if (this.#closed) return;
    try {
      if (this.#poison === undefined) this.#guarded(() => this.#writeSuperblock({ clean: true }));
    } finally {
      this.#closed = true;
      this.#queue = [];
      this.#background.close();
      this.#log.close();
      this.#superblocks.close();
    }
  }

  get #wantsSpare(): boolean {
    const { genesis } = this.#superblocks.current.state;
    return genesis !== undefined && this.#space.state === "enough" && this.#log.wantsSpare;
  }

  #seekRoom(): void {
    if (this.#space.state === "enough") return;
    this.#background.retry();
    while (this.#space.fillReserve());
    if (!this.#space.reserveIsWhole) return;
    if (this.#superblocks.current.state.genesis !== undefined && !this.#log.makeSpare("ahead")) return;
    this.#space.hasRoomAgain();
  }

  #commitNext(first: StoreWrite): Commit {
    switch (first.kind) {
      case "superblock":
        return this.#commitSuperblock(first);
      case "replace":
        return this.#commitReplace(first);
      case "append":
        return this.#commitAppends();
      case "install":
        return this.#commitInstall(first);
      default:
        return assertNever(first);
    }
  }

  #commitSuperblock(write: SuperblockWrite): Commit {
    const { state } = write;
    const known = this.#superblocks.current.state.genesis;
    assert(
      known === undefined || known.clusterId === state.genesis?.clusterId,
      "a genesis is never changed (PROTOCOL 2)",
    );
    assert(write.decidedEnd <= this.#log.end.slot, `the hint ${write.decidedEnd} is above the durable log (P7)`);
    this.#decidedEnd = maxSlot(this.#decidedEnd, write.decidedEnd);
    if (known === undefined && state.genesis !== undefined) {
      const hash = firstHash(state.genesis.clusterId, this.#hashing);
      this.#writeSuperblock({ state, logBegin: { ...this.#superblocks.current.logBegin, hash } });
      this.#log.setFirstHash(hash);
    } else {
      this.#writeSuperblock({ state });
    }
    this.#queue.shift();
    return { ticket: write.ticket, places: [] };
  }

  #commitReplace(write: GroupWrite): Commit {
    const place = this.#log.replace(write, this.#superblocks.current.state.promised);
    this.#queue.shift();
    return { ticket: write.ticket, places: place === undefined ? [] : [place], voidFrom: write.firstSlot };
  }

  /** The superblock is the moment: before it the old log stands, after it the snapshot and an empty log at its begin (P16). */
  #commitInstall(write: InstallWrite): Commit {
    const { begin } = write;
    assert(begin.slot <= write.slot, `an install of the snapshot at ${write.slot} leaves a hole before ${begin.slot}`);
    assert(begin.slot >= this.#log.end.decidedEnd, `an install at ${begin.slot} cuts what is decided (P11)`);
    const snapshot = this.#background.takeReceived(write.slot, write.rootHash);
    this.#log.makeSpare("now");
    const { highestGeneration } = this.#superblocks.current;
    const { sequence, ballot } = this.#log.end;
    this.#decidedEnd = begin.slot;
    this.#writeSuperblock({
      snapshot,
      logBegin: begin,
      beginGeneration: highestGeneration,
      beginSequence: sequence,
      beginBallot: ballot,
      decidedEnd: begin.slot,
    });
    this.#log.restart(begin);
    this.#space.trash.takeSegments(highestGeneration);
    this.#queue.shift();
    return { ticket: write.ticket, places: [], installed: snapshot, logBegin: begin };
  }

  #commitAppends(): Commit {
    const writes: GroupWrite[] = [];
    let bytes = 0;
    for (const write of this.#queue) {
      if (write.kind !== "append") break;
      bytes += write.bytes.reduce((length, part) => length + part.length, 0);
      if (writes.length > 0 && bytes > limits.groupBytesMax) break;
      writes.push(write);
    }
    const place = this.#log.append(writes);
    this.#queue.splice(0, writes.length);
    return { ticket: writes[writes.length - 1]!.ticket, places: [place] };
  }

  #writeSuperblock(change: Partial<Superblock>): void {
    const { end } = this.#log;
    this.#superblocks.write({
      ...this.#superblocks.current,
      segmentBytes: this.#segmentBytes,
      durableSequence: end.sequence,
      decidedEnd: maxSlot(this.#decidedEnd, end.decidedEnd),
      ...change,
    });
    this.#log.proven();
  }

  #check(): void {
    if (this.#poison !== undefined) throw this.#poison;
    if (this.#closed) throw new PaxlogError("CLOSED", `the store in ${this.#dir} is closed`);
  }

  /** Whatever fails in here may have left half of itself on the disk: the store takes nothing more. */
  #guarded<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      this.#poison = storageFailed(error, this.#dir);
      throw error instanceof PaxlogError ? error : this.#poison;
    }
  }
}
