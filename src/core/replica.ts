import type { Hash, NodeId, Slot, Uid } from "../base/types.ts";
import type { Ballot } from "./ballot.ts";
import type { Recovered } from "./durable.ts";
import type { Effect } from "./effect.ts";
import type { EntryMaker } from "./entry.ts";
import type { Event } from "./event.ts";
import type { Log } from "./log.ts";
import type { HelloMessage } from "./message.ts";
import type { Sequencer } from "./sequencer.ts";

export interface ReplicaOptions {
  /** What storage found. */
  readonly recovered: Recovered;
  /** The configured voters in order of name, each with its peer address; nodeId = 1 + index. A single node has itself only. */
  readonly members: readonly { readonly name: string; readonly peerAddress: string }[];
  /** Where this node's clients find it. */
  readonly clientAddress: string;
  /** 128 random bits, used if this node makes the genesis. */
  readonly freshClusterId: Uid;
  /** Hash of the empty log of a cluster. */
  readonly firstHash: (clusterId: Uid) => Hash;
  readonly makeEntry: EntryMaker;
  readonly sequencer: Sequencer;
  /** Milliseconds between two ticks, and ticks in a round T. */
  readonly tickMs: number;
  readonly ticksPerRound: number;
}

/** A snapshot of where the replica stands, for status, tests and invariant checks. */
export interface ReplicaView {
  readonly nodeId: NodeId;
  readonly role: "leader" | "follower";
  readonly phase: "recover" | "prepare" | "sync" | "accept";
  readonly clusterId: Uid | "";
  readonly started: boolean;
  readonly promised: Ballot;
  readonly acceptedBallot: Ballot;
  /** Whom the election follows; undefined where nobody happy is known. */
  readonly leader: NodeId | undefined;
  readonly ballot: Ballot;
  readonly decidedEnd: Slot;
  readonly flushedEnd: Slot;
  readonly visibleEnd: Slot;
  readonly acceptedEnd: Slot;
  readonly established: boolean;
  /** By nodeId: what the last heartbeat reply said; absent for peers that were silent for two rounds. */
  readonly peers: ReadonlyMap<NodeId, { readonly clientAddress: string; readonly visibleEnd: Slot }>;
}

/** One node's part in the consensus: a function from an event to effects, with no clock, I/O or randomness of its own. */
export declare class Replica {
  constructor(options: ReplicaOptions);
  /** Takes one event and adds what must be done to `effects`, in order. */
  step(event: Event, effects: Effect[]): void;
  /** What opens a stream now. */
  hello(): HelloMessage;
  /** The end of the log in memory, for readers and for the effects' executor. Read-only outside of the core. */
  readonly log: Log;
  /** Whether a proposal made now would be ordered: this node leads and the window has room. */
  readonly acceptsProposals: boolean;
  readonly view: ReplicaView;
}
