// Followers and leaders that are far from each other: what the swarm rarely meets because its runs are short.
import { expect, test } from "vitest";
import { defined } from "../../src/base/assert.ts";
import { limits } from "../../src/base/limits.ts";
import { fromMs } from "../../src/simulator/clock.ts";
import type { Cluster } from "../../src/simulator/cluster.ts";
import type { SimNode } from "../../src/simulator/sim-node.ts";
import { cutBothWays, lightLoad, roundUs, startedCluster } from "./support.ts";

/** Appends at the leader until the history is so many slots longer. */
function appendMany(cluster: Cluster, count: number): void {
  const end = cluster.ledger.end + count;
  for (let i = 0; cluster.ledger.end < end && i < 200; i += 1) {
    const leader = defined(cluster.leader, "the leader");
    for (let j = 0; j < 50; j += 1) cluster.workload.append(leader);
    cluster.run(fromMs(20));
  }
  expect(cluster.ledger.end).toBeGreaterThanOrEqual(end);
}

function followerOf(cluster: Cluster): SimNode {
  return defined(
    cluster.nodes.find((node) => node !== cluster.leader),
    "a follower",
  );
}

function finish(cluster: Cluster): void {
  cluster.workload.stop();
  cluster.checkProgress({ acknowledgeUs: 10 * roundUs, convergeUs: 20 * roundUs });
  cluster.checkDisks();
}

test("a follower that is more than a window behind is brought in step", () => {
  const cluster = startedCluster({ seed: 1, nodeCount: 3 });
  const follower = followerOf(cluster);
  for (const node of cluster.nodes) if (node !== follower) cutBothWays(cluster, node, follower);
  appendMany(cluster, limits.windowSlots + 500);
  cluster.network.healAll();
  finish(cluster);
  expect(cluster.coverage.of("followerFarBehind")).toBeGreaterThan(0);
});

test("a follower is taught from segments what the others have no more in memory", () => {
  const cluster = startedCluster({ seed: 2, nodeCount: 3 });
  const follower = followerOf(cluster);
  follower.crash();
  appendMany(cluster, 200);
  // A restarted node holds in memory only what is undecided.
  for (const node of cluster.live) {
    node.crash();
    node.start();
  }
  follower.start();
  finish(cluster);
  expect(cluster.coverage.of("entriesFromSegments")).toBeGreaterThan(0);
});

test("a sync that no message can hold comes in several, and is one REPLACE", () => {
  const workload = { ...lightLoad, largeRate: 1, largeBytesMax: 300_000, largeBytesTotal: 20_000_000 };
  const cluster = startedCluster({ seed: 3, nodeCount: 5, workload });
  const old = defined(cluster.leader, "the leader");
  const [heir, away, ...others] = cluster.nodes.filter((node) => node !== old);
  cluster.workload.stop();
  // The old leader and one follower hold what no quorum has.
  for (const node of [away!, ...others]) {
    cutBothWays(cluster, old, node);
    cutBothWays(cluster, heir!, node);
  }
  for (let i = 0; i < 30; i += 1) cluster.workload.append(old);
  cluster.run(fromMs(100));
  expect(heir!.replica!.view.acceptedEnd).toBeGreaterThan(cluster.ledger.end + 20);
  // Only with that follower there is a quorum: its log is chosen, and the others get all of it before they count.
  old.crash();
  away!.crash();
  cluster.network.healAll();
  cluster.checkProgress({ acknowledgeUs: 10 * roundUs, convergeUs: 20 * roundUs });
  expect(cluster.coverage.of("syncOfManyChunks")).toBeGreaterThan(0);
  old.start();
  away!.start();
  finish(cluster);
});

test("a leader that is cut off takes no more than its window, and gives it up to the next leader when it is back", () => {
  const cluster = startedCluster({ seed: 4, nodeCount: 3 });
  const old = defined(cluster.leader, "the leader");
  for (const node of cluster.nodes) if (node !== old) cutBothWays(cluster, old, node);
  for (let i = 0; i < 2 * limits.windowSlots; i += 1) cluster.workload.append(old);
  cluster.run(3 * roundUs);
  const { acceptedEnd, decidedEnd } = old.replica!.view;
  expect(acceptedEnd - decidedEnd).toBe(limits.windowSlots);
  cluster.run(7 * roundUs);
  cluster.network.healAll();
  finish(cluster);
  expect(cluster.coverage.of("append.LEADER_LOST")).toBeGreaterThan(0);
  expect(cluster.coverage.of("replaceThatCuts")).toBeGreaterThan(0);
});
