import { Command } from "commander";
import { type PaxlogError, toPaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Hold, Log } from "../client/log.ts";
import type { NodeStatus } from "../format/api-codec.ts";
import type { MachineStatus } from "../format/machine-status.ts";
import { addressList } from "./arguments.ts";
import { exitCodes } from "./exit-codes.ts";
import { Output } from "./output.ts";
import { statusTable } from "./status-table.ts";

interface StatusCommandOptions {
  readonly to: string;
  readonly json?: true;
}

/** Whoever asks for the status wants to know soon that nobody answers. */
const statusMsMax = 3_000;

export function statusCommand(): Command {
  return new Command("status")
    .description("show the nodes of a cluster, and who leads")
    .requiredOption("--to <addresses>", "client addresses of the nodes: HOST:PORT,...", addressList)
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
Asks every node that it can find for its own view, and marks the leader with a star. BEHIND: entries that the furthest node
shows and this one does not yet. With --json the last line is {"leader": ID or null, "nodes": [...], "head", "tail"}; a node
that did not answer has "reachable": false. Machines that somebody used follow, of each node: BEHIND counts records that the node shows
and the machine has not passed yet. With --json they are in "machines", those that nobody used as "idle".

Examples:
  $ paxlog status --to 127.0.0.1:7101,127.0.0.1:7102,127.0.0.1:7103
  $ paxlog status --to 127.0.0.1:7101 --json | jq -r .leader`,
    )
    .action(async (options: StatusCommandOptions) => {
      process.exitCode = await showStatus(options, new Output(options.json === true));
    });
}

async function showStatus(options: StatusCommandOptions, output: Output): Promise<number> {
  const { connect } = await import("../client/connect.ts");
  const log = await connect(options.to, { deadlineMs: statusMsMax });
  try {
    const cluster = await clusterStatus(log, options.to.split(","));
    if (output.json) output.result({ ...cluster }, "");
    else for (const line of statusTable(cluster)) output.write(line);
    return exitCodes.ok;
  } finally {
    await log.close();
  }
}

/** One node: its own view if it answered, otherwise what the others know of it. */
export interface NodeLine {
  readonly id: string;
  readonly reachable: boolean;
  readonly address: string;
  readonly peerAddress: string;
  readonly voter: boolean;
  readonly view?: NodeStatus;
}

/** One machine on one node. */
export interface MachineLine {
  readonly node: string;
  readonly name: string;
  readonly version: number;
  /** Every command below it is applied. */
  readonly applied: number;
  /** Records that the node shows and the machine has not passed yet. */
  readonly behind: number;
  /** Of its newest snapshot on the node; 0: none. */
  readonly snapshot: number;
  /** "busy": at one command for longer than is good. "idle": nobody needed it on that node yet. */
  readonly state: "runs" | "busy" | "stopped" | "idle";
  /** Why it is stopped: code and text of the error. */
  readonly error?: string;
  readonly message?: string;
}

export interface ClusterStatus {
  readonly leader: string | null;
  readonly nodes: readonly (Omit<NodeLine, "view"> & Partial<NodeStatus>)[];
  readonly head: number;
  readonly tail: number;
  readonly holds: readonly Hold[];
  readonly machines: readonly MachineLine[];
}

/**
 * Asks the nodes at these addresses, and those that they name.
 * @throws PaxlogError of the last node, if none answers.
 */
export async function clusterStatus(log: Log, addresses: readonly string[]): Promise<ClusterStatus> {
  const views = new Map<string, NodeStatus>();
  const asked = new Set<string>();
  let error: PaxlogError | undefined;
  for (let next: readonly string[] = addresses; next.length > 0; next = unasked(views, asked)) {
    for (const address of next) asked.add(address);
    const answers = await Promise.allSettled(next.map((address) => log.status({ address })));
    for (const answer of answers) {
      if (answer.status === "fulfilled") views.set(answer.value.id, answer.value);
      else error = toPaxlogError(answer.reason);
    }
  }
  if (views.size === 0 && error !== undefined) throw error;
  const all = [...views.values()];
  const lines = linesOf(all).map(({ view, ...line }) => ({ ...withoutNodes(view), ...line }));
  // What the furthest node shows is decided, so it is the log's.
  const { head, tail, holds } = all.reduce((a, b) => (b.visibleEnd > a.visibleEnd ? b : a));
  const machines = (await Promise.all(all.map((view) => machinesOf(log, view)))).flat();
  return { leader: leaderOf(all), nodes: lines, head, tail, holds, machines };
}

/** Of one node; none where it does not say, or its address is not known. */
async function machinesOf(log: Log, { id, tail, nodes }: NodeStatus): Promise<MachineLine[]> {
  const address = nodes.find((node) => node.id === id)?.clientAddress ?? "";
  if (address === "") return [];
  const found = await log.machines({ address }).catch((): readonly MachineStatus[] => []);
  return found.map((machine) => machineLine(id, tail, machine));
}

export function machineLine(node: string, tail: number, machine: MachineStatus): MachineLine {
  const { name, version, applied, snapshot, stopped, busyMs } = machine;
  const isIdle = version === 0 && stopped === undefined;
  const isBusy = busyMs >= limits.machineBusyMs;
  return {
    node,
    name,
    version,
    applied,
    // The node went on between its two answers: what it shows now is no less than what the machine has.
    behind: isIdle ? 0 : Math.max(0, tail - applied),
    snapshot,
    state: stopped !== undefined ? "stopped" : isIdle ? "idle" : isBusy ? "busy" : "runs",
    ...(stopped === undefined ? {} : { error: stopped.code, message: stopped.message }),
  };
}

/** A leader in office, or else whom a majority of those that answered follow. */
function leaderOf(views: readonly NodeStatus[]): string | null {
  const inOffice = views.find((view) => view.role === "leader" && view.phase === "accept" && view.leader === view.id);
  if (inOffice !== undefined) return inOffice.id;
  const named = views.map((view) => view.leader).filter((id) => id !== "");
  return named.find((id) => named.filter((other) => other === id).length * 2 > views.length) ?? null;
}

function unasked(views: ReadonlyMap<string, NodeStatus>, asked: ReadonlySet<string>): string[] {
  const known = [...views.values()].flatMap((view) => view.nodes.map((node) => node.clientAddress));
  return [...new Set(known)].filter((address) => address !== "" && !asked.has(address));
}

function linesOf(views: readonly NodeStatus[]): NodeLine[] {
  const members = new Map<string, NodeLine>();
  for (const view of views) {
    for (const node of view.nodes) {
      const before = members.get(node.id);
      members.set(node.id, {
        id: node.id,
        reachable: false,
        address: node.clientAddress === "" ? (before?.address ?? "") : node.clientAddress,
        peerAddress: node.peerAddress,
        voter: node.voter,
      });
    }
  }
  for (const view of views) members.set(view.id, { ...members.get(view.id)!, reachable: true, view });
  return [...members.values()].sort((a, b) => Number(b.voter) - Number(a.voter) || (a.id < b.id ? -1 : 1));
}

function withoutNodes(view: NodeStatus | undefined): Partial<NodeStatus> {
  if (view === undefined) return {};
  const { nodes: _, holds: __, ...rest } = view;
  return rest;
}
