// Goal: holes that a review of the core found stay closed: states that nothing left, and memory that nothing bounded.
// Method: the shortest script that showed each, on the real core.
import { describe, expect, test } from "vitest";
import type { Slot } from "../../src/base/types.ts";
import { compareBallots } from "../../src/core/ballot.ts";
import type { Message } from "../../src/core/message.ts";
import { electedCluster, followersOf, kindIs, type TestCluster, type TestNode, type Wire } from "./harness.ts";
import { staggeredCluster, staggers } from "./rounds.ts";

/** Ticks all nodes; some disks stall, some messages take their time. At rest, but for these, after each tick. */
function runWith(
  cluster: TestCluster,
  ticks: number,
  faults: {
    readonly stalled?: readonly TestNode[];
    readonly slow?: (wire: Wire) => boolean;
    readonly slowTicks?: number;
  },
): void {
  const { stalled = [], slow = () => false, slowTicks = 0 } = faults;
  const since = new Map<Wire, number>();
  for (let tick = 0; tick < ticks; tick += 1) {
    cluster.wallMs += 25;
    for (const node of cluster.nodes) if (node.isUp) cluster.tick(node.id);
    const isHeld = (wire: Wire): boolean => {
      if (!slow(wire)) return false;
      if (!since.has(wire)) since.set(wire, tick);
      return tick - since.get(wire)! < slowTicks;
    };
    for (let hop = 0; hop < 100; hop += 1) {
      for (const node of cluster.nodes) if (node.isUp && !stalled.includes(node)) cluster.flush(node.id);
      if (cluster.deliver((wire) => !isHeld(wire)) === 0) break;
    }
  }
}

describe("C20: a disk that stalls", () => {
  test("a leader whose own disk stalls takes no more than it can hold, however fast the others are", () => {
    const cluster = electedCluster(3);
    const leader = cluster.leader;
    const text = "x".repeat(1024 * 1024);
    let refused = 0;
    for (let count = 0; count < 160 && refused === 0; count += 1) {
      const [request] = cluster.propose(leader.id, text);
      cluster.deliver();
      for (const follower of followersOf(cluster)) cluster.flush(follower.id);
      cluster.deliver();
      const answer = leader.answers.get(request!);
      if (answer?.kind === "failed") {
        expect(answer).toMatchObject({ code: "OVERLOADED", outcome: "none" });
        refused += 1;
      }
    }
    expect(refused).toBe(1);
    cluster.settle();
    expect(cluster.leader.replica.acceptsProposals).toBe(true);
  });

  test("a leader that takes small entries faster than its own disk is stopped by their number", () => {
    const cluster = electedCluster(3);
    const leader = cluster.leader;
    const texts = Array.from({ length: 1000 }, () => "x");
    for (let count = 0; count < 40 && leader.replica.acceptsProposals; count += 1) {
      cluster.propose(leader.id, ...texts);
      cluster.deliver();
      for (const follower of followersOf(cluster)) cluster.flush(follower.id);
      cluster.deliver();
    }
    expect(leader.replica.acceptsProposals).toBe(false);
    cluster.settle();
    expect(leader.replica.acceptsProposals).toBe(true);
  }, 20_000);

  test.each(staggers)("a leader whose disk stalls gives way to a follower whose disk does not (%j)", (offsets) => {
    const cluster = staggeredCluster(offsets);
    const leader = cluster.leader;
    cluster.propose(leader.id, "a");
    runWith(cluster, 12 * 8, { stalled: [leader] });
    const next = cluster.leader;
    expect(next).not.toBe(leader);
    const [request] = cluster.propose(next.id, "b");
    runWith(cluster, 8, { stalled: [leader] });
    expect(next.answers.get(request!)?.kind).toBe("acknowledged");
    // It stays so, and the old leader comes back as a follower.
    runWith(cluster, 20 * 8, { stalled: [leader] });
    expect(cluster.leader).toBe(next);
    cluster.run(6);
    expect(leader.logText).toBe("a b");
    expect(cluster.leader).toBe(next);
  });

  test("a leader whose disk is as slow as everybody's stays", () => {
    const cluster = electedCluster(3);
    const leader = cluster.leader;
    cluster.propose(leader.id, "a");
    runWith(cluster, 12 * 8, { stalled: cluster.nodes });
    cluster.run(2);
    expect(cluster.leader).toBe(leader);
  });

  test("a candidate whose disk stalls before its promise is durable does not hold the cluster up", () => {
    const cluster = electedCluster(3);
    for (const node of cluster.nodes) cluster.crash(node.id);
    for (const node of cluster.nodes) cluster.restart(node.id);
    // All stand for election, and the largest ballot wins. Its owner's disk never writes the promise.
    for (let tick = 0; tick < 16; tick += 1) {
      for (const node of cluster.nodes) cluster.tick(node.id);
      cluster.deliver();
    }
    const stalled = cluster.nodes.reduce((a, b) => (compareBallots(a.view.ballot, b.view.ballot) > 0 ? a : b));
    expect(stalled.view.role).toBe("leader");
    for (const node of cluster.nodes) if (node !== stalled) expect(node.view.leader).toBe(stalled.id);
    runWith(cluster, 20 * 8, { stalled: [stalled] });
    const next = cluster.leader;
    expect(next).not.toBe(stalled);
    runWith(cluster, 30 * 8, { stalled: [stalled] });
    expect(cluster.leader).toBe(next);
  });
});

describe("a leader-elect that is far behind", () => {
  test("one whose disk is slow asks for no more than it can hold, and leads when it has all", () => {
    const cluster = electedCluster(3);
    const first = cluster.leader;
    const [holder, empty] = followersOf(cluster) as [TestNode, TestNode];
    cluster.loses = ({ to }) => to === empty.id;
    for (let count = 0; count < 30; count += 1) {
      cluster.propose(first.id, `${count}`.padEnd(1000 * 1000, "x"));
      cluster.settle();
    }
    expect(holder.view.acceptedEnd).toBe(31);
    cluster.loses = () => false;
    cluster.crash(first.id);
    cluster.crash(holder.id);
    cluster.restart(holder.id);
    const pendingBytes = () =>
      empty.disk.pending
        .flatMap((effect) => ("entries" in effect ? effect.entries : []))
        .reduce((sum, { bytes }) => sum + bytes.length, 0);
    let pendingMax = 0;
    for (let tick = 0; tick < 8 * 8; tick += 1) {
      cluster.tick(empty.id);
      for (let hop = 0; hop < 100; hop += 1) {
        cluster.flush(holder.id);
        if (empty.disk.pending[0]?.kind === "writeSuperblock") cluster.flush(empty.id, 1);
        pendingMax = Math.max(pendingMax, pendingBytes());
        if (cluster.deliver() === 0) break;
      }
    }
    expect(pendingMax).toBeGreaterThan(15_000_000);
    expect(pendingMax).toBeLessThan(20_000_000);
    cluster.run(4);
    expect(cluster.leader.view.decidedEnd).toBe(31);
  });
});

describe("C21: a leader at the end of a chain", () => {
  test("one whose neighbour follows a larger ballot stops leading, learns, and may lead again later", () => {
    const cluster = electedCluster(3);
    const old = cluster.leader;
    const [middle, far] = followersOf(cluster) as [TestNode, TestNode];
    const pairs = (a: TestNode, b: TestNode) => [`${a.id}>${b.id}`, `${b.id}>${a.id}`];
    for (const link of [...pairs(old, middle), ...pairs(old, far)]) cluster.cut.add(link);
    const [lost] = cluster.propose(old.id, "never decided");
    const others = () => [middle, far].find((node) => node.view.established);
    for (let round = 0; round < 12 && others() === undefined; round += 1) cluster.run(1);
    const next = others()!;
    const neighbour = next === middle ? far : middle;
    const [request] = cluster.propose(next.id, "decided");
    cluster.run(1);
    expect(next.answers.get(request!)?.kind).toBe("acknowledged");
    // The neighbour stands for no ballot of its own: nothing that the old leader hears tells it whom to follow.
    cluster.crash(neighbour.id);
    cluster.restart(neighbour.id);
    cluster.run(3);
    expect(neighbour.view).toMatchObject({ leader: next.id, ballot: { n: 0 } });
    expect(old.view.role).toBe("leader");
    for (const link of pairs(old, neighbour)) cluster.cut.delete(link);
    cluster.connect(old.id, neighbour.id);
    cluster.connect(neighbour.id, old.id);
    cluster.run(8);
    expect(old.view).toMatchObject({ role: "follower", leader: undefined, visibleEnd: 2 });
    expect(old.logText).toBe("decided");
    expect(old.answers.get(lost!)).toEqual({ kind: "failed", code: "LEADER_LOST", outcome: "unknown" });
    expect(cluster.leader).toBe(next);
    // The leader dies: the chain's other two are a quorum.
    cluster.crash(next.id);
    cluster.run(8);
    expect([old, neighbour]).toContain(cluster.leader);
  });
});

describe("C22: answers that take longer than a round", () => {
  test("a leader-elect waits for what it fetches as long as it comes", () => {
    const cluster = electedCluster(3);
    const first = cluster.leader;
    const [holder, empty] = followersOf(cluster) as [TestNode, TestNode];
    cluster.propose(first.id, ...["a", "b", "c"].map((letter) => letter.repeat(700 * 1024)));
    cluster.drop(kindIs("accept", empty.id));
    cluster.deliver(kindIs("accept", holder.id));
    cluster.flush(holder.id);
    cluster.drop(() => true);
    // The holder comes back, but its clock stands still: the empty node must lead.
    cluster.crash(first.id);
    cluster.crash(holder.id);
    cluster.restart(holder.id);
    let held: { wire: Wire; tick: number }[] = [];
    for (let tick = 0; tick < 20 * 8 && !empty.view.established; tick += 1) {
      cluster.tick(empty.id);
      for (let hop = 0; hop < 20; hop += 1) {
        for (const node of [holder, empty]) cluster.flush(node.id);
        held.push(...cluster.wires.filter(kindIs("entries")).map((wire) => ({ wire, tick })));
        cluster.drop(kindIs("entries"));
        if (cluster.deliver() === 0) break;
      }
      for (const { wire, tick: since } of held) if (tick - since === 11) cluster.inject(wire);
      held = held.filter(({ tick: since }) => tick - since < 11);
    }
    expect(empty.view).toMatchObject({ role: "leader", established: true, decidedEnd: 4 });
  });

  test("a follower takes the answer to its read however late it comes", () => {
    const cluster = electedCluster(3);
    const reader = followersOf(cluster)[0]!;
    const read = cluster.read(reader.id);
    runWith(cluster, 5 * 8, { slow: kindIs("readIndexReply"), slowTicks: 11 });
    expect(reader.ready).toContain(read);
  });

  test("a follower's read goes on with the next leader", () => {
    const cluster = electedCluster(3);
    const old = cluster.leader;
    const reader = followersOf(cluster)[0]!;
    const read = cluster.read(reader.id);
    cluster.crash(old.id);
    cluster.run(8);
    expect(reader.ready).toContain(read);
  });
});

describe("a ballot that was given up", () => {
  test("is not followed by a larger one while fewer than a quorum reply: that is for rule 3 alone", () => {
    const cluster = electedCluster(5);
    const old = cluster.leader;
    const neighbour = followersOf(cluster)[0]!;
    const own = old.view.ballot;
    const larger = { ...own, n: own.n + 1, nodeId: followersOf(cluster)[1]!.id };
    // Of four peers one replies, on the word of a leader that the old one does not hear; then that leader is lost to it, too.
    const round = (happy: boolean) => {
      for (let tick = 0; tick < 8; tick += 1) {
        cluster.tick(old.id);
        for (const wire of cluster.wires.filter(
          ({ from, message }) => from === old.id && message.kind === "heartbeat",
        )) {
          if (wire.to !== neighbour.id || wire.message.kind !== "heartbeat") continue;
          const message: Message = {
            kind: "heartbeatReply",
            round: wire.message.round,
            ballot: { ...own, n: 0, nodeId: neighbour.id },
            leader: larger,
            happy,
            flushedEnd: 1 as Slot,
            visibleEnd: 1 as Slot,
            oldestSyncMs: 0,
            loopLagMs: 0,
            diskFull: false,
            unreadyMachines: 0,
            clientAddress: "",
          };
          cluster.inject({ from: neighbour.id, to: old.id, stream: wire.stream, message });
        }
        cluster.drop(() => true);
      }
    };
    for (let count = 0; count < 4; count += 1) round(true);
    expect(old.view).toMatchObject({ role: "follower", ballot: own });
    for (let count = 0; count < 4; count += 1) round(false);
    expect(old.view).toMatchObject({ role: "follower", ballot: own });
  });
});
