// Goal: a leader whose machines stopped hands its leadership to a node where they take commands, if there is one, and nobody passes it to
// and fro (docs/protocol.md, section 6). Method: clusters whose nodes say how many of their machines take no commands; what an election
// makes of one round of replies.
import { describe, expect, test } from "vitest";
import type { NodeId, Slot } from "../../src/base/types.ts";
import { noBallot, untakenBallot } from "../../src/core/ballot.ts";
import { Election, type RoundInputs } from "../../src/core/election.ts";
import type { HeartbeatReplyMessage } from "../../src/core/message.ts";
import { majorityQuorums } from "../../src/core/quorum.ts";
import { electedCluster, followersOf, type TestCluster } from "./harness.ts";
import { calmRound, staggeredCluster, staggers } from "./rounds.ts";

const ready = { stopped: 0, unready: 0 };
const stopped = { stopped: 1, unready: 1 };
const waiting = { stopped: 0, unready: 1 };

/** How often the leadership moves while everybody takes part in so many rounds. */
function moves(cluster: TestCluster, rounds: number): number {
  let { leader } = cluster;
  let count = 0;
  for (let round = 0; round < rounds; round += 1) {
    cluster.run(1);
    const now = cluster.nodes.find(({ view }) => view.role === "leader" && view.phase === "accept");
    if (now === undefined || now === leader) continue;
    leader = now;
    count += 1;
  }
  return count;
}

test.each(staggers)("a leader whose machine stopped gives way to a node that has it, once (%j)", (offsets) => {
  const cluster = staggeredCluster(offsets);
  const old = cluster.leader;
  const [before] = cluster.propose(old.id, "a");
  cluster.machines.set(old.id, stopped);
  expect(moves(cluster, 40)).toBe(1);
  const { leader } = cluster;
  expect(leader).not.toBe(old);
  expect(old.answers.get(before!)?.kind).toBe("acknowledged");
  const [after] = cluster.propose(leader.id, "b");
  cluster.run(2);
  expect(leader.answers.get(after!)?.kind).toBe("acknowledged");
});

test.each([
  ["where it stopped everywhere", stopped],
  ["where the others' code waits to be activated", waiting],
])("the leader stays %s", (_, others) => {
  const cluster = electedCluster(3);
  for (const { id } of cluster.nodes) cluster.machines.set(id, id === cluster.leader.id ? stopped : others);
  expect(moves(cluster, 40)).toBe(0);
});

test("new code that leads and waits to be activated is not sent away for the old code of the others", () => {
  const cluster = electedCluster(3);
  for (const { id } of cluster.nodes) cluster.machines.set(id, id === cluster.leader.id ? waiting : ready);
  expect(moves(cluster, 40)).toBe(0);
});

test("of five nodes the only one whose machines take commands leads in the end, whoever takes over first, and stays", () => {
  const cluster = electedCluster(5);
  const able = followersOf(cluster)[0]!;
  for (const { id } of cluster.nodes) cluster.machines.set(id, id === able.id ? ready : stopped);
  expect(moves(cluster, 60)).toBeLessThanOrEqual(4);
  expect(cluster.leader).toBe(able);
  expect(moves(cluster, 60)).toBe(0);
});

test("a leader gives way when the follower that it waits for is ready", () => {
  const cluster = electedCluster(3);
  const [follower] = followersOf(cluster);
  for (const { id } of cluster.nodes) cluster.machines.set(id, id === follower!.id ? waiting : stopped);
  expect(moves(cluster, 12)).toBe(0);
  cluster.machines.set(follower!.id, ready);
  moves(cluster, 40);
  expect(cluster.leader).toBe(follower);
});

describe("in one round", () => {
  const peer = 2 as NodeId;
  const inputs: RoundInputs = { ...calmRound, stoppedMachines: 2, synced: new Set([peer]) };

  /** Whether a leader of three stays happy when its only peer says this. */
  function stays(said: Partial<HeartbeatReplyMessage>, given: Partial<RoundInputs> = {}): boolean {
    const election = new Election(1 as NodeId, majorityQuorums(3), noBallot);
    for (const [isFirst, told] of [[true, {}] as const, [false, said] as const]) {
      const { round } = election.startRound(1 as Slot);
      election.onReply(peer, {
        kind: "heartbeatReply",
        round,
        ballot: untakenBallot(peer),
        leader: election.leader,
        happy: !isFirst,
        flushedEnd: 1 as Slot,
        visibleEnd: 1 as Slot,
        oldestSyncMs: 0,
        loopLagMs: 0,
        diskFull: false,
        unreadyMachines: 0,
        clientAddress: "",
        ...told,
      });
      election.endRound(isFirst ? { ...inputs, accepting: false } : { ...inputs, ...given });
    }
    expect(election.leadsOwn).toBe(true);
    return election.happy;
  }

  test("it takes fewer machines that are not ready at a follower in sync than stopped here", () => {
    expect(stays({ unreadyMachines: 1 })).toBe(false);
    expect(stays({ unreadyMachines: 2 })).toBe(true);
    expect(stays({}, { synced: new Set() })).toBe(true);
    expect(stays({}, { stoppedMachines: 0 })).toBe(true);
  });

  test("nobody gives way for machines to a node that would give way for its disk", () => {
    expect(stays({ diskFull: true })).toBe(true);
    expect(stays({ oldestSyncMs: 201 })).toBe(true);
    expect(stays({ loopLagMs: 201 })).toBe(true);
  });
});
