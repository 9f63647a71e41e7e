import type { Hash, NodeId, Slot, Uid } from "../base/types.ts";
import type { Ballot } from "./ballot.ts";
import type { Phase, Role } from "./context.ts";
import type { Recovered } from "./durable.ts";
import type { EntryMaker } from "./entry.ts";
import type { NonvoterView } from "./nonvoters.ts";
import type { Retained } from "./retained.ts";
import type { Sequencer } from "./sequencer.ts";

export interface ReplicaOptions {
  /** What storage found. */
  readonly recovered: Recovered;
  /** The configured voters in order of name, each with its peer address; nodeId = 1 + index. A single node has itself only. */
  readonly members: readonly { readonly name: string; readonly peerAddress: string }[];
  /** This node is none of them: it follows, serves reads, and never votes. */
  readonly nonvoter?: boolean | undefined;
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
  readonly role: Role;
  readonly phase: Phase;
  readonly clusterId: Uid | "";
  readonly started: boolean;
  /** Voters that this one has not met, while the cluster has not begun. */
  readonly missing: readonly NodeId[];
  readonly promised: Ballot;
  readonly acceptedBallot: Ballot;
  /** Whom the election follows; undefined where nobody happy is known. */
  readonly leader: NodeId | undefined;
  /** The ballot that this node stands for in elections. */
  readonly ballot: Ballot;
  readonly decidedEnd: Slot;
  readonly flushedEnd: Slot;
  readonly visibleEnd: Slot;
  readonly acceptedEnd: Slot;
  /** What readers here may read, and for whom it is kept. */
  readonly retained: Retained;
  /** First slot on this node's disk, and the slot of its newest durable snapshot; 0 where it has none. */
  readonly logBegin: Slot;
  readonly snapshotSlot: Slot | 0;
  /** Whether this node leads and serves linearizable reads. */
  readonly established: boolean;
  /** By nodeId: what the last heartbeat reply said; absent for peers that were silent for two rounds. */
  readonly peers: ReadonlyMap<NodeId, { readonly clientAddress: string; readonly visibleEnd: Slot }>;
  /** Those connected to this node. */
  readonly nonvoters: readonly NonvoterView[];
}
