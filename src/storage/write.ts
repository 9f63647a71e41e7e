import type { Hash, Position, Slot, Ticket } from "../base/types.ts";
import type { Ballot } from "../core/ballot.ts";
import type { DurableState } from "../core/durable.ts";
import type { AppendGroupEffect, ReplaceGroupEffect, WriteSuperblockEffect } from "../core/effect.ts";
import { nextPositionOf } from "../core/entry.ts";

/** What is handed to the storage owner, in the order in which it must become durable. */
export type StoreWrite = GroupWrite | SuperblockWrite;

/** The flat form of a group effect: it crosses threads, so it holds bytes and numbers, not entries. */
export interface GroupWrite {
  readonly kind: "append" | "replace";
  readonly ticket: Ticket;
  /** Of a REPLACE; undefined for an APPEND. */
  readonly ballot: Ballot | undefined;
  readonly firstSlot: Slot;
  readonly endSlot: Slot;
  readonly prevHash: Hash;
  /** Hash of the log before endSlot. */
  readonly endHash: Hash;
  /** Position of the first record of the first entry, and after the last record of the last; undefined for an empty REPLACE. */
  readonly positions: { readonly first: Position; readonly end: Position } | undefined;
  readonly decidedEnd: Slot;
  /** Whole entries as on disk, in order, in as many pieces as is convenient; pieces need not be single entries. */
  readonly bytes: readonly Uint8Array[];
}

export interface SuperblockWrite {
  readonly kind: "superblock";
  readonly ticket: Ticket;
  readonly state: DurableState;
  readonly decidedEnd: Slot;
}

export function flattenWrite(effect: AppendGroupEffect | ReplaceGroupEffect | WriteSuperblockEffect): StoreWrite {
  if (effect.kind === "writeSuperblock") {
    return { kind: "superblock", ticket: effect.ticket, state: effect.state, decidedEnd: effect.decidedEnd };
  }
  const first = effect.entries[0];
  const last = effect.entries[effect.entries.length - 1];
  return {
    kind: effect.kind === "appendGroup" ? "append" : "replace",
    ticket: effect.ticket,
    ballot: effect.kind === "replaceGroup" ? effect.ballot : undefined,
    firstSlot: effect.firstSlot,
    endSlot: (effect.firstSlot + effect.entries.length) as Slot,
    prevHash: effect.prevHash,
    endHash: last === undefined ? effect.prevHash : last.hash,
    positions:
      first === undefined || last === undefined ? undefined : { first: first.firstPosition, end: nextPositionOf(last) },
    decidedEnd: effect.decidedEnd,
    bytes: effect.entries.map((entry) => entry.bytes),
  };
}
