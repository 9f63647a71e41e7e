import { limits } from "../../src/base/limits.ts";
import { loadHashing } from "../../src/native/hashing.ts";
import { fromMs } from "../../src/simulator/clock.ts";
import { Cluster, type ClusterOptions } from "../../src/simulator/cluster.ts";
import type { SimNode } from "../../src/simulator/sim-node.ts";
import type { WorkloadPlan } from "../../src/simulator/workload.ts";

export const hashing = await loadHashing();

/** T of the protocol, in virtual microseconds. */
export const roundUs = fromMs(limits.roundMs);

export const lightLoad: WorkloadPlan = {
  visitMeanUs: fromMs(30),
  burstMax: 2,
  waitingMax: 100,
  readRate: 0.2,
  largeRate: 0,
  largeBytesMax: 1,
  largeBytesTotal: 0,
};

/** A cluster without faults, with a leader and some history. Clients go on. */
export function startedCluster(
  options: { readonly seed: number; readonly nodeCount: number } & Partial<ClusterOptions>,
): Cluster {
  const cluster = new Cluster({ hashing, workload: lightLoad, ...options });
  for (const node of cluster.nodes) node.start();
  cluster.workload.start();
  const isReady = cluster.runUntil(() => cluster.ledger.acknowledged >= 20, fromMs(5000));
  if (!isReady) throw new Error(`the cluster does not start: ${cluster.describe()}`);
  return cluster;
}

export function cutBothWays(cluster: Cluster, a: SimNode, b: SimNode): void {
  cluster.network.cut(a.id, b.id);
  cluster.network.cut(b.id, a.id);
}

/** Leaves only the links of which `isLinked` says so, one direction at a time. */
export function linkOnly(cluster: Cluster, isLinked: (from: SimNode, to: SimNode) => boolean): void {
  for (const from of cluster.nodes) {
    for (const to of cluster.nodes) if (from !== to && !isLinked(from, to)) cluster.network.cut(from.id, to.id);
  }
}

/** Time until an append that begins now is acknowledged; undefined if none is within the limit. Clients try every node. */
export function timeToAcknowledge(cluster: Cluster, limitUs: number): number | undefined {
  const beginUs = cluster.clock.nowUs;
  const firstNew = cluster.workload.lastRequest + 1;
  let isTrying = true;
  const attempt = (): void => {
    if (!isTrying) return;
    for (const node of cluster.live) cluster.workload.append(node);
    cluster.clock.after(fromMs(5), attempt);
  };
  attempt();
  const isDone = cluster.runUntil(() => cluster.workload.lastAcknowledged >= firstNew, limitUs);
  isTrying = false;
  return isDone ? cluster.clock.nowUs - beginUs : undefined;
}
