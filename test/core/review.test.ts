// Goal: holes that a review of the core found stay closed: states that nothing left, and memory that nothing bounded.
// Method: the shortest script that showed each, on the real core.
import { describe, expect, test } from "vitest";
import { electedCluster, type TestCluster, type TestNode } from "./harness.ts";

function followersOf(cluster: TestCluster): TestNode[] {
  const leader = cluster.leader;
  return cluster.nodes.filter((node) => node !== leader);
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
});
