// Goal: the everyday life of a cluster, message by message. Method: real replicas over the harness.
import { describe, expect, test } from "vitest";
import { electedCluster, kindIs, TestCluster } from "./harness.ts";

describe("a single node", () => {
  test("makes its own genesis, leads at once and answers when its own disk has the append", () => {
    const cluster = new TestCluster(1);
    cluster.run(2);
    expect(cluster.node(1).view).toMatchObject({ role: "leader", phase: "accept", established: true, started: true });
    const [request] = cluster.propose(1, "a");
    expect(cluster.node(1).answers.has(request!)).toBe(false);
    cluster.flush(1);
    expect(cluster.node(1).answers.get(request!)).toMatchObject({
      kind: "acknowledged",
      firstPosition: 1,
      recordCount: 1,
    });
    expect(cluster.node(1).view.visibleEnd).toBe(2);
  });

  test("goes on with its log after a crash, under a larger ballot", () => {
    const cluster = new TestCluster(1);
    cluster.run(2);
    cluster.propose(1, "a");
    cluster.flush(1);
    const before = cluster.node(1).view.ballot;
    cluster.propose(1, "lost");
    cluster.crash(1);
    cluster.restart(1);
    cluster.run(2);
    expect(cluster.node(1).logText).toBe("a");
    expect(cluster.node(1).view.ballot.n).toBeGreaterThan(before.n);
    expect(cluster.node(1).view.visibleEnd).toBe(2);
  });
});

describe("three nodes", () => {
  test("elect one leader and replicate: decided when a majority has it durable, shown everywhere", () => {
    const cluster = electedCluster(3);
    const leader = cluster.leader;
    const requests = cluster.propose(leader.id, "a", "b", "c");
    cluster.settle();
    expect(requests.map((request) => leader.answers.get(request)?.kind)).toEqual(Array(3).fill("acknowledged"));
    for (const node of cluster.nodes) {
      expect(node.logText).toBe("a b c");
      expect(node.view.visibleEnd).toBe(4);
      expect(node.stops).toEqual([]);
    }
  });

  test("an append is not answered while only the leader's disk has it", () => {
    const cluster = electedCluster(3);
    const leader = cluster.leader;
    const [request] = cluster.propose(leader.id, "a");
    cluster.flush(leader.id);
    expect(leader.answers.has(request!)).toBe(false);
  });

  test("an append is answered while the leader's own disk is still busy, but not shown there (P5)", () => {
    const cluster = electedCluster(3);
    const leader = cluster.leader;
    const [request] = cluster.propose(leader.id, "a");
    cluster.deliver(kindIs("accept"));
    for (const node of cluster.nodes) if (node !== leader) cluster.flush(node.id);
    cluster.deliver(kindIs("accepted"));
    expect(leader.answers.get(request!)?.kind).toBe("acknowledged");
    expect(leader.view.visibleEnd).toBe(1);
    cluster.settle();
    expect(leader.view.visibleEnd).toBe(2);
  });

  test("one Accept, the same object, goes to all followers of a turn", () => {
    const cluster = electedCluster(3);
    const leader = cluster.leader;
    leader.takeEffects();
    cluster.propose(leader.id, "a", "b");
    const sends = leader.takeEffects().filter((effect) => effect.kind === "send" && effect.message.kind === "accept");
    expect(sends).toHaveLength(1);
    expect(sends[0]).toMatchObject({ to: cluster.nodes.filter((node) => node !== leader).map((node) => node.id) });
  });

  test("the leader dies: another takes over, keeps what was acknowledged, and a restart of the first brings it back in step", () => {
    const cluster = electedCluster(3);
    const first = cluster.leader;
    const [request] = cluster.propose(first.id, "a");
    cluster.settle();
    expect(first.answers.get(request!)?.kind).toBe("acknowledged");
    cluster.crash(first.id);
    cluster.run(8);
    const second = cluster.leader;
    expect(second.id).not.toBe(first.id);
    cluster.propose(second.id, "b");
    cluster.settle();
    cluster.restart(first.id);
    cluster.run(8);
    for (const node of cluster.nodes) expect(node.logText).toBe("a b");
    expect(cluster.nodes.map((node) => node.view.visibleEnd)).toEqual([3, 3, 3]);
  });

  test("nodes that start together do not stand against each other, whatever the time on the way", () => {
    for (const count of [3, 5]) {
      const cluster = electedCluster(count);
      for (const { id } of cluster.nodes) cluster.crash(id);
      for (const { id } of cluster.nodes) cluster.restart(id);
      // Everything takes a tick: what a node begins the others hear of when their own tick has passed.
      for (let tick = 0; tick < 6 * 8; tick += 1) {
        cluster.wallMs += 25;
        for (const node of cluster.nodes) cluster.tick(node.id);
        for (const node of cluster.nodes) cluster.flush(node.id);
        cluster.deliver();
      }
      expect(cluster.nodes.filter((node) => node.view.ballot.n > 0).map(({ id }) => id)).toEqual([1]);
      expect(cluster.node(1).view.established).toBe(true);
    }
  });

  test("survivors whose rounds are staggered do not depose a leader that has just begun", () => {
    const cluster = electedCluster(5);
    const first = cluster.leader;
    cluster.crash(first.id);
    const survivors = cluster.nodes.filter((node) => node !== first);
    // Each is two ticks behind the one before: rounds end one after another, judged by replies of before the takeover.
    survivors.forEach((node, index) => {
      cluster.tick(node.id, index * 2);
    });
    let changes = 0;
    let leader: unknown;
    for (let tick = 0; tick < 12 * 8; tick += 1) {
      for (const node of survivors) {
        cluster.tick(node.id);
        cluster.settle();
        const leading = survivors.filter((survivor) => survivor.view.established);
        if (leading.length === 1 && leading[0] !== leader) {
          changes += 1;
          leader = leading[0];
        }
      }
    }
    expect(changes).toBe(1);
  });

  test("a deposed leader answers unknown, never ok, and its unreplicated entry is replaced", () => {
    const cluster = electedCluster(3);
    const old = cluster.leader;
    const others = cluster.nodes.filter((node) => node !== old);
    cluster.isolate(old, others);
    const [request] = cluster.propose(old.id, "lonely");
    cluster.run(8);
    const next = others.find((node) => node.view.established)!;
    cluster.propose(next.id, "won");
    cluster.settle();
    cluster.cut.clear();
    cluster.run(8);
    expect(old.answers.get(request!)).toEqual({ kind: "failed", code: "LEADER_LOST", outcome: "unknown" });
    for (const node of cluster.nodes) expect(node.logText).toBe("won");
  });

  test("a follower refuses proposals with nothing written", () => {
    const cluster = electedCluster(3);
    const follower = cluster.nodes.find((node) => node !== cluster.leader)!;
    const [request] = cluster.propose(follower.id, "a");
    expect(follower.answers.get(request!)).toEqual({ kind: "failed", code: "NOT_LEADER", outcome: "none" });
  });

  test("a lost Accept is noticed and healed", () => {
    const cluster = electedCluster(3);
    const leader = cluster.leader;
    const victim = cluster.nodes.find((node) => node !== leader)!;
    cluster.propose(leader.id, "a");
    cluster.drop(kindIs("accept", victim.id));
    cluster.settle();
    expect(victim.logText).toBe("");
    cluster.propose(leader.id, "b");
    cluster.settle();
    expect(victim.logText).toBe("a b");
  });

  test("a lost last Accept is healed although nothing follows it", () => {
    const cluster = electedCluster(3);
    const leader = cluster.leader;
    const victim = cluster.nodes.find((node) => node !== leader)!;
    cluster.propose(leader.id, "a");
    cluster.drop(kindIs("accept", victim.id));
    cluster.run(8);
    expect(victim.logText).toBe("a");
    expect(victim.view.visibleEnd).toBe(2);
  });
});

describe("linearizable reads", () => {
  test("are answered by a leader only after a majority confirmed its ballot", () => {
    const cluster = electedCluster(3);
    const leader = cluster.leader;
    const read = cluster.read(leader.id);
    expect(leader.ready).toEqual([]);
    cluster.deliver(kindIs("probe"));
    cluster.deliver(kindIs("probeAck"));
    expect(leader.ready).toEqual([read]);
  });

  test("a leader that is cut off answers none, and finishes them once another leads", () => {
    const cluster = electedCluster(3);
    const old = cluster.leader;
    const others = cluster.nodes.filter((node) => node !== old);
    cluster.isolate(old, others);
    const read = cluster.read(old.id);
    cluster.run(8);
    expect(old.ready).toEqual([]);
    const next = others.find((node) => node.view.established)!;
    cluster.propose(next.id, "a");
    cluster.settle();
    cluster.cut.clear();
    cluster.run(8);
    expect(old.ready).toEqual([read]);
    expect(old.view.visibleEnd).toBe(2);
  });

  test("a follower asks the leader, and answers when it shows what the leader had decided", () => {
    const cluster = electedCluster(3);
    const leader = cluster.leader;
    const follower = cluster.nodes.find((node) => node !== leader)!;
    cluster.propose(leader.id, "a");
    cluster.deliver(kindIs("accept"));
    for (const node of cluster.nodes) cluster.flush(node.id);
    cluster.deliver(kindIs("accepted"));
    cluster.drop(kindIs("decide", follower.id));
    const read = cluster.read(follower.id);
    cluster.deliver(kindIs("readIndex"));
    cluster.deliver(kindIs("probe"));
    cluster.deliver(kindIs("probeAck"));
    cluster.deliver(kindIs("readIndexReply"));
    expect(follower.view.visibleEnd).toBe(1);
    expect(follower.ready).toEqual([]);
    cluster.run(2);
    expect(follower.ready).toEqual([read]);
  });

  test("an acknowledgement of an old probe proves nothing for a new one", () => {
    const cluster = electedCluster(3);
    const leader = cluster.leader;
    cluster.read(leader.id);
    cluster.deliver(kindIs("probe"));
    const acks = cluster.wires.filter(kindIs("probeAck"));
    cluster.deliver(kindIs("probeAck"));
    const count = leader.ready.length;
    cluster.read(leader.id);
    for (const wire of acks) cluster.inject(wire);
    expect(leader.ready).toHaveLength(count);
  });
});
