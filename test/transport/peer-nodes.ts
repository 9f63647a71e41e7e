import type { Hash, NodeId, Position, Slot, Uid } from "../../src/base/types.ts";
import type { Entry } from "../../src/core/entry.ts";
import type { HelloMessage, Message } from "../../src/core/message.ts";
import { makeEntryMaker } from "../../src/format/entry.ts";
import { loadHashing } from "../../src/native/hashing.ts";
import { GrpcPeerNetwork } from "../../src/transport/grpc-peer-network.ts";
import type { PeerHandlers } from "../../src/transport/peer-network.ts";
import { freePorts } from "../cluster/ports.ts";

const hashing = await loadHashing();

export interface Link {
  readonly peer: NodeId;
  readonly direction: "dialed" | "incoming";
  readonly stream: number;
  readonly up: boolean;
}

export interface Received {
  readonly from: NodeId;
  readonly stream: number;
  readonly message: Message;
}

/** One end of the network, with a record of everything that it told. */
export class TestNode {
  readonly id: NodeId;
  readonly names: readonly string[];
  readonly told: (({ readonly kind: "link" } & Link) | ({ readonly kind: "message" } & Received))[] = [];
  readonly log: string[] = [];
  network: GrpcPeerNetwork | undefined;
  incarnation = 1;
  onMessage: ((received: Received) => void) | undefined;
  readonly #members: readonly { readonly name: string; readonly peerAddress: string }[];

  constructor(id: number, members: readonly { readonly name: string; readonly peerAddress: string }[]) {
    this.id = id as NodeId;
    this.#members = members;
    this.names = members.map((member) => member.name);
  }

  readonly handlers: PeerHandlers = {
    hello: () => this.hello(),
    onMessage: (from, stream, message) => {
      this.told.push({ kind: "message", from, stream, message });
      this.onMessage?.({ from, stream, message });
    },
    onLink: (peer, direction, stream, up) => this.told.push({ kind: "link", peer, direction, stream, up }),
  };

  hello(): HelloMessage {
    return {
      kind: "hello",
      clusterId: "",
      configId: 1,
      nodeUid: `${this.id}`.repeat(32) as Uid,
      incarnation: this.incarnation,
      name: this.names[this.id - 1]!,
      protocolVersion: 1,
      peerAddress: this.#members[this.id - 1]!.peerAddress,
      clientAddress: "",
      started: false,
      names: this.names,
      nonvoter: false,
    };
  }

  async start(): Promise<void> {
    this.network = await GrpcPeerNetwork.start({
      members: this.#members,
      self: this.id,
      hashing,
      handlers: this.handlers,
      log: (line) => this.log.push(line),
    });
  }

  async stop(): Promise<void> {
    await this.network?.close();
    this.network = undefined;
  }

  send(to: number, message: Message): void {
    this.network?.send([to as NodeId], message);
  }

  get links(): Link[] {
    return this.told.flatMap((thing) => (thing.kind === "link" ? [thing] : []));
  }

  get received(): Received[] {
    return this.told.flatMap((thing) => (thing.kind === "message" ? [thing] : []));
  }

  /** What came from a peer, Hellos left out. */
  messagesFrom(peer: number): Message[] {
    return this.received
      .filter(({ from, message }) => from === peer && message.kind !== "hello")
      .map(({ message }) => message);
  }

  /** Whether the link in this direction is up, by the last that was told of it. */
  isUp(peer: number, direction: "dialed" | "incoming"): boolean {
    return this.links.findLast((link) => link.peer === peer && link.direction === direction)?.up ?? false;
  }
}

export async function makeNodes(count: number): Promise<TestNode[]> {
  const ports = await freePorts(count);
  const members = ports.map((port, index) => ({ name: "abcdefg"[index]!, peerAddress: `127.0.0.1:${port}` }));
  return members.map((_, index) => new TestNode(index + 1, members));
}

const makeEntry = makeEntryMaker(hashing);
export const zeroHash = "00".repeat(16) as Hash;

/** Chained batch entries from slot `first` on. */
export function entriesOf(first: number, batches: readonly Uint8Array[]): Entry[] {
  const entries: Entry[] = [];
  for (const [index, batch] of batches.entries()) {
    entries.push(
      makeEntry(
        {
          slot: (first + index) as Slot,
          originBallot: { configId: 1, n: 1, nodeId: 1 as NodeId },
          floor: 1 as Slot,
          kind: "batch",
          firstPosition: (first + index) as Position,
          recordCount: 1,
          time: 1,
          session: 0,
          serial: 0,
          batchChecksum: hashing.crc32c(batch),
          guardLength: 0,
          prevHash: entries.at(-1)?.hash ?? zeroHash,
        },
        { batch, guards: new Uint8Array(0) },
      ),
    );
  }
  return entries;
}

/** One message of every kind that travels between nodes after Hello. */
export function oneOfEach(): Message[] {
  const n = { configId: 1, n: 3, nodeId: 1 as NodeId };
  const hash = "0123456789abcdef".repeat(2) as Hash;
  const uid = "fedcba9876543210".repeat(2) as Uid;
  const slot = 7 as Slot;
  const promiseId = { incarnation: 2, counter: 5 };
  const entries = entriesOf(7, [Buffer.from("one"), Buffer.from("two")]);
  const member = { nodeId: 1 as NodeId, nodeUid: uid, name: "a", peerAddress: "h:1", clientAddress: "h:2" };
  return [
    { kind: "genesis", clusterId: uid, members: [member] },
    { kind: "genesisAck", clusterId: uid, nodeUid: uid },
    { kind: "started", clusterId: uid },
    { kind: "heartbeat", round: 4, visibleEnd: 1 as Slot },
    {
      kind: "heartbeatReply",
      round: 4,
      ballot: n,
      leader: n,
      happy: true,
      flushedEnd: slot,
      visibleEnd: slot,
      oldestSyncMs: 1.5,
      loopLagMs: 0,
      diskFull: false,
      unreadyMachines: 0,
      clientAddress: "h:2",
    },
    { kind: "prepare", n, decidedEnd: slot, acceptedBallot: n, acceptedEnd: slot },
    {
      kind: "promise",
      n,
      promiseId,
      acceptedBallot: n,
      acceptedEnd: 8 as Slot,
      endCertain: true,
      decidedEnd: slot,
      decidedHash: hash,
      logBegin: 1 as Slot,
      abstains: false,
      window: [{ slot, hash, state: "damaged" }],
    },
    { kind: "prepareRequest", promised: n },
    { kind: "notAccepted", promised: n },
    { kind: "syncBegin", n, promiseId, syncId: 9, fromSlot: slot, prevHash: hash },
    { kind: "syncChunk", n, syncId: 9, chunk: 0, entries },
    { kind: "syncEnd", n, syncId: 9, chunkCount: 1, decidedEnd: slot },
    { kind: "accept", n, firstSlot: slot, prevHash: zeroHash, entries, decidedEnd: slot },
    { kind: "accepted", n, syncId: 9, matchedEnd: slot, hash },
    { kind: "decide", n, decidedEnd: slot, hash },
    { kind: "fetch", requestId: 1, fromSlot: slot, prevHash: hash, n: undefined },
    { kind: "entries", requestId: 1, fromSlot: slot, entries, visibleEnd: slot },
    { kind: "probe", n, probeId: 11 },
    { kind: "probeAck", n, probeId: 11 },
    { kind: "readIndex", requestId: 12 },
    { kind: "readIndexReply", requestId: 12, accepted: true, r: slot },
  ];
}
