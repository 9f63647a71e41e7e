/**
 * One process of the message flow: with number 1 it serves clients and leads, otherwise it answers Accepts. Every entry is
 * verified on its way in, as on a node.
 */
import { assert } from "#src/base/assert";
import type { Hash, NodeId, Slot, Uid } from "#src/base/types";
import type { AcceptMessage } from "#src/core/message";
import { loadHashing } from "#src/native/hashing";
import { startClientServer } from "#src/transport/client-server";
import { GrpcPeerNetwork } from "#src/transport/grpc-peer-network";
import type { PeerHandlers } from "#src/transport/peer-network";
import { announceReady, childOptions } from "../lib/child.ts";
import { FlowBackend, flowBallot, noHash } from "./flow-backend.ts";

export interface FlowNodeOptions {
  readonly self: number;
  readonly members: readonly { readonly name: string; readonly peerAddress: string }[];
}

const { self, members } = childOptions<FlowNodeOptions>();
const leaderId = 1 as NodeId;
const hashing = await loadHashing();
/** Until all are there, they look for each other in vain, which is no news. */
let ready = false;
const log = (line: string) => {
  if (ready && !line.endsWith("is up")) process.stderr.write(`${line}\n`);
};
const peerIds = members.map((_, index) => (index + 1) as NodeId).filter((id) => id !== self);
const backend = new FlowBackend(peerIds, hashing);
const linked = new Set<NodeId>();
let network: GrpcPeerNetwork | undefined;

let acceptedEnd = 1 as Slot;
let acceptedHash: Hash = noHash;
let answerScheduled = false;

/** One answer for all Accepts of a turn, as one sync would have it. */
function accept({ firstSlot, prevHash, entries }: AcceptMessage): void {
  assert(firstSlot === acceptedEnd && prevHash === acceptedHash, "Accepts come whole and in order");
  acceptedEnd = (firstSlot + entries.length) as Slot;
  acceptedHash = entries.at(-1)!.hash;
  if (answerScheduled) return;
  answerScheduled = true;
  setImmediate(() => {
    answerScheduled = false;
    network?.send([leaderId], {
      kind: "accepted",
      n: flowBallot,
      syncId: 1,
      matchedEnd: acceptedEnd,
      hash: acceptedHash,
    });
  });
}

const handlers: PeerHandlers = {
  hello: () => ({
    kind: "hello",
    clusterId: "",
    configId: 1,
    nodeUid: `${self}`.repeat(32) as Uid,
    incarnation: 1,
    name: members[self - 1]!.name,
    protocolVersion: 1,
    peerAddress: members[self - 1]!.peerAddress,
    clientAddress: "",
    started: false,
    names: members.map(({ name }) => name),
    nonvoter: false,
  }),
  onMessage: (from, _stream, message) => {
    if (message.kind === "accept") accept(message);
    else if (message.kind === "accepted") backend.onAccepted(from, message);
  },
  onLink: (peer, direction, _stream, up) => {
    if (direction !== "dialed" || !up) return;
    linked.add(peer);
    if (self === leaderId && linked.size === peerIds.length) void serveClients();
  },
};

async function serveClients(): Promise<void> {
  const { address } = await startClientServer({ listen: "127.0.0.1:0", backend, hashing, log });
  ready = true;
  announceReady({ address });
}

if (members.length > 1) {
  network = await GrpcPeerNetwork.start({ members, self: self as NodeId, hashing, handlers, log });
  backend.network = network;
  if (self !== leaderId) announceReady({ address: "" });
} else {
  await serveClients();
}
