// Goal: the leadership moves away from a disk that is full, to one that is not, and nobody fills what keeps the cluster alive
// (docs/protocol.md, section 6; rule "full").
import { expect, test } from "vitest";
import { electedCluster } from "./harness.ts";
import { staggeredCluster, staggers } from "./rounds.ts";

test.each(staggers)("a leader whose disk is full gives way to a follower that has room, once (%j)", (offsets) => {
  const cluster = staggeredCluster(offsets);
  const full = cluster.leader;
  const [before] = cluster.propose(full.id, "a");
  cluster.diskFull.add(full.id);
  cluster.tick(full.id);
  expect(full.replica.diskRoom).toBe("elsewhere");
  cluster.run(12);
  const next = cluster.leader;
  expect(next).not.toBe(full);
  expect(full.answers.get(before!)?.kind).toBe("acknowledged");
  const [after] = cluster.propose(next.id, "b");
  cluster.run(30);
  expect(next.answers.get(after!)?.kind).toBe("acknowledged");
  expect(cluster.leader).toBe(next);
  expect(next.replica.diskRoom).toBe("enough");
  expect(full.logText).toBe("a b");
});

test("where all disks are full the leader stays, for reads, votes and trims, and has no room for more", () => {
  const cluster = electedCluster(3);
  const { leader } = cluster;
  for (const node of cluster.nodes) cluster.diskFull.add(node.id);
  cluster.run(20);
  expect(cluster.leader).toBe(leader);
  expect(leader.replica.diskRoom).toBe("none");
  cluster.diskFull.clear();
  cluster.run(2);
  expect(leader.replica.diskRoom).toBe("enough");
});

test("a leader with room stops appends when only a minority has any, and goes on with one full follower", () => {
  const cluster = electedCluster(3);
  const { leader } = cluster;
  const [one, other] = cluster.nodes.filter((node) => node !== leader);
  cluster.diskFull.add(one!.id);
  cluster.run(12);
  expect(leader.replica.diskRoom).toBe("enough");
  cluster.diskFull.add(other!.id);
  cluster.run(12);
  expect(cluster.leader).toBe(leader);
  expect(leader.replica.diskRoom).toBe("none");
  // Without the other one, what is appended would be on the full disk.
  cluster.diskFull.delete(other!.id);
  cluster.crash(other!.id);
  cluster.run(12);
  expect(leader.replica.diskRoom).toBe("none");
});

test("a full node still leads where nobody else can", () => {
  const cluster = electedCluster(3);
  const dead = cluster.leader;
  const [full, other] = cluster.nodes.filter((node) => node !== dead);
  cluster.diskFull.add(full!.id);
  cluster.diskFull.add(other!.id);
  cluster.crash(dead.id);
  cluster.run(12);
  expect(cluster.leader).not.toBe(dead);
});

/** The one node goes on into its reserve, while the leader appends. */
function followerInReserve() {
  const cluster = electedCluster(3);
  const { leader } = cluster;
  const [full, other] = cluster.nodes.filter((node) => node !== leader);
  cluster.propose(leader.id, "a");
  cluster.run(2);
  cluster.diskFull.add(full!.id);
  cluster.inReserve.add(full!.id);
  cluster.run(2);
  return { cluster, leader, full: full!, other: other! };
}

test("a follower in its reserve takes no more entries while the others are enough, and votes and takes them when it is needed", () => {
  const { cluster, leader, full, other } = followerInReserve();
  for (const value of ["b", "c"]) {
    const [request] = cluster.propose(leader.id, value);
    cluster.run(2);
    expect(leader.answers.get(request!)?.kind).toBe("acknowledged");
  }
  expect([full.logText, other.logText]).toEqual(["a", "a b c"]);
  cluster.crash(leader.id);
  cluster.run(12);
  // Nobody else could vote, and what it lacks is little: it is needed.
  expect(cluster.leader).toBe(other);
  expect([other.replica.diskRoom, full.logText]).toEqual(["none", "a b c"]);
});

test("a follower that refused entries catches up by itself as soon as it has room", () => {
  const { cluster, leader, full } = followerInReserve();
  for (let count = 0; count < 30; count += 1) {
    cluster.propose(leader.id, "b");
    cluster.run(1);
  }
  expect(full.logText).toBe("a");
  cluster.diskFull.clear();
  cluster.inReserve.clear();
  cluster.run(4);
  expect(full.logText).toBe(leader.logText);
});

test("a follower in its reserve that is needed takes what the leader orders then: it can only be what makes room", () => {
  const { cluster, leader, full, other } = followerInReserve();
  cluster.inReserve.clear();
  cluster.crash(other.id);
  cluster.run(12);
  cluster.inReserve.add(full.id);
  cluster.run(2);
  expect(leader.replica.diskRoom).toBe("none");
  const [request] = cluster.propose(leader.id, "b");
  cluster.run(2);
  expect(leader.answers.get(request!)?.kind).toBe("acknowledged");
  expect(full.logText).toBe("a b");
});
