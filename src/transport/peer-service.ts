import type { NodeId } from "../base/types.ts";
import type { HelloMessage, Message, RefusedMessage } from "../core/message.ts";
import type { PeerStream } from "./peer-stream.ts";

/** Paths of the calls of PeerService (proto/paxlog/v1/peer.proto), by lane. */
export const peerServicePaths = {
  bulk: "/paxlog.v1.PeerService/Bulk",
  heartbeats: "/paxlog.v1.PeerService/Heartbeats",
} as const;

/** Encoding is done before grpc-js, once for all receivers; grpc-js is given and gives bytes. */
export const identity = (bytes: Buffer): Buffer => bytes;

/** A configured member: where it listens for its peers. */
export interface PeerNode {
  readonly nodeId: NodeId;
  readonly name: string;
  readonly address: string;
}

/** What dialers and the listener tell the network. Streams are open once both Hellos were exchanged. */
export interface PeerEvents {
  onOpen(peer: NodeId, stream: PeerStream, hello: HelloMessage): void;
  onMessage(peer: NodeId, stream: PeerStream, configId: number, message: Message): void;
  onRefused(peer: NodeId, stream: PeerStream, message: RefusedMessage): void;
  /** Of a stream that was open. */
  onClose(peer: NodeId, stream: PeerStream): void;
}
