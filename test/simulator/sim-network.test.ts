// The simulated network has the semantics of PeerNetwork, and its faults are those that it is told to have.
import { describe, expect, test } from "vitest";
import { type NodeId, nodeId, type Slot } from "../../src/base/types.ts";
import type { HelloMessage, Message } from "../../src/core/message.ts";
import { fromMs, VirtualClock } from "../../src/simulator/clock.ts";
import { Coverage } from "../../src/simulator/coverage.ts";
import { Random } from "../../src/simulator/random.ts";
import { calmNetwork, SimNetwork } from "../../src/simulator/sim-network.ts";
import type { PeerNetwork } from "../../src/transport/peer-network.ts";

const a = nodeId(1);
const b = nodeId(2);

function hello(node: NodeId): HelloMessage {
  return {
    kind: "hello",
    clusterId: "",
    configId: 1,
    nodeUid: `${node}` as HelloMessage["nodeUid"],
    incarnation: 1,
    name: `n${node}`,
    protocolVersion: 1,
    peerAddress: "",
    clientAddress: "",
    started: false,
    names: [],
    nonvoter: false,
  };
}

/** Two nodes that write down what they are told. */
function world(seed = 1) {
  const clock = new VirtualClock();
  const coverage = new Coverage();
  const network = new SimNetwork({ clock, random: new Random(seed), nodes: [a, b], count: coverage.count });
  const told = new Map<NodeId, string[]>([
    [a, []],
    [b, []],
  ]);
  const attach = (node: NodeId): PeerNetwork => {
    const lines: string[] = [];
    told.set(node, lines);
    return network.attach(node, {
      hello: () => hello(node),
      onMessage: (from, stream, message) => lines.push(`${from}/${stream} ${textOf(message)}`),
      onLink: (peer, direction, stream, up) => lines.push(`${direction} ${peer}/${stream} ${up ? "up" : "down"}`),
    });
  };
  const run = (milliseconds: number): void => {
    const endUs = clock.nowUs + fromMs(milliseconds);
    while (clock.step(endUs));
  };
  return { clock, coverage, network, told, attach, run };
}

const textOf = (message: Message): string =>
  "requestId" in message ? `${message.kind} ${message.requestId}` : message.kind;
const request = (requestId: number): Message => ({ kind: "readIndex", requestId });
const answer = (requestId: number): Message => ({ kind: "readIndexReply", requestId, accepted: false, r: 1 as never });
const requestsIn = (lines: readonly string[] | undefined): number[] =>
  (lines ?? []).filter((line) => line.includes("readIndex ")).map((line) => Number(line.split(" ")[2]));

describe("a link", () => {
  test("is told in each direction, with the peer's Hello behind it and one number at each end", () => {
    const { told, attach, run } = world();
    attach(a);
    attach(b);
    run(10);
    for (const [self, peer] of [
      [a, b],
      [b, a],
    ] as const) {
      const lines = told.get(self)!;
      expect(lines.filter((line) => line.endsWith("up")).length).toBe(2);
      const ups = lines.flatMap((line, index) => (line.endsWith("up") ? [index] : []));
      for (const index of ups) {
        const stream = lines[index]!.split(" ")[1]!;
        expect(stream.startsWith(`${peer}/`)).toBe(true);
        expect(lines[index + 1]).toBe(`${stream} hello`);
      }
      expect(new Set(ups.map((index) => lines[index]!.split(" ")[1])).size).toBe(2);
    }
  });

  test("keeps the order of a stream, and an answer comes back on the stream that asked", () => {
    const { told, attach, run } = world();
    const fromA = attach(a);
    const fromB = attach(b);
    run(10);
    for (let id = 1; id <= 50; id += 1) fromA.send([b], request(id));
    fromB.send([a], answer(7));
    run(10);
    expect(requestsIn(told.get(b))).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
    const dialed = told
      .get(a)!
      .find((line) => line.startsWith("dialed"))!
      .split(" ")[1];
    expect(told.get(a)).toContain(`${dialed} readIndexReply 7`);
  });

  test("goes down on both sides when a process ends, and comes up under new numbers with its next life", () => {
    const { network, told, attach, run } = world();
    attach(a);
    attach(b);
    run(10);
    const streamsBefore = told
      .get(b)!
      .filter((line) => line.endsWith("up"))
      .map((line) => line.split(" ")[1]);
    network.detach(a);
    run(100);
    for (const stream of streamsBefore) expect(told.get(b)!.some((line) => line.includes(`${stream} down`))).toBe(true);
    attach(a);
    run(200);
    const streamsAfter = told
      .get(b)!
      .filter((line) => line.endsWith("up"))
      .map((line) => line.split(" ")[1]);
    expect(new Set(streamsAfter).size).toBe(4);
    expect(told.get(a)!.filter((line) => line.endsWith("up")).length).toBe(2);
  });

  test("carries nothing from a life that ended", () => {
    const { network, told, attach, run } = world();
    const fromA = attach(a);
    attach(b);
    run(10);
    network.detach(a);
    attach(a);
    fromA.send([b], request(1));
    run(500);
    expect(requestsIn(told.get(b))).toEqual([]);
  });
});

describe("a cut direction", () => {
  test("passes nothing, and no new link while it lasts; the other direction still carries heartbeats", () => {
    const { network, told, attach, run } = world();
    const fromA = attach(a);
    const fromB = attach(b);
    run(10);
    network.cut(a, b);
    fromA.send([b], request(1));
    fromA.send([b], { kind: "heartbeat", round: 1, visibleEnd: 1 as Slot });
    fromB.send([a], { kind: "heartbeat", round: 2, visibleEnd: 1 as Slot });
    run(1000);
    expect(requestsIn(told.get(b))).toEqual([]);
    expect(told.get(b)!.some((line) => line.includes("heartbeat"))).toBe(false);
    expect(told.get(a)!.some((line) => line.includes("heartbeat"))).toBe(true);
    expect(told.get(a)!.some((line) => line.startsWith("dialed") && line.endsWith("down"))).toBe(true);
    const upsBefore = told.get(a)!.filter((line) => line.endsWith("up")).length;
    network.heal(a, b);
    run(1000);
    expect(told.get(a)!.filter((line) => line.endsWith("up")).length).toBeGreaterThan(upsBefore);
  });

  test("clogs instead: what was sent arrives in order when the clog ends", () => {
    const { network, told, attach, run } = world();
    const fromA = attach(a);
    attach(b);
    run(10);
    network.clog(a, b, fromMs(300));
    fromA.send([b], request(1));
    fromA.send([b], request(2));
    run(250);
    expect(requestsIn(told.get(b))).toEqual([]);
    run(100);
    expect(requestsIn(told.get(b))).toEqual([1, 2]);
  });
});

describe("conditions", () => {
  function send(conditions: Partial<typeof calmNetwork>) {
    const { coverage, network, told, attach, run } = world();
    const fromA = attach(a);
    attach(b);
    run(10);
    network.conditions = { ...calmNetwork, ...conditions };
    for (let id = 1; id <= 300; id += 1) fromA.send([b], request(id));
    run(5000);
    return { coverage, ids: requestsIn(told.get(b)), lines: told.get(b)! };
  }

  test("a loss breaks the stream: without late messages nothing behind it arrives", () => {
    const { ids, lines } = send({ lossRate: 0.02 });
    expect(ids.length).toBeLessThan(300);
    expect(ids).toEqual(Array.from({ length: ids.length }, (_, index) => index + 1));
    expect(lines.some((line) => line.startsWith("incoming") && line.endsWith("down"))).toBe(true);
  });

  test("late messages carry the number of the stream that broke, also after it is told to be down", () => {
    const { coverage, ids, lines } = send({
      lossRate: 0.02,
      lateRate: 1,
      delayMeanUs: fromMs(20),
      noticeMaxUs: fromMs(1),
    });
    expect(coverage.of("messageLate")).toBeGreaterThan(0);
    expect(ids.length).toBeGreaterThan(250);
    const down = lines.findIndex((line) => line.startsWith("incoming") && line.endsWith("down"));
    const stream = lines[down]!.split(" ")[1]!;
    expect(lines.slice(down + 1).some((line) => line.startsWith(`${stream} readIndex`))).toBe(true);
  });

  test("a drop leaves a hole and the stream goes on", () => {
    const { ids, lines } = send({ dropRate: 0.1 });
    expect(ids.length).toBeGreaterThan(200);
    expect(ids.length).toBeLessThan(300);
    expect(ids).toEqual([...ids].sort((x, y) => x - y));
    expect(lines.some((line) => line.endsWith("down"))).toBe(false);
  });

  test("duplicates come again, reordered ones overtake", () => {
    const duplicated = send({ duplicateRate: 0.5 }).ids;
    expect(new Set(duplicated).size).toBe(300);
    expect(duplicated.length).toBeGreaterThan(400);
    const reordered = send({ reorderRate: 1, delayMeanUs: fromMs(5) }).ids;
    expect(reordered.length).toBe(300);
    expect(reordered).not.toEqual([...reordered].sort((x, y) => x - y));
  });
});

test("a refusal reaches the other end of its stream, which then ends", () => {
  const { told, attach, run } = world();
  attach(a);
  const fromB = attach(b);
  run(10);
  const stream = Number(
    told
      .get(b)!
      .find((line) => line.startsWith("incoming"))!
      .match(/\/(\d+)/)![1],
  );
  fromB.refuse({ kind: "refuse", to: a, stream, message: { kind: "refused", code: "NODE_REPLACED", reason: "" } });
  run(20);
  expect(told.get(a)!.some((line) => line.endsWith("refused"))).toBe(true);
  expect(told.get(a)!.some((line) => line.startsWith("dialed") && line.endsWith("down"))).toBe(true);
});
