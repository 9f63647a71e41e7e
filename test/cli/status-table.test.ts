// Goal: the table of `paxlog status` can be read at a glance: aligned, the leader marked, and nothing made up about a node that did
// not answer. Method: the function that makes it, on a status put together here.
import { expect, test } from "vitest";
import { PaxlogError } from "../../src/base/errors.ts";
import { type ClusterStatus, machineLine } from "../../src/cli/status.ts";
import { statusTable } from "../../src/cli/status-table.ts";

const view = {
  leader: "a",
  leaderAddress: "127.0.0.1:7101",
  clusterId: "",
  phase: "accept",
  head: 1,
  acceptedEnd: 0,
  flushedEnd: 0,
  decidedEnd: 0,
  syncs: 0,
  leaderChanges: 1,
  hashing: "native",
  version: "0.1.0",
  entriesAppended: 0,
  logBegin: 1,
  snapshotSlot: 0,
  diskFull: false,
  reachable: true,
} as const;

const cluster: ClusterStatus = {
  leader: "a",
  head: 1,
  tail: 1_234_568,
  holds: [],
  machines: [],
  nodes: [
    {
      ...view,
      id: "a",
      address: "127.0.0.1:7101",
      peerAddress: "127.0.0.1:7201",
      voter: true,
      role: "leader",
      ballot: "1.12.a",
      tail: 1_234_568,
      visibleEnd: 5000,
      uptimeMs: 93_784_000,
      memoryBytes: 200 * 1024 * 1024,
      pid: 42,
    },
    { id: "b", address: "", peerAddress: "127.0.0.1:7202", voter: true, reachable: false },
    {
      ...view,
      id: "node-c",
      address: "127.0.0.1:7103",
      peerAddress: "127.0.0.1:7203",
      voter: true,
      role: "follower",
      ballot: "1.12.a",
      tail: 1,
      visibleEnd: 3000,
      diskFull: true,
      uptimeMs: 312_999,
      memoryBytes: 98.6 * 1024 * 1024,
      pid: 31_337,
    },
  ],
};

test("every node has a line, aligned, and a node that does not answer has no figures", () => {
  expect(statusTable(cluster)).toEqual([
    "   NODE    ADDRESS         ROLE         PHASE   BALLOT       TAIL  BEHIND  DISK  UPTIME   MEMORY    PID",
    "*  a       127.0.0.1:7101  leader       accept  1.12.a  1,234,568       0  ok     1d 2h  200 MiB     42",
    "   b       -               unreachable  -       -               -       -  -          -        -      -",
    "   node-c  127.0.0.1:7103  follower     accept  1.12.a          1   2,000  FULL  5m 12s   99 MiB  31337",
    "",
    "leader a, records 1 to 1,234,567 (tail 1,234,568)",
  ]);
});

test("an empty log without a leader says so", () => {
  const empty = { ...cluster, leader: null, nodes: cluster.nodes.slice(1, 2), tail: 1 };
  expect(statusTable(empty).at(-1)).toBe("leader unknown, no records (tail 1)");
});

test("machines follow, those that somebody used, with why one is stopped", () => {
  const machine = { version: 1, code: "", applied: 1_000, snapshot: 0, busyMs: 0 };
  const stopped = new PaxlogError("MACHINE_DIFFERS", "its state is another one");
  const machines = [
    machineLine("a", 1_000, { ...machine, name: "counters", snapshot: 900 }),
    machineLine("a", 1_000, { ...machine, name: "space", version: 0, applied: 0 }),
    machineLine("b", 1_200, { ...machine, name: "counters", stopped }),
    machineLine("b", 999, { ...machine, name: "bank", version: 2, busyMs: 60_000 }),
  ];
  expect(machines.map(({ state }) => state)).toEqual(["runs", "idle", "stopped", "busy"]);
  expect(statusTable({ ...cluster, machines }).slice(-4)).toEqual([
    "MACHINE   VERSION  NODE  APPLIED  BEHIND  SNAPSHOT  STATE",
    "bank            2  b       1,000       0         -  busy",
    "counters        1  a       1,000       0       900  runs",
    "counters        1  b       1,000     200         -  stopped: its state is another one (MACHINE_DIFFERS)",
  ]);
});
