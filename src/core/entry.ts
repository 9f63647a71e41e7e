import type { Hash, Position, Slot } from "../base/types.ts";
import type { Ballot } from "./ballot.ts";

/** What a slot can hold. Stored: never renumber. Kinds without code yet are reserved by the protocol. */
export const entryKinds = {
  batch: 1,
  noop: 2,
  session: 3,
  tick: 4,
  trim: 5,
  fence: 6,
  stopSign: 7,
  mark: 8,
  snapshot: 9,
  hold: 10,
} as const;
export type EntryKind = keyof typeof entryKinds;

/** Everything that the header of an entry says, but for what is computed from it (prevHash excepted). */
export interface EntryHeader {
  readonly slot: Slot;
  /** Of the first proposer; never changed when a later ballot accepts the entry again. */
  readonly originBallot: Ballot;
  /** The proposer's decidedEnd when it proposed. */
  readonly floor: Slot;
  readonly kind: EntryKind;
  /** Position of the first record; of the next record where the entry has none. */
  readonly firstPosition: Position;
  readonly recordCount: number;
  /** Hybrid logical milliseconds, never smaller than that of the entry before. */
  readonly time: number;
  /** Exactly-once session and serial; 0 where there is none. */
  readonly session: number;
  readonly serial: number;
  /** CRC32C of the batch as sent; 0 for an empty payload. */
  readonly batchChecksum: number;
  /** Length of the hashes of types and tags that stand between header and batch. */
  readonly guardLength: number;
  readonly prevHash: Hash;
}

/**
 * One slot's content. `hash` chains: equal hash at a slot means equal log up to it. `bytes` are the whole entry as on disk and
 * wire; whoever makes an Entry from foreign bytes has verified every checksum and hash in it (format/entry.ts), so the core
 * compares hashes and links only.
 */
export interface Entry extends EntryHeader {
  readonly hash: Hash;
  readonly bytes: Uint8Array;
}

/** Makes entries from headers and payloads; passed to the core, which knows nothing of bytes and hashing. */
export type EntryMaker = (header: EntryHeader, payload: Payload) => Entry;

/** What a client appends, checked at the rim: a RecordBatch as sent, with what its scan found. */
export interface Payload {
  readonly batch: Uint8Array;
  readonly guards: Uint8Array;
}

export const emptyPayload: Payload = { batch: new Uint8Array(0), guards: new Uint8Array(0) };

/** The position after the entry's last record. */
export const nextPositionOf = (entry: EntryHeader): Position => (entry.firstPosition + entry.recordCount) as Position;
