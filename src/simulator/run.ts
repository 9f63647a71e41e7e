import { limits } from "../base/limits.ts";
import { fromMs } from "./clock.ts";
import { Cluster, type ClusterOptions } from "./cluster.ts";
import type { Coverage } from "./coverage.ts";
import { Faults } from "./faults.ts";
import { LogClients } from "./log-clients.ts";
import { drawPlan } from "./plan.ts";
import { Random } from "./random.ts";
import { calmNetwork } from "./sim-network.ts";
import type { SimNode } from "./sim-node.ts";

/** The seed says everything else; the rest is for tests of the checks themselves. */
export type RunOptions = Pick<
  ClusterOptions,
  "seed" | "hashing" | "watch" | "makeReplica" | "wrapDisk" | "outcomesOnly"
>;

export interface RunReport {
  readonly seed: number;
  /** Equal for two runs of one seed. */
  readonly traceHash: string;
  readonly virtualMs: number;
  readonly steps: number;
  readonly coverage: Coverage;
}

/** A run that broke a promise: what, in which seed, and what happened last. */
export class RunFailure extends Error {
  override readonly name = "RunFailure";
  readonly seed: number;

  constructor(seed: number, cluster: Cluster, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const last = cluster.trace.last().join("\n  ");
    super(
      `seed ${seed}, step ${cluster.steps}, ${cluster.clock.nowUs / 1000} ms: ${reason}\n  ${last}\n  ${cluster.describe()}`,
      { cause },
    );
    this.seed = seed;
  }
}

/**
 * Bounds after the last fault. An end notices a dead stream within 500 ms and dials again within 300 ms; a node that comes back
 * opens its directory and joins within 20 ms; an election takes 5 T at most; then the nodes are brought in step.
 */
const progressBounds = { acknowledgeUs: fromMs(10 * limits.roundMs + 1000), convergeUs: fromMs(20 * limits.roundMs) };

/** One seed, one run: faults strike a cluster under load, then they end and it must make progress. */
export function runSeed(options: RunOptions): RunReport {
  const { seed } = options;
  const plan = drawPlan(new Random(seed).fork());
  let faults: Faults | undefined;
  const cluster = new Cluster({
    ...plan,
    ...options,
    onCrash: (node) => faults?.restartLater(node),
  });
  const { clock, network, nodes, coverage, trace, random } = cluster;
  const { ledger, desk } = cluster;
  faults = new Faults({ clock, random: random.fork(), network, nodes, plan, coverage, trace, ledger, desk });
  const clientWorld = {
    clock,
    hashing: options.hashing,
    ledger,
    coverage,
    desk,
    nodes: () => nodes,
    plan: plan.logClients,
  };
  const logClients = new LogClients(clientWorld, random.fork());
  try {
    for (const [index, node] of nodes.entries()) node.drift = plan.drifts[index]!;
    for (const node of nodes) node.start();
    if (plan.faultsFromStart) faults.start();
    cluster.workload.start();
    logClients.start();
    cluster.run(fromMs(1000));
    if (!plan.faultsFromStart) faults.start();
    cluster.run(plan.faultsUs);
    cluster.workload.stop();
    logClients.stop();
    faults.stop(plan.endsWithMinorityDown ? drawMinority(cluster, random) : new Set());
    network.conditions = { ...calmNetwork, dialRetryUs: plan.network.dialRetryUs };
    const progress = cluster.checkProgress(progressBounds);
    coverage.max("acknowledgedAfterHealMsMax", Math.round(progress.acknowledgedUs / 1000));
    coverage.max("convergedAfterHealMsMax", Math.round(progress.convergedUs / 1000));
    if (random.chance(0.3)) cluster.checkStable(fromMs(15 * limits.roundMs));
    cluster.checkDisks();
    logClients.check();
  } catch (error) {
    throw new RunFailure(seed, cluster, error);
  }
  coverage.count("runs");
  return { seed, traceHash: trace.hash, virtualMs: Math.round(clock.nowUs / 1000), steps: cluster.steps, coverage };
}

function drawMinority(cluster: Cluster, random: Random): Set<SimNode> {
  const { nodes } = cluster;
  // Without genesis nothing can begin while a node is away.
  if (nodes.some((node) => !node.shadow.isStarted)) return new Set();
  const most = Math.ceil(nodes.length / 2) - 1;
  return new Set(random.shuffle(nodes).slice(0, random.between(0, most)));
}
