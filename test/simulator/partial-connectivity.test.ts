// Networks in which some nodes hear each other and others do not (PROTOCOL 6, RELIABILITY A5). Whenever some node has links both
// ways to a majority, there must be a leader and a decided entry within the bound, and then no change of leader any more.
import { describe, expect, test } from "vitest";
import { defined } from "../../src/base/assert.ts";
import type { Cluster } from "../../src/simulator/cluster.ts";
import type { SimNode } from "../../src/simulator/sim-node.ts";
import { cutBothWays, linkOnly, roundUs, startedCluster, timeToAcknowledge } from "./support.ts";

/** The bound of PROTOCOL 6. */
const boundUs = 5 * roundUs;

/** An append is acknowledged within the bound, and for 15 rounds afterwards nobody takes the lead over. Returns the leader. */
function expectStableLeader(cluster: Cluster): SimNode {
  const tookUs = timeToAcknowledge(cluster, 2 * boundUs);
  expect(tookUs, `no append was acknowledged: ${cluster.describe()}`).toBeDefined();
  expect(tookUs).toBeLessThanOrEqual(boundUs);
  cluster.run(3 * roundUs);
  const electionsBefore = cluster.coverage.of("leaderElected");
  const acknowledgedBefore = cluster.ledger.acknowledged;
  cluster.run(15 * roundUs);
  expect(cluster.coverage.of("leaderElected"), "leaders changed without need").toBe(electionsBefore);
  expect(cluster.ledger.acknowledged).toBeGreaterThan(acknowledgedBefore);
  return defined(cluster.leader, "the leader");
}

/** The leader first, the others behind it. */
function inOrder(cluster: Cluster, leader: SimNode): [SimNode, ...SimNode[]] {
  return [leader, ...cluster.nodes.filter((node) => node !== leader)];
}

describe("quorum loss: the leader keeps one link, and only one other node reaches a majority", () => {
  for (let seed = 1; seed <= 3; seed += 1) {
    test(`that node takes the lead over (seed ${seed})`, () => {
      const cluster = startedCluster({ seed, nodeCount: 5 });
      const [old, center] = inOrder(cluster, defined(cluster.leader, "the leader"));
      linkOnly(cluster, (from, to) => from === center || to === center);
      expect(expectStableLeader(cluster)).toBe(center);
      expect(center).not.toBe(old);
    });
  }
});

describe("constrained election: only a node whose log is behind reaches a majority", () => {
  for (let seed = 1; seed <= 3; seed += 1) {
    test(`it leads, and takes over what it lacks first (seed ${seed})`, () => {
      const cluster = startedCluster({ seed, nodeCount: 5 });
      const [, behind, ...rest] = inOrder(cluster, defined(cluster.leader, "the leader"));
      for (const node of cluster.nodes) if (node !== behind) cutBothWays(cluster, behind!, node);
      cluster.run(5 * roundUs);
      const endBefore = cluster.ledger.end;
      expect(behind!.replica!.view.acceptedEnd).toBeLessThan(endBefore);
      cluster.network.healAll();
      linkOnly(cluster, (from, to) => (from === behind && rest.includes(to)) || (to === behind && rest.includes(from)));
      expect(expectStableLeader(cluster)).toBe(behind);
      expect(behind!.replica!.view.visibleEnd).toBeGreaterThan(endBefore);
    });
  }
});

describe("chain: both ends reach the middle and not each other", () => {
  for (const place of ["at an end", "in the middle"] as const) {
    for (let seed = 1; seed <= 3; seed += 1) {
      test(`a leader ${place} stays, and the far end gets what is decided (seed ${seed})`, () => {
        const cluster = startedCluster({ seed, nodeCount: 3 });
        const leader = defined(cluster.leader, "the leader");
        const [, second, third] = inOrder(cluster, leader);
        if (place === "at an end") cutBothWays(cluster, leader, third!);
        else cutBothWays(cluster, second!, third!);
        expect(expectStableLeader(cluster)).toBe(leader);
        cluster.workload.stop();
        expect(
          cluster.runUntil(
            () => cluster.nodes.every((node) => node.replica!.view.visibleEnd === cluster.ledger.end),
            6 * roundUs,
          ),
        ).toBe(true);
      });
    }
  }

  test("of five nodes: a leader is found from every place in the chain", () => {
    for (let place = 0; place < 5; place += 1) {
      const cluster = startedCluster({ seed: 10 + place, nodeCount: 5 });
      const leader = defined(cluster.leader, "the leader");
      const others = cluster.nodes.filter((node) => node !== leader);
      const chain = [...others.slice(0, place), leader, ...others.slice(place)];
      linkOnly(cluster, (from, to) => Math.abs(chain.indexOf(from) - chain.indexOf(to)) === 1);
      expectStableLeader(cluster);
    }
  });
});

describe("one-way cuts: every directed graph of three nodes", () => {
  const ways = [
    [0, 1],
    [1, 0],
    [0, 2],
    [2, 0],
    [1, 2],
    [2, 1],
  ] as const;
  // The nodes are alike, so the leader is always number 0 here: with all graphs that is every graph from every leader.
  for (let seed = 1; seed <= 1; seed += 1) {
    test(`a leader and a decided entry where a node reaches a quorum, safety everywhere (seed ${seed})`, () => {
      for (let graph = 0; graph < 64; graph += 1) {
        const cluster = startedCluster({ seed: seed * 1000 + graph, nodeCount: 3 });
        const order = inOrder(cluster, defined(cluster.leader, "the leader"));
        const has = (from: number, to: number) =>
          ways.some(([a, b], index) => a === from && b === to && (graph & (1 << index)) !== 0);
        linkOnly(cluster, (from, to) => has(order.indexOf(from), order.indexOf(to)));
        const isLinked = (a: number, b: number) => has(a, b) && has(b, a);
        if (isLinked(0, 1) || isLinked(0, 2) || isLinked(1, 2)) expectStableLeader(cluster);
        else expect(timeToAcknowledge(cluster, boundUs)).toBeUndefined();
        cluster.network.healAll();
        cluster.workload.stop();
        cluster.checkProgress({ acknowledgeUs: 10 * roundUs, convergeUs: 10 * roundUs });
      }
    });
  }
});
