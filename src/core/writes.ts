import { assert } from "../base/assert.ts";
import { minSlot, type Slot, type Ticket, ticket } from "../base/types.ts";
import type { Ballot } from "./ballot.ts";
import type { DurableState } from "./durable.ts";

/** Why the superblock is written: what may happen once it is durable. */
export type SuperblockPurpose = "promise" | "acceptedBallot" | "genesis" | "started";

/** One submission that storage has not yet reported durable. Storage completes them in the order of their tickets. */
export type PendingWrite =
  | {
      readonly kind: "append";
      readonly ticket: Ticket;
      readonly sinceTick: number;
      readonly endSlot: Slot;
      readonly bytes: number;
    }
  | {
      readonly kind: "replace";
      readonly ticket: Ticket;
      readonly sinceTick: number;
      readonly firstSlot: Slot;
      readonly endSlot: Slot;
      readonly ballot: Ballot;
      readonly bytes: number;
    }
  /** Everything before it is void where it is done. */
  | { readonly kind: "install"; readonly ticket: Ticket; readonly sinceTick: number; readonly bytes: number }
  | {
      readonly kind: "superblock";
      readonly ticket: Ticket;
      readonly sinceTick: number;
      readonly state: DurableState;
      readonly purpose: SuperblockPurpose;
    };

export type PendingShape<W> = W extends { readonly ticket: Ticket } ? Omit<W, "ticket"> : never;

/** The queue of submissions, in order, with what each one means when it becomes durable (P13: nothing else is believed). */
export class Writes {
  #next = 1;
  #pending: PendingWrite[] = [];
  #groupCount = 0;
  #bytes = 0;

  add(write: PendingShape<PendingWrite>): Ticket {
    const issued = ticket(this.#next++);
    this.#pending.push({ ...write, ticket: issued } as PendingWrite);
    if (write.kind !== "superblock") {
      this.#groupCount += 1;
      this.#bytes += write.bytes;
    }
    return issued;
  }

  /** Takes the oldest submission if its ticket is at most `upTo`. */
  complete(upTo: Ticket): PendingWrite | undefined {
    assert(upTo < this.#next, `storage reports ticket ${upTo}, which was never issued`);
    const first = this.#pending[0];
    if (first === undefined || first.ticket > upTo) return undefined;
    this.#pending.shift();
    if (first.kind !== "superblock") {
      this.#groupCount -= 1;
      this.#bytes -= first.bytes;
    }
    return first;
  }

  /** Whether the durable log is all of the log. */
  get logIsFlushed(): boolean {
    return this.#groupCount === 0;
  }

  /** Whether a REPLACE is on its way: nothing of its ballot may be acknowledged before (P2). */
  get replacePending(): boolean {
    return this.#pending.some((write) => write.kind === "replace");
  }

  /** The tick of the oldest submission that is not durable. */
  get oldestSince(): number | undefined {
    return this.#pending[0]?.sinceTick;
  }

  /** Bytes of groups that wait for the disk. */
  get bytes(): number {
    return this.#bytes;
  }

  /** What a completed append may claim: no more than the first slot that a later, still pending REPLACE voids. */
  capByPendingReplace(end: Slot): Slot {
    let capped = end;
    for (const write of this.#pending) if (write.kind === "replace") capped = minSlot(capped, write.firstSlot);
    return capped;
  }
}
