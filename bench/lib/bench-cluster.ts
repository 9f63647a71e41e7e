import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { LocalCluster } from "#src/cli/local-cluster";
import { connect } from "#src/client/connect";
import type { ConnectOptions, Log } from "#src/client/log";
import type { NodeStatus } from "#src/format/api-codec";
import { machineCpuSeconds, ownCpuSeconds, type ProcessUsage, processUsage } from "./process-usage.ts";

export interface NodeSample {
  readonly status: NodeStatus;
  /** Undefined where the system does not say. */
  readonly usage: ProcessUsage | undefined;
}

export interface ClusterSample {
  readonly atMs: number;
  readonly nodes: readonly NodeSample[];
  /** Of this process, which makes the load: CPU seconds. */
  readonly loadCpuSeconds: number;
  /** Of the whole machine. */
  readonly machineCpuSeconds: number;
}

/** What one node did between two samples. */
export interface NodeWork {
  readonly id: string;
  readonly role: string;
  readonly pid: number;
  readonly syncs: number;
  readonly leaderChanges: number;
  /** CPU seconds in a second; -1 where the system does not say, as in the fields below. */
  readonly cpu: number;
  readonly sleepsPerSecond: number;
  readonly residentMebibytes: number;
  readonly residentMebibytesPeak: number;
  readonly writtenMegabytesPerSecond: number;
}

export interface ClusterWork {
  readonly seconds: number;
  readonly nodes: readonly NodeWork[];
  /** CPU seconds in a second: of this process, and of everything on the machine that is neither it nor a node. */
  readonly loadCpu: number;
  readonly othersCpu: number;
}

/** Node processes on this machine in a directory of their own, which is removed with them. Nobody else appends there. */
export class BenchCluster {
  readonly #local: LocalCluster;
  readonly #dir: string;
  /** For questions; loads bring clients of their own. */
  readonly #log: Log;

  private constructor(local: LocalCluster, dir: string, log: Log) {
    this.#local = local;
    this.#dir = dir;
    this.#log = log;
  }

  static async start(parentDir: string, nodes: number): Promise<BenchCluster> {
    const dir = mkdtempSync(join(parentDir, "paxlog-bench-"));
    const local = await LocalCluster.open({ dir, nodes, stderr: "keep" });
    try {
      await Promise.all(local.nodes.map((node) => local.start(node)));
      const log = await connect(local.clientAddresses);
      const cluster = new BenchCluster(local, dir, log);
      // A cluster that leads has chosen, and the choosing is not what is measured.
      await log.tail();
      return cluster;
    } catch (cause) {
      await local.stop();
      rmSync(dir, { recursive: true, force: true });
      throw cause;
    }
  }

  get addresses(): readonly string[] {
    return this.#local.nodes.map((node) => node.clientAddress);
  }

  connect(options: ConnectOptions = {}, addresses: readonly string[] = this.addresses): Promise<Log> {
    return connect(addresses, options);
  }

  /** The next position, linearizable. */
  async tail(): Promise<number> {
    return (await this.#log.tail()).tail;
  }

  async statuses(): Promise<NodeStatus[]> {
    return await Promise.all(this.addresses.map((address) => this.#log.status({ address })));
  }

  async leader(): Promise<NodeStatus> {
    const deadline = performance.now() + 10_000;
    for (;;) {
      const leader = (await this.statuses()).find(({ role, phase }) => role === "leader" && phase === "accept");
      if (leader !== undefined) return leader;
      if (performance.now() > deadline) throw new Error("the cluster has had no leader for 10 seconds");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Client addresses: the leader's, and those of the others. */
  async roles(): Promise<{ readonly leader: string; readonly followers: readonly string[] }> {
    const { id } = await this.leader();
    const leader = this.#local.node(id).clientAddress;
    return { leader, followers: this.addresses.filter((address) => address !== leader) };
  }

  async sample(): Promise<ClusterSample> {
    const statuses = await this.statuses();
    return {
      atMs: performance.now(),
      nodes: statuses.map((status) => ({ status, usage: processUsage(status.pid) })),
      loadCpuSeconds: ownCpuSeconds(),
      machineCpuSeconds: machineCpuSeconds(),
    };
  }

  async stop(): Promise<void> {
    await this.#log.close();
    await this.#local.stop();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

/** Throws where a node began anew in between: then the figures are of two processes. */
export function workBetween(before: ClusterSample, after: ClusterSample): ClusterWork {
  const seconds = (after.atMs - before.atMs) / 1000;
  const nodes = after.nodes.map((node, index) => nodeWork(before.nodes[index]!, node, seconds));
  const loadCpu = (after.loadCpuSeconds - before.loadCpuSeconds) / seconds;
  const machineCpu = (after.machineCpuSeconds - before.machineCpuSeconds) / seconds;
  const othersCpu = machineCpu - loadCpu - nodes.reduce((sum, { cpu }) => sum + Math.max(0, cpu), 0);
  return { seconds, nodes, loadCpu, othersCpu };
}

function nodeWork(before: NodeSample, after: NodeSample, seconds: number): NodeWork {
  const { status, usage } = after;
  if (status.pid !== before.status.pid) throw new Error(`node ${status.id} was started again during the measurement`);
  const perSecond = (of: (usage: ProcessUsage) => number) =>
    usage === undefined || before.usage === undefined ? -1 : (of(usage) - of(before.usage)) / seconds;
  return {
    id: status.id,
    role: status.role,
    pid: status.pid,
    syncs: status.syncs - before.status.syncs,
    leaderChanges: status.leaderChanges - before.status.leaderChanges,
    cpu: perSecond((figures) => figures.cpuSeconds),
    sleepsPerSecond: perSecond((figures) => figures.sleeps),
    residentMebibytes: usage === undefined ? -1 : usage.residentBytes / 1_048_576,
    residentMebibytesPeak: usage === undefined ? -1 : usage.residentBytesPeak / 1_048_576,
    writtenMegabytesPerSecond: perSecond((figures) => figures.bytesWritten) / 1e6,
  };
}

export const leaderOf = (work: ClusterWork): NodeWork | undefined => work.nodes.find(({ role }) => role === "leader");
export const followersOf = (work: ClusterWork): readonly NodeWork[] =>
  work.nodes.filter(({ role }) => role !== "leader");
