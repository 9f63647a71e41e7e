// A node that follows and never votes: it joins by dialing, is fed, serves reads through the leader, and nothing waits for it.
import { describe, expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import type { NodeId, Slot } from "../../src/base/types.ts";
import type { Message } from "../../src/core/message.ts";
import { electedCluster, followersOf, kindIs, TestCluster, type TestNode } from "./harness.ts";

const nonvoter = 4;

/** Three voters in step, one nonvoter beside them. */
function watchedCluster(): { readonly cluster: TestCluster; readonly watcher: TestNode } {
  const cluster = electedCluster(3, 1);
  cluster.run(2);
  return { cluster, watcher: cluster.node(nonvoter) };
}

function append(cluster: TestCluster, ...texts: string[]): void {
  cluster.propose(cluster.leader.id, ...texts);
  cluster.settle();
}

/** The member that feeds it: the only one whose pushes it answers. */
function sourceOf(cluster: TestCluster): TestNode {
  let source = 0;
  cluster.loses = ({ from, message }) => {
    if (message.kind === "entries") source = from;
    return false;
  };
  append(cluster, "who pushes");
  cluster.loses = () => false;
  return cluster.node(source);
}

describe("joining", () => {
  test("a nonvoter takes over the cluster's genesis, and shows what was appended before and after it came", () => {
    const cluster = electedCluster(3, 1);
    append(cluster, "one", "two");
    cluster.run(2);
    append(cluster, "three");

    const watcher = cluster.node(nonvoter);
    expect(watcher.view).toMatchObject({ role: "nonvoter", phase: "follow", started: true, nodeId: 0 });
    expect(watcher.view.clusterId).toBe(cluster.leader.view.clusterId);
    expect(watcher.view.visibleEnd).toBe(4);
    expect(watcher.logText).toBe("one two three");
    expect(watcher.disk.state).toMatchObject({ started: true, promised: { n: 0 }, genesis: { nodeId: 0 } });
  });

  test("it waits for a cluster that has not started, and is no part of its genesis", () => {
    const cluster = new TestCluster(3, 1);
    for (const id of [1, 2, nonvoter]) for (const to of [1, 2]) if (id !== to) cluster.connect(id, to);
    cluster.run(4);
    expect(cluster.node(nonvoter).view.started).toBe(false);
    expect(cluster.node(1).view.clusterId).toBe("");

    cluster.connectAll();
    cluster.run(6);
    expect(cluster.node(nonvoter).view).toMatchObject({ started: true, role: "nonvoter" });
    expect(cluster.node(1).disk.state.genesis?.members).toHaveLength(3);
  });

  test("members list it, with how far it is, while it is connected", () => {
    const { cluster, watcher } = watchedCluster();
    append(cluster, "one");
    cluster.run(2);
    for (const id of [1, 2, 3]) {
      expect(cluster.node(id).view.nonvoters).toEqual([{ name: "n4", clientAddress: "n4:2", visibleEnd: 2 }]);
    }
    cluster.crash(nonvoter);
    for (const id of [1, 2, 3]) expect(cluster.node(id).view.nonvoters).toEqual([]);
    expect(watcher.stops).toEqual([]);
  });

  test("one of another cluster, or with another list of members, is refused, and stops no member", () => {
    const { cluster, watcher } = watchedCluster();
    const member = cluster.node(1);
    for (const change of [{ clusterId: "f".repeat(32) }, { names: ["n1", "n2"] }, { protocolVersion: 9 }]) {
      const message = { ...watcher.replica.hello(), ...change } as Message;
      member.takeEffects();
      cluster.step(1, { kind: "receive", from: 77 as NodeId, stream: 900, message });
      expect(member.takeEffects()).toContainEqual(expect.objectContaining({ kind: "refuse", to: 77 }));
    }
    expect(member.stops).toEqual([]);
    expect(member.view.nonvoters).toHaveLength(1);
  });
});

describe("not voting", () => {
  test("it is never asked to promise or accept, and no majority is reached with its help", () => {
    const { cluster } = watchedCluster();
    const { leader } = cluster;
    const asked: string[] = [];
    cluster.loses = ({ to, message }) => {
      if (to === nonvoter && message.kind !== "heartbeatReply") asked.push(message.kind);
      return false;
    };
    append(cluster, "one");
    expect(new Set(asked)).toEqual(new Set(["entries"]));

    for (const follower of followersOf(cluster).filter(({ id }) => id !== nonvoter)) cluster.crash(follower.id);
    const [requestId] = cluster.propose(leader.id, "two");
    cluster.run(3);
    expect(leader.answers.has(requestId!)).toBe(false);
    expect(leader.view.decidedEnd).toBe(2);
  });

  test("votes in its name are not looked at", () => {
    const { cluster, watcher } = watchedCluster();
    const { leader } = cluster;
    for (const follower of followersOf(cluster).filter(({ id }) => id !== nonvoter)) cluster.crash(follower.id);
    const [requestId] = cluster.propose(leader.id, "one");
    cluster.flush(leader.id);
    const n = leader.view.promised;
    const { replica } = leader;
    const hash = replica.log.hashBefore(2 as Slot)!;
    const said: Message[] = [
      { kind: "accepted", n, syncId: 1, matchedEnd: 2 as Slot, hash },
      { kind: "accepted", n, syncId: 2, matchedEnd: 2 as Slot, hash },
      { kind: "probeAck", n, probeId: 1 },
      { kind: "prepare", n: { ...n, n: n.n + 5 }, decidedEnd: 1 as Slot, acceptedBallot: n, acceptedEnd: 2 as Slot },
      { kind: "fetch", requestId: 9, fromSlot: 1 as Slot, prevHash: hash, n },
    ];
    leader.takeEffects();
    for (const message of said) cluster.inject({ from: watcher.id, to: leader.id, stream: 900, message });
    cluster.settle();
    expect(leader.answers.has(requestId!)).toBe(false);
    expect(leader.view).toMatchObject({ role: "leader", decidedEnd: 1, promised: n });
    expect(leader.takeEffects().filter(({ kind }) => kind === "send")).toEqual([]);
  });

  test("it never stands for a ballot, however long there is no leader", () => {
    const { cluster, watcher } = watchedCluster();
    for (const id of [1, 2, 3]) cluster.crash(id);
    cluster.run(10);
    expect(watcher.view).toMatchObject({ role: "nonvoter", leader: undefined, ballot: { n: 0 } });
  });

  test("a frozen nonvoter holds up nobody, and is sent only so much", () => {
    const { cluster, watcher } = watchedCluster();
    const sent = [0, 0, 0, 0];
    cluster.loses = ({ from, to, message }) => {
      if (message.kind === "entries" && to === nonvoter) {
        sent[from]! += message.entries.reduce((bytes, entry) => bytes + entry.bytes.length, 0);
      }
      return to === nonvoter;
    };
    const large = "x".repeat(limits.messageEntryBytes);
    for (let count = 0; count < 12; count += 1) append(cluster, large);
    expect(cluster.leader.view.decidedEnd).toBe(13);
    expect(Math.max(...sent)).toBeLessThanOrEqual(limits.feedBytes + large.length);
    expect(watcher.view.visibleEnd).toBe(1);
  });
});

describe("being fed", () => {
  test("what becomes visible is pushed in the same turn by one member, not by the leader", () => {
    const { cluster, watcher } = watchedCluster();
    const source = sourceOf(cluster);
    expect(source).not.toBe(cluster.leader);
    expect(cluster.wires.filter(kindIs("fetch"))).toEqual([]);
    expect(watcher.logText).toBe("who pushes");
  });

  test("shown is only what is durable here", () => {
    const { cluster, watcher } = watchedCluster();
    cluster.propose(cluster.leader.id, "one");
    for (let round = 0; round < 20; round += 1) {
      for (const id of [1, 2, 3]) cluster.flush(id);
      cluster.deliver();
    }
    expect(watcher.view).toMatchObject({ decidedEnd: 2, visibleEnd: 1 });
    cluster.flush(nonvoter);
    expect(watcher.view.visibleEnd).toBe(2);
  });

  test("a push that is lost is made good by a fetch", () => {
    const { cluster, watcher } = watchedCluster();
    cluster.loses = ({ to, message }) => to === nonvoter && message.kind === "entries";
    append(cluster, "one");
    cluster.loses = () => false;
    append(cluster, "two");
    cluster.settle();
    expect(watcher.logText).toBe("one two");
  });

  test("a lost push behind which nothing comes is made good within a few rounds", () => {
    const { cluster, watcher } = watchedCluster();
    cluster.loses = ({ to, message }) => to === nonvoter && message.kind === "entries";
    append(cluster, "one");
    cluster.loses = () => false;
    cluster.run(9);
    expect(watcher.logText).toBe("one");
  });

  test("when its source dies it goes on with another one", () => {
    const { cluster, watcher } = watchedCluster();
    cluster.crash(sourceOf(cluster).id);
    cluster.run(6);
    append(cluster, "two");
    expect(watcher.logText).toBe("who pushes two");
    expect(watcher.view.phase).toBe("follow");
  });

  test("one that was away fetches what is not in memory any more, then is fed", () => {
    const { cluster, watcher } = watchedCluster();
    append(cluster, "one");
    cluster.crash(nonvoter);
    const large = "x".repeat(2 * limits.messageEntryBytes);
    for (let count = 0; count < 40; count += 1) append(cluster, large);
    expect(cluster.leader.replica.log.memoryBegin).toBeGreaterThan(5);

    cluster.restart(nonvoter);
    cluster.run(4);
    expect(watcher.view).toMatchObject({ phase: "follow", visibleEnd: 42 });
    append(cluster, "last");
    expect(watcher.view.visibleEnd).toBe(43);
    expect(watcher.disk.log.map((entry) => entry.hash)).toEqual(cluster.leader.disk.log.map((entry) => entry.hash));
  });

  test("it sees nothing of an entry that its source holds and nobody decided", () => {
    const { cluster, watcher } = watchedCluster();
    const { leader } = cluster;
    cluster.loses = ({ message }) => message.kind === "accepted";
    append(cluster, "undecided");
    expect(leader.view.acceptedEnd).toBe(2);
    expect(watcher.view.acceptedEnd).toBe(1);
    cluster.loses = () => false;
  });
});

describe("reading", () => {
  test("a linearizable read waits for the leader's word, and for what lies below it", () => {
    const { cluster, watcher } = watchedCluster();
    cluster.loses = ({ to, message }) => to === nonvoter && message.kind === "entries";
    append(cluster, "one");
    const requestId = cluster.read(nonvoter);
    cluster.settle();
    expect(watcher.ready).toEqual([]);
    cluster.loses = () => false;
    cluster.run(9);
    expect(watcher.ready).toEqual([requestId]);
    expect(watcher.logText).toBe("one");
  });

  test("proposals are refused with nothing done", () => {
    const { cluster, watcher } = watchedCluster();
    const [requestId] = cluster.propose(nonvoter, "one");
    expect(watcher.answers.get(requestId!)).toEqual({ kind: "failed", code: "NOT_LEADER", outcome: "none" });
  });
});
