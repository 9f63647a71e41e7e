import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { loadHashing } from "#src/native/hashing";
import { Child } from "./lib/child.ts";
import { type MadeLog, makeLog } from "./lib/log-maker.ts";
import type { BenchContext, Benchmark, Size } from "./lib/report.ts";
import { figure } from "./lib/table.ts";
import type { OpeningFigures } from "./open-probe.ts";

export interface OpenFigures extends OpeningFigures {
  readonly logBytes: number;
  readonly segments: number;
  readonly entries: number;
}

const gigabyte = 1_000_000_000;
const mebibyte = 1024 * 1024;
const plans: Readonly<
  Record<Size, { readonly sizes: readonly number[]; readonly segmentBytes: number; readonly runs: number }>
> = {
  smoke: { sizes: [6 * mebibyte, 30 * mebibyte], segmentBytes: mebibyte, runs: 1 },
  default: { sizes: [gigabyte, 20 * gigabyte], segmentBytes: 64 * mebibyte, runs: 7 },
  full: { sizes: [gigabyte, 20 * gigabyte, 50 * gigabyte], segmentBytes: 64 * mebibyte, runs: 15 },
};

/** Recovery of logs of several sizes that have indexes and a snapshot: what lies behind both does not count. */
export const openBenchmark: Benchmark<readonly OpenFigures[]> = {
  name: "open",
  probes: "none",
  run: async (context) => {
    const figures = await measure(context);
    return {
      figures,
      tables: [
        {
          title: "opening a log behind a snapshot, median of the runs",
          columns: ["log MB", "segments", "ms", "CPU ms", "memory MB", "first read ms"],
          rows: figures.map(({ logBytes, segments, openMs, cpuMs, memoryBytes, firstReadMs }) =>
            [logBytes / 1e6, segments, openMs, cpuMs, memoryBytes / 1e6, firstReadMs].map(figure),
          ),
        },
      ],
      remarks: [
        "each run is a process of its own; the sizes take turns; verified: an entry in the middle of the log is read",
      ],
    };
  },
};

async function measure(context: BenchContext): Promise<OpenFigures[]> {
  const { sizes, segmentBytes, runs } = plans[context.size];
  const base = await mkdtemp(join(context.dir, "paxlog-open-"));
  try {
    const logs: {
      readonly dir: string;
      readonly made: MadeLog;
      readonly runs: OpeningFigures[];
    }[] = [];
    const hashing = await loadHashing();
    for (const [index, size] of sizes.entries()) {
      context.note(`writing and indexing ${figure(size / 1e6)} MB`);
      const dir = join(base, `${index}`);
      logs.push({ dir, made: makeLog(dir, size, segmentBytes, hashing), runs: [] });
    }
    for (let run = 1; run <= runs; run += 1) {
      context.note(`run ${run} of ${runs}`);
      for (const log of logs) {
        const child = await Child.start<OpeningFigures>("open-probe", log.dir);
        log.runs.push(child.ready);
        await child.stop();
      }
    }
    return logs.map(({ made, runs: found }) => {
      const median = (of: (figures: OpeningFigures) => number) =>
        found.map(of).sort((a, b) => a - b)[found.length >> 1]!;
      return {
        logBytes: made.bytes,
        segments: made.segments,
        entries: made.entries,
        openMs: median(({ openMs }) => openMs),
        cpuMs: median(({ cpuMs }) => cpuMs),
        memoryBytes: median(({ memoryBytes }) => memoryBytes),
        firstReadMs: median(({ firstReadMs }) => firstReadMs),
        indexed: found[0]!.indexed,
      };
    });
  } finally {
    await rm(base, { recursive: true, force: true });
  }
}
