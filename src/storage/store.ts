import { assert, defined } from "../base/assert.ts";
import { toHex } from "../base/bytes.ts";
import { PaxlogError } from "../base/errors.ts";
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import { firstPosition, firstSlot, type Hash, maxSlot, type Slot, type Ticket, type Uid } from "../base/types.ts";
import { largerBallot, noBallot } from "../core/ballot.ts";
import type { DurableState, LogBase, Recovered, SnapshotReference } from "../core/durable.ts";
import { firstHash } from "../format/entry.ts";
import type { Superblock } from "../format/superblock.ts";
import { noCounts, type StoreCounters } from "./counters.ts";
import { openingFailed, storageFailed } from "./damage.ts";
import { formatDirectory } from "./directory.ts";
import type { Disk } from "./disk.ts";
import { LogWriter } from "./log.ts";
import { superblockPath } from "./paths.ts";
import type { GroupPlace } from "./places.ts";
import type { ReaderStart } from "./reader.ts";
import { type RecoveredLog, recoverLog } from "./recovery.ts";
import { SuperblockStore } from "./superblock-store.ts";
import { abandonTornEnd } from "./torn.ts";
import type { BackgroundWrite, GroupWrite, StoreWrite, SuperblockWrite } from "./write.ts";

export interface StoreOptions {
  readonly disk: Disk;
  readonly dir: string;
  readonly hashing: Hashing;
  /** Fresh random bytes: nodeUid and the nonces of segments. */
  readonly randomBytes: (count: number) => Uint8Array;
  /** Of the node. A directory belongs to the name that it was formatted for. */
  readonly name: string;
  /** Size of new segments, a multiple of 4 KiB; the default is limits.segmentBytesDefault. */
  readonly segmentBytes?: number;
}

/** What became durable. */
export interface Commit {
  /** Everything submitted with a ticket up to this one is durable. 0: nothing yet. */
  readonly ticket: Ticket;
  /** Where its entries lie, for readers. */
  readonly places: readonly GroupPlace[];
  /** A REPLACE: everything that was at or above this slot is void, and `places` come after. */
  readonly voidFrom?: Slot;
  /** A snapshot that is whole on disk, and what the node would start from now. */
  readonly snapshot?: SnapshotReference;
  /** Of a snapshot that another node sends: chunks below this number are durable here. Equal to `chunkCount`: install it. */
  readonly receiving?: SnapshotReference & { readonly chunksDurable: number; readonly chunkCount: number };
  /** Where the log begins now: what was below lies in files that are taken away, and readers let go of it. */
  readonly logBegin?: LogBase;
  /** The log was emptied by an install and goes on at `logBegin`: nothing that was known of it holds. */
  readonly installed?: SnapshotReference;
}

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
  readonly #dir: string;
  readonly #hashing: Hashing;
  readonly #superblocks: SuperblockStore;
  readonly #log: LogWriter;
  readonly #segmentBytes: number;
  #queue: StoreWrite[] = [];
  /** Newest last; what nobody works off yet. */
  #background: BackgroundWrite[] = [];
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
    const counters = noCounts();
    let superblocks: SuperblockStore | undefined;
    try {
      const { disk, dir, hashing } = options;
      formatDirectory(disk, dir, hashing, () => freshSuperblock(options, segmentBytes));
      superblocks = SuperblockStore.open(disk, superblockPath(dir), hashing, counters);
      checkName(superblocks.current, options);
      const log = recoverLog({ disk, dir, hashing, superblock: superblocks.current, snapshot: undefined });
      return new Store(options, segmentBytes, counters, superblocks, log);
    } catch (error) {
      superblocks?.close();
      throw openingFailed(error, options.dir);
    }
  }

  private constructor(
    options: StoreOptions,
    segmentBytes: number,
    counters: StoreCounters,
    superblocks: SuperblockStore,
    log: RecoveredLog,
  ) {
    this.#dir = options.dir;
    this.#hashing = options.hashing;
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
    const { head, snapshot, logBegin } = before;
    this.recovered = {
      identity,
      state,
      logBegin,
      head,
      snapshot,
      base: log.base,
      window: log.window,
      sequencer: log.sequencer,
    };
    this.#log = new LogWriter({
      ...options,
      segmentBytes,
      counters,
      end: log.end,
      segment: log.segment,
      highestGeneration: log.highestGeneration,
      spare: log.spare,
      owner: () => {
        const { clusterId, nodeId } = defined(superblocks.current.state.genesis, "the genesis");
        return { clusterId, nodeId, nodeUid: identity.nodeUid };
      },
      segmentMade: (generation) => this.#writeSuperblock({ highestGeneration: generation }),
    });
    if (log.tornEnd !== undefined) {
      abandonTornEnd(options.disk, options.dir, defined(log.segment, "the torn segment"), log.tornEnd, this.#log);
    }
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

  /** Takes what becomes durable when there is time: nothing that has a ticket waits for it. */
  submitBackground(write: BackgroundWrite): void {
    this.#check();
    this.#background.push(write);
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
      if (first.kind === "superblock") return this.#commitSuperblock(first);
      if (first.kind === "replace") return this.#commitReplace(first);
      return this.#commitAppends();
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
      if (this.#superblocks.current.state.genesis !== undefined && this.#log.wantsSpare) this.#log.makeSpare();
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
      this.#log.close();
      this.#superblocks.close();
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

  #writeSuperblock(change: {
    state?: DurableState;
    logBegin?: Superblock["logBegin"];
    highestGeneration?: number;
    clean?: boolean;
  }): void {
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

function freshSuperblock({ randomBytes, name }: StoreOptions, segmentBytes: number): Superblock {
  return {
    identity: { name, nodeUid: toHex(randomBytes(16)) as Uid, incarnation: 0 },
    state: { genesis: undefined, started: false, promised: noBallot, acceptedBallot: noBallot },
    logBegin: { slot: firstSlot, hash: "" as Hash, position: firstPosition, time: 0 },
    beginGeneration: 1,
    highestGeneration: 0,
    durableSequence: 0,
    decidedEnd: firstSlot,
    segmentBytes,
    head: { position: firstPosition, slot: firstSlot },
    beginBallot: noBallot,
    snapshot: undefined,
    clean: true,
  };
}

function checkName({ identity }: Superblock, { name, dir }: StoreOptions): void {
  if (identity.name === name) return;
  throw new PaxlogError(
    "DIRECTORY_UNUSABLE",
    `the directory ${dir} belongs to the node "${identity.name}", not to "${name}". Start this node on its own directory, or an empty one.`,
    { facts: { directory: dir, name, owner: identity.name } },
  );
}

function checkSegmentBytes(segmentBytes: number): void {
  const { segmentBytesMin, segmentBytesMax, blockBytes } = limits;
  if (segmentBytes >= segmentBytesMin && segmentBytes <= segmentBytesMax && segmentBytes % blockBytes === 0) return;
  throw new PaxlogError(
    "INVALID_ARGUMENT",
    `the segment size must be a multiple of ${blockBytes} from ${segmentBytesMin} to ${segmentBytesMax}, is ${segmentBytes}`,
    { facts: { segmentBytes } },
  );
}
