import { runSteps } from "./append.ts";
import { type ClosedLoopFigures, closedLoopBenchmark } from "./closed-loop.ts";
import { measureGroupAppends } from "./disk.ts";
import type { GroupFigures } from "./lib/group-append.ts";
import type { BenchContext, Benchmark, Size } from "./lib/report.ts";
import type { RawSync } from "./lib/sync-probe.ts";
import { figure } from "./lib/table.ts";
import { type AppendFigures, pipelined } from "./measure-append.ts";
import { measureReads, type ReadFigures } from "./read.ts";
import { measureStoppedFollower, type StoppedFollowerFigures } from "./stopped-follower.ts";
import { measureFlow, measureUnary, type TransportFigures, unaryRatios } from "./transport.ts";

export interface Goal {
  readonly workload: string;
  readonly unit: string;
  readonly atLeast: number;
  readonly aim: number;
  readonly reached: number;
  /** How much of "at least" was reached; above 1 is better, for latencies too. */
  readonly ratio: number;
}

export interface GoalsFigures {
  readonly goals: readonly Goal[];
  readonly parts: {
    readonly threeNodes: readonly AppendFigures[];
    readonly oneNode: readonly AppendFigures[];
    readonly closedLoop: readonly ClosedLoopFigures[];
    readonly flows: readonly TransportFigures[];
    readonly unary: readonly TransportFigures[];
    readonly reads: readonly ReadFigures[];
    readonly groups: GroupFigures;
    readonly stoppedFollower: StoppedFollowerFigures;
  };
}

const readRecords: Readonly<Record<Size, number>> = { smoke: 20_000, default: 2_000_000, full: 10_000_000 };

/** Every workload that the goals name, in one run on one machine, with what the machine itself can do beside it. */
export const goalsBenchmark: Benchmark<GoalsFigures> = {
  name: "goals",
  probes: "around",
  run: async (context, rawSync) => {
    const parts = await measureParts(context, rawSync);
    const disk = await rawSync();
    const goals = goalsOf(parts, disk);
    const { stoppedFollower: stopped, threeNodes } = parts;
    return {
      figures: { goals, parts },
      tables: [
        {
          title: "goals, all nodes and the load on this machine, every append synced on a majority before its answer",
          columns: ["workload", "unit", "at least", "aim", "reached", "of at least", "of aim"],
          rows: goals.map((goal) => [
            goal.workload,
            goal.unit,
            figure(goal.atLeast),
            figure(goal.aim),
            figure(goal.reached),
            `${figure(goal.ratio)} x`,
            `${figure(goal.unit === "ms" ? goal.aim / goal.reached : goal.reached / goal.aim)} x`,
          ]),
        },
      ],
      remarks: [
        `under load: ${threeNodes.reduce((sum, row) => sum + row.leaderChanges, 0) + stopped.leaderChanges} leader changes, ` +
          `${threeNodes.reduce((sum, row) => sum + row.failedAppends, 0) + stopped.failedAppends} appends failed, ` +
          `largest node ${figure(Math.max(stopped.residentMebibytesPeak, ...peaks(threeNodes)))} MiB; a follower stopped for ` +
          `${stopped.stoppedSeconds} s under load (${figure(stopped.recordsPerSecond)} records/s meanwhile) was ` +
          `${figure(stopped.slotsBehind)} slots behind and had them after ${figure(stopped.catchUpSeconds)} s`,
        `CPU of everything else on the machine meanwhile: ${[...threeNodes, ...parts.oneNode]
          .map((row) => `${figure(row.work.othersCpu)} (${row.nodes} nodes, ${row.recordBytes} B)`)
          .join(", ")}`,
        `messages alone (no disk, no consensus): ${parts.flows
          .map(
            (row) =>
              `${row.nodes} nodes, ${row.recordBytes} B: ${figure(row.recordsPerSecond)}/s, ${figure(row.megabytesPerSecond)} MB/s`,
          )
          .join("; ")}`,
      ],
    };
  },
};

const peaks = (rows: readonly AppendFigures[]): number[] =>
  rows.flatMap((row) => row.work.nodes.map((node) => node.residentMebibytesPeak));

async function measureParts(context: BenchContext, rawSync: () => Promise<RawSync>): Promise<GoalsFigures["parts"]> {
  const step = (recordBytes: number) => ({ mode: "stream", recordBytes, plan: plans(context, recordBytes) }) as const;
  const threeNodes = await runSteps(context, 3, [step(100), step(1024)]);
  const oneNode = await runSteps(context, 1, [step(100)]);
  const flows: TransportFigures[] = [];
  for (const [nodes, recordBytes] of [
    [3, 100],
    [3, 1024],
    [1, 1024],
  ] as const) {
    flows.push(await measureFlow(context, { nodes, recordBytes, plan: plans(context, recordBytes) }));
  }
  const { figures: closedLoop } = await closedLoopBenchmark.run(context, rawSync);
  return {
    threeNodes,
    oneNode,
    flows,
    closedLoop,
    unary: await measureUnary(context, context.size === "smoke" ? 4 : 256),
    reads: await measureReads(context, 100, readRecords[context.size]),
    groups: await measureGroupAppends(context),
    stoppedFollower: await measureStoppedFollower(context),
  };
}

function plans(context: BenchContext, recordBytes: number) {
  return context.size === "smoke" ? { records: 50, inFlight: 8 } : pipelined(recordBytes);
}

function goalsOf(parts: GoalsFigures["parts"], disk: RawSync): readonly Goal[] {
  const { threeNodes, oneNode, flows, closedLoop, unary, reads, groups } = parts;
  const oneHop = flows.find(({ nodes }) => nodes === 1)!.megabytesPerSecond;
  // Each byte goes to three disks, and over gRPC three times: from the client, and to two followers.
  const limit = Math.min(disk.megabytesPerSecond, oneHop) / 3;
  const alone = closedLoop.find(({ append }) => append.nodes === 3)!;
  return [
    rate("3 nodes, 100 B, pipelined batches", "records/s", 600_000, 1_200_000, threeNodes[0]!.recordsPerSecond),
    rate("3 nodes, 1 KiB, pipelined batches", "MB/s", 0.4 * limit, 0.6 * limit, threeNodes[1]!.megabytesPerSecond),
    rate("1 node, 100 B, pipelined batches", "records/s", 1_200_000, 2_500_000, oneNode[0]!.recordsPerSecond),
    latency(
      "3 nodes, one append at a time, p50",
      (1.4 / 0.4) * alone.rawSyncMs,
      alone.rawSyncMs + 0.5,
      alone.append.latencyMs.p50,
    ),
    rate(
      `unary appends, ${unary[0]!.appendsInFlight} callers, 1 node, of an empty handler`,
      "%",
      70,
      90,
      100 * (unaryRatios(unary)[0]?.ratio ?? 0),
    ),
    rate(
      "catch-up read over gRPC, 100 B",
      "records/s",
      1_300_000,
      3_000_000,
      reads.find(({ how }) => how === "batches")!.recordsPerSecond,
    ),
    rate("groups of 1 MiB through storage/, of the same disk calls in a bare loop", "%", 80, 95, 100 * groups.share),
  ];
}

function rate(workload: string, unit: string, atLeast: number, aim: number, reached: number): Goal {
  return { workload, unit, atLeast, aim, reached, ratio: reached / atLeast };
}

function latency(workload: string, atLeast: number, aim: number, reached: number): Goal {
  return { workload, unit: "ms", atLeast, aim, reached, ratio: atLeast / reached };
}
