import { Command } from "commander";
import { limits } from "../../base/limits.ts";
import { addressList, wholeNumber } from "../arguments.ts";
import { Output } from "../output.ts";
import type { BenchOptions } from "./run.ts";
import type { ObjectsOptions } from "./run-objects.ts";

export function benchCommand(): Command {
  return new Command("bench")
    .description("measure a cluster")
    .addCommand(benchAppendCommand())
    .addCommand(benchObjectsCommand());
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

function benchObjectsCommand(): Command {
  return new Command("objects")
    .description("measure shared objects: counters, registers, ids, reads")
    .option("--to <addresses>", "client addresses of a running cluster: HOST:PORT,...", addressList)
    .option(
      "--nodes <count>",
      "run so many nodes here for the measurement, and remove them after it (default: 3)",
      wholeNumber({ min: 1, max: limits.votersMax }),
    )
    .option("--callers <count>", "each with one operation under way", wholeNumber({ min: 1, max: 65_536 }), 256)
    .option("--take <count>", "ids that a caller takes at once", wholeNumber({ min: 1, max: 1_000_000 }), 1000)
    .option("--duration <seconds>", "how long to measure each", wholeNumber({ min: 1, max: 86_400 }), 5)
    .option(
      "--warmup <seconds>",
      "load before each measurement; a process that is younger runs code that is not optimized yet",
      wholeNumber({ min: 0, max: 3600 }),
      10,
    )
    .option("--json", "print the result as one JSON object")
    .addHelpText(
      "after",
      `
Every change is synced on a majority and applied before it is answered; at the end the counts are verified. Progress goes to standard
error. With --json the last line of standard output holds operationsPerSecond and latencyMs {p50, p99, p999, max} of fetch-and-add and
compare-and-set together, then each for itself, ids, linearizableReads, localReads and machine.

Examples:
  $ paxlog bench objects --nodes 3
  $ paxlog bench objects --to 127.0.0.1:7101,127.0.0.1:7102 --callers 1000 --json`,
    )
    .action(async (options: ObjectsOptions) => {
      const { runObjectsBench } = await import("./run-objects.ts");
      process.exitCode = await runObjectsBench(options, new Output(options.json === true));
    });
}
