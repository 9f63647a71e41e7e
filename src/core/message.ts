import type { Hash, NodeId, Slot, Uid } from "../base/types.ts";
import type { Ballot } from "./ballot.ts";
import type { LogBase } from "./durable.ts";
import type { Entry } from "./entry.ts";

/**
 * Every message between nodes (protocol 4). The envelope (configId, from) is added by the transport; the core is handed
 * only messages whose sender is known.
 */
export type Message =
  | HelloMessage
  | RefusedMessage
  | GenesisMessage
  | GenesisAckMessage
  | StartedMessage
  | HeartbeatMessage
  | HeartbeatReplyMessage
  | PrepareMessage
  | PromiseMessage
  | PrepareRequestMessage
  | NotAcceptedMessage
  | SyncBeginMessage
  | SyncChunkMessage
  | SyncEndMessage
  | AcceptMessage
  | AcceptedMessage
  | DecideMessage
  | FetchMessage
  | FollowMessage
  | EntriesMessage
  | SnapshotMetaMessage
  | SnapshotFetchMessage
  | SnapshotChunkMessage
  | ProbeMessage
  | ProbeAckMessage
  | ReadIndexMessage
  | ReadIndexReplyMessage;

export type MessageKind = Message["kind"];

/** A member as genesis names it. Addresses are only the first known ones. */
export interface Member {
  readonly nodeId: NodeId;
  readonly nodeUid: Uid;
  readonly name: string;
  readonly peerAddress: string;
  readonly clientAddress: string;
}

/** Opens every stream, in both directions. `clusterId` is "" until genesis; `names` are the configured voters, sorted. */
export interface HelloMessage {
  readonly kind: "hello";
  readonly clusterId: Uid | "";
  readonly configId: number;
  readonly nodeUid: Uid;
  readonly incarnation: number;
  readonly name: string;
  readonly protocolVersion: number;
  readonly peerAddress: string;
  readonly clientAddress: string;
  readonly started: boolean;
  readonly names: readonly string[];
  /** The sender follows and never votes; it is none of `names`, and whoever it dials need not know of it before. */
  readonly nonvoter: boolean;
}

/** Answers a Hello that cannot be accepted: by name, so that the other side can stop with the reason. */
export interface RefusedMessage {
  readonly kind: "refused";
  readonly code: "FOREIGN_CLUSTER" | "NODE_REPLACED" | "OLD_INCARNATION" | "CLUSTER_MISMATCH" | "MOVED";
  readonly reason: string;
}

export interface GenesisMessage {
  readonly kind: "genesis";
  readonly clusterId: Uid;
  readonly members: readonly Member[];
}

/** Sent once the genesis is durable at the sender. */
export interface GenesisAckMessage {
  readonly kind: "genesisAck";
  readonly clusterId: Uid;
  readonly nodeUid: Uid;
}

export interface StartedMessage {
  readonly kind: "started";
  readonly clusterId: Uid;
}

export interface HeartbeatMessage {
  readonly kind: "heartbeat";
  readonly round: number;
  /** The sender's: what members know of how far a nonvoter is. */
  readonly visibleEnd: Slot;
}

export interface HeartbeatReplyMessage {
  readonly kind: "heartbeatReply";
  readonly round: number;
  readonly ballot: Ballot;
  readonly leader: Ballot;
  readonly happy: boolean;
  readonly flushedEnd: Slot;
  readonly visibleEnd: Slot;
  /** Age of the oldest unfinished sync, and lag of the engine's loop, in milliseconds. */
  readonly oldestSyncMs: number;
  readonly loopLagMs: number;
  /** Of the sender: it had better not lead. */
  readonly diskFull: boolean;
  /** Machines of the sender that take no commands now: it had better not lead where another has fewer. */
  readonly unreadyMachines: number;
  readonly clientAddress: string;
}

export interface PrepareMessage {
  readonly kind: "prepare";
  readonly n: Ballot;
  readonly decidedEnd: Slot;
  readonly acceptedBallot: Ballot;
  readonly acceptedEnd: Slot;
}

/** (incarnation, counter): never used twice by a node. */
export interface PromiseId {
  readonly incarnation: number;
  readonly counter: number;
}

export interface WindowSlot {
  readonly slot: Slot;
  readonly hash: Hash;
  readonly state: "intact" | "damaged" | "unknown";
}

export interface PromiseMessage {
  readonly kind: "promise";
  readonly n: Ballot;
  readonly promiseId: PromiseId;
  readonly acceptedBallot: Ballot;
  readonly acceptedEnd: Slot;
  readonly endCertain: boolean;
  readonly decidedEnd: Slot;
  /** Hash of the log before decidedEnd. */
  readonly decidedHash: Hash;
  readonly logBegin: Slot;
  readonly abstains: boolean;
  /** Slots [decidedEnd, acceptedEnd), in order. */
  readonly window: readonly WindowSlot[];
}

export interface PrepareRequestMessage {
  readonly kind: "prepareRequest";
  readonly promised: Ballot;
}

export interface NotAcceptedMessage {
  readonly kind: "notAccepted";
  readonly promised: Ballot;
}

/** First part of a sync: the follower's log from `fromSlot` on becomes what the parts bring, as one REPLACE group. */
export interface SyncBeginMessage {
  readonly kind: "syncBegin";
  readonly n: Ballot;
  readonly promiseId: PromiseId;
  readonly syncId: number;
  readonly fromSlot: Slot;
  /** Hash of the log before fromSlot. */
  readonly prevHash: Hash;
}

/** Entries of the sync, in order; `chunk` counts from 0. */
export interface SyncChunkMessage {
  readonly kind: "syncChunk";
  readonly n: Ballot;
  readonly syncId: number;
  readonly chunk: number;
  readonly entries: readonly Entry[];
}

export interface SyncEndMessage {
  readonly kind: "syncEnd";
  readonly n: Ballot;
  readonly syncId: number;
  readonly chunkCount: number;
  readonly decidedEnd: Slot;
}

/** Same bytes for every follower: it belongs to the syncId that its stream began, so it names none. */
export interface AcceptMessage {
  readonly kind: "accept";
  readonly n: Ballot;
  readonly firstSlot: Slot;
  readonly prevHash: Hash;
  readonly entries: readonly Entry[];
  readonly decidedEnd: Slot;
}

/** Cumulative, one for each sync of the follower: everything below matchedEnd is durable there. */
export interface AcceptedMessage {
  readonly kind: "accepted";
  readonly n: Ballot;
  readonly syncId: number;
  readonly matchedEnd: Slot;
  /** Hash of the log before matchedEnd. */
  readonly hash: Hash;
}

export interface DecideMessage {
  readonly kind: "decide";
  readonly n: Ballot;
  readonly decidedEnd: Slot;
  /** Hash of the log before decidedEnd. */
  readonly hash: Hash;
}

/** Asks for entries from fromSlot on: with `n`, any that the promiser of n holds; without, only visible ones. */
export interface FetchMessage {
  readonly kind: "fetch";
  readonly requestId: number;
  readonly fromSlot: Slot;
  readonly prevHash: Hash;
  readonly n: Ballot | undefined;
}

/**
 * A nonvoter holds everything below fromSlot durably or on its way to the disk, and wants what becomes visible from there on,
 * pushed as Entries of the request `pushedEntries`. Repeated, it acknowledges what came; `begins` is true where it wants to be fed
 * from fromSlot whatever was sent before.
 */
export interface FollowMessage {
  readonly kind: "follow";
  readonly fromSlot: Slot;
  readonly prevHash: Hash;
  readonly begins: boolean;
}

/** In place of a request id: entries that nobody asked for one by one. No request has this id. */
export const pushedEntries = 0;

/** Answer to a Fetch, or pushed. Empty where the sender has nothing (yet) or does not hold prevHash at fromSlot. */
export interface EntriesMessage {
  readonly kind: "entries";
  readonly requestId: number;
  readonly fromSlot: Slot;
  readonly entries: readonly Entry[];
  /** A learner takes nothing at or above it. */
  readonly visibleEnd: Slot;
}

/**
 * Answer to a Fetch of entries that the sender's disk has let go of, and to a SnapshotFetch of a snapshot that it has no more: its
 * newest snapshot, and where its log begins. Between that place and the snapshot's slot it holds all entries.
 */
export interface SnapshotMetaMessage {
  readonly kind: "snapshotMeta";
  readonly requestId: number;
  /** The log at the snapshot's slot. */
  readonly base: LogBase;
  readonly rootHash: Hash;
  /** At or below `base.slot`, and not above the sender's head. */
  readonly logBegin: LogBase;
  /** format/snapshot.ts: it is of `rootHash`. */
  readonly manifest: Uint8Array;
}

/** Asks for one chunk of a snapshot. */
export interface SnapshotFetchMessage {
  readonly kind: "snapshotFetch";
  readonly requestId: number;
  readonly slot: Slot;
  readonly rootHash: Hash;
  /** From 0. */
  readonly chunk: number;
}

/** Verified where it was read, and again, against the manifest, where it is written. */
export interface SnapshotChunkMessage {
  readonly kind: "snapshotChunk";
  readonly requestId: number;
  readonly chunk: number;
  readonly bytes: Uint8Array;
}

export interface ProbeMessage {
  readonly kind: "probe";
  readonly n: Ballot;
  readonly probeId: number;
}

export interface ProbeAckMessage {
  readonly kind: "probeAck";
  readonly n: Ballot;
  readonly probeId: number;
}

export interface ReadIndexMessage {
  readonly kind: "readIndex";
  readonly requestId: number;
}

/** `r`: everything acknowledged before the request is below it. `accepted` is false where the node does not lead. */
export interface ReadIndexReplyMessage {
  readonly kind: "readIndexReply";
  readonly requestId: number;
  readonly accepted: boolean;
  readonly r: Slot;
}

/** All that a nonvoter may say once its Hello was accepted. It votes for nothing, so nothing else of it is listened to. */
export const nonvoterKinds: ReadonlySet<MessageKind> = new Set<MessageKind>([
  "genesisAck",
  "heartbeat",
  "fetch",
  "follow",
  "snapshotFetch",
  "readIndex",
]);

/**
 * On which connection a message travels. Each node dials each peer twice: requests go on the stream that the sender dialed,
 * answers return on the stream that asked; heartbeats have a connection of their own.
 */
export type Lane = "bulkRequest" | "bulkAnswer" | "heartbeatRequest" | "heartbeatAnswer";

export const laneOf: Readonly<Record<MessageKind, Lane>> = {
  hello: "bulkRequest",
  refused: "bulkAnswer",
  genesis: "bulkRequest",
  genesisAck: "bulkAnswer",
  started: "bulkRequest",
  heartbeat: "heartbeatRequest",
  heartbeatReply: "heartbeatAnswer",
  prepare: "bulkRequest",
  promise: "bulkAnswer",
  prepareRequest: "bulkRequest",
  notAccepted: "bulkAnswer",
  syncBegin: "bulkRequest",
  syncChunk: "bulkRequest",
  syncEnd: "bulkRequest",
  accept: "bulkRequest",
  accepted: "bulkAnswer",
  decide: "bulkRequest",
  fetch: "bulkRequest",
  follow: "bulkRequest",
  entries: "bulkAnswer",
  snapshotMeta: "bulkAnswer",
  snapshotFetch: "bulkRequest",
  snapshotChunk: "bulkAnswer",
  probe: "bulkRequest",
  probeAck: "bulkAnswer",
  readIndex: "bulkRequest",
  readIndexReply: "bulkAnswer",
};
