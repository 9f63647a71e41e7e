// Trims and snapshots: what the log lets go of, and how a node that lacks it gets along (docs/protocol.md, section 11).
import { describe, expect, test } from "vitest";
import type { Position, Slot } from "../../src/base/types.ts";
import { electedCluster, followersOf, type TestCluster, type TestNode } from "./harness.ts";

/** Appends so many records, one a slot, and comes to rest. */
function append(cluster: TestCluster, ...texts: string[]): void {
  cluster.propose(cluster.leader.id, ...texts);
  cluster.settle();
}

/** Trims to the record of this text at the leader, and lets the log order its snapshot. */
function trim(cluster: TestCluster, text: string): void {
  const { leader } = cluster;
  const entry = leader.disk.log.find(({ bytes }) => Buffer.from(bytes).toString() === text)!;
  cluster.proposeControl(leader.id, { kind: "trim", to: { position: entry.firstPosition, slot: entry.slot } });
  cluster.settle();
  cluster.run(3);
}

const heads = (cluster: TestCluster): number[] =>
  cluster.nodes.map((node) => (node.isUp ? node.view.retained.head.position : 0));
const begins = (cluster: TestCluster): number[] => cluster.nodes.map((node) => (node.isUp ? node.view.logBegin : 0));
/** Batches that are on this disk. */
const records = (node: TestNode): string[] =>
  node.disk.log.filter(({ kind }) => kind === "batch").map(({ bytes }) => Buffer.from(bytes).toString());

describe("a trim", () => {
  test("moves the head on every node, has the log make a snapshot, and lets go of what is below both", () => {
    const cluster = electedCluster(3);
    append(cluster, "a", "b", "c", "d");
    trim(cluster, "c");
    expect(heads(cluster)).toEqual([3, 3, 3]);
    expect(begins(cluster)).toEqual([3, 3, 3]);
    const roots = new Set(cluster.nodes.map((node) => node.disk.snapshot?.rootHash));
    expect(roots.size).toBe(1);
    expect(cluster.nodes.map((node) => node.view.retained.snapshot?.rootHash)).toEqual([...roots, ...roots, ...roots]);
    for (const node of cluster.nodes) expect(records(node)).toEqual(["c", "d"]);
  });

  test("lets go of nothing before the own snapshot is durable (P9)", () => {
    const cluster = electedCluster(3);
    append(cluster, "a", "b", "c");
    const { leader } = cluster;
    const to = { position: 3 as Position, slot: 3 as Slot };
    cluster.proposeControl(leader.id, { kind: "trim", to });
    cluster.settle();
    expect(heads(cluster)).toEqual([3, 3, 3]);
    expect(begins(cluster)).toEqual([1, 1, 1]);
  });

  test("stops at a hold, and goes on when it has expired in log time", () => {
    const cluster = electedCluster(3);
    append(cluster, "a", "b", "c");
    const { leader } = cluster;
    const at = { position: 2 as Position, slot: 2 as Slot };
    cluster.proposeControl(leader.id, { kind: "putHold", name: "h", owner: "o", at, ttlMs: 5_000 });
    const to = { position: 3 as Position, slot: 3 as Slot };
    const held = cluster.proposeControl(leader.id, { kind: "trim", to });
    cluster.settle();
    expect(leader.answers.get(held)).toMatchObject({ kind: "trimmed", head: 2, hold: { name: "h" } });
    cluster.wallMs += 6_000;
    cluster.run(2);
    expect(cluster.nodes.map((node) => node.view.retained.holds)).toEqual([[], [], []]);
    const request = cluster.proposeControl(leader.id, { kind: "trim", to });
    cluster.settle();
    expect(leader.answers.get(request)).toEqual({ kind: "trimmed", head: 3, hold: undefined });
    expect(heads(cluster)).toEqual([3, 3, 3]);
  });
});

describe("a node that was away while the log was trimmed", () => {
  function trimmedWithoutOne(): { cluster: TestCluster; away: TestNode; session: number } {
    const cluster = electedCluster(3);
    const session = cluster.openSession(cluster.leader.id, 60_000);
    append(cluster, "a", "b");
    cluster.proposeGuarded(cluster.leader.id, "once", { session: { id: session, serial: 1 } });
    cluster.settle();
    const away = followersOf(cluster)[0]!;
    cluster.crash(away.id);
    cluster.run(3);
    append(cluster, "c", "d", "e");
    trim(cluster, "d");
    // The others hold in memory what their disks let go of: after a restart they do not.
    for (const node of cluster.nodes) {
      if (node === away) continue;
      cluster.crash(node.id);
      cluster.restart(node.id);
    }
    cluster.run(6);
    append(cluster, "f");
    return { cluster, away, session };
  }

  test("gets the snapshot and what follows, and is a node like any other then", () => {
    const { cluster, away, session } = trimmedWithoutOne();
    cluster.restart(away.id);
    cluster.run(8);
    expect(away.stops).toEqual([]);
    expect(records(away)).toEqual(["d", "e", "f"]);
    expect(heads(cluster)).toEqual([5, 5, 5]);
    expect(away.view.visibleEnd).toBe(cluster.leader.view.visibleEnd);
    cluster.crash(followersOf(cluster).find((node) => node !== away)!.id);
    append(cluster, "g");
    cluster.restart(cluster.nodes.find((node) => !node.isUp)!.id);
    cluster.run(4);
    // It leads, and knows what was answered long before it came back.
    cluster.crash(cluster.leader.id);
    cluster.run(8);
    const request = cluster.proposeGuarded(cluster.leader.id, "once", { session: { id: session, serial: 1 } });
    cluster.settle();
    expect(cluster.leader.answers.get(request)).toMatchObject({ kind: "acknowledged", firstPosition: 3 });
  });

  test("goes on with the chunks that it has after a restart", () => {
    const { cluster, away } = trimmedWithoutOne();
    cluster.loses = ({ message }) => message.kind === "snapshotChunk" && message.chunk === 1;
    cluster.restart(away.id);
    cluster.run(4);
    expect([...away.disk.received.values()]).toEqual([1]);
    cluster.crash(away.id);
    const asked: number[] = [];
    cluster.loses = ({ message }) => {
      if (message.kind === "snapshotFetch") asked.push(message.chunk);
      return false;
    };
    cluster.restart(away.id);
    cluster.run(8);
    expect(asked).toEqual([1]);
    expect(records(away)).toEqual(["d", "e", "f"]);
  });

  test("promises nothing between the snapshot and the entries below it, also after a restart", () => {
    const { cluster, away } = trimmedWithoutOne();
    let promises = 0;
    cluster.loses = ({ from, to, message }) => {
      const isInstalled = away.disk.begin.slot > 1;
      if (from === away.id && message.kind === "promise" && isInstalled) promises += 1;
      return to === away.id && message.kind === "entries";
    };
    cluster.restart(away.id);
    cluster.run(6);
    expect(away.disk.begin.slot).toBeGreaterThan(1);
    expect(away.view.visibleEnd).toBe(away.disk.begin.slot);
    // To readers it is empty: what it had is gone, and what it gets begins further up.
    expect(away.view.retained.head.position).toBe(3);
    cluster.crash(away.id);
    cluster.restart(away.id);
    cluster.run(4);
    expect(promises).toBe(0);
    expect(away.view.phase).toBe("recover");
    cluster.loses = () => false;
    cluster.run(8);
    expect(away.view.phase).toBe("accept");
    expect(away.view.visibleEnd).toBe(cluster.leader.view.visibleEnd);
  });

  test("shows a head that never moves back (C26), when it restarts with a part of the entries below the snapshot", () => {
    const { cluster, away } = trimmedWithoutOne();
    let answers = 0;
    cluster.entriesMax = 1;
    cluster.loses = ({ to, message }) => {
      if (to !== away.id || message.kind !== "entries" || away.disk.begin.slot === 1) return false;
      answers += 1;
      return answers > 2;
    };
    cluster.restart(away.id);
    cluster.run(6);
    expect(away.disk.log.length).toBeGreaterThan(0);
    expect(away.view.visibleEnd).toBeLessThan(away.view.snapshotSlot);
    cluster.crash(away.id);
    cluster.restart(away.id);
    cluster.loses = () => false;
    const shown = [away.view.retained.head.position];
    for (let round = 0; round < 8; round += 1) {
      cluster.run(1);
      shown.push(away.view.retained.head.position);
    }
    expect(away.view.visibleEnd).toBe(cluster.leader.view.visibleEnd);
    expect(shown.at(-1)).toBe(5);
    expect(shown).toEqual([...shown].sort((a, b) => a - b));
  });

  test("never shows a head below what it got, though its snapshot is from before the last trim", () => {
    const { cluster, away } = trimmedWithoutOne();
    trim(cluster, "e");
    for (const node of cluster.nodes) {
      if (node === away) continue;
      cluster.crash(node.id);
      cluster.restart(node.id);
    }
    cluster.run(6);
    append(cluster, ...Array.from({ length: 8 }, (_, index) => `g${index}`));
    cluster.entriesMax = 1;
    cluster.restart(away.id);
    let [answers, wasBetween] = [0, false];
    cluster.loses = ({ to, message }) => {
      if (to !== away.id || message.kind !== "entries" || away.disk.begin.slot === 1) return false;
      answers += 1;
      return answers > 1;
    };
    for (let round = 0; round < 60; round += 1) {
      answers = 0;
      cluster.run(1);
      const { retained, logBegin, visibleEnd, snapshotSlot } = away.view;
      if (logBegin === 1 || visibleEnd < snapshotSlot) continue;
      wasBetween ||= visibleEnd < cluster.leader.view.visibleEnd;
      expect(retained.head.slot).toBeGreaterThanOrEqual(logBegin);
    }
    expect(wasBetween).toBe(true);
    expect(away.view.visibleEnd).toBe(cluster.leader.view.visibleEnd);
  });

  test("does not take the lead for long that it cannot bear: it gives way to one that has the log", () => {
    const { cluster, away } = trimmedWithoutOne();
    const old = cluster.leader;
    cluster.restart(away.id);
    // Nobody else stands: what it took over it must give up, since the chosen log begins behind what it has.
    cluster.crash(old.id);
    cluster.run(12);
    expect(cluster.leader).not.toBe(away);
    append(cluster, "g");
    expect(records(away)).toEqual(["d", "e", "f", "g"]);
  });

  test("keeps its log where that goes on at the place where the other one begins", () => {
    const cluster = electedCluster(3);
    append(cluster, "a", "b", "c");
    const away = followersOf(cluster)[0]!;
    // It holds d and e, and nobody told it that they are decided.
    cluster.loses = ({ to, message }) => to === away.id && (message.kind === "decide" || message.kind === "heartbeat");
    cluster.propose(cluster.leader.id, "d", "e");
    cluster.settle();
    cluster.crash(away.id);
    cluster.loses = () => false;
    const { end } = { end: away.disk.log.length };
    expect(records(away)).toEqual(["a", "b", "c", "d", "e"]);
    trim(cluster, "e");
    cluster.restart(away.id);
    cluster.run(6);
    expect(away.disk.received.size).toBe(0);
    expect(away.disk.log.length + away.disk.begin.slot).toBeGreaterThan(end);
    expect(away.view.visibleEnd).toBe(cluster.leader.view.visibleEnd);
    expect(heads(cluster)).toEqual([5, 5, 5]);
  });
});

describe("a replica whose snapshot differs", () => {
  test("stops by name when the log says what it must be", () => {
    const cluster = electedCluster(3);
    append(cluster, "a", "b", "c");
    const odd = followersOf(cluster)[0]!;
    odd.spoils = true;
    trim(cluster, "b");
    expect(odd.stops.map((stop) => stop.split(":")[0])).toEqual(["STATE_DIVERGED"]);
    for (const node of cluster.nodes) if (node !== odd) expect(node.stops).toEqual([]);
  });
});
