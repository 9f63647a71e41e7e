import { type Hash, type Position, type Slot, slotPlus } from "../base/types.ts";
import type { Context } from "./context.ts";
import type { Entry, EntryHeader, Payload } from "./entry.ts";
import type { AppendProposal } from "./event.ts";
import type { Leader } from "./leader.ts";
import type { Replication } from "./replication.ts";
import type { ControlVerdict, OrderAt } from "./sequencer.ts";

/** Entries that are ordered one behind the other, and handed over together: they share a group and an Accept. */
export class OrderingTurn {
  readonly #ctx: Context;
  readonly #leader: Leader;
  readonly #replication: Replication;
  #entries: Entry[] = [];
  #slots: number;
  #bytes: number;

  constructor(ctx: Context, leader: Leader, replication: Replication) {
    this.#ctx = ctx;
    this.#leader = leader;
    this.#replication = replication;
    const { slots, bytes } = replication.room;
    this.#slots = slots;
    this.#bytes = bytes;
  }

  get hasRoom(): boolean {
    return this.#slots > 0 && this.#bytes > 0;
  }

  at(): OrderAt {
    const { log, monotonicMs } = this.#ctx;
    return { slot: this.#nextSlot, monotonicMs, log };
  }

  batch({ payload, recordCount, batchChecksum, guards }: AppendProposal, firstPosition: Position, time: number): void {
    this.#add(
      {
        slot: this.#nextSlot,
        originBallot: this.#leader.n,
        floor: this.#ctx.decidedEnd,
        kind: "batch",
        firstPosition,
        recordCount,
        time,
        session: guards?.session?.id ?? 0,
        serial: guards?.session?.serial ?? 0,
        batchChecksum,
        guardLength: payload.guards.length,
        prevHash: this.#prevHash,
      },
      payload,
    );
  }

  control({ entry }: ControlVerdict): void {
    const { payload, kind, firstPosition, recordCount, time, session, serial, batchChecksum } = entry;
    this.#add(
      {
        slot: this.#nextSlot,
        originBallot: this.#leader.n,
        floor: this.#ctx.decidedEnd,
        kind,
        firstPosition,
        recordCount,
        time,
        session,
        serial,
        batchChecksum,
        guardLength: payload.guards.length,
        prevHash: this.#prevHash,
      },
      payload,
    );
  }

  /** Hands over what was ordered: it is in the log then. */
  flush(): void {
    if (this.#entries.length === 0) return;
    this.#replication.propose(this.#entries);
    this.#entries = [];
  }

  get #nextSlot(): Slot {
    return slotPlus(this.#ctx.log.acceptedEnd, this.#entries.length);
  }

  get #prevHash(): Hash {
    return this.#entries[this.#entries.length - 1]?.hash ?? this.#ctx.log.hashBefore(this.#nextSlot)!;
  }

  #add(header: EntryHeader, payload: Payload): void {
    const entry = this.#ctx.options.makeEntry(header, payload);
    this.#entries.push(entry);
    this.#slots -= 1;
    this.#bytes -= entry.bytes.length;
  }
}
