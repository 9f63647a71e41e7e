import { defined } from "../../src/base/assert.ts";
import { limits } from "../../src/base/limits.ts";
import type { Hash, NodeId, Position, Slot, Ticket, Uid } from "../../src/base/types.ts";
import { type Ballot, noBallot } from "../../src/core/ballot.ts";
import type { DurableState, Genesis, LogBase } from "../../src/core/durable.ts";
import { type Entry, nextPositionOf } from "../../src/core/entry.ts";
import { firstHash, makeEntryMaker } from "../../src/format/entry.ts";
import { makeEntryParts } from "../../src/format/entry-parts.ts";
import { encodeSnapshot } from "../../src/format/snapshot-state.ts";
import { LogState } from "../../src/sequencer/log-state.ts";
import {
  flattenWrite,
  type GroupWrite,
  type SnapshotWrite,
  type SuperblockWrite,
  type TrimWrite,
} from "../../src/storage/write.ts";
import { hashing } from "./hashing.ts";

const parts = makeEntryParts(hashing);
const makeEntry = makeEntryMaker(hashing);
export const clusterId = "0123456789abcdef0123456789abcdef" as Uid;

/** Bytes of which each is 7 more than the one before. */
const ladder = new Uint8Array(2 * limits.batchBytesMax).map((_, at) => at * 7);

/** `size` bytes that begin with `first`: 183 is the inverse of 7. */
function someBytes(first: number, size: number): Uint8Array {
  const begin = ((first % 256) * 183) % 256;
  return ladder.slice(begin, begin + size);
}

/**
 * Plays the core: makes writes that follow the rules, and keeps what the log must hold when all of them are durable. The plain
 * array that a store is compared with.
 */
export class Scribe {
  entries: Entry[] = [];
  state: DurableState = { genesis: undefined, started: false, promised: noBallot, acceptedBallot: noBallot };
  logBallot: Ballot = noBallot;
  decidedEnd = 1 as Slot;
  /** The hashes of types and tags that the next entry bears. */
  guards: () => Uint8Array = () => new Uint8Array(0);
  #ticket = 0;
  #time = 1_700_000_000_000;

  get end(): Slot {
    return (this.entries.length + 1) as Slot;
  }

  hashBefore(slot: number): Hash {
    return slot === 1 ? firstHash(clusterId, hashing) : defined(this.entries[slot - 2], "an entry").hash;
  }

  positionAt(slot: number): Position {
    return slot === 1 ? (1 as Position) : nextPositionOf(defined(this.entries[slot - 2], "an entry"));
  }

  timeBefore(slot: number): number {
    return slot === 1 ? 0 : defined(this.entries[slot - 2], "an entry").time;
  }

  baseAt(slot: number): LogBase {
    const [hash, position, time] = [this.hashBefore(slot), this.positionAt(slot), this.timeBefore(slot)];
    return { slot: slot as Slot, hash, position, time };
  }

  /** The next ticket. */
  ticket(): Ticket {
    this.#ticket += 1;
    return this.#ticket as Ticket;
  }

  genesis(nodeUid: Uid): GroupWrite | SuperblockWrite {
    const genesis: Genesis = {
      clusterId,
      nodeId: 1 as NodeId,
      members: [
        { nodeId: 1 as NodeId, nodeUid, name: "n1", peerAddress: "127.0.0.1:7201", clientAddress: "127.0.0.1:7101" },
      ],
    };
    return this.superblock({ genesis });
  }

  superblock(change: Partial<DurableState> = {}): GroupWrite | SuperblockWrite {
    this.state = { ...this.state, ...change };
    return flattenWrite({
      kind: "writeSuperblock",
      ticket: this.ticket(),
      state: this.state,
      decidedEnd: this.decidedEnd,
    });
  }

  promise(n: number): GroupWrite | SuperblockWrite {
    return this.superblock({ promised: { configId: 1, n, nodeId: 1 as NodeId } });
  }

  /** Entries of `size` bytes of batch each, at the end of the log. */
  append(count: number, size = 50): GroupWrite | SuperblockWrite {
    const firstSlot = this.end;
    const prevHash = this.hashBefore(firstSlot);
    const entries = this.#make(count, size);
    return flattenWrite({
      kind: "appendGroup",
      ticket: this.ticket(),
      firstSlot,
      prevHash,
      entries,
      decidedEnd: this.decidedEnd,
    });
  }

  /** Voids [from, end) and puts `count` other entries there, in the ballot that was promised. */
  replace(from: number, count: number, size = 50): GroupWrite | SuperblockWrite {
    const base = this.baseAt(from);
    this.entries.length = from - 1;
    const entries = this.#make(count, size);
    this.logBallot = this.state.promised;
    return flattenWrite({
      kind: "replaceGroup",
      ticket: this.ticket(),
      ballot: this.state.promised,
      base,
      entries,
      decidedEnd: this.decidedEnd,
    });
  }

  /** What the entries below `slot` amount to, to be kept. They are decided. */
  snapshot(slot: number): SnapshotWrite {
    const folded = new LogState();
    for (const entry of this.entries.slice(0, slot - 1)) folded.apply(entry, parts);
    const content = encodeSnapshot(folded.save(), defined(this.state.genesis, "a genesis"));
    return { kind: "snapshot", base: this.baseAt(slot), content };
  }

  /** Slots below `slot` need not be kept. */
  trim(slot: number): TrimWrite {
    return { kind: "trim", head: { slot: slot as Slot, position: this.positionAt(slot) } };
  }

  /** Everything up to here is decided; at least what the window demands. */
  decide(end: number): void {
    this.decidedEnd = Math.max(this.decidedEnd, Math.min(end, this.end)) as Slot;
  }

  #make(count: number, size: number): Entry[] {
    const made: Entry[] = [];
    for (let index = 0; index < count; index += 1) {
      const slot = this.end;
      this.#time += 1;
      const batch = someBytes(this.#time * 31, size);
      const control = size === 0;
      const guards = control ? new Uint8Array(0) : this.guards();
      const entry = makeEntry(
        {
          slot,
          originBallot: this.state.promised,
          floor: Math.max(1, this.decidedEnd, slot - limits.windowSlots + 1) as Slot,
          kind: control ? "noop" : "batch",
          firstPosition: this.positionAt(slot),
          recordCount: control ? 0 : 1 + (this.#time % 3),
          time: this.#time,
          session: 0,
          serial: 0,
          batchChecksum: hashing.crc32c(batch),
          guardLength: guards.length,
          prevHash: this.hashBefore(slot),
        },
        { batch, guards },
      );
      made.push(entry);
      this.entries.push(entry);
    }
    return made;
  }
}
