import { Server, type ServerDuplexStream } from "@grpc/grpc-js";
import { limits } from "../base/limits.ts";
import type { NodeId } from "../base/types.ts";
import type { HelloMessage, Message, RefusedMessage } from "../core/message.ts";
import type { DecodedEnvelope } from "../format/peer-message.ts";
import { encodeEnvelope } from "../format/peer-message.ts";
import { peerServerOptions } from "./grpc-options.ts";
import { identity, type PeerEvents, type PeerNode, peerServicePaths } from "./peer-service.ts";
import { type Lane, PeerStream } from "./peer-stream.ts";

export interface PeerListenerOptions {
  readonly self: PeerNode;
  /** All configured members, this node included, in order of name. */
  readonly members: readonly PeerNode[];
  readonly configId: number;
  /** The node that a nonvoter's Hello stands for on this side, or why it cannot be one now. */
  readonly nonvoter: (hello: HelloMessage) => PeerNode | string;
  readonly decode: (bytes: Uint8Array) => DecodedEnvelope;
  readonly nextStream: () => number;
  readonly hello: () => HelloMessage;
  readonly events: PeerEvents;
  readonly log: (line: string) => void;
}

/** The server of PeerService: takes the streams that peers dial, answers each Hello with its own or with a refusal. */
export function makePeerServer(options: PeerListenerOptions): Server {
  const server = new Server(peerServerOptions);
  const method = (lane: Lane) => ({
    path: peerServicePaths[lane],
    requestStream: true,
    responseStream: true,
    requestSerialize: identity,
    requestDeserialize: identity,
    responseSerialize: identity,
    responseDeserialize: identity,
  });
  const accept = (lane: Lane) => (call: ServerDuplexStream<Buffer, Buffer>) => acceptStream(options, lane, call);
  server.addService(
    { bulk: method("bulk"), heartbeats: method("heartbeats") },
    { bulk: accept("bulk"), heartbeats: accept("heartbeats") },
  );
  return server;
}

function acceptStream(options: PeerListenerOptions, lane: Lane, call: ServerDuplexStream<Buffer, Buffer>): void {
  const { events, log } = options;
  let peer: PeerNode | undefined;
  const stream = new PeerStream({ number: options.nextStream(), lane }, call, options.decode, {
    onMessage: (from, configId, message) => {
      if (peer === undefined) greet(from, message);
      else if (message.kind === "refused") events.onRefused(peer.nodeId, stream, message);
      else events.onMessage(peer.nodeId, stream, configId, message);
    },
    onEnd: (reason) => {
      clearTimeout(handshake);
      if (peer === undefined) return log(`a ${lane} stream from ${call.getPeer()} ended before its Hello: ${reason}`);
      log(`the ${lane} stream from ${peer.name} ended: ${reason}`);
      events.onClose(peer.nodeId, stream);
    },
  });
  const handshake = setTimeout(() => stream.end("no Hello in time"), limits.handshakeMs);

  function greet(from: NodeId, message: Message): void {
    if (message.kind !== "hello") return stream.end(`it began with ${message.kind} instead of hello`);
    const known = message.nonvoter ? options.nonvoter(message) : memberOf(options, from, message);
    // It may try again later: nothing is wrong with it.
    if (typeof known === "string") return stream.end(known);
    if (known === undefined) {
      const refusal = mismatch(options, message);
      stream.send(encodeEnvelope(options.self.nodeId, options.configId, refusal));
      return stream.end(`refused with ${refusal.code}: ${refusal.reason}`);
    }
    clearTimeout(handshake);
    peer = known;
    stream.hello = message;
    stream.send(encodeEnvelope(options.self.nodeId, options.configId, options.hello()));
    events.onOpen(peer.nodeId, stream, message);
  }
}

/** The configured member that says this Hello: another one than this node, under the number that it has here. */
function memberOf(options: PeerListenerOptions, from: NodeId, hello: HelloMessage): PeerNode | undefined {
  if (hello.name === options.self.name) return undefined;
  return options.members.find((member) => member.name === hello.name && member.nodeId === from);
}

function mismatch(options: PeerListenerOptions, hello: HelloMessage): RefusedMessage {
  const ours = options.members.map((member) => member.name).join(",");
  const theirs = hello.names.join(",");
  const { self } = options;
  const why =
    hello.name === self.name
      ? `${self.name} called a node that is also called ${self.name}`
      : `${self.name} does not count ${hello.name} among its members as ${hello.name} does`;
  const reason = `${why}: its list is ${ours}, the caller's is ${theirs}. Start all nodes with the same --cluster list`;
  return { kind: "refused", code: "CLUSTER_MISMATCH", reason };
}
