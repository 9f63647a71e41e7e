import { mkdirSync, writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describeMachine, type MachineFacts, machineFacts } from "./machine.ts";
import { describeRawSync, meanRawSync, mebibyte, type ProbePlan, probeRawSync, type RawSync } from "./sync-probe.ts";
import { renderTable, type Table } from "./table.ts";

/** "smoke" only shows that everything works: its figures mean nothing. "default" takes a few minutes at most. */
export type Size = "smoke" | "default" | "full";

export interface BenchContext {
  readonly size: Size;
  /** Where the nodes' directories are made: on the disk that is to be measured. */
  readonly dir: string;
  /** Progress, for people. */
  readonly note: (line: string) => void;
}

/** What one benchmark hands back: its figures, and tables of them for people. */
export interface BenchOutcome<Figures> {
  readonly figures: Figures;
  readonly tables: readonly Table[];
  /** Sentences below the tables. */
  readonly remarks: readonly string[];
}

export interface BenchReport<Figures = unknown> {
  readonly benchmark: string;
  readonly size: Size;
  readonly machine: MachineFacts;
  readonly loadAverageAtEnd: number;
  readonly seconds: number;
  /** Before and after, in the same run; absent where no disk takes part. */
  readonly rawSync?: { readonly mean: RawSync; readonly probes: readonly RawSync[] };
  readonly figures: Figures;
}

const probePlans: Readonly<Record<Size, ProbePlan>> = {
  smoke: { milliseconds: 30, smallFileBytes: 1 * mebibyte, bulkFileBytes: 8 * mebibyte },
  default: { milliseconds: 700, smallFileBytes: 32 * mebibyte, bulkFileBytes: 256 * mebibyte },
  full: { milliseconds: 1500, smallFileBytes: 32 * mebibyte, bulkFileBytes: 256 * mebibyte },
};

export function probe(context: BenchContext): Promise<RawSync> {
  context.note("raw sync rate of this disk");
  return probeRawSync(context.dir, probePlans[context.size]);
}

export interface Benchmark<Figures> {
  readonly name: string;
  /** When the disk's raw rate is taken: before and after it all, by the benchmark itself, or not at all. */
  readonly probes: "around" | "itself" | "none";
  run(context: BenchContext, rawSync: () => Promise<RawSync>): Promise<BenchOutcome<Figures>>;
}

/**
 * Runs a benchmark with the disk's raw rate taken before and after it, prints its tables and writes all of it to
 * bench/results/. `rawSync` lets a benchmark take more probes in its midst.
 */
export async function runBenchmark<Figures>(
  benchmark: Benchmark<Figures>,
  context: BenchContext,
  json: boolean,
): Promise<BenchReport<Figures>> {
  const machine = machineFacts();
  const began = performance.now();
  const probes: RawSync[] = [];
  const rawSync = async () => {
    const found = await probe(context);
    probes.push(found);
    return found;
  };
  if (benchmark.probes === "around") await rawSync();
  const outcome = await benchmark.run(context, rawSync);
  if (benchmark.probes === "around") await rawSync();
  const report: BenchReport<Figures> = {
    benchmark: benchmark.name,
    size: context.size,
    machine,
    loadAverageAtEnd: Number((loadavg()[0] ?? 0).toFixed(2)),
    seconds: (performance.now() - began) / 1000,
    ...(probes.length === 0 ? {} : { rawSync: { mean: meanRawSync(probes), probes } }),
    figures: outcome.figures,
  };
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : `${render(report, outcome)}\n`);
  if (context.size !== "smoke") context.note(`written to ${save(report)}`);
  return report;
}

function render(report: BenchReport, { tables, remarks }: BenchOutcome<unknown>): string {
  return [
    ...tables.map(renderTable),
    remarks.join("\n"),
    ...(report.rawSync === undefined ? [] : [describeRawSync(report.rawSync.mean)]),
    `${describeMachine(report.machine)}, at the end ${report.loadAverageAtEnd}`,
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

const resultsDir = fileURLToPath(new URL("../../results/", import.meta.url));

function save(report: BenchReport): string {
  mkdirSync(resultsDir, { recursive: true });
  const stamp = report.machine.time.replaceAll(/[-:]|\.\d+/g, "");
  const path = join(resultsDir, `${report.benchmark}-${report.size}-${stamp}.json`);
  writeFileSync(path, `${JSON.stringify(report, undefined, 2)}\n`);
  return path;
}
