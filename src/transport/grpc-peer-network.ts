import type { Server } from "@grpc/grpc-js";
import { assert, assertNever, defined } from "../base/assert.ts";
import type { Hashing } from "../base/hashing.ts";
import { firstConfigId, type NodeId, noNode } from "../base/types.ts";
import type { RefuseEffect } from "../core/effect.ts";
import { type HelloMessage, laneOf, type Message, type MessageKind, type RefusedMessage } from "../core/message.ts";
import type { EntryMemory } from "../format/entry.ts";
import { type DecodedEnvelope, decodeEnvelope, encodeEnvelope } from "../format/peer-message.ts";
import { peerClientOptions } from "./grpc-options.ts";
import { type Listener, listenWith } from "./listener.ts";
import { NonvoterNodes } from "./nonvoter-nodes.ts";
import { PeerDialer } from "./peer-dialer.ts";
import { makePeerServer } from "./peer-listener.ts";
import type { PeerHandlers, PeerNetwork } from "./peer-network.ts";
import type { PeerEvents, PeerNode } from "./peer-service.ts";
import type { PeerStream } from "./peer-stream.ts";
import { checkClientWindow } from "./windows.ts";

export interface GrpcPeerNetworkOptions {
  /** All configured members in order of name; nodeId = 1 + index. */
  readonly members: readonly { readonly name: string; readonly peerAddress: string }[];
  /** This node's number; noNode for a nonvoter, which dials all members and is dialed by none. */
  readonly self: NodeId;
  /** Where to listen for peers: HOST:PORT; this node's peerAddress unless given. Port 0 takes a free one. */
  readonly listen?: string;
  /** Allows an address that is not on loopback. */
  readonly insecure?: boolean;
  readonly hashing: Hashing;
  /** Where received entries are laid; unless it is given they are views of their messages. */
  readonly memory?: EntryMemory;
  readonly handlers: PeerHandlers;
  /** For what an operator wants to see: links that come and go, refusals, malformed messages. One line each. */
  readonly log: (line: string) => void;
}

/** The streams of one peer that are open now. */
interface Links {
  readonly node: PeerNode;
  dialedBulk: PeerStream | undefined;
  incomingBulk: PeerStream | undefined;
  dialedHeartbeats: PeerStream | undefined;
  incomingHeartbeats: PeerStream | undefined;
}

/**
 * The network between nodes over gRPC (PROTOCOL.md 4, DESIGN.md 6). Each node dials each other twice, for bulk and for
 * heartbeats. Handlers are called from the event loop, never from within `send` or `refuse`.
 */
export class GrpcPeerNetwork implements PeerNetwork {
  readonly #options: GrpcPeerNetworkOptions;
  readonly #links = new Map<NodeId, Links>();
  readonly #dialers: { readonly bulk: Map<NodeId, PeerDialer>; readonly heartbeats: Map<NodeId, PeerDialer> } = {
    bulk: new Map(),
    heartbeats: new Map(),
  };
  readonly #members: readonly PeerNode[];
  readonly #server: Server | undefined;
  readonly #nonvoters: NonvoterNodes;
  #listener: Listener | undefined;
  #lastStream = 0;
  #closed = false;

  /**
   * Listens, and begins to dial. Resolves when this node listens; the peers need not be there.
   * @throws PaxlogError ADDRESS_IN_USE, ADDRESS_UNUSABLE, INSECURE_ADDRESS or INVALID_ARGUMENT.
   */
  static async start(options: GrpcPeerNetworkOptions): Promise<GrpcPeerNetwork> {
    const network = new GrpcPeerNetwork(options);
    await network.#start();
    return network;
  }

  private constructor(options: GrpcPeerNetworkOptions) {
    this.#options = options;
    this.#members = options.members.map(({ name, peerAddress }, index) => ({
      nodeId: (index + 1) as NodeId,
      name,
      address: peerAddress,
    }));
    this.#nonvoters = new NonvoterNodes(this.#members);
    for (const node of this.#members) if (node.nodeId !== options.self) this.#links.set(node.nodeId, noLinks(node));
    if (options.self === noNode) return;
    this.#server = makePeerServer({
      self: this.#self,
      members: this.#members,
      configId: firstConfigId,
      nonvoter: (hello) => this.#nonvoters.nodeOf(hello),
      decode: this.#decode,
      nextStream: () => this.#nextStream(),
      hello: () => options.handlers.hello(),
      events: this.#incomingEvents,
      log: options.log,
    });
  }

  get #self(): PeerNode {
    return defined(this.#members[this.#options.self - 1], `member ${this.#options.self}`);
  }

  /** The port that was bound. */
  get port(): number {
    return defined(this.#listener, "the listener").port;
  }

  async #start(): Promise<void> {
    const { insecure = false, log } = this.#options;
    if (this.#server !== undefined) {
      const { listen = this.#self.address } = this.#options;
      this.#listener = await listenWith(this.#server, { listen, insecure, log });
    }
    const complaint = await checkClientWindow(peerClientOptions);
    if (complaint !== undefined) log(complaint);
    // Not all that have links by now: a nonvoter that dialed meanwhile is dialed by nobody.
    for (const node of this.#members) {
      if (node.nodeId === this.#options.self) continue;
      this.#dialers.bulk.set(node.nodeId, this.#dial(node, "bulk"));
      this.#dialers.heartbeats.set(node.nodeId, this.#dial(node, "heartbeats"));
    }
  }

  #dial(peer: PeerNode, lane: "bulk" | "heartbeats"): PeerDialer {
    const { handlers, log } = this.#options;
    const decode = this.#decode;
    const events = this.#dialedEvents;
    const hello = () => this.#encode(handlers.hello());
    return new PeerDialer({ peer, lane, decode, nextStream: () => this.#nextStream(), hello, events, log });
  }

  #nextStream(): number {
    this.#lastStream += 1;
    return this.#lastStream;
  }

  readonly #decode = (bytes: Uint8Array): DecodedEnvelope =>
    decodeEnvelope(bytes, this.#options.hashing, this.#options.memory);

  #encode(message: Message): Buffer {
    return encodeEnvelope(this.#options.self, firstConfigId, message);
  }

  // ---- PeerNetwork

  send(to: readonly NodeId[], message: Message): void {
    let bytes: Buffer | undefined;
    for (const peer of to) {
      const stream = this.#streamFor(peer, message.kind);
      if (stream === undefined) continue;
      bytes ??= this.#encode(message);
      stream.send(bytes);
    }
  }

  refuse(effect: RefuseEffect): void {
    const links = this.#links.get(effect.to);
    if (links === undefined) return;
    for (const stream of [links.dialedBulk, links.incomingBulk]) {
      if (stream?.number !== effect.stream) continue;
      stream.send(this.#encode(effect.message));
      stream.end(`refused by this node with ${effect.message.code}: ${effect.message.reason}`);
    }
  }

  bufferedBytes(to: NodeId): number {
    const links = this.#links.get(to);
    return (links?.dialedBulk?.bufferedBytes ?? 0) + (links?.incomingBulk?.bufferedBytes ?? 0);
  }

  /** Ends all streams and frees the port. No handler is called any more. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const dialer of [...this.#dialers.bulk.values(), ...this.#dialers.heartbeats.values()]) dialer.close();
    await this.#listener?.close(0);
  }

  // ---- Streams that open and close

  readonly #dialedEvents: PeerEvents = {
    onOpen: (peer, stream, hello) => this.#opened(peer, "dialed", stream, hello),
    onMessage: (peer, stream, configId, message) => this.#received(peer, stream, configId, message),
    onRefused: (peer, stream, message) => this.#refusedBy(peer, stream, message),
    onClose: (peer, stream) => this.#endedStream(peer, stream),
  };

  readonly #incomingEvents: PeerEvents = {
    ...this.#dialedEvents,
    onOpen: (peer, stream, hello) => {
      if (this.#closed) return;
      this.#opened(peer, "incoming", stream, hello);
      this.#dialers[stream.lane].get(peer)?.hurry();
    },
  };

  #opened(peer: NodeId, direction: "dialed" | "incoming", stream: PeerStream, hello: HelloMessage): void {
    if (this.#closed) return;
    const links = this.#linksOf(peer, stream);
    const place = placeOf(direction, stream);
    const older = links[place];
    // The peer knows best which of its streams it still has: the newer one.
    if (older !== undefined) {
      this.#down(links, older);
      older.end("replaced by a newer stream of the same node");
    }
    links[place] = stream;
    if (stream.lane === "heartbeats") return;
    this.#options.log(`the stream ${direction === "dialed" ? "to" : "from"} ${links.node.name} is up`);
    this.#options.handlers.onLink(peer, direction, stream.number, true);
    this.#options.handlers.onMessage(peer, stream.number, hello);
  }

  #endedStream(peer: NodeId, stream: PeerStream): void {
    const links = this.#links.get(peer);
    if (this.#closed || links === undefined) return;
    this.#down(links, stream);
    // A nonvoter's number here is its own only while it is connected: any number of them may come and go.
    if (this.#isVoter(peer) || places.some((place) => links[place] !== undefined)) return;
    this.#links.delete(peer);
    this.#nonvoters.forget(peer);
  }

  /** Takes a stream out of use; told once, since it is found only once. */
  #down(links: Links, stream: PeerStream): void {
    for (const place of places) {
      if (links[place] !== stream) continue;
      links[place] = undefined;
      if (place === "dialedBulk") this.#options.handlers.onLink(links.node.nodeId, "dialed", stream.number, false);
      if (place === "incomingBulk") this.#options.handlers.onLink(links.node.nodeId, "incoming", stream.number, false);
    }
  }

  #refusedBy(peer: NodeId, stream: PeerStream, message: RefusedMessage): void {
    // The refusal of a heartbeat stream says nothing that the bulk stream's does not.
    if (!this.#closed && stream.lane === "bulk") this.#options.handlers.onMessage(peer, stream.number, message);
  }

  #received(peer: NodeId, stream: PeerStream, configId: number, message: Message): void {
    if (this.#closed) return;
    if (configId !== firstConfigId && !anyConfiguration.has(message.kind)) return;
    const links = this.#links.get(peer);
    if (links === undefined || (stream.lane === "heartbeats" && !isIntroduced(links, stream))) return;
    this.#options.handlers.onMessage(peer, stream.number, message);
  }

  /** A nonvoter has links from its first stream to its last. */
  #linksOf(peer: NodeId, stream: PeerStream): Links {
    const known = this.#links.get(peer);
    if (known !== undefined) return known;
    assert(!this.#isVoter(peer), `peer ${peer} has links from the start`);
    const links = noLinks({ nodeId: peer, name: defined(stream.hello, "the nonvoter's Hello").name, address: "" });
    this.#links.set(peer, links);
    return links;
  }

  #isVoter(peer: NodeId): boolean {
    return peer <= this.#members.length;
  }

  /** Between a nonvoter and a member there are only the streams that the nonvoter dialed; between members each lane has its own. */
  #streamFor(peer: NodeId, kind: MessageKind): PeerStream | undefined {
    const links = this.#links.get(peer);
    if (links === undefined) return undefined;
    if (this.#options.self !== noNode && this.#isVoter(peer)) return streamFor(links, kind);
    const { dialedBulk, incomingBulk, dialedHeartbeats, incomingHeartbeats } = links;
    return isHeartbeat(kind) ? (dialedHeartbeats ?? incomingHeartbeats) : (dialedBulk ?? incomingBulk);
  }
}

const places = ["dialedBulk", "incomingBulk", "dialedHeartbeats", "incomingHeartbeats"] as const;

/** What lagging members of another configuration need (PROTOCOL.md 4). */
const anyConfiguration: ReadonlySet<MessageKind> = new Set<MessageKind>(["hello", "fetch", "entries"]);

function noLinks(node: PeerNode): Links {
  return {
    node,
    dialedBulk: undefined,
    incomingBulk: undefined,
    dialedHeartbeats: undefined,
    incomingHeartbeats: undefined,
  };
}

function placeOf(direction: "dialed" | "incoming", stream: PeerStream): (typeof places)[number] {
  if (stream.lane === "bulk") return direction === "dialed" ? "dialedBulk" : "incomingBulk";
  return direction === "dialed" ? "dialedHeartbeats" : "incomingHeartbeats";
}

const isHeartbeat = (kind: MessageKind): boolean => kind === "heartbeat" || kind === "heartbeatReply";

/** The open stream between two members on which a message of this kind travels. */
function streamFor(links: Links, kind: MessageKind): PeerStream | undefined {
  const lane = laneOf[kind];
  switch (lane) {
    case "bulkRequest":
      return links.dialedBulk;
    case "bulkAnswer":
      return links.incomingBulk;
    case "heartbeatRequest":
      return links.dialedHeartbeats;
    case "heartbeatAnswer":
      return links.incomingHeartbeats;
    default:
      return assertNever(lane);
  }
}

/**
 * Heartbeats count only from the process whose Hello the core has on a bulk stream that is up: the core refuses foreign and
 * replaced nodes there, and must not go on hearing them here.
 */
function isIntroduced(links: Links, stream: PeerStream): boolean {
  return [links.dialedBulk, links.incomingBulk].some(
    (bulk) =>
      bulk?.hello !== undefined &&
      bulk.hello.nodeUid === stream.hello?.nodeUid &&
      bulk.hello.incarnation === stream.hello.incarnation,
  );
}
