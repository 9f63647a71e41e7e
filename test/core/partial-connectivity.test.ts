// Goal: whenever some node reaches a quorum both ways, there is an established leader that decides, soon after the last change of
// the links, and it stays (docs/protocol.md, election). Method: every graph of three nodes, directed ones included, and a spread
// of graphs of five, each entered from a running cluster with each node as the leader. PAXLOG_GRAPHS=all runs all 1,024.
import { describe, expect, test } from "vitest";
import { electedCluster, type TestCluster, type TestNode } from "./harness.ts";

type Graph = readonly (readonly boolean[])[];

/** Rounds of T after the last change of the links until an entry must be decided. */
const roundsMax = 5;

function symmetricGraphs(count: number): Graph[] {
  const pairs: [number, number][] = [];
  for (let a = 0; a < count; a += 1) for (let b = a + 1; b < count; b += 1) pairs.push([a, b]);
  return Array.from({ length: 2 ** pairs.length }, (_, bits) => {
    const graph = Array.from({ length: count }, (_, node) =>
      Array.from({ length: count }, (_, other) => node === other),
    );
    pairs.forEach(([a, b], index) => {
      graph[a]![b] = graph[b]![a] = ((bits >> index) & 1) === 1;
    });
    return graph;
  });
}

function directedGraphs(count: number): Graph[] {
  const links = Array.from(
    { length: count * count },
    (_, index) => [Math.floor(index / count), index % count] as const,
  );
  const real = links.filter(([a, b]) => a !== b);
  return Array.from({ length: 2 ** real.length }, (_, bits) => {
    const graph = Array.from({ length: count }, (_, node) =>
      Array.from({ length: count }, (_, other) => node === other),
    );
    real.forEach(([a, b], index) => {
      graph[a]![b] = ((bits >> index) & 1) === 1;
    });
    return graph;
  });
}

/** Nodes that reach a majority both ways, themselves included. */
function quorumConnected(graph: Graph): number[] {
  const quorum = Math.floor(graph.length / 2) + 1;
  const both = (a: number, b: number) => graph[a]![b]! && graph[b]![a]!;
  return graph.flatMap((_, a) => (graph.filter((_, b) => both(a, b)).length >= quorum ? [a + 1] : []));
}

function applyGraph(cluster: TestCluster, graph: Graph): void {
  cluster.cut.clear();
  graph.forEach((row, a) => {
    row.forEach((connected, b) => {
      if (!connected) cluster.cut.add(`${a + 1}>${b + 1}`);
    });
  });
}

/** A running cluster whose leader is a given node. */
function ledBy(count: number, leader: number): TestCluster {
  const cluster = electedCluster(count);
  for (let tries = 0; tries < 20 && cluster.leader.id !== leader; tries += 1) {
    // Everyone but the wanted node loses its links for a while: it alone reaches all and must lead.
    const star = cluster.nodes.map((_, a) =>
      cluster.nodes.map((_, b) => a === b || a + 1 === leader || b + 1 === leader),
    );
    if (tries % 2 === 0) applyGraph(cluster, star);
    else cluster.cut.clear();
    for (const node of cluster.nodes) {
      if (node.id !== leader && node === cluster.leader) {
        for (const other of cluster.nodes) cluster.cut.add(`${node.id}>${other.id}`);
      }
    }
    cluster.run(6);
    cluster.cut.clear();
    cluster.run(4);
  }
  return cluster;
}

function established(cluster: TestCluster): TestNode[] {
  return cluster.nodes.filter((node) => node.view.role === "leader" && node.view.established);
}

/** Whether some established leader decides a new entry now. */
function decides(cluster: TestCluster): boolean {
  return established(cluster).some((node) => {
    const requests = cluster.propose(node.id, `x${cluster.wallMs}`);
    cluster.settle();
    return requests.every((request) => node.answers.get(request)?.kind === "acknowledged");
  });
}

function check(count: number, leader: number, graph: Graph): void {
  const cluster = ledBy(count, leader);
  expect(decides(cluster)).toBe(true);
  applyGraph(cluster, graph);
  const reachable = quorumConnected(graph);
  cluster.run(roundsMax);
  const shown = JSON.stringify(graph.map((row) => row.map(Number)));
  for (const node of cluster.nodes) expect(node.stops, shown).toEqual([]);
  if (reachable.length === 0) return;
  expect(decides(cluster), `no leader decides in ${shown}, entered from ${leader}`).toBe(true);
  // No change afterwards.
  const ballots = established(cluster).map((node) => node.view.ballot.n);
  cluster.run(6);
  expect(
    established(cluster).map((node) => node.view.ballot.n),
    `the leadership moves in ${shown}`,
  ).toEqual(ballots);
  // Healed, everybody is in step again: nobody stays shut out.
  cluster.cut.clear();
  cluster.run(10);
  const ends = cluster.nodes.map((node) => node.view.visibleEnd);
  expect(new Set(ends).size, `visible ends ${ends} after healing ${shown}`).toBe(1);
  expect(cluster.nodes.filter((node) => node.view.phase !== "accept")).toEqual([]);
}

const all = process.env.PAXLOG_GRAPHS === "all";

describe("every directed graph of three nodes", () => {
  for (const leader of [1, 2, 3]) {
    test(`entered from leader ${leader}`, () => {
      for (const graph of directedGraphs(3)) check(3, leader, graph);
    });
  }
});

describe(all ? "every symmetric graph of five nodes" : "every 41st symmetric graph of five nodes", () => {
  for (const leader of [1, 2, 3, 4, 5]) {
    test(
      `entered from leader ${leader}`,
      () => {
        const graphs = symmetricGraphs(5).filter((_, index) => all || index % 41 === leader);
        for (const graph of graphs) check(5, leader, graph);
      },
      all ? 900_000 : 60_000,
    );
  }
});
