/** Benchmarks of paxlog: `npm run bench` for the whole, `npm run bench:append` and so on for one. Figures are in RESULTS.md. */
import { mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { Command } from "commander";
import { collectByBuffers } from "#src/cli/heap";
import { appendBenchmark } from "./append.ts";
import { closedLoopBenchmark } from "./closed-loop.ts";
import { codecBenchmark } from "./codec.ts";
import { diskBenchmark } from "./disk.ts";
import { followersBenchmark } from "./followers.ts";
import { goalsBenchmark } from "./goals.ts";
import { guardsBenchmark } from "./guards.ts";
import { type BenchContext, type Benchmark, runBenchmark } from "./lib/report.ts";
import { openBenchmark } from "./open.ts";
import { profileBenchmark } from "./profile.ts";
import { queryBenchmark } from "./query.ts";
import { readBenchmark } from "./read.ts";
import { startBenchmark } from "./start.ts";
import { tailBenchmark } from "./tail.ts";
import { transportBenchmark } from "./transport.ts";

interface Flags {
  readonly full?: true;
  readonly smoke?: true;
  readonly json?: true;
  readonly dir: string;
}

// The load is a program under heavy load like the nodes, and is started like them.
collectByBuffers();
const program = new Command("bench").description("measure paxlog; without a name: everything that the goals name");

function add(benchmark: Benchmark<unknown>, description: string, isDefault = false): void {
  program
    .command(benchmark.name, { isDefault })
    .description(description)
    .option("--full", "everything there is to measure; takes longer")
    .option("--smoke", "only show that it works, in seconds; the figures mean nothing")
    .option("--json", "print the report as one JSON object")
    .option("--dir <dir>", "where the nodes keep their data: on the disk to measure", tmpdir())
    .action(async ({ full, smoke, json, dir }: Flags) => {
      mkdirSync(dir, { recursive: true });
      const context: BenchContext = {
        size: smoke === true ? "smoke" : full === true ? "full" : "default",
        dir,
        note: (line) => process.stderr.write(`${line}\n`),
      };
      await runBenchmark(benchmark, context, json === true);
    });
}

add(goalsBenchmark, "the table of goals: what is asked for, what was reached", true);
add(appendBenchmark, "appends of several sizes, unary and on a stream, to three nodes and to one");
add(closedLoopBenchmark, "one append at a time on a stream");
add(readBenchmark, "catch-up read over gRPC");
add(tailBenchmark, "append to delivery on another node");
add(followersBenchmark, "a thousand followers by tag on one node, beside slow ones; ten thousand that wait");
add(transportBenchmark, "the same messages with no disk and no consensus; unary appends beside an empty handler");
add(diskBenchmark, "durable writes through each door and in each kind of space; groups through storage");
add(codecBenchmark, "encoding and decoding on one thread");
add(guardsBenchmark, "the sequencer's time for appends with guards, in a log with a million tags");
add(queryBenchmark, "queries for one tag among a million, and what indexes cost an append");
add(openBenchmark, "opening a log of 1 GB and one of 20 GB");
add(startBenchmark, "starting a node whose machines have ten million commands in their snapshots");
add(profileBenchmark, "CPU profiles of every thread of the leader under load");

await program.parseAsync();
