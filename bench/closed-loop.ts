import { BenchCluster } from "./lib/bench-cluster.ts";
import type { Benchmark, Size } from "./lib/report.ts";
import { figure } from "./lib/table.ts";
import { type AppendFigures, measureAppend } from "./measure-append.ts";

export interface ClosedLoopFigures {
  readonly append: AppendFigures;
  /** p50 of the raw sync with as many writers at once as there are nodes, taken right before and right after. */
  readonly rawSyncMs: number;
  /** p50 of an append, in raw syncs. */
  readonly syncsPerAppend: number;
}

const times: Readonly<Record<Size, { readonly warmupMs: number; readonly durationMs: number }>> = {
  smoke: { warmupMs: 100, durationMs: 300 },
  default: { warmupMs: 3000, durationMs: 6000 },
  full: { warmupMs: 2000, durationMs: 20_000 },
};

/** One client that sends one record of 100 bytes, waits for its answer and sends the next: what a single caller sees. */
export const closedLoopBenchmark: Benchmark<readonly ClosedLoopFigures[]> = {
  name: "closed-loop",
  probes: "itself",
  run: async (context, rawSync) => {
    const figures: ClosedLoopFigures[] = [];
    let before = await rawSync();
    for (const nodes of [3, 1]) {
      const cluster = await BenchCluster.start(context.dir, nodes);
      let append: AppendFigures;
      try {
        context.note(`${nodes} nodes, one append at a time`);
        const { leader, followers } = await cluster.roles();
        const log = await cluster.connect({}, [leader]);
        const readBack = await cluster.connect({}, [followers[0] ?? leader]);
        const what = {
          mode: "stream",
          recordBytes: 100,
          plan: { records: 1, inFlight: 1 },
          ...times[context.size],
          rate: undefined,
        } as const;
        append = await measureAppend(cluster, log, readBack, what, context.note);
        await Promise.all([log.close(), readBack.close()]);
      } finally {
        await cluster.stop();
      }
      const after = await rawSync();
      const writers = nodes === 1 ? "one" : "three";
      const rawSyncMs = (before[writers].latencyMs.p50 + after[writers].latencyMs.p50) / 2;
      before = after;
      figures.push({ append, rawSyncMs, syncsPerAppend: append.latencyMs.p50 / rawSyncMs });
    }
    return {
      figures,
      tables: [
        {
          title: "one append of 100 bytes at a time on a stream",
          columns: ["nodes", "appends/s", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "raw sync ms", "p50 in raw syncs"],
          rows: figures.map(({ append, rawSyncMs, syncsPerAppend }) => [
            String(append.nodes),
            figure(append.recordsPerSecond),
            figure(append.latencyMs.p50),
            figure(append.latencyMs.p99),
            figure(append.latencyMs.p999),
            figure(append.latencyMs.max),
            figure(rawSyncMs),
            figure(syncsPerAppend),
          ]),
        },
      ],
      remarks: [
        "raw sync: p50 of 4 KiB and a sync in a bare loop, with as many processes at once as there are nodes, before and after",
        `verified: ${figure(figures.reduce((sum, { append }) => sum + append.verified.sampledRecords, 0))} records read back`,
      ],
    };
  },
};
