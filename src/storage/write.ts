import { assertNever } from "../base/assert.ts";
import type { Hash, Position, Slot, Ticket } from "../base/types.ts";
import type { Ballot } from "../core/ballot.ts";
import type { DurableState, LogBase, LogHead } from "../core/durable.ts";
import type { AppendGroupEffect, ReplaceGroupEffect, WriteSuperblockEffect } from "../core/effect.ts";
import { type Entry, nextPositionOf } from "../core/entry.ts";

/** What is handed to the storage owner, in the order in which it must become durable. */
export type StoreWrite = GroupWrite | SuperblockWrite | InstallWrite;

/** What has no ticket becomes durable when there is time; nothing that has one waits for it. */
export type BackgroundWrite = SnapshotWrite | ReceiveWrite | TrimWrite;

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
  /** Of the next record at firstSlot, and at endSlot. */
  readonly positions: { readonly first: Position; readonly end: Position };
  /** Of the last entry below endSlot. */
  readonly endTime: number;
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

/**
 * Keeps what the decided entries below `base.slot` amount to. Written chunk by chunk between commits, which never wait for it;
 * `Commit.snapshot` says when the superblock names it. A slot that is not above the newest snapshot's is left out.
 */
export interface SnapshotWrite {
  readonly kind: "snapshot";
  /** The log at the snapshot's slot. */
  readonly base: LogBase;
  /** The same on every node. Must not change until it is durable. */
  readonly content: Uint8Array;
}

/**
 * A snapshot that another node sends. `Commit.receiving` says how much of it is durable here: the chunks of an earlier attempt at
 * the same one count, also of one before a restart. Another snapshot than the one before gives that one up.
 */
export interface ReceiveWrite {
  readonly kind: "receive";
  /** As encoded by `encodeManifest`, and already checked. */
  readonly manifest: Uint8Array;
  /** undefined: only to ask how much is there. Chunks count in order; any other than the next is left out. */
  readonly chunk: { readonly number: number; readonly bytes: Uint8Array } | undefined;
}

/**
 * The received snapshot takes the place of the log (P16): the superblock names it and the log begins anew and empty at `begin`,
 * from where entries follow. For a node whose own log ends below `begin.slot`, or differs there: anything else of it that is at or
 * above may have been counted, and must not go.
 */
export interface InstallWrite {
  readonly kind: "install";
  readonly ticket: Ticket;
  /** Of the snapshot, received whole. */
  readonly slot: Slot;
  readonly rootHash: Hash;
  /** Where the sender's log begins, at or below the snapshot's slot. */
  readonly begin: LogBase;
}

/**
 * Entries below the head may go, as far as they fill whole segments below min(head, newest snapshot) (P9). `Commit.logBegin` says
 * where the log begins then; a later snapshot lets go of more without being asked again.
 */
export interface TrimWrite {
  readonly kind: "trim";
  readonly head: LogHead;
}

export function flattenWrite(
  effect: AppendGroupEffect | ReplaceGroupEffect | WriteSuperblockEffect,
): GroupWrite | SuperblockWrite {
  const { ticket, decidedEnd } = effect;
  switch (effect.kind) {
    case "writeSuperblock":
      return { kind: "superblock", ticket, state: effect.state, decidedEnd };
    case "appendGroup": {
      const { firstSlot, prevHash, entries } = effect;
      const first = entries[0]!;
      const base = { slot: firstSlot, hash: prevHash, position: first.firstPosition, time: first.time };
      return { kind: "append", ticket, ballot: undefined, decidedEnd, ...flattenEntries(base, entries) };
    }
    case "replaceGroup": {
      const { ballot, base, entries } = effect;
      return { kind: "replace", ticket, ballot, decidedEnd, ...flattenEntries(base, entries) };
    }
    default:
      return assertNever(effect);
  }
}

function flattenEntries(base: LogBase, entries: readonly Entry[]) {
  const last = entries[entries.length - 1];
  return {
    firstSlot: base.slot,
    endSlot: (base.slot + entries.length) as Slot,
    prevHash: base.hash,
    endHash: last === undefined ? base.hash : last.hash,
    positions: { first: base.position, end: last === undefined ? base.position : nextPositionOf(last) },
    endTime: last === undefined ? base.time : last.time,
    bytes: entries.map((entry) => entry.bytes),
  };
}
