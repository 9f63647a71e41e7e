import type { Hash, NodeId, Position, Slot, Uid } from "../base/types.ts";
import type { Ballot } from "./ballot.ts";
import type { Entry } from "./entry.ts";
import type { Member } from "./message.ts";
import type { SequencerSnapshot } from "./sequencer.ts";

/** Who this directory belongs to. Made when it is formatted; `incarnation` grows by one at each open. */
export interface Identity {
  readonly name: string;
  readonly nodeUid: Uid;
  readonly incarnation: number;
}

/** What the superblock keeps for the core. The core hands over the whole of it with each superblock write. */
export interface DurableState {
  /** undefined until genesis. */
  readonly genesis: Genesis | undefined;
  /** Whether the first configuration is known to have started (protocol 2). */
  readonly started: boolean;
  readonly promised: Ballot;
  readonly acceptedBallot: Ballot;
}

export interface Genesis {
  readonly clusterId: Uid;
  readonly nodeId: NodeId;
  readonly members: readonly Member[];
}

/** A place in the chain: everything before `slot` has this hash, the next record gets `position`, no entry is earlier than `time`. */
export interface LogBase {
  readonly slot: Slot;
  readonly hash: Hash;
  readonly position: Position;
  readonly time: number;
}

/** Where the log begins for its readers, or may begin at most: what TRIM entries move. */
export interface LogHead {
  /** Of the first record that is kept. */
  readonly position: Position;
  /** Of the entry that holds it, or that will: no entry before it has a record at or behind `position`. */
  readonly slot: Slot;
}

/** Names a snapshot: what the entries below `slot` amount to. The root hash covers its every byte. */
export interface SnapshotReference {
  readonly slot: Slot;
  readonly rootHash: Hash;
}

/** What storage found when it opened the directory: the start of the core. */
export interface Recovered {
  readonly identity: Identity;
  /** acceptedBallot is already the larger of superblock and log (protocol 3). */
  readonly state: DurableState;
  /** Where the log on this disk begins: nothing below can be read here. */
  readonly logBegin: LogBase;
  /** The newest durable one. Every slot below its slot is decided, also where the log ends before it: then one was installed. */
  readonly snapshot: SnapshotReference | undefined;
  /** The log at decidedEnd, and the uncertain entries [decidedEnd, acceptedEnd), at most a window. */
  readonly base: LogBase;
  readonly window: readonly Entry[];
  /** What the entries below `base.slot` amount to for the sequencer; of an installed snapshot above it, what is in there. */
  readonly sequencer: SequencerSnapshot;
}
