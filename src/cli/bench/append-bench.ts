import { arch, cpus, platform, release } from "node:os";
import { PaxlogError } from "../../base/errors.ts";
import type { Log } from "../../client/log.ts";
import type { NodeStatus } from "../../format/api-codec.ts";
import { AppendLoad, type AppendLoadResult, type ProgressLine } from "./append-load.ts";
import { makeBatches, planBatches } from "./records.ts";

export interface AppendBenchOptions {
  readonly log: Log;
  readonly addresses: readonly string[];
  readonly recordBytes: number;
  readonly inFlightRecords: number;
  readonly warmupMs: number;
  readonly durationMs: number;
  readonly rate: number | undefined;
  /** Whether the appends have a session. */
  readonly session: boolean;
  readonly onProgress: (line: ProgressLine) => void;
}

export interface AppendBenchResult {
  readonly recordsPerSecond: number;
  readonly megabytesPerSecond: number;
  readonly latencyMs: { readonly p50: number; readonly p99: number; readonly p999: number; readonly max: number };
  /** Of the leader, while it was measured. */
  readonly syncs: number;
  readonly recordsPerSync: number;
  readonly recordBytes: number;
  readonly inFlightRecords: number;
  readonly batchRecords: number;
  readonly rate: number | null;
  readonly session: boolean;
  readonly seconds: number;
  readonly nodes: number;
  readonly hashing: string;
  /** Of the node that has most, at the end. */
  readonly nodeMemoryBytes: number;
  /** Batches without an acknowledgement, as when a leader is lost; their time is in no latency. */
  readonly failedBatches: number;
  readonly verified: { readonly tailMoved: number; readonly acknowledged: number; readonly unknown: number };
  readonly machine: {
    readonly cpus: number;
    readonly cpu: string;
    readonly platform: string;
    readonly node: string;
    readonly time: string;
  };
}

const batchesMade = 64;

/**
 * Runs the load and checks that the log grew by what was acknowledged.
 * @throws PaxlogError of the first append if all failed; INVARIANT_BROKEN if records are missing.
 */
export async function benchAppend(options: AppendBenchOptions): Promise<AppendBenchResult> {
  const { log, addresses, recordBytes, inFlightRecords } = options;
  const plan = planBatches(inFlightRecords, recordBytes);
  const tailBefore = await log.tail();
  let before: NodeStatus | undefined;
  let after: NodeStatus | undefined;
  const session = options.session ? await log.session() : undefined;
  const load = new AppendLoad({
    ...options,
    log: session ?? log,
    plan,
    batches: makeBatches(plan, recordBytes, batchesMade),
    onMeasure: async (part) => {
      const leader = await leaderStatus(log, addresses);
      if (part === "begin") before = leader;
      else after = leader;
    },
  });
  const result = await load.run();
  await session?.close();
  const tailAfter = await log.tail();
  const tailMoved = tailAfter.tail - tailBefore.tail;
  verify(result, tailMoved);

  const statuses = await allStatuses(log, addresses);
  const syncs = (after?.syncs ?? 0) - (before?.syncs ?? 0);
  const milliseconds = (percentile: number) => round(result.latency.getValueAtPercentile(percentile) / 1000, 3);
  return {
    recordsPerSecond: Math.round(result.records / result.seconds),
    megabytesPerSecond: round((result.records * recordBytes) / result.seconds / 1e6, 3),
    latencyMs: {
      p50: milliseconds(50),
      p99: milliseconds(99),
      p999: milliseconds(99.9),
      max: round(result.latency.maxValue / 1000, 3),
    },
    syncs,
    recordsPerSync: syncs === 0 ? 0 : round(result.records / syncs, 1),
    recordBytes,
    inFlightRecords: plan.records * plan.inFlight,
    batchRecords: plan.records,
    rate: options.rate ?? null,
    session: options.session,
    seconds: round(result.seconds, 3),
    nodes: after?.nodes.length ?? statuses.length,
    hashing: after?.hashing ?? "unknown",
    nodeMemoryBytes: Math.max(0, ...statuses.map((status) => status.memoryBytes)),
    failedBatches: result.failedBatches,
    verified: { tailMoved, acknowledged: result.acknowledgedRecords, unknown: result.unknownRecords },
    machine: machine(),
  };
}

/** Others may append to the same cluster, so the tail may have moved further, but never less far. */
function verify(result: AppendLoadResult, tailMoved: number): void {
  const { failures, failedBatches, acknowledgedRecords } = result;
  const firstFailure = failures[0];
  if (acknowledgedRecords === 0 && firstFailure !== undefined) {
    const message = `all ${failedBatches} appends failed; the first: ${firstFailure.message}`;
    throw new PaxlogError(firstFailure.code, message, { outcome: firstFailure.outcome, facts: firstFailure.facts });
  }
  if (tailMoved >= acknowledgedRecords) return;
  throw new PaxlogError(
    "INVARIANT_BROKEN",
    `${acknowledgedRecords} records were acknowledged, but the tail moved by ${tailMoved} only`,
  );
}

async function allStatuses(log: Log, addresses: readonly string[]): Promise<NodeStatus[]> {
  const answers = await Promise.allSettled(addresses.map((address) => log.status({ address })));
  return answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
}

async function leaderStatus(log: Log, addresses: readonly string[]): Promise<NodeStatus | undefined> {
  const statuses = await allStatuses(log, addresses);
  return statuses.find((status) => status.role === "leader") ?? statuses[0];
}

/** On what it was measured. */
export function machine(): AppendBenchResult["machine"] {
  const all = cpus();
  return {
    cpus: all.length,
    cpu: all[0]?.model ?? "unknown",
    platform: `${platform()} ${release()} ${arch()}`,
    node: process.versions.node,
    time: new Date().toISOString(),
  };
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
