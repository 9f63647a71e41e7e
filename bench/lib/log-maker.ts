import { randomBytes } from "node:crypto";
import { defined } from "#src/base/assert";
import type { Hashing } from "#src/base/hashing";
import { hashOfText } from "#src/base/tag-hash";
import type { Hash, NodeId, Position, Slot, Ticket, Uid } from "#src/base/types";
import { noBallot } from "#src/core/ballot";
import type { Genesis } from "#src/core/durable";
import { type Entry, nextPositionOf } from "#src/core/entry";
import { firstHash, makeEntryMaker } from "#src/format/entry";
import { makeEntryParts } from "#src/format/entry-parts";
import { encodeSnapshot } from "#src/format/snapshot-state";
import { LogState } from "#src/sequencer/log-state";
import { buildIndex } from "#src/storage/index-builder";
import { NodeDisk } from "#src/storage/node-disk";
import { LogReader } from "#src/storage/reader";
import { Store } from "#src/storage/store";
import { flattenWrite, type SnapshotWrite } from "#src/storage/write";

const clusterId = "c0ffee00c0ffee00c0ffee00c0ffee00" as Uid;
const batchBytes = 60 * 1024;
const recordsPerEntry = 64;
const entriesPerGroup = 32;

export interface MadeLog {
  readonly bytes: number;
  readonly entries: number;
  readonly segments: number;
}

/**
 * Writes a log of this size through the store, as a node that orders batches of 64 records with a tag each would, and builds the
 * indexes of its closed segments. It has a snapshot of a slot in the last closed segment or so, as if that had been taken a while ago.
 */
export function makeLog(dir: string, bytes: number, segmentBytes: number, hashing: Hashing): MadeLog {
  const disk = new NodeDisk();
  const store = Store.open({ disk, dir, hashing, randomBytes, name: "bench", segmentBytes });
  const reader = new LogReader(disk, dir, hashing, store.layout, store.readerStart);
  const maker = new Maker(hashing);
  let written = 0;
  let hasSnapshot = false;
  const commit = (): void => {
    for (let done = store.commit(); done !== undefined; done = store.commit()) reader.take(done);
  };
  store.submit(maker.genesis(store.recovered.identity.nodeUid));
  commit();
  while (written < bytes) {
    const entries = maker.group();
    store.submit(maker.write(entries));
    commit();
    maker.decide(entries);
    written += entries.reduce((sum, entry) => sum + entry.bytes.length, 0);
    if (!hasSnapshot && bytes - written < 2 * segmentBytes) {
      hasSnapshot = true;
      store.submitBackground(maker.snapshot());
      while (store.hasBackground) store.advance();
    }
    index(disk, dir, hashing, reader, maker.decidedEnd);
  }
  reader.close();
  store.close();
  const segments = disk.list(`${dir}/log`).filter((name) => name.endsWith(".log")).length;
  return { bytes: written, entries: maker.decidedEnd - 1, segments };
}

function index(disk: NodeDisk, dir: string, hashing: Hashing, reader: LogReader, decidedEnd: Slot): void {
  const job = reader.nextIndexJob(decidedEnd);
  if (job === undefined) return;
  const build = buildIndex({ disk, dir, hashing, job });
  for (let step = build.next(); ; step = build.next()) if (step.done === true) return reader.indexed(step.value);
}

/** Makes entries that follow each other, and folds them. */
class Maker {
  readonly #hashing: Hashing;
  readonly #makeEntry;
  readonly #parts;
  readonly #state = new LogState();
  readonly #batch = randomBytes(batchBytes);
  #genesis: Genesis | undefined;
  #slot = 1;
  #position = 1;
  #hash: Hash;
  #ticket = 0;
  decidedEnd = 1 as Slot;

  constructor(hashing: Hashing) {
    this.#hashing = hashing;
    this.#makeEntry = makeEntryMaker(hashing);
    this.#parts = makeEntryParts(hashing);
    this.#hash = firstHash(clusterId, hashing);
  }

  genesis(nodeUid: Uid) {
    const nodeId = 1 as NodeId;
    const members = [{ nodeId, nodeUid, name: "bench", peerAddress: "", clientAddress: "" }];
    this.#genesis = { clusterId, nodeId, members };
    const state = {
      genesis: this.#genesis,
      started: true,
      promised: noBallot,
      acceptedBallot: noBallot,
    };
    return flattenWrite({ kind: "writeSuperblock", ticket: this.#nextTicket(), state, decidedEnd: this.decidedEnd });
  }

  group(): Entry[] {
    return Array.from({ length: entriesPerGroup }, () => this.#entry());
  }

  write(entries: Entry[]) {
    const { slot: firstSlot, prevHash } = entries[0]!;
    const { decidedEnd } = this;
    return flattenWrite({ kind: "appendGroup", ticket: this.#nextTicket(), firstSlot, prevHash, entries, decidedEnd });
  }

  decide(entries: readonly Entry[]): void {
    for (const entry of entries) {
      const fault = this.#state.apply(entry, this.#parts);
      if (fault !== undefined) throw new Error(fault);
    }
    this.decidedEnd = this.#slot as Slot;
  }

  snapshot(): SnapshotWrite {
    const { end: slot, nextPosition: position, time } = this.#state;
    const content = encodeSnapshot(this.#state.save(), defined(this.#genesis, "the genesis"));
    return { kind: "snapshot", base: { slot, hash: this.#hash, position, time }, content };
  }

  #entry(): Entry {
    const batch = this.#batch;
    batch.writeUInt32LE(this.#slot, 0);
    const guards = Buffer.alloc(8 * recordsPerEntry);
    for (let index = 0; index < recordsPerEntry; index += 1) {
      const { low, high } = hashOfText(`tag ${(this.#position + index) % 1_000_000}`, "tag");
      guards.writeUInt32LE(low, 8 * index);
      guards.writeUInt32LE(high, 8 * index + 4);
    }
    const entry = this.#makeEntry(
      {
        slot: this.#slot as Slot,
        originBallot: noBallot,
        floor: this.decidedEnd,
        kind: "batch",
        firstPosition: this.#position as Position,
        recordCount: recordsPerEntry,
        time: 1_700_000_000_000 + this.#slot,
        session: 0,
        serial: 0,
        batchChecksum: this.#hashing.crc32c(batch),
        guardLength: guards.length,
        prevHash: this.#hash,
      },
      { batch, guards },
    );
    this.#slot += 1;
    this.#position = nextPositionOf(entry);
    this.#hash = entry.hash;
    return entry;
  }

  #nextTicket(): Ticket {
    this.#ticket += 1;
    return this.#ticket as Ticket;
  }
}
