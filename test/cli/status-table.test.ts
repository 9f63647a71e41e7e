// Goal: the table of `paxlog status` can be read at a glance: aligned, the leader marked, and nothing made up about a node that did
// not answer. Method: the function that makes it, on a status put together here.
import { expect, test } from "vitest";
import type { ClusterStatus } from "../../src/cli/status.ts";
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
