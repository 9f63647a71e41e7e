/** What a node says of itself. Apart from its codec: the types of whoever names these do not lead into the generated code. */
import type { HoldStatus } from "./retain-codec.ts";

/** Fields as in cluster.proto. */
export interface NodeStatus {
  readonly id: string;
  readonly leader: string;
  readonly leaderAddress: string;
  readonly clusterId: string;
  readonly role: "leader" | "follower" | "nonvoter";
  readonly phase: "recover" | "prepare" | "sync" | "accept" | "follow";
  readonly ballot: string;
  readonly head: number;
  readonly tail: number;
  readonly acceptedEnd: number;
  readonly flushedEnd: number;
  readonly decidedEnd: number;
  readonly visibleEnd: number;
  readonly nodes: readonly PeerStatus[];
  readonly syncs: number;
  readonly leaderChanges: number;
  readonly uptimeMs: number;
  readonly memoryBytes: number;
  readonly hashing: "native" | "portable";
  readonly version: string;
  readonly entriesAppended: number;
  readonly pid: number;
  /** By name; those of the visible log. */
  readonly holds: readonly HoldStatus[];
  /** First slot on this node's disk. */
  readonly logBegin: number;
  /** Of the newest snapshot on this node's disk; 0: none. */
  readonly snapshotSlot: number;
  /** Its disk, or quota, has no room for another segment. */
  readonly diskFull: boolean;
}

export interface PeerStatus {
  readonly id: string;
  readonly peerAddress: string;
  readonly clientAddress: string;
  readonly connected: boolean;
  readonly visibleEnd: number;
  readonly voter: boolean;
}
