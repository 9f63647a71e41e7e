// Goal: a cluster begins once, with all its members, and knows them by their directories. Method: real replicas, by hand.
import { describe, expect, test } from "vitest";
import { electedCluster, kindIs, TestCluster } from "./harness.ts";

describe("genesis", () => {
  test("waits for all configured members, not for a quorum", () => {
    const cluster = new TestCluster(3);
    cluster.connect(1, 2);
    cluster.connect(2, 1);
    cluster.run(5);
    expect(cluster.nodes.map((node) => node.view.missing)).toEqual([[3], [3], [1, 2]]);
    expect(cluster.nodes.map((node) => node.disk.state.genesis)).toEqual([undefined, undefined, undefined]);
    cluster.connectAll();
    cluster.run(6);
    expect(new Set(cluster.nodes.map((node) => node.view.clusterId)).size).toBe(1);
    expect(cluster.leader.view.started).toBe(true);
    expect(cluster.leader.view.missing).toEqual([]);
  });

  test("is durable at its maker before it is sent, and at each member before it is acknowledged", () => {
    const cluster = new TestCluster(3);
    cluster.connectAll();
    expect(cluster.wires.filter(kindIs("genesis"))).toEqual([]);
    cluster.flush(1);
    expect(cluster.wires.filter(kindIs("genesis"))).toHaveLength(2);
    cluster.deliver(kindIs("genesis"));
    expect(cluster.wires.filter(kindIs("genesisAck"))).toEqual([]);
    cluster.flush(2);
    expect(cluster.wires.filter(kindIs("genesisAck"))).toHaveLength(1);
  });

  test("nobody promises or heartbeats before the start is durable", () => {
    const cluster = new TestCluster(3);
    cluster.connectAll();
    cluster.flush(1);
    cluster.deliver(kindIs("genesis"));
    cluster.flush(2);
    cluster.deliver(kindIs("genesisAck"));
    for (let tick = 0; tick < 40; tick += 1) for (const node of cluster.nodes) cluster.tick(node.id);
    expect(cluster.wires.filter(kindIs("heartbeat"))).toEqual([]);
    expect(cluster.nodes.map((node) => node.view.promised.n)).toEqual([0, 0, 0]);
  });

  test("goes on after a crash of its maker half way", () => {
    const cluster = new TestCluster(3);
    cluster.connectAll();
    cluster.flush(1);
    cluster.deliver(kindIs("genesis", 2));
    cluster.flush(2);
    cluster.crash(1);
    cluster.restart(1);
    cluster.run(6);
    expect(cluster.leader.view.started).toBe(true);
    expect(new Set(cluster.nodes.map((node) => node.view.clusterId)).size).toBe(1);
  });

  test("of a single node goes on after a crash between the genesis and the start", () => {
    const cluster = new TestCluster(1);
    cluster.tick(1);
    cluster.flush(1, 1);
    expect(cluster.node(1).disk.state).toMatchObject({ started: false });
    expect(cluster.node(1).disk.state.genesis).toBeDefined();
    cluster.crash(1);
    cluster.restart(1);
    cluster.run(3);
    expect(cluster.node(1).view).toMatchObject({ started: true, role: "leader", established: true });
  });

  test("a lost Started is made good by the first heartbeat", () => {
    const cluster = new TestCluster(3);
    cluster.connectAll();
    for (let round = 0; round < 6; round += 1) {
      cluster.flush(1);
      cluster.flush(2);
      cluster.flush(3);
      cluster.drop(kindIs("started"));
      cluster.deliver();
    }
    expect(cluster.node(2).view.started).toBe(false);
    cluster.run(6);
    expect(cluster.nodes.map((node) => node.view.started)).toEqual([true, true, true]);
  });
});

describe("identity", () => {
  test("a wiped member is refused by name and stops; the others go on", () => {
    const cluster = electedCluster(3);
    const victim = cluster.nodes.find((node) => node !== cluster.leader)!;
    cluster.crash(victim.id);
    victim.disk.wipe();
    cluster.restart(victim.id);
    const refusals = cluster.nodes.flatMap((node) => node.effects.filter((effect) => effect.kind === "refuse"));
    expect(refusals.length).toBeGreaterThan(0);
    const refusal = refusals[0]!;
    expect(refusal.message.code).toBe("NODE_REPLACED");
    const from = cluster.leader.id;
    cluster.inject({ from, to: victim.id, stream: refusal.stream, message: refusal.message });
    expect(victim.stops.join()).toContain("NODE_REPLACED");
    cluster.propose(cluster.leader.id, "a");
    cluster.settle();
    expect(cluster.leader.view.visibleEnd).toBe(2);
    expect(victim.view.promised.n).toBe(0);
  });

  test("a node with a foreign directory is refused by name; one refusal does not stop a started node, two of two do", () => {
    const cluster = electedCluster(3);
    const c = cluster.node(3);
    const refused = {
      kind: "refused",
      code: "FOREIGN_CLUSTER",
      reason: "its directory belongs to another cluster",
    } as const;
    cluster.inject({ from: cluster.node(1).id, to: c.id, stream: 1, message: refused });
    expect(c.stops).toEqual([]);
    cluster.inject({ from: cluster.node(2).id, to: c.id, stream: 2, message: refused });
    expect(c.stops.join()).toContain("FOREIGN_CLUSTER");
  });

  test("a node with a foreign directory stops also if the others' refusals are lost", () => {
    const cluster = electedCluster(3);
    const node = cluster.node(3);
    for (const peer of [1, 2]) {
      const hello = { ...cluster.node(peer).replica.hello(), clusterId: "cd".repeat(16) as never };
      cluster.inject({ from: cluster.node(peer).id, to: node.id, stream: 90 + peer, message: hello });
      expect(node.stops.length > 0).toBe(peer === 2);
    }
    expect(node.stops.join()).toContain("FOREIGN_CLUSTER");
  });

  test("an older copy of a directory, put back, is refused", () => {
    const cluster = electedCluster(3);
    const victim = cluster.nodes.find((node) => node !== cluster.leader)!;
    cluster.crash(victim.id);
    victim.disk.incarnation = 0;
    cluster.restart(victim.id);
    cluster.crash(victim.id);
    cluster.restart(victim.id);
    cluster.crash(victim.id);
    victim.disk.incarnation = 0;
    for (const node of cluster.nodes) node.takeEffects();
    cluster.restart(victim.id);
    const codes = cluster.nodes.flatMap((node) => node.effects.filter((effect) => effect.kind === "refuse"));
    expect(codes.map((effect) => effect.message.code)).toContain("OLD_INCARNATION");
  });

  test("a node that was told other members is refused by both sides", () => {
    const cluster = new TestCluster(3);
    const hello = { ...cluster.node(2).replica.hello(), names: ["n1", "n2", "n4"] };
    cluster.inject({ from: cluster.node(2).id, to: cluster.node(1).id, stream: 9, message: hello });
    const refusal = cluster.node(1).effects.find((effect) => effect.kind === "refuse");
    expect(refusal?.message.code).toBe("CLUSTER_MISMATCH");
  });
});
