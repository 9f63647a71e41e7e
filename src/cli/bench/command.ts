import { Command } from "commander";
import { limits } from "../../base/limits.ts";
import { addressList, wholeNumber } from "../arguments.ts";
import { Output } from "../output.ts";
import type { BenchOptions } from "./run.ts";

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
    .option("--session", "append through a session, so that every record lands exactly once")
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
      const { runAppendBench } = await import("./run.ts");
      process.exitCode = await runAppendBench(options, new Output(options.json === true));
    });
}
