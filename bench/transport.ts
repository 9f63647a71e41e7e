import { AppendLoad, type AppendTarget } from "#src/cli/bench/append-load";
import { type BatchPlan, makeBatches } from "#src/cli/bench/records";
import { connect } from "#src/client/connect";
import { BenchCluster } from "./lib/bench-cluster.ts";
import { Child } from "./lib/child.ts";
import { freePort } from "./lib/free-port.ts";
import { type LatencyMs, latencyOf } from "./lib/latency.ts";
import { machineCpuSeconds, ownCpuSeconds, processUsage } from "./lib/process-usage.ts";
import { SamplingTarget, verifyPositions } from "./lib/read-back.ts";
import type { BenchContext, Benchmark, Size } from "./lib/report.ts";
import { figure } from "./lib/table.ts";
import { UnaryTarget } from "./lib/unary-target.ts";
import { pipelined, unboundedClient } from "./measure-append.ts";
import type { FlowNodeOptions } from "./transport/flow-node.ts";

/** "flow": the messages of an append without disk and consensus. "empty": a unary handler that does nothing. "node": a real node. */
export type TransportKind = "flow" | "empty" | "node";

export interface TransportFigures {
  readonly kind: TransportKind;
  readonly mode: "stream" | "unary";
  readonly nodes: number;
  readonly recordBytes: number;
  readonly recordsPerAppend: number;
  readonly appendsInFlight: number;
  readonly recordsPerSecond: number;
  readonly megabytesPerSecond: number;
  readonly latencyMs: LatencyMs;
  /** CPU seconds in a second, of each process in turn, the leader first, and of the load. */
  readonly cpu: readonly number[];
  readonly loadCpu: number;
  /** Of everything else on the machine. */
  readonly othersCpu: number;
  readonly acknowledged: number;
  /** Whether positions were held to the tail; an empty handler gives none. */
  readonly positionsVerified: boolean;
}

interface FlowCase {
  readonly nodes: number;
  readonly recordBytes: number;
  readonly plan: BatchPlan;
}

const times: Readonly<Record<Size, { readonly warmupMs: number; readonly durationMs: number }>> = {
  smoke: { warmupMs: 100, durationMs: 300 },
  default: { warmupMs: 1000, durationMs: 3000 },
  full: { warmupMs: 2000, durationMs: 6000 },
};

const batches = (nodes: number, recordBytes: number): FlowCase => ({
  nodes,
  recordBytes,
  plan: pipelined(recordBytes),
});
const singles = (nodes: number, inFlight: number): FlowCase => ({
  nodes,
  recordBytes: 100,
  plan: { records: 1, inFlight },
});

const flowsOf: Readonly<Record<Size, readonly FlowCase[]>> = {
  smoke: [{ nodes: 3, recordBytes: 100, plan: { records: 50, inFlight: 8 } }],
  default: [batches(3, 100), batches(3, 1024), batches(3, 16_384), singles(3, 1), singles(3, 4096), batches(1, 100)],
  full: [
    ...[3, 1].flatMap((nodes) => [100, 1024, 16_384].map((bytes) => batches(nodes, bytes))),
    ...[3, 1].flatMap((nodes) => [1, 16, 256, 4096].map((count) => singles(nodes, count))),
  ],
};

const callersOf: Readonly<Record<Size, readonly number[]>> = {
  smoke: [4],
  default: [1, 256],
  full: [1, 16, 256, 1024],
};

/** What gRPC and the encoding allow: nothing is stored and nothing is decided, so no append can be faster than this. */
export const transportBenchmark: Benchmark<readonly TransportFigures[]> = {
  name: "transport",
  probes: "around",
  run: async (context) => {
    const figures: TransportFigures[] = [];
    for (const flow of flowsOf[context.size]) figures.push(await measureFlow(context, flow));
    for (const callers of callersOf[context.size]) figures.push(...(await measureUnary(context, callers)));
    return {
      figures,
      tables: [
        {
          title: "the messages of appends without disk and consensus; unary appends beside an empty handler",
          columns: [
            "what",
            "mode",
            "nodes",
            "bytes",
            "records x in flight",
            "records/s",
            "MB/s",
            "p50 ms",
            "p99 ms",
            "CPU",
            "load",
            "others",
          ],
          rows: figures.map((row) => [
            row.kind,
            row.mode,
            String(row.nodes),
            String(row.recordBytes),
            `${row.recordsPerAppend} x ${row.appendsInFlight}`,
            figure(row.recordsPerSecond),
            figure(row.megabytesPerSecond),
            figure(row.latencyMs.p50),
            figure(row.latencyMs.p99),
            row.cpu.map(figure).join(" + "),
            figure(row.loadCpu),
            figure(row.othersCpu),
          ]),
        },
      ],
      remarks: [
        ...unaryRatios(figures).map(
          ({ callers, ratio }) =>
            `unary appends, ${callers} callers: ${figure(100 * ratio)} % of the empty handler beside it`,
        ),
        "verified: positions dense over all that was acknowledged; every entry's hashes checked by each follower",
      ],
    };
  },
};

export function unaryRatios(
  figures: readonly TransportFigures[],
): { readonly callers: number; readonly ratio: number }[] {
  return figures
    .filter(({ kind }) => kind === "empty")
    .flatMap((empty) => {
      const node = figures.find(
        ({ kind, appendsInFlight }) => kind === "node" && appendsInFlight === empty.appendsInFlight,
      );
      if (node === undefined) return [];
      return [{ callers: empty.appendsInFlight, ratio: node.recordsPerSecond / empty.recordsPerSecond }];
    });
}

export async function measureFlow(context: BenchContext, flow: FlowCase): Promise<TransportFigures> {
  const { nodes, recordBytes, plan } = flow;
  context.note(`messages of ${nodes} nodes, ${plan.inFlight} x ${plan.records} x ${recordBytes} bytes in flight`);
  const members: { readonly name: string; readonly peerAddress: string }[] = [];
  for (let index = 0; index < nodes; index += 1) {
    members.push({ name: `n${index + 1}`, peerAddress: `127.0.0.1:${await freePort()}` });
  }
  const children = await Promise.all(
    members.map((_, index) =>
      Child.start<{ readonly address: string }>("transport/flow-node", {
        self: index + 1,
        members,
      } satisfies FlowNodeOptions),
    ),
  );
  const log = await connect(children[0]!.ready.address, unboundedClient(plan, recordBytes));
  try {
    const tail = async () => (await log.tail()).tail;
    const run = await measure(
      context,
      { kind: "flow", mode: "stream", ...flow },
      log,
      children.map(({ pid }) => pid),
      tail,
    );
    return run;
  } finally {
    await log.close();
    await Promise.all(children.map((child) => child.stop()));
  }
}

/** Twice each, in turn: what the machine does in the meantime hits both. */
export async function measureUnary(context: BenchContext, callers: number): Promise<readonly TransportFigures[]> {
  const plan = { records: 1, inFlight: callers };
  const flow = { mode: "unary", nodes: 1, recordBytes: 100, plan } as const;
  const empty = await Child.start<{ readonly address: string }>("transport/empty-server", {});
  const cluster = await BenchCluster.start(context.dir, 1);
  const emptyTarget = new UnaryTarget(empty.ready.address, false);
  const nodeTarget = new UnaryTarget(cluster.addresses[0]!, true);
  try {
    const { pid } = await cluster.leader();
    const runs: { readonly empty: TransportFigures[]; readonly node: TransportFigures[] } = { empty: [], node: [] };
    for (let turn = 0; turn < 2; turn += 1) {
      context.note(`${callers} unary callers, an empty handler and a node`);
      runs.empty.push(await measure(context, { kind: "empty", ...flow }, emptyTarget, [empty.pid], undefined));
      runs.node.push(await measure(context, { kind: "node", ...flow }, nodeTarget, [pid], () => cluster.tail()));
    }
    return [better(runs.empty), better(runs.node)];
  } finally {
    emptyTarget.close();
    nodeTarget.close();
    await Promise.all([empty.stop(), cluster.stop()]);
  }
}

function better(runs: readonly TransportFigures[]): TransportFigures {
  return runs.reduce((best, run) => (run.recordsPerSecond > best.recordsPerSecond ? run : best));
}

async function measure(
  context: BenchContext,
  what: FlowCase & { readonly kind: TransportKind; readonly mode: "stream" | "unary" },
  target: AppendTarget,
  pids: readonly number[],
  tail: (() => Promise<number>) | undefined,
): Promise<TransportFigures> {
  const { plan, recordBytes } = what;
  const sampling = new SamplingTarget(target);
  const cpuOf = () => [
    ...pids.map((pid) => processUsage(pid)?.cpuSeconds ?? Number.NaN),
    ownCpuSeconds(),
    machineCpuSeconds(),
  ];
  const samples: { atMs: number; seconds: number[] }[] = [];
  const before = await tail?.();
  const load = new AppendLoad({
    log: sampling,
    plan,
    batches: makeBatches(plan, recordBytes, 16),
    ...times[context.size],
    rate: undefined,
    onProgress: ({ seconds, recordsPerSecond }) =>
      context.note(`  ${seconds.toFixed(0)} s  ${Math.round(recordsPerSecond)} records/s`),
    onMeasure: async () => {
      samples.push({ atMs: performance.now(), seconds: cpuOf() });
    },
  });
  const run = await load.run();
  if (run.failures[0] !== undefined) throw run.failures[0];
  if (before !== undefined) {
    const counts = { acknowledged: run.acknowledgedRecords, unknown: 0 };
    verifyPositions(sampling.samples, counts, { before, after: await tail!() });
  }
  const [begin, end] = [samples[0]!, samples[1]!];
  const used = end.seconds.map((value, index) => ((value - begin.seconds[index]!) * 1000) / (end.atMs - begin.atMs));
  const cpu = used.slice(0, pids.length);
  const [loadCpu, machineCpu] = [used.at(-2)!, used.at(-1)!];
  const recordsPerSecond = run.records / run.seconds;
  return {
    kind: what.kind,
    mode: what.mode,
    nodes: what.nodes,
    recordBytes,
    recordsPerAppend: plan.records,
    appendsInFlight: plan.inFlight,
    recordsPerSecond,
    megabytesPerSecond: (recordsPerSecond * recordBytes) / 1e6,
    latencyMs: latencyOf(run.latency),
    cpu,
    loadCpu,
    othersCpu: machineCpu - loadCpu - cpu.reduce((sum, each) => sum + each, 0),
    acknowledged: run.acknowledgedRecords,
    positionsVerified: before !== undefined,
  };
}
