/**
 * Goal: nodes find each other, every message arrives in the order of its stream, and links tell the truth about who is there.
 * Method: real networks on loopback in one process; a relay that can be cut where the wire matters; raw streams that lie.
 */

import * as http2 from "node:http2";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "vitest";
import { Relay } from "../../soak/relay.ts";
import { limits } from "../../src/base/limits.ts";
import type { NodeId, Slot } from "../../src/base/types.ts";
import { laneOf, type Message } from "../../src/core/message.ts";
import { decodeEnvelope, encodeEnvelope } from "../../src/format/peer-message.ts";
import { loadHashing } from "../../src/native/hashing.ts";
import { GrpcPeerNetwork } from "../../src/transport/grpc-peer-network.ts";
import { peerServicePaths } from "../../src/transport/peer-service.ts";
import { freePorts } from "../cluster/ports.ts";
import { entriesOf, makeNodes, oneOfEach, TestNode, zeroHash } from "./peer-nodes.ts";
import { until } from "./test-client.ts";

const hashing = await loadHashing();

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function startNodes(count: number): Promise<TestNode[]> {
  const nodes = await makeNodes(count);
  for (const node of nodes) {
    await node.start();
    cleanups.push(() => node.stop());
  }
  await until("all links are up", () => allUp(nodes));
  return nodes;
}

const allUp = (nodes: readonly TestNode[]) =>
  nodes.every((node) =>
    nodes.every((peer) => peer === node || (node.isUp(peer.id, "dialed") && node.isUp(peer.id, "incoming"))),
  );

/** Heartbeats pass a moment after the bulk links: until then they are dropped, as the protocol allows. */
async function heartbeatsPass(from: TestNode, to: TestNode): Promise<void> {
  const had = to.messagesFrom(from.id).length;
  await until("a heartbeat passes", () => {
    from.send(to.id, { kind: "heartbeat", round: 0, visibleEnd: 1 as Slot });
    return to.messagesFrom(from.id).length > had;
  });
  await until("a reply passes", () => {
    to.send(from.id, { ...replyTemplate, round: 0 });
    return from.messagesFrom(to.id).some((message) => message.kind === "heartbeatReply");
  });
  // The rest of those that were sent meanwhile.
  await new Promise((resolve) => setTimeout(resolve, 50));
}

const replyTemplate = oneOfEach().find((message) => message.kind === "heartbeatReply")!;

const plain = (message: Message): unknown =>
  "entries" in message
    ? { ...message, entries: message.entries.map((entry) => ({ ...entry, bytes: Buffer.from(entry.bytes) })) }
    : message;

describe("links", () => {
  test("are told on both sides after the Hellos, and the peer's Hello follows at once", async () => {
    const [a, b] = (await startNodes(2)) as [TestNode, TestNode];
    for (const [node, peer] of [
      [a, b],
      [b, a],
    ] as const) {
      for (const direction of ["dialed", "incoming"]) {
        const at = node.told.findIndex((thing) => thing.kind === "link" && thing.direction === direction);
        const link = node.told[at]!;
        expect(link).toMatchObject({ peer: peer.id, up: true });
        expect(node.told[at + 1]).toEqual({
          kind: "message",
          from: peer.id,
          stream: link.stream,
          message: peer.hello(),
        });
      }
      expect(new Set(node.links.map((link) => link.stream)).size).toBe(node.links.length);
    }
  });

  test("go down when the peer stops, and come up again within two seconds when it is back, on new streams", async () => {
    const [a, b, c] = (await startNodes(3)) as [TestNode, TestNode, TestNode];
    const old = a.links.map((link) => link.stream);
    await b.stop();
    await until(
      "a and c saw it",
      () => [a, c].every((node) => !node.isUp(b.id, "dialed") && !node.isUp(b.id, "incoming")),
      2_000,
    );
    expect(a.isUp(c.id, "dialed") && a.isUp(c.id, "incoming")).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    b.incarnation = 2;
    b.told.length = 0;
    await b.start();
    const begin = performance.now();
    await until("all links are up again", () => allUp([a, b, c]));
    expect(performance.now() - begin).toBeLessThan(2_000);
    const fresh = a.links.filter((link) => link.up && !old.includes(link.stream));
    expect(fresh.map((link) => link.direction).sort()).toEqual(["dialed", "incoming"]);
    expect(a.received.findLast((received) => received.from === b.id)?.message).toMatchObject({
      kind: "hello",
      incarnation: 2,
    });
  });

  test("of a peer that went silent without a word go down by keepalive", async () => {
    const [a, b] = (await makeNodes(2)) as [TestNode, TestNode];
    const relay = await Relay.listen(b.hello().peerAddress);
    cleanups.push(() => relay.close());
    const members = [
      { name: "a", peerAddress: a.hello().peerAddress },
      { name: "b", peerAddress: relay.address },
    ];
    const behind = new TestNode(1, members);
    for (const node of [b, behind]) {
      await node.start();
      cleanups.push(() => node.stop());
    }
    await until("the link is up", () => behind.isUp(2, "dialed") && b.isUp(1, "incoming"));
    relay.cut("there");
    relay.cut("back");
    const bound = limits.peerKeepaliveMs + limits.peerKeepaliveTimeoutMs + 2_000;
    await until("both ends noticed", () => !behind.isUp(2, "dialed") && !b.isUp(1, "incoming"), bound);
  });

  test("replace an older incoming stream of the same peer", async () => {
    const [a, b] = (await startNodes(2)) as [TestNode, TestNode];
    const older = a.links.findLast((link) => link.direction === "incoming")!;
    const raw = dialRaw(a);
    raw.write(encodeEnvelope(b.id, 1, b.hello()));
    await until("the newer one is up", () =>
      a.links.some((link) => link.up && link.stream > older.stream && link.direction === "incoming"),
    );
    const told = a.links.filter((link) => link.direction === "incoming");
    expect(told[1]).toMatchObject({ stream: older.stream, up: false });
    expect(told[2]).toMatchObject({ up: true });
    raw.cancel();
  });
});

describe("messages", () => {
  test("of every kind arrive, on the lane of their kind, in order", async () => {
    const [a, b] = (await startNodes(2)) as [TestNode, TestNode];
    await heartbeatsPass(a, b);
    a.told.length = 0;
    b.told.length = 0;
    const messages = oneOfEach();
    for (const message of messages) a.send(b.id, message);
    await until("all arrived", () => b.messagesFrom(a.id).length === messages.length);
    for (const lane of new Set(Object.values(laneOf))) {
      const sent = messages.filter((message) => laneOf[message.kind] === lane);
      const arrived = b.messagesFrom(a.id).filter((message) => laneOf[message.kind] === lane);
      expect(arrived.map(plain)).toEqual(sent.map(plain));
      const streams = new Set(
        b.received.filter(({ message }) => laneOf[message.kind] === lane).map(({ stream }) => stream),
      );
      expect(streams.size).toBe(1);
    }
  });

  test("to several nodes are the same, and a node that is not there is skipped", async () => {
    const [a, b, c] = (await startNodes(3)) as [TestNode, TestNode, TestNode];
    const message: Message = { kind: "probe", n: { configId: 1, n: 1, nodeId: 1 as NodeId }, probeId: 5 };
    a.network!.send([b.id, c.id], message);
    await until("both have it", () => b.messagesFrom(1).length === 1 && c.messagesFrom(1).length === 1);
    await c.stop();
    await until("a saw c go", () => !a.isUp(c.id, "dialed"));
    a.network!.send([b.id, c.id], message);
    await until("b has it", () => b.messagesFrom(1).length === 2);
    expect(a.network!.bufferedBytes(c.id)).toBe(0);
  });

  test("of an Accept of 1 MiB pass at a high rate; what waits is counted", async () => {
    const [a, b] = (await startNodes(2)) as [TestNode, TestNode];
    const entries = entriesOf(
      1,
      Array.from({ length: 16 }, (_, index) => Buffer.alloc(64 * 1024, index)),
    );
    const accept: Message = {
      kind: "accept",
      n: { configId: 1, n: 1, nodeId: 1 as NodeId },
      firstSlot: 1 as Slot,
      prevHash: zeroHash,
      entries,
      decidedEnd: 1 as Slot,
    };
    const count = 64;
    const begin = performance.now();
    for (let index = 0; index < count; index++) a.send(b.id, accept);
    expect(a.network!.bufferedBytes(b.id)).toBeGreaterThan((count - 1) * 1024 * 1024);
    await until("all arrived", () => b.messagesFrom(a.id).length === count);
    const seconds = (performance.now() - begin) / 1000;
    console.log(`Accepts of 1 MiB within one process: ${Math.round((count * 1.048576) / seconds)} MB/s`);
    await until("nothing waits", () => a.network!.bufferedBytes(b.id) === 0);
    // Both ends share this one thread, and other tests its processor: only a collapse shows here.
    expect((count * 1.048576) / seconds).toBeGreaterThan(10);
  });

  test("on heartbeat streams pass while bulk is stuck behind megabytes", async () => {
    const [a, b] = (await startNodes(2)) as [TestNode, TestNode];
    await heartbeatsPass(a, b);
    const entries = entriesOf(1, [Buffer.alloc(1024 * 1024)]);
    const chunk: Message = {
      kind: "syncChunk",
      n: { configId: 1, n: 1, nodeId: 1 as NodeId },
      syncId: 1,
      chunk: 0,
      entries,
    };
    b.told.length = 0;
    for (let index = 0; index < 40; index++) a.send(b.id, chunk);
    a.send(b.id, { kind: "heartbeat", round: 77, visibleEnd: 1 as Slot });
    await until("all arrived", () => b.messagesFrom(a.id).length === 41);
    const at = b.messagesFrom(a.id).findIndex((message) => message.kind === "heartbeat");
    expect(at).toBeLessThan(39);
  });

  test("of another configuration are dropped, but for those that lagging members need", async () => {
    const [a, b] = (await startNodes(2)) as [TestNode, TestNode];
    // It would dial again and take its place back from the one who speaks for it here.
    await b.stop();
    const raw = dialRaw(a);
    raw.write(encodeEnvelope(b.id, 1, b.hello()));
    const messages = oneOfEach();
    for (const message of messages) raw.write(encodeEnvelope(b.id, 2, message));
    raw.write(encodeEnvelope(b.id, 1, { kind: "readIndex", requestId: 99 }));
    await until("the last arrived", () => a.messagesFrom(b.id).some((message) => message.kind === "readIndex"));
    expect(a.messagesFrom(b.id).map((message) => message.kind)).toEqual(["fetch", "entries", "readIndex"]);
    raw.cancel();
  });

  test("that are malformed end their stream, are logged, and the link comes back", async () => {
    const [a, b] = (await startNodes(2)) as [TestNode, TestNode];
    const raw = dialRaw(a);
    raw.write(encodeEnvelope(b.id, 1, b.hello()));
    await until("it is up", () => a.links.filter((link) => link.direction === "incoming").length === 3);
    const bytes = encodeEnvelope(b.id, 1, oneOfEach().find((message) => message.kind === "accept")!);
    bytes[bytes.length - 1]! ^= 1;
    raw.write(bytes);
    await until("it is logged", () => a.log.some((line) => line.includes("malformed")));
    expect(a.messagesFrom(b.id)).toEqual([]);
    await until("b dialed again", () => a.isUp(b.id, "incoming") && b.isUp(a.id, "dialed"));
    raw.cancel();
  });
});

describe("refusals", () => {
  test("of the core reach the other core by name, on both kinds of stream, and take the link down", async () => {
    const [a, b] = (await startNodes(2)) as [TestNode, TestNode];
    for (const direction of ["incoming", "dialed"] as const) {
      const { stream } = a.links.findLast((link) => link.direction === direction && link.up)!;
      const message = { kind: "refused", code: "NODE_REPLACED", reason: `b is another one (${direction})` } as const;
      a.network!.refuse({ kind: "refuse", to: b.id, stream, message });
      await until("b knows", () =>
        b.messagesFrom(a.id).some((received) => received.kind === "refused" && received.reason === message.reason),
      );
      await until("the link went down", () => a.links.some((link) => link.stream === stream && !link.up));
      await until("it is back", () => allUp([a, b]));
    }
  });

  test("answer a name that is not configured, naming both lists", async () => {
    const [a] = (await startNodes(2)) as [TestNode, TestNode];
    const members = ["b", "c", "d"].map((name) => ({ name, peerAddress: a.hello().peerAddress }));
    const stranger = new TestNode(2, [
      members[0]!,
      { name: "c", peerAddress: `127.0.0.1:${(await freePorts(1))[0]}` },
      members[2]!,
    ]);
    await stranger.start();
    cleanups.push(() => stranger.stop());
    await until("the stranger is told", () => stranger.received.some(({ message }) => message.kind === "refused"));
    const refused = stranger.received.find(({ message }) => message.kind === "refused")!.message;
    expect(refused).toMatchObject({
      code: "CLUSTER_MISMATCH",
      reason: expect.stringContaining("its list is a,b, the caller's is b,c,d"),
    });
    expect(stranger.links).toEqual([]);
    expect(a.links.every((link) => link.peer === 2)).toBe(true);
  });

  test("heartbeats of a node that the core refused are not heard", async () => {
    const [a, b] = (await startNodes(2)) as [TestNode, TestNode];
    await heartbeatsPass(b, a);
    // From now on a's core refuses whatever b says in a Hello.
    a.onMessage = ({ from, stream, message }) => {
      if (message.kind === "hello") {
        a.network?.refuse({
          kind: "refuse",
          to: from,
          stream,
          message: { kind: "refused", code: "OLD_INCARNATION", reason: "no" },
        });
      }
    };
    for (const link of a.links.filter((link) => link.up)) {
      a.network!.refuse({
        kind: "refuse",
        to: b.id,
        stream: link.stream,
        message: { kind: "refused", code: "OLD_INCARNATION", reason: "no" },
      });
    }
    await until("all links went down", () => !a.isUp(b.id, "dialed") && !a.isUp(b.id, "incoming"));
    const heard = () =>
      a.messagesFrom(b.id).filter((message) => message.kind === "heartbeat" && message.round === 555).length;
    b.send(a.id, { kind: "heartbeat", round: 555, visibleEnd: 1 as Slot });
    // A link is up between a Hello and its refusal, which both happen in one turn here: no heartbeat fits in between.
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(heard()).toBe(0);
  });
});

describe("the listener", () => {
  test("names a port that is in use", async () => {
    const [a] = (await startNodes(2)) as [TestNode, TestNode];
    const again = new TestNode(1, [{ name: "a", peerAddress: a.hello().peerAddress }]);
    await expect(again.start()).rejects.toMatchObject({
      code: "ADDRESS_IN_USE",
      facts: { address: a.hello().peerAddress },
    });
  });

  test("takes a free port for port 0 and tells which", async () => {
    const node = new TestNode(1, [{ name: "a", peerAddress: "127.0.0.1:0" }]);
    await node.start();
    cleanups.push(() => node.stop());
    expect(node.network!.port).toBeGreaterThan(0);
  });

  test("does not listen beyond loopback unless that is allowed", async () => {
    const options = { members: [{ name: "a", peerAddress: "0.0.0.0:0" }], self: 1 as NodeId, hashing, log: () => {} };
    const { handlers } = new TestNode(1, options.members);
    await expect(GrpcPeerNetwork.start({ ...options, handlers })).rejects.toMatchObject({ code: "INSECURE_ADDRESS" });
    await (await GrpcPeerNetwork.start({ ...options, handlers, insecure: true })).close();
  });

  test("ends a stream that does not begin with Hello", async () => {
    const [a, b] = (await startNodes(2)) as [TestNode, TestNode];
    const raw = dialRaw(a);
    const ended = new Promise<void>((resolve) => raw.once("end", () => resolve()));
    raw.write(encodeEnvelope(b.id, 1, { kind: "heartbeat", round: 1, visibleEnd: 1 as Slot }));
    await ended;
    expect(a.log.join("\n")).toContain("began with heartbeat");
    expect(a.messagesFrom(b.id)).toEqual([]);
  });

  test("announces windows of 16 MiB, for a stream and for the connection, and a bounded header list", async () => {
    const [a] = (await startNodes(2)) as [TestNode, TestNode];
    const session = http2.connect(`http://${a.hello().peerAddress}`);
    await new Promise((resolve) => session.once("remoteSettings", resolve));
    await new Promise((resolve) => session.ping(resolve));
    expect(session.remoteSettings).toMatchObject({
      initialWindowSize: limits.http2WindowBytes,
      maxConcurrentStreams: limits.peerStreamsPerConnection,
      maxHeaderListSize: limits.headerListBytesMax,
    });
    expect(session.state.remoteWindowSize).toBeGreaterThanOrEqual(limits.http2WindowBytes);
    session.destroy();
    expect(a.log.filter((line) => line.includes("HTTP/2"))).toEqual([]);
  });

  test("logs a peer that cannot be reached once, not at each attempt", async () => {
    const [a] = (await makeNodes(2)) as [TestNode, TestNode];
    await a.start();
    cleanups.push(() => a.stop());
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    expect(a.log.filter((line) => line.includes("no bulk stream to b"))).toHaveLength(1);
  });
});

/** A bulk stream to a node by plain gRPC, which says whatever a test writes. */
function dialRaw(node: TestNode) {
  const identity = (bytes: Buffer): Buffer => bytes;
  const client = new Client(node.hello().peerAddress, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
  });
  const stream = client.makeBidiStreamRequest(peerServicePaths.bulk, identity, identity, new Metadata());
  stream.on("data", (bytes: Buffer) => {
    if (decodeEnvelope(bytes, hashing).kind !== "ok") throw new Error("the node sent a malformed envelope");
  });
  stream.on("error", () => {});
  cleanups.push(() => client.close());
  return stream;
}
