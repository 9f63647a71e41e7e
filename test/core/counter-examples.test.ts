// Goal: each counter-example that the model found in an earlier text of the protocol (docs/protocol.md) stays impossible.
// Method: the shortest trace that showed it, on the real core.
import { describe, expect, test } from "vitest";
import type { NodeId, Slot } from "../../src/base/types.ts";
import type { Message, PromiseMessage } from "../../src/core/message.ts";
import { electedCluster, followersOf, kindIs, type TestCluster, type TestNode, type Wire } from "./harness.ts";

const syncKinds: readonly string[] = ["syncBegin", "syncChunk", "syncEnd"];
const isSyncTo = (to: number) => (wire: Wire) => wire.to === to && syncKinds.includes(wire.message.kind);

/** Brings a follower to the point where the leader's sync to it is on its way, and returns that sync. */
function syncOnItsWay(cluster: TestCluster, follower: TestNode): Wire[] {
  const leader = cluster.leader;
  cluster.disconnect(leader.id, follower.id);
  cluster.drop((wire) => wire.to === follower.id || wire.from === follower.id);
  cluster.connect(leader.id, follower.id);
  cluster.deliver(kindIs("prepare", follower.id));
  cluster.flush(follower.id);
  cluster.deliver(kindIs("promise", leader.id));
  const sync = cluster.wires.filter(isSyncTo(follower.id));
  expect(sync.map((wire) => wire.message.kind)).toContain("syncBegin");
  return sync;
}

const acceptedBy = (cluster: TestCluster, node: TestNode) =>
  cluster.wires.filter((wire) => wire.from === node.id && wire.message.kind === "accepted");

describe("C1", () => {
  test("a repeated SyncBegin of the same ballot does not void an acknowledged entry", () => {
    const cluster = electedCluster(3);
    const leader = cluster.leader;
    const follower = followersOf(cluster)[0]!;
    const sync = syncOnItsWay(cluster, follower);
    cluster.settle();
    cluster.propose(leader.id, "acknowledged");
    cluster.deliver(kindIs("accept", follower.id));
    cluster.flush(follower.id);
    expect(acceptedBy(cluster, follower)).not.toHaveLength(0);
    for (const wire of sync) cluster.inject(wire);
    expect(follower.logText).toBe("acknowledged");
    expect(follower.view.phase).toBe("accept");
    expect(follower.disk.pending).toEqual([]);
  });
});

describe("C2", () => {
  test("nor does it with a repeated Prepare in between: the old SyncBegin names an old promise", () => {
    const cluster = electedCluster(3);
    const leader = cluster.leader;
    const follower = followersOf(cluster)[0]!;
    const sync = syncOnItsWay(cluster, follower);
    cluster.settle();
    cluster.propose(leader.id, "acknowledged");
    cluster.settle();
    const { promised: n, decidedEnd, acceptedBallot, acceptedEnd } = leader.view;
    const prepare: Message = { kind: "prepare", n, decidedEnd, acceptedBallot, acceptedEnd };
    cluster.inject({ from: leader.id, to: follower.id, stream: sync[0]!.stream, message: prepare });
    expect(follower.view.phase).toBe("prepare");
    for (const wire of sync) cluster.inject(wire);
    expect(follower.view.phase).toBe("prepare");
    expect(follower.logText).toBe("acknowledged");
    expect(follower.disk.pending.filter((effect) => effect.kind === "replaceGroup")).toEqual([]);
  });
});

describe("C4", () => {
  test("a leader does not count entries of its own disk before its REPLACE(n) and its acceptedBallot = n are durable", () => {
    const cluster = electedCluster(3);
    const first = cluster.leader;
    // An entry that only the first leader's disk has, from a ballot that ends.
    cluster.propose(first.id, "old");
    cluster.flush(first.id);
    cluster.crash(first.id);
    cluster.restart(first.id);
    // It is elected again by hand of the clock alone: the others do not tick.
    const others = cluster.nodes.filter((node) => node !== first);
    for (const other of others) cluster.crash(other.id);
    for (const other of others) cluster.restart(other.id);
    let replaceSeen = false;
    for (let tick = 0; tick < 200 && !replaceSeen; tick += 1) {
      cluster.tick(first.id);
      for (let hop = 0; hop < 6 && !replaceSeen; hop += 1) {
        cluster.deliver();
        for (const other of others) cluster.flush(other.id);
        const next = first.disk.pending[0];
        replaceSeen = next?.kind === "replaceGroup";
        if (!replaceSeen) cluster.flush(first.id, 1);
      }
    }
    expect(replaceSeen).toBe(true);
    const follower = others[0]!;
    cluster.disconnect(first.id, others[1]!.id);
    for (let hop = 0; hop < 6; hop += 1) {
      cluster.deliver();
      cluster.flush(follower.id);
    }
    expect(follower.logText).toBe("old");
    expect(follower.view.acceptedBallot).toEqual(first.view.promised);
    // One follower has it durable in n; the leader's own copy is of an older ballot and must not make the majority.
    expect(first.view.decidedEnd).toBe(1);
    cluster.flush(first.id, 1);
    expect(first.disk.pending[0]?.kind).toBe("writeSuperblock");
    expect(first.view.decidedEnd).toBe(1);
    cluster.flush(first.id, 1);
    expect(first.view.decidedEnd).toBe(2);
  });
});

describe("C11", () => {
  test("a node that learns while a SyncBegin is on its way drops the sync", () => {
    const cluster = electedCluster(3);
    const leader = cluster.leader;
    const [neighbour, far] = followersOf(cluster) as [TestNode, TestNode];
    cluster.propose(leader.id, "decided");
    cluster.drop(kindIs("accept", far.id));
    cluster.deliver(kindIs("accept"));
    for (const node of cluster.nodes) cluster.flush(node.id);
    cluster.deliver(kindIs("accepted"));
    const sync = syncOnItsWay(cluster, far);
    cluster.drop(isSyncTo(far.id));
    cluster.deliver();
    cluster.flush(neighbour.id);
    // The promise waits in vain for a round: it learns, from whoever shows more.
    cluster.cut.add(`${leader.id}>${far.id}`);
    cluster.run(3);
    expect(far.logText).toBe("decided");
    expect(far.view.phase).toBe("recover");
    cluster.cut.clear();
    for (const wire of sync) cluster.inject(wire);
    expect(far.view.phase).toBe("recover");
    expect(far.stops).toEqual([]);
    cluster.run(4);
    expect(far.view.phase).toBe("accept");
  });
});

/** A restarted node whose peers are played by the test: their replies to its heartbeats are made here. */
function roundWithPuppets(cluster: TestCluster, node: TestNode, reply: { happy: boolean; visibleEnd: number }): void {
  const peers = cluster.nodes.filter((peer) => peer !== node);
  for (let tick = 0; tick < 8; tick += 1) {
    cluster.tick(node.id);
    for (const wire of cluster.wires.filter(kindIs("heartbeat"))) {
      if (wire.from !== node.id || wire.message.kind !== "heartbeat") continue;
      const peer = peers.find(({ id }) => id === wire.to)!;
      const { ballot, promised: leader, flushedEnd } = peer.view;
      const message: Message = {
        kind: "heartbeatReply",
        round: wire.message.round,
        ballot,
        leader: leader.nodeId === node.id ? leader : ballot,
        happy: reply.happy,
        flushedEnd,
        visibleEnd: reply.visibleEnd as Slot,
        oldestSyncMs: 0,
        loopLagMs: 0,
        diskFull: false,
        unreadyMachines: 0,
        clientAddress: "",
      };
      cluster.inject({ from: peer.id, to: node.id, stream: wire.stream, message });
    }
    cluster.drop(kindIs("heartbeat"));
  }
}

describe("C12", () => {
  test("a leader-elect takes no learnt entries: the answer to its earlier Fetch changes nothing", () => {
    const cluster = electedCluster(3);
    const leader = cluster.leader;
    const node = followersOf(cluster)[0]!;
    cluster.propose(leader.id, "a");
    cluster.drop(kindIs("accept", node.id));
    cluster.settle();
    cluster.crash(node.id);
    cluster.restart(node.id);
    cluster.drop(() => true);
    roundWithPuppets(cluster, node, { happy: true, visibleEnd: 2 });
    roundWithPuppets(cluster, node, { happy: true, visibleEnd: 2 });
    const fetch = cluster.wires.find((wire) => wire.from === node.id && wire.message.kind === "fetch");
    if (fetch?.message.kind !== "fetch") throw new Error("the node did not ask");
    for (let round = 0; round < 4 && node.view.role !== "leader"; round += 1) {
      roundWithPuppets(cluster, node, { happy: false, visibleEnd: 2 });
    }
    expect(node.view.role).toBe("leader");
    const { requestId, fromSlot } = fetch.message;
    const entries = [leader.replica.log.at(1 as Slot)!];
    const message: Message = { kind: "entries", requestId, fromSlot, entries, visibleEnd: 2 as Slot };
    cluster.inject({ from: fetch.to, to: node.id, stream: fetch.stream, message });
    expect(node.logText).toBe("");
    expect(node.view).toMatchObject({ role: "leader", decidedEnd: 1 });
  });
});

describe("C13", () => {
  test("promises whose best log ends below what another decided make the leader-elect take a larger ballot", () => {
    const cluster = electedCluster(3);
    const node = followersOf(cluster)[0]!;
    cluster.crash(node.id);
    cluster.restart(node.id);
    cluster.drop(() => true);
    for (let round = 0; round < 5 && node.view.role !== "leader"; round += 1) {
      roundWithPuppets(cluster, node, { happy: false, visibleEnd: 1 });
    }
    cluster.flush(node.id);
    const prepare = cluster.wires.find((wire) => wire.from === node.id && wire.message.kind === "prepare");
    if (prepare?.message.kind !== "prepare") throw new Error("no Prepare");
    const { n } = prepare.message;
    const promise: PromiseMessage = {
      kind: "promise",
      n,
      promiseId: { incarnation: 1, counter: 99 },
      acceptedBallot: { configId: 0, n: 0, nodeId: 0 as NodeId },
      acceptedEnd: 5 as Slot,
      endCertain: true,
      decidedEnd: 5 as Slot,
      decidedHash: "ab".repeat(16) as never,
      logBegin: 1 as Slot,
      abstains: false,
      window: [],
    };
    cluster.inject({ from: prepare.to, to: node.id, stream: prepare.stream, message: promise });
    expect(node.stops).toEqual([]);
    expect(node.view.role).toBe("leader");
    expect(node.view.ballot.n).toBeGreaterThan(n.n);
    expect(node.view.decidedEnd).toBe(1);
  });
});

describe("C14", () => {
  test("a Learn that cuts below what this node acknowledged ends its sync and fires no assertion", () => {
    const cluster = electedCluster(3);
    const old = cluster.leader;
    const [neighbour, far] = followersOf(cluster) as [TestNode, TestNode];
    cluster.propose(old.id, "given up");
    cluster.drop(kindIs("accept", neighbour.id));
    cluster.deliver(kindIs("accept", far.id));
    cluster.flush(far.id);
    expect(acceptedBy(cluster, far)).not.toHaveLength(0);
    // Its leader crashes before its own sync, comes back, and follows the neighbour. The far node hears only the old leader.
    cluster.crash(old.id);
    cluster.cut.add(`${neighbour.id}>${far.id}`);
    cluster.cut.add(`${far.id}>${neighbour.id}`);
    cluster.cut.add(`${old.id}>${far.id}`);
    cluster.cut.add(`${far.id}>${old.id}`);
    cluster.restart(old.id);
    cluster.run(10);
    const next = cluster.nodes.find((node) => node !== far && node.view.established)!;
    cluster.propose(next.id, "decided");
    cluster.settle();
    const relay = next === neighbour ? old : neighbour;
    cluster.cut.delete(`${relay.id}>${far.id}`);
    cluster.cut.delete(`${far.id}>${relay.id}`);
    cluster.run(6);
    expect(far.stops).toEqual([]);
    expect(far.logText).toBe("decided");
    expect(far.view).toMatchObject({ phase: "recover", visibleEnd: 2 });
    cluster.cut.clear();
    cluster.run(8);
    expect(far.view.phase).toBe("accept");
  });
});

describe("C15", () => {
  test("the superblock follows the REPLACE: a power cut between them leaves a log that is ahead, and nobody abstains", () => {
    const cluster = electedCluster(3);
    const leader = cluster.leader;
    cluster.propose(leader.id, "a");
    cluster.settle();
    cluster.crash(leader.id);
    for (let tick = 0; tick < 200; tick += 1) {
      for (const node of cluster.nodes) if (node.isUp) cluster.tick(node.id);
      cluster.deliver();
      for (const node of cluster.nodes) {
        const next = node.disk.pending[0];
        if (next?.kind === "replaceGroup") {
          expect(node.disk.pending.filter((effect) => effect.kind === "writeSuperblock")).toEqual([]);
          cluster.flush(node.id, 1);
          const { ballot } = next;
          const after = node.disk.pending[0];
          if (after?.kind !== "writeSuperblock") throw new Error("no superblock after the REPLACE");
          expect(after.state.acceptedBallot).toEqual(ballot);
          cluster.crash(node.id);
          cluster.restart(node.id);
          expect(node.view.acceptedBallot).toEqual(ballot);
          cluster.run(10);
          expect(cluster.leader.logText).toBe("a");
          return;
        }
        cluster.flush(node.id, 1);
      }
    }
    throw new Error("no REPLACE was written");
  });
});

describe("C17", () => {
  test("a sync of a leader that is not established reaches to the end that it was elected with", () => {
    const cluster = electedCluster(3);
    const first = cluster.leader;
    const [holder, empty] = followersOf(cluster) as [TestNode, TestNode];
    // Four entries of 600 KB, more than one message holds: chosen by the leader and one follower, decided nowhere yet.
    const texts = ["a", "b", "c", "d"].map((letter) => letter.repeat(600 * 1024));
    cluster.propose(first.id, ...texts);
    cluster.drop(kindIs("accept", empty.id));
    cluster.deliver(kindIs("accept", holder.id));
    cluster.flush(first.id);
    cluster.flush(holder.id);
    cluster.drop(() => true);
    // The holder is away while the first leader is elected again, with the help of the empty node.
    cluster.crash(holder.id);
    cluster.crash(first.id);
    cluster.tick(empty.id, 32);
    cluster.restart(first.id);
    let sync: Wire[] = [];
    for (let step = 0; step < 400 && !sync.some(kindIs("syncEnd")); step += 1) {
      if (step % 4 === 0) cluster.tick(first.id);
      for (const node of [first, empty]) cluster.flush(node.id);
      sync = cluster.wires.filter(isSyncTo(empty.id));
      if (sync.length === 0) cluster.deliver();
    }
    const slots = sync
      .flatMap(({ message }) => (message.kind === "syncChunk" ? message.entries : []))
      .map(({ slot }) => slot);
    expect(slots).toEqual([1, 2, 3, 4]);
    cluster.run(8);
    for (const node of [first, empty]) expect(node.view.decidedEnd).toBe(5);
    const replace = empty.effects.find((effect) => effect.kind === "replaceGroup" && effect.entries.length > 0);
    if (replace?.kind !== "replaceGroup") throw new Error("the empty node took no REPLACE");
    expect(replace.entries).toHaveLength(4);
  });
});

describe("C18", () => {
  test("a late Promise that shows another decided history makes the leader give its ballot up, not stop", () => {
    const cluster = electedCluster(5);
    const old = cluster.leader;
    const [second, third, fourth, learner] = followersOf(cluster) as [TestNode, TestNode, TestNode, TestNode];
    // The old leader is cut off with an undecided entry. The learner hears one follower only, and no Prepare.
    cluster.isolate(old, [second, third, fourth, learner]);
    cluster.isolate(learner, [third, fourth]);
    cluster.loses = kindIs("prepare", learner.id);
    cluster.propose(old.id, "never decided");
    for (let round = 0; round < 12 && !(third.view.established || fourth.view.established); round += 1) {
      cluster.run(1);
    }
    const next = third.view.established ? third : fourth;
    expect(next.view.established).toBe(true);
    cluster.propose(next.id, "decided");
    cluster.run(6);
    expect(learner.logText).toBe("decided");
    expect(learner.view.promised).toEqual(old.view.promised);
    // The old leader meets the learner, which still follows its ballot.
    cluster.isolate(learner, [second]);
    cluster.loses = () => false;
    cluster.cut.delete(`${old.id}>${learner.id}`);
    cluster.cut.delete(`${learner.id}>${old.id}`);
    cluster.connect(old.id, learner.id);
    cluster.run(4);
    expect(old.stops).toEqual([]);
    cluster.cut.clear();
    cluster.run(10);
    for (const node of cluster.nodes) {
      expect(node.stops).toEqual([]);
      expect(node.logText).toBe("decided");
    }
  });
});

describe("C19", () => {
  test("an answer to the read of an earlier incarnation does not answer a read of the next one", () => {
    const cluster = electedCluster(3);
    const leader = cluster.leader;
    const reader = followersOf(cluster)[0]!;
    cluster.read(reader.id);
    cluster.deliver(kindIs("readIndex"));
    cluster.deliver(kindIs("probe"));
    cluster.deliver(kindIs("probeAck"));
    const [old] = cluster.wires.filter(kindIs("readIndexReply", reader.id));
    expect(old).toBeDefined();
    cluster.crash(reader.id);
    cluster.propose(leader.id, "acknowledged meanwhile");
    cluster.settle();
    cluster.restart(reader.id);
    cluster.run(4);
    // It shows what it has; a new read must see the append, however late the old answer comes.
    cluster.loses = (wire) => wire.to === reader.id && wire.message.kind !== "readIndexReply";
    const read = cluster.read(reader.id);
    cluster.inject(old!);
    cluster.step(reader.id, { kind: "turnEnd" });
    expect(reader.ready).not.toContain(read);
  });
});
