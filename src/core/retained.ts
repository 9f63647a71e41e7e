import { firstPosition, firstSlot, type Hash, type Position, type Slot } from "../base/types.ts";
import type { LogHead } from "./durable.ts";

/** Keeps every record from `at` on: no TRIM passes it. */
export interface Hold {
  readonly name: string;
  /** Who registered it, for people, and so that two users of one name find out. */
  readonly owner: string;
  readonly at: LogHead;
  /** Log time from which on it holds nothing any more. */
  readonly expiresAt: number;
}

/** The last snapshot that the log ordered, and what it must look like once the log says so. */
export interface SnapshotMark {
  /** It is the state of all entries below. */
  readonly slot: Slot;
  /** undefined until an entry names it. */
  readonly rootHash: Hash | undefined;
}

/** What the log keeps: a function of its entries, the same on every replica. Never changed in place. */
export interface Retained {
  /** The first record that may be read. */
  readonly head: LogHead;
  /** By name. */
  readonly holds: readonly Hold[];
  readonly snapshot: SnapshotMark | undefined;
}

/** Of the empty log. */
export const everythingRetained: Retained = {
  head: { position: firstPosition, slot: firstSlot },
  holds: [],
  snapshot: undefined,
};

/** What a SNAPSHOT entry says: make one of all entries up to this one, or how one of before must look. */
export type SnapshotControl =
  | { readonly op: "take" }
  | { readonly op: "compare"; readonly slot: Slot; readonly rootHash: Hash };

/** The hold that a TRIM to `position` would pass first; undefined where none is in its way. */
export function holdBefore(holds: readonly Hold[], position: Position): Hold | undefined {
  let lowest: Hold | undefined;
  for (const hold of holds) {
    if (hold.at.position < position && (lowest === undefined || hold.at.position < lowest.at.position)) lowest = hold;
  }
  return lowest;
}
