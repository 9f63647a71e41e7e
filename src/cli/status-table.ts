import type { NodeStatus } from "../format/api-codec.ts";
import { showHold } from "./hold.ts";
import { grouped } from "./output.ts";
import type { ClusterStatus, MachineLine, NodeLine } from "./status.ts";
import { type Column, tableLines } from "./table.ts";

const columns: readonly Column[] = [
  { heading: "" },
  { heading: "NODE" },
  { heading: "ADDRESS" },
  { heading: "ROLE" },
  { heading: "PHASE" },
  { heading: "BALLOT" },
  { heading: "TAIL", numeric: true },
  { heading: "BEHIND", numeric: true },
  { heading: "DISK" },
  { heading: "UPTIME", numeric: true },
  { heading: "MEMORY", numeric: true },
  { heading: "PID", numeric: true },
];

/**
 * The cluster as a table: a line for each node, the leader marked with a star, and a last line about the whole. BEHIND counts the
 * entries that the furthest node shows and this one does not yet. Of a node that does not answer nothing but its name and its
 * address is known.
 */
export function statusTable(cluster: ClusterStatus): string[] {
  const furthest = Math.max(...cluster.nodes.map((node) => node.visibleEnd ?? 0));
  const rows = cluster.nodes.map((node) => [
    node.id === cluster.leader ? "*" : "",
    node.id,
    node.address || "-",
    ...(node.reachable ? viewCells(node as NodeLine & NodeStatus, furthest) : unreachableCells),
  ]);
  const nodes = [...tableLines(columns, rows), "", summary(cluster), ...cluster.holds.map(showHold)];
  return [...nodes, ...machineLines(cluster.machines)];
}

const machineColumns: readonly Column[] = [
  { heading: "MACHINE" },
  { heading: "VERSION", numeric: true },
  { heading: "NODE" },
  { heading: "APPLIED", numeric: true },
  { heading: "BEHIND", numeric: true },
  { heading: "SNAPSHOT", numeric: true },
  { heading: "STATE" },
];

/** What nobody used on any node says nothing. */
function machineLines(machines: readonly MachineLine[]): string[] {
  const used = machines.filter(({ state }) => state !== "idle");
  if (used.length === 0) return [];
  const rows = used
    .toSorted((a, b) => (a.name === b.name ? 0 : a.name < b.name ? -1 : 1))
    .map(({ name, version, node, applied, behind, snapshot, state, error, message }) => [
      name,
      String(version),
      node,
      grouped(applied),
      grouped(behind),
      snapshot === 0 ? "-" : grouped(snapshot),
      state === "stopped" ? `stopped: ${message} (${error})` : state,
    ]);
  return ["", ...tableLines(machineColumns, rows)];
}

const unreachableCells = ["unreachable", ...columns.slice(4).map(() => "-")];

function viewCells(view: NodeStatus, furthest: number): string[] {
  return [
    view.role,
    view.phase,
    view.role === "nonvoter" ? "-" : view.ballot,
    grouped(view.tail),
    grouped(furthest - view.visibleEnd),
    view.diskFull ? "FULL" : "ok",
    duration(view.uptimeMs),
    `${grouped(view.memoryBytes / 1024 / 1024)} MiB`,
    String(view.pid),
  ];
}

function summary({ leader, head, tail }: ClusterStatus): string {
  const records = tail === head ? "no records" : `records ${grouped(head)} to ${grouped(tail - 1)}`;
  return `leader ${leader ?? "unknown"}, ${records} (tail ${grouped(tail)})`;
}

const durationUnits = [
  { name: "d", seconds: 86_400 },
  { name: "h", seconds: 3600 },
  { name: "m", seconds: 60 },
  { name: "s", seconds: 1 },
];

/** The two largest units: "3d 4h", "5m 12s", "7s". */
function duration(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  const first = durationUnits.findIndex((unit) => seconds >= unit.seconds);
  if (first < 0) return "0s";
  let rest = seconds;
  return durationUnits
    .slice(first, first + 2)
    .map((unit) => {
      const count = Math.floor(rest / unit.seconds);
      rest -= count * unit.seconds;
      return `${count}${unit.name}`;
    })
    .join(" ");
}
