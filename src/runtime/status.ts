import type { NodeId, Position } from "../base/types.ts";
import { showBallot } from "../core/ballot.ts";
import type { ReplicaView } from "../core/replica.ts";
import type { NodeStatus, PeerStatus } from "../transport/backend.ts";
import { holdStatus } from "./retaining.ts";

/** What a node knows about itself and never changes. */
export interface NodeFacts {
  readonly name: string;
  readonly clientAddress: string;
  /** All voters in order of name; nodeId = 1 + index. */
  readonly members: readonly { readonly name: string; readonly peerAddress: string }[];
  readonly hashing: "native" | "portable";
  readonly version: string;
}

export interface StatusParts {
  readonly facts: NodeFacts;
  readonly view: ReplicaView;
  readonly tail: Position;
  readonly leaderChanges: number;
  readonly syncs: number;
  readonly entriesAppended: number;
  readonly uptimeMs: number;
  readonly diskFull: boolean;
}

/** This node's view of itself and the others, asked of nobody. */
export function statusOf(parts: StatusParts): NodeStatus {
  const { facts, view } = parts;
  const voters = facts.members.map((_, index) => peerStatus(facts, view, (index + 1) as NodeId));
  const nodes = [...voters, ...nonvoterStatus(facts, view)];
  const leader = view.leader === undefined ? undefined : voters[view.leader - 1];
  return {
    id: facts.name,
    leader: leader?.id ?? "",
    leaderAddress: leader?.clientAddress ?? "",
    clusterId: view.clusterId,
    role: view.role,
    phase: view.phase,
    ballot: showBallot(view.promised),
    head: view.retained.head.position,
    tail: parts.tail,
    acceptedEnd: view.acceptedEnd,
    flushedEnd: view.flushedEnd,
    decidedEnd: view.decidedEnd,
    visibleEnd: view.visibleEnd,
    nodes,
    syncs: parts.syncs,
    leaderChanges: parts.leaderChanges,
    uptimeMs: Math.round(parts.uptimeMs),
    memoryBytes: process.memoryUsage.rss(),
    hashing: facts.hashing,
    version: facts.version,
    entriesAppended: parts.entriesAppended,
    pid: process.pid,
    holds: view.retained.holds.map(holdStatus),
    logBegin: view.logBegin,
    snapshotSlot: view.snapshotSlot,
    diskFull: parts.diskFull,
  };
}

/** Those that dialed this node, or this node itself. */
function nonvoterStatus({ name, clientAddress }: NodeFacts, view: ReplicaView): PeerStatus[] {
  const { visibleEnd } = view;
  const nonvoters = view.role === "nonvoter" ? [{ name, clientAddress, visibleEnd }] : view.nonvoters;
  return nonvoters
    .map((node) => ({
      id: node.name,
      peerAddress: "",
      clientAddress: node.clientAddress,
      connected: true,
      visibleEnd: node.visibleEnd,
      voter: false,
    }))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

function peerStatus(facts: NodeFacts, view: ReplicaView, nodeId: NodeId): PeerStatus {
  const member = facts.members[nodeId - 1]!;
  if (nodeId === view.nodeId) {
    return {
      id: member.name,
      peerAddress: member.peerAddress,
      clientAddress: facts.clientAddress,
      connected: true,
      visibleEnd: view.visibleEnd,
      voter: true,
    };
  }
  const heard = view.peers.get(nodeId);
  return {
    id: member.name,
    peerAddress: member.peerAddress,
    clientAddress: heard?.clientAddress ?? "",
    connected: heard !== undefined,
    visibleEnd: heard?.visibleEnd ?? 0,
    voter: true,
  };
}
