import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Hash, NodeId, Position, Slot, Ticket, Uid } from "#src/base/types";
import { noBallot } from "#src/core/ballot";
import type { DurableState } from "#src/core/durable";
import { type Entry, nextPositionOf } from "#src/core/entry";
import { entryHeaderBytes, firstHash, makeEntryMaker } from "#src/format/entry";
import { groupHeaderBytes } from "#src/format/group";
import { loadHashing } from "#src/native/hashing";
import type { Disk } from "#src/storage/disk";
import { Store } from "#src/storage/store";
import { flattenWrite, type StoreWrite } from "#src/storage/write";

/** Groups of one size through storage/, and the same calls to the same disk with nothing around them. */
export interface GroupFigures {
  readonly how: string;
  readonly groups: number;
  readonly bareMegabytesPerSecond: number;
  readonly storageMegabytesPerSecond: number;
  /** Storage over bare: 1 where storage costs nothing. */
  readonly share: number;
  /** The same of the median group: what is left when others take the processor now and then. */
  readonly medianShare: number;
}

const groupBytes = 1024 * 1024;
/** With its headers it fills a group of groupBytes to the byte. */
const batchBytes = groupBytes - groupHeaderBytes - entryHeaderBytes;
const segmentBytes = 64 * 1024 * 1024;

/**
 * A group through the store and a write of as many bytes in the same pieces, by turns: both have the same disk in the same moment.
 * All space was written before. What the core makes (entries, their hashes) is made before and not counted; what storage
 * makes (checksums, the group's header) is.
 */
export async function measureGroups(
  dir: string,
  how: string,
  disk: Disk,
  rounds: number,
  groupsPerRound: number,
): Promise<GroupFigures> {
  const hashing = await loadHashing();
  const taken: { readonly bare: number[]; readonly storage: number[] } = { bare: [], storage: [] };
  for (let round = 0; round < rounds; round += 1) {
    disk.makeDirectory(dir);
    const store = Store.open({ disk, dir: join(dir, "data"), hashing, randomBytes, name: "bench", segmentBytes });
    const writer = new EntryWriter(makeEntryMaker(hashing), (batch) => hashing.crc32c(batch));
    const commit = (write: StoreWrite): void => {
      store.submit(write);
      store.commit();
    };
    const bare = disk.create(join(dir, "bare"));
    try {
      commit(writer.genesis(store.recovered.identity.nodeUid, (clusterId) => firstHash(clusterId, hashing)));
      // The first group begins the segment; it is not counted.
      commit(writer.append(0));
      while (store.fill("idle"));
      writeZeros(bare);
      for (let group = 0; group < groupsPerRound; group += 1) {
        const write = writer.append(batchBytes);
        const parts = [new Uint8Array(groupHeaderBytes), ...writer.lastBytes, new Uint8Array(0)];
        const times = { bare: 0, storage: 0 };
        const turns = [
          () => {
            times.bare = timed(() => {
              bare.write(group * groupBytes, parts);
              bare.sync();
            });
          },
          () => {
            times.storage = timed(() => commit(write));
          },
        ];
        for (const turn of group % 2 === 0 ? turns : turns.toReversed()) turn();
        taken.bare.push(times.bare);
        taken.storage.push(times.storage);
      }
      if (store.counters.reservedBytes > 2 * 4096) throw new Error("groups went to space that was only reserved");
    } finally {
      bare.close();
      store.close();
      rmSync(dir, { recursive: true, force: true });
    }
  }
  const groups = rounds * groupsPerRound;
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  const rate = (milliseconds: number): number => (groups * groupBytes) / milliseconds / 1000;
  return {
    how,
    groups,
    bareMegabytesPerSecond: rate(sum(taken.bare)),
    storageMegabytesPerSecond: rate(sum(taken.storage)),
    share: sum(taken.bare) / sum(taken.storage),
    medianShare: median(taken.bare) / median(taken.storage),
  };
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;

function writeZeros(file: { write(offset: number, parts: readonly Uint8Array[]): void; sync(): void }): void {
  const zeros = new Uint8Array(groupBytes);
  for (let offset = 0; offset < segmentBytes; offset += zeros.length) file.write(offset, [zeros]);
  file.sync();
}

function timed(work: () => void): number {
  const began = performance.now();
  work();
  return performance.now() - began;
}

/** Stands for the core of a node that is alone: entries that continue each other. */
class EntryWriter {
  readonly #makeEntry: ReturnType<typeof makeEntryMaker>;
  readonly #checksum: (batch: Uint8Array) => number;
  #ticket = 0;
  #last: Entry | undefined;
  #prevHash = "" as Hash;
  lastBytes: readonly Uint8Array[] = [];

  constructor(makeEntry: ReturnType<typeof makeEntryMaker>, checksum: (batch: Uint8Array) => number) {
    this.#makeEntry = makeEntry;
    this.#checksum = checksum;
  }

  genesis(nodeUid: Uid, hashOf: (clusterId: Uid) => Hash): StoreWrite {
    const clusterId = randomBytes(16).toString("hex") as Uid;
    this.#prevHash = hashOf(clusterId);
    const member = { nodeId: 1 as NodeId, nodeUid, name: "bench", peerAddress: "", clientAddress: "" };
    const genesis = { clusterId, nodeId: member.nodeId, members: [member] };
    const state: DurableState = { genesis, started: true, promised: noBallot, acceptedBallot: noBallot };
    return flattenWrite({ kind: "writeSuperblock", ticket: this.#nextTicket(), state, decidedEnd: 1 as Slot });
  }

  /** One entry, with a batch of so many bytes; 0: with none. */
  append(length: number): StoreWrite {
    const batch = new Uint8Array(randomBytes(length));
    const slot = ((this.#last?.slot ?? 0) + 1) as Slot;
    const entry = this.#makeEntry(
      {
        slot,
        originBallot: noBallot,
        floor: 1 as Slot,
        kind: length === 0 ? "noop" : "batch",
        firstPosition: this.#last === undefined ? (1 as Position) : nextPositionOf(this.#last),
        recordCount: length === 0 ? 0 : 1,
        time: 1_700_000_000_000 + slot,
        session: 0,
        serial: 0,
        batchChecksum: this.#checksum(batch),
        guardLength: 0,
        prevHash: this.#prevHash,
      },
      { batch, guards: new Uint8Array(0) },
    );
    const prevHash = this.#prevHash;
    this.#last = entry;
    this.#prevHash = entry.hash;
    this.lastBytes = [entry.bytes];
    const ticket = this.#nextTicket();
    return flattenWrite({
      kind: "appendGroup",
      ticket,
      firstSlot: slot,
      prevHash,
      entries: [entry],
      decidedEnd: 1 as Slot,
    });
  }

  #nextTicket(): Ticket {
    this.#ticket += 1;
    return this.#ticket as Ticket;
  }
}
