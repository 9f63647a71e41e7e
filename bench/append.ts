import type { BatchPlan } from "#src/cli/bench/records";
import { BenchCluster, followersOf, leaderOf } from "./lib/bench-cluster.ts";
import type { BenchContext, Benchmark, BenchOutcome, Size } from "./lib/report.ts";
import { figure, type Table } from "./lib/table.ts";
import { UnaryTarget } from "./lib/unary-target.ts";
import { type AppendCase, type AppendFigures, measureAppend, pipelined, unboundedClient } from "./measure-append.ts";

/** A case, or a case at half the rate that the case before it reached: open-loop, so that its latency counts every wait. */
type Step = Omit<AppendCase, "warmupMs" | "durationMs" | "rate"> & { readonly thenAtHalfRate?: boolean };

const times: Readonly<Record<Size, { readonly warmupMs: number; readonly durationMs: number }>> = {
  smoke: { warmupMs: 100, durationMs: 400 },
  default: { warmupMs: 1000, durationMs: 3000 },
  full: { warmupMs: 2000, durationMs: 5000 },
};

const one = (inFlight: number): BatchPlan => ({ records: 1, inFlight });
const unary = (recordBytes: number, inFlight: number): Step => ({ mode: "unary", recordBytes, plan: one(inFlight) });
const stream = (recordBytes: number, inFlight: number): Step => ({ mode: "stream", recordBytes, plan: one(inFlight) });
/** Many records in each append: how a load that has many writes them. */
const batches = (recordBytes: number): Step => ({
  mode: "stream",
  recordBytes,
  plan: pipelined(recordBytes),
  thenAtHalfRate: true,
});

function stepsOf(size: Size, nodes: number): readonly Step[] {
  if (size === "smoke") {
    return [
      { mode: "stream", recordBytes: 100, plan: { records: 50, inFlight: 8 }, thenAtHalfRate: nodes === 3 },
      unary(1024, 4),
    ];
  }
  if (size === "full") {
    const sizes = [100, 1024, 16_384];
    const inFlight = [1, 16, 256, 4096];
    return [
      ...sizes.map(batches),
      ...sizes.flatMap((bytes) => inFlight.flatMap((count) => [stream(bytes, count), unary(bytes, count)])),
    ];
  }
  const common = [batches(100), stream(100, 1), stream(100, 256), stream(100, 4096), unary(100, 256)];
  if (nodes === 1) return [...common, batches(1024)];
  return [
    ...common,
    batches(1024),
    batches(16_384),
    stream(100, 16),
    stream(1024, 4096),
    unary(100, 1),
    unary(100, 16),
  ];
}

export const appendBenchmark: Benchmark<readonly AppendFigures[]> = {
  name: "append",
  probes: "around",
  run: async (context) => {
    const figures: AppendFigures[] = [];
    for (const nodes of [3, 1]) figures.push(...(await runSteps(context, nodes, stepsOf(context.size, nodes))));
    return outcomeOf(figures);
  },
};

export async function runSteps(
  context: BenchContext,
  nodes: number,
  steps: readonly Step[],
): Promise<readonly AppendFigures[]> {
  const cluster = await BenchCluster.start(context.dir, nodes);
  try {
    const figures: AppendFigures[] = [];
    // Not counted: the compilers of all these processes learn what is hot, and the first segments are filled.
    if (context.size !== "smoke") await runStep(context, cluster, batches(100), undefined);
    for (const step of steps) {
      const found = await runStep(context, cluster, step, undefined);
      figures.push(found);
      if (step.thenAtHalfRate !== true) continue;
      figures.push(await runStep(context, cluster, step, Math.max(1, Math.round(found.recordsPerSecond / 2))));
    }
    return figures;
  } finally {
    await cluster.stop();
  }
}

export async function runStep(
  context: BenchContext,
  cluster: BenchCluster,
  step: Omit<AppendCase, "warmupMs" | "durationMs" | "rate">,
  rate: number | undefined,
): Promise<AppendFigures> {
  const { plan, recordBytes, mode } = step;
  const pace = rate === undefined ? "" : `, ${rate} records/s`;
  context.note(
    `${cluster.addresses.length} nodes, ${mode}, ${plan.inFlight} x ${plan.records} x ${recordBytes} bytes in flight${pace}`,
  );
  const { leader, followers } = await cluster.roles();
  const log = await cluster.connect(unboundedClient(plan, recordBytes), [leader]);
  const readBack = await cluster.connect({}, [followers[0] ?? leader]);
  const unaryTarget = new UnaryTarget(leader, true);
  try {
    const target = mode === "unary" ? unaryTarget : log;
    const what = { ...step, ...times[context.size], rate };
    const figures = await measureAppend(cluster, target, readBack, what, context.note);
    if (figures.failedAppends > 0) context.note(`  the leader was lost: ${figures.failedAppends} appends failed`);
    return figures;
  } finally {
    unaryTarget.close();
    await Promise.all([log.close(), readBack.close()]);
  }
}

function outcomeOf(figures: readonly AppendFigures[]): BenchOutcome<readonly AppendFigures[]> {
  const sampled = figures.reduce((sum, { verified }) => sum + verified.sampledRecords, 0);
  const acknowledged = figures.reduce((sum, { verified }) => sum + verified.acknowledged, 0);
  const changes = figures.reduce((sum, { leaderChanges }) => sum + leaderChanges, 0);
  const failed = figures.reduce((sum, { failedAppends }) => sum + failedAppends, 0);
  return {
    figures,
    tables: [appendTable("appends, each synced on a majority before its answer", figures)],
    remarks: [
      "With a rate, appends are due at fixed times and latency counts from then; without, it counts from the call.",
      `verified: ${figure(acknowledged)} records acknowledged and the tail moved by as many in each row; ` +
        `${figure(sampled)} of them, evenly over the rows, read back from a follower: bytes and positions as acknowledged`,
      `leader changes while it was measured: ${changes}, appends that failed: ${failed}; checksums ${figures[0]?.hashing}`,
    ],
  };
}

export function appendTable(title: string, figures: readonly AppendFigures[]): Table {
  return {
    title,
    columns: [
      "nodes",
      "mode",
      "bytes",
      "records x in flight",
      "rate",
      "records/s",
      "MB/s",
      "p50 ms",
      "p99 ms",
      "p99.9 ms",
      "syncs/s",
      "records/sync",
      "CPU leader",
      "followers",
      "load",
      "others",
      "MiB peak",
    ],
    rows: figures.map((row) => [
      String(row.nodes),
      row.mode,
      String(row.recordBytes),
      `${row.recordsPerAppend} x ${row.appendsInFlight}`,
      row.rate === null ? "" : figure(row.rate),
      figure(row.recordsPerSecond),
      figure(row.megabytesPerSecond),
      figure(row.latencyMs.p50),
      figure(row.latencyMs.p99),
      figure(row.latencyMs.p999),
      figure(row.leaderSyncsPerSecond),
      figure(row.recordsPerSync),
      figure(leaderOf(row.work)?.cpu ?? -1),
      followersOf(row.work)
        .map(({ cpu }) => figure(cpu))
        .join(" + "),
      figure(row.work.loadCpu),
      figure(row.work.othersCpu),
      figure(Math.max(...row.work.nodes.map((node) => node.residentMebibytesPeak))),
    ]),
  };
}
