import { limits } from "../../base/limits.ts";
import { connect } from "../../client/connect.ts";
import { exitCodes } from "../exit-codes.ts";
import { grouped, type Output } from "../output.ts";
import { type AppendBenchResult, benchAppend } from "./append-bench.ts";
import { withCluster } from "./with-cluster.ts";

/** The options of `bench append`, as they were given. */
export interface BenchOptions {
  readonly to?: string;
  readonly nodes?: number;
  readonly size: number;
  readonly inFlight: number;
  readonly duration: number;
  readonly warmup: number;
  readonly rate?: number;
  readonly session?: true;
  readonly json?: true;
}

/** Measures the named cluster, or one that is made for it and removed afterwards. */
export async function runAppendBench(options: BenchOptions, output: Output): Promise<number> {
  const result = await withCluster(options, (addresses) => measure(addresses, options, output));
  if (result === "stopped") return exitCodes.failed;
  report(result, output);
  return exitCodes.ok;
}

async function measure(addresses: string, options: BenchOptions, output: Output): Promise<AppendBenchResult> {
  const plannedBytes = options.inFlight * (options.size + 8);
  const log = await connect(addresses, {
    // The load bounds itself; the client must not bound it further.
    inFlightBytes: Math.max(limits.clientInFlightBytes, Math.min(2 * plannedBytes, 1024 * limits.clientInFlightBytes)),
    inFlightBatches: Math.max(
      limits.clientInFlightBatches,
      Math.min(options.inFlight, 1024 * limits.clientInFlightBatches),
    ),
  });
  try {
    return await benchAppend({
      log,
      addresses: addresses.split(","),
      recordBytes: options.size,
      inFlightRecords: options.inFlight,
      warmupMs: options.warmup * 1000,
      durationMs: options.duration * 1000,
      rate: options.rate,
      session: options.session === true,
      onProgress: ({ seconds, recordsPerSecond, p50Ms, p99Ms }) => {
        output.note(
          `${seconds.toFixed(0).padStart(4)} s  ${grouped(recordsPerSecond).padStart(10)} records/s  p50 ${p50Ms.toFixed(1)} ms  p99 ${p99Ms.toFixed(1)} ms`,
        );
      },
    });
  } finally {
    await log.close();
  }
}

function report(result: AppendBenchResult, output: Output): void {
  const { latencyMs, machine } = result;
  output.result(
    { ...result },
    [
      `${grouped(result.recordsPerSecond)} records/s of ${result.recordBytes} bytes, ${result.megabytesPerSecond.toFixed(1)} MB/s, ${result.inFlightRecords} in flight in batches of ${result.batchRecords}${result.session ? ", in a session" : ""}`,
      `latency p50 ${latencyMs.p50} ms, p99 ${latencyMs.p99} ms, p99.9 ${latencyMs.p999} ms, max ${latencyMs.max} ms`,
      `${grouped(result.syncs)} syncs of the leader, ${grouped(result.recordsPerSync)} records each; every append was synced on a majority of ${result.nodes} nodes before its answer`,
      `memory of the largest node ${grouped(result.nodeMemoryBytes / 1048576)} MiB; checksums ${result.hashing}`,
      `verified: the tail moved by ${grouped(result.verified.tailMoved)}, acknowledged were ${grouped(result.verified.acknowledged)}`,
      ...(result.failedBatches === 0
        ? []
        : [
            `${grouped(result.failedBatches)} batches failed, ${grouped(result.verified.unknown)} records of them with an unknown outcome`,
          ]),
      `${machine.cpus} x ${machine.cpu}, ${machine.platform}, Node ${machine.node}`,
    ].join("\n"),
  );
}
