import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { PaxlogError } from "../../base/errors.ts";
import { limits } from "../../base/limits.ts";
import { connect } from "../../client/connect.ts";
import { addressList, wholeNumber } from "../arguments.ts";
import { exitCodes } from "../exit-codes.ts";
import { LocalCluster } from "../local-cluster.ts";
import { grouped, Output } from "../output.ts";
import { untilStopped } from "../signals.ts";
import { type AppendBenchResult, benchAppend } from "./append-bench.ts";

interface BenchOptions {
  readonly to?: string;
  readonly nodes?: number;
  readonly size: number;
  readonly inFlight: number;
  readonly duration: number;
  readonly warmup: number;
  readonly rate?: number;
  readonly json?: true;
}

export function benchCommand(): Command {
  return new Command("bench").description("measure a cluster").addCommand(benchAppendCommand());
}

function benchAppendCommand(): Command {
  return new Command("append")
    .description("measure appends: every one is synced on a majority of the nodes before it is answered")
    .option("--to <addresses>", "client addresses of a running cluster: HOST:PORT,...", addressList)
    .option(
      "--nodes <count>",
      "run so many nodes here for the measurement, and remove them after it (default: 3)",
      wholeNumber({ min: 1, max: limits.votersMax }),
    )
    .option("--size <bytes>", "size of a record", wholeNumber({ min: 1, max: limits.recordBytesMax - 64 }), 100)
    .option(
      "--in-flight <records>",
      "records that are sent and not answered, at most",
      wholeNumber({ min: 1, max: 10_000_000 }),
      32_000,
    )
    .option("--duration <seconds>", "how long to measure", wholeNumber({ min: 1, max: 86_400 }), 10)
    .option("--warmup <seconds>", "load before the measurement", wholeNumber({ min: 0, max: 3600 }), 2)
    .option(
      "--rate <records>",
      "records a second, sent at fixed times; as fast as they are answered unless given",
      wholeNumber({ min: 1 }),
    )
    .option("--json", "print the result as one JSON object")
    .addHelpText(
      "after",
      `
Progress goes to standard error. With --json the last line of standard output holds recordsPerSecond, megabytesPerSecond,
latencyMs {p50, p99, p999, max}, syncs and recordsPerSync (of the leader), machine, and what was verified.

Examples:
  $ paxlog bench append --nodes 3
  $ paxlog bench append --to 127.0.0.1:7101,127.0.0.1:7102 --size 1024 --duration 30 --json`,
    )
    .action(async (options: BenchOptions) => {
      process.exitCode = await runAppendBench(options, new Output(options.json === true));
    });
}

async function runAppendBench(options: BenchOptions, output: Output): Promise<number> {
  if (options.to !== undefined && options.nodes !== undefined) {
    throw new PaxlogError(
      "INVALID_ARGUMENT",
      "give either --to for a running cluster or --nodes for one of its own, not both",
    );
  }
  if (options.to !== undefined) {
    report(await measure(options.to, options, output), output);
    return exitCodes.ok;
  }
  const dir = mkdtempSync(join(tmpdir(), "paxlog-bench-"));
  const cluster = await LocalCluster.open({ dir, nodes: options.nodes ?? 3, stderr: "keep" });
  const stopped = untilStopped();
  try {
    await Promise.all(cluster.nodes.map((node) => cluster.start(node)));
    const result = await Promise.race([stopped, measure(cluster.clientAddresses, options, output)]);
    if (result === "stopped") return exitCodes.failed;
    report(result, output);
    return exitCodes.ok;
  } finally {
    await cluster.stop();
    rmSync(dir, { recursive: true, force: true });
  }
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
      `${grouped(result.recordsPerSecond)} records/s of ${result.recordBytes} bytes, ${result.megabytesPerSecond.toFixed(1)} MB/s, ${result.inFlightRecords} in flight in batches of ${result.batchRecords}`,
      `latency p50 ${latencyMs.p50} ms, p99 ${latencyMs.p99} ms, p99.9 ${latencyMs.p999} ms, max ${latencyMs.max} ms`,
      `${grouped(result.syncs)} syncs of the leader, ${grouped(result.recordsPerSync)} records each; every append was synced on a majority of ${result.nodes} nodes before its answer`,
      `memory of the largest node ${grouped(result.nodeMemoryBytes / 1048576)} MiB; checksums ${result.hashing}`,
      `verified: the tail moved by ${grouped(result.verified.tailMoved)}, acknowledged were ${grouped(result.verified.acknowledged)}`,
      `${machine.cpus} x ${machine.cpu}, ${machine.platform}, Node ${machine.node}`,
    ].join("\n"),
  );
}
