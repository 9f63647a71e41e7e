// Graphs of five nodes, each entered from a leader (RELIABILITY A5): by default a sample of the 1,024 symmetric ones. All of them:
// PAXLOG_SIM_GRAPHS=1024.
import { expect, test } from "vitest";
import { defined } from "../../src/base/assert.ts";
import { linkOnly, roundUs, startedCluster, timeToAcknowledge } from "./support.ts";

const nodeCount = 5;
const graphCount = 2 ** 10;
const sampled = Number(process.env.PAXLOG_SIM_GRAPHS ?? 24);

/** Which nodes a graph links: a bit for each pair. */
function linksOf(graph: number): boolean[][] {
  const links = Array.from({ length: nodeCount }, () => new Array<boolean>(nodeCount).fill(false));
  let bit = 0;
  for (let a = 0; a < nodeCount; a += 1) {
    for (let b = a + 1; b < nodeCount; b += 1) {
      const isLinked = (graph & (1 << bit)) !== 0;
      links[a]![b] = isLinked;
      links[b]![a] = isLinked;
      bit += 1;
    }
  }
  return links;
}

/** The nodes are alike, so the leader is always number 0: with all graphs that is every graph from every leader. */
function checkGraph(graph: number): void {
  const cluster = startedCluster({ seed: graph, nodeCount });
  const leader = defined(cluster.leader, "the leader");
  const order = [leader, ...cluster.nodes.filter((node) => node !== leader)];
  const links = linksOf(graph);
  linkOnly(cluster, (from, to) => links[order.indexOf(from)]![order.indexOf(to)]!);
  const reachesQuorum = links.some((row) => 1 + row.filter(Boolean).length > nodeCount / 2);
  const tookUs = timeToAcknowledge(cluster, 5 * roundUs);
  expect(tookUs !== undefined, `graph ${graph}: ${cluster.describe()}`).toBe(reachesQuorum);
  if (!reachesQuorum) return;

  cluster.run(3 * roundUs);
  const electionsBefore = cluster.coverage.of("leaderElected");
  cluster.run(10 * roundUs);
  expect(cluster.coverage.of("leaderElected"), `graph ${graph}: leaders change without need`).toBe(electionsBefore);
  const place = order.indexOf(defined(cluster.leader, "the leader"));
  for (const [index, node] of order.entries()) {
    if (links[place]![index])
      expect(node.replica!.view.phase, `graph ${graph}: ${node.name} is shut out`).toBe("accept");
  }
}

test(`${sampled} symmetric graphs: a leader within 5 T where a node reaches a quorum, then calm, nobody shut out`, {
  timeout: 600_000,
}, () => {
  // A step that has no factor in common with the number of graphs comes by all of them.
  for (let i = 0; i < sampled; i += 1) checkGraph((i * 21 + 11) % graphCount);
});
