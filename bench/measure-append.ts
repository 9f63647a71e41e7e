import { limits } from "#src/base/limits";
import { AppendLoad, type AppendTarget } from "#src/cli/bench/append-load";
import { type BatchPlan, makeBatches } from "#src/cli/bench/records";
import type { Log } from "#src/client/log";
import { type BenchCluster, type ClusterSample, type ClusterWork, leaderOf, workBetween } from "./lib/bench-cluster.ts";
import { type LatencyMs, latencyOf } from "./lib/latency.ts";
import { SamplingTarget, type Verified, verifyRun } from "./lib/read-back.ts";

/** One measurement of appends: what is sent, how, and for how long. */
export interface AppendCase {
  /** "unary": one call for each append. "stream": the client library on one stream. */
  readonly mode: "unary" | "stream";
  readonly recordBytes: number;
  /** Records of one append, and appends that are sent and not answered. */
  readonly plan: BatchPlan;
  readonly warmupMs: number;
  readonly durationMs: number;
  /** Records a second, due at fixed times; undefined: as many as are answered. */
  readonly rate: number | undefined;
  /** Between the last answer and the reading back. */
  readonly afterLoad?: () => Promise<void>;
}

export interface AppendFigures {
  readonly mode: AppendCase["mode"];
  readonly nodes: number;
  readonly recordBytes: number;
  readonly recordsPerAppend: number;
  readonly appendsInFlight: number;
  /** What was asked for; null: as much as was answered. */
  readonly rate: number | null;
  readonly seconds: number;
  readonly recordsPerSecond: number;
  readonly megabytesPerSecond: number;
  /** Of one append. With a rate from the time at which it was due, otherwise from the call. */
  readonly latencyMs: LatencyMs;
  readonly leaderSyncsPerSecond: number;
  readonly recordsPerSync: number;
  readonly leaderChanges: number;
  /** Appends without an acknowledgement: their leader was lost. */
  readonly failedAppends: number;
  readonly work: ClusterWork;
  readonly hashing: string;
  readonly verified: Verified;
}

/** Different batches that are used in turn. */
const batchesMade = 64;
const batchMemoryMax = 64 * 1024 * 1024;

/** Runs one case against a cluster that nobody else appends to, and holds the run to its answers. */
export async function measureAppend(
  cluster: BenchCluster,
  target: AppendTarget,
  readBack: Log,
  what: AppendCase,
  note: (line: string) => void,
): Promise<AppendFigures> {
  const { plan, recordBytes, rate } = what;
  const sampling = new SamplingTarget(target);
  const samples: Partial<Record<"begin" | "end", ClusterSample>> = {};
  const before = await cluster.tail();
  const load = new AppendLoad({
    log: sampling,
    plan,
    batches: makeBatches(plan, recordBytes, batchCount(plan, recordBytes)),
    warmupMs: what.warmupMs,
    durationMs: what.durationMs,
    rate,
    onProgress: ({ seconds, recordsPerSecond, p50Ms, p99Ms }) =>
      note(`  ${seconds.toFixed(0)} s  ${Math.round(recordsPerSecond)} records/s  p50 ${p50Ms} ms  p99 ${p99Ms} ms`),
    onMeasure: async (part) => {
      samples[part] = await cluster.sample();
    },
  });
  const run = await load.run();
  await what.afterLoad?.();
  if (run.records === 0 && run.failures[0] !== undefined) throw run.failures[0];
  const after = await cluster.tail();
  const counts = { acknowledged: run.acknowledgedRecords, unknown: run.unknownRecords };
  const verified = await verifyRun(readBack, sampling.samples, counts, { before, after });

  const work = workBetween(samples.begin!, samples.end!);
  const leaderSyncs = leaderOf(work)?.syncs ?? 0;
  const recordsPerSecond = run.records / run.seconds;
  return {
    mode: what.mode,
    nodes: cluster.addresses.length,
    recordBytes,
    recordsPerAppend: plan.records,
    appendsInFlight: plan.inFlight,
    rate: rate ?? null,
    seconds: run.seconds,
    recordsPerSecond,
    megabytesPerSecond: (recordsPerSecond * recordBytes) / 1e6,
    latencyMs: latencyOf(run.latency),
    leaderSyncsPerSecond: leaderSyncs / work.seconds,
    recordsPerSync: leaderSyncs === 0 ? 0 : (recordsPerSecond * work.seconds) / leaderSyncs,
    // As the leader itself saw it: a follower that loses sight of the leader and finds it again changed nothing.
    leaderChanges: leaderOf(work)?.leaderChanges ?? 1,
    failedAppends: run.failedBatches,
    work,
    hashing: samples.end!.nodes[0]!.status.hashing,
    verified,
  };
}

function batchCount(plan: BatchPlan, recordBytes: number): number {
  const fitting = Math.floor(batchMemoryMax / (plan.records * recordBytes));
  return Math.max(1, Math.min(batchesMade, fitting));
}

/**
 * Many records in each append and 32 appends under way: one is always on its way to a disk, and each is as large as that allows,
 * since the cost of an append is per batch.
 */
export function pipelined(recordBytes: number): BatchPlan {
  const fitting = Math.floor(pipelinedBatchBytes / recordBytes);
  return { records: Math.max(1, Math.min(1000, fitting)), inFlight: 32 };
}

const pipelinedBatchBytes = 240 * 1024;

/** Options of a client whose load bounds itself, so that the client must not bound it further. */
export function unboundedClient(plan: BatchPlan, recordBytes: number) {
  const bytes = plan.inFlight * plan.records * (recordBytes + 8);
  return {
    inFlightBytes: Math.max(limits.clientInFlightBytes, Math.min(2 * bytes, 1024 * limits.clientInFlightBytes)),
    inFlightBatches: Math.max(
      limits.clientInFlightBatches,
      Math.min(plan.inFlight, 1024 * limits.clientInFlightBatches),
    ),
  };
}
