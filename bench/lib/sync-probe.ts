import { type ChildProcess, spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { LatencyMs } from "./latency.ts";

/** What the disk can do without us, in this minute: syncs cost 150 to 600 us from hour to hour on one and the same machine. */
export interface RawSync {
  /** 4 KiB and a sync, over space that was written before. */
  readonly one: WriterRate;
  /** Three processes at once, each as above: what three nodes on one disk have. The figures are of one of them, on average. */
  readonly three: WriterRate;
  /** Blocks of 1 MiB, one writer. */
  readonly megabytesPerSecond: number;
}

export interface WriterRate {
  readonly syncsPerSecond: number;
  readonly latencyMs: LatencyMs;
}

interface WriterResult {
  readonly count: number;
  readonly seconds: number;
  readonly latencyMs: LatencyMs;
}

const writerFile = fileURLToPath(new URL("./sync-writer.js", import.meta.url));
export const mebibyte = 1024 * 1024;

export interface ProbePlan {
  /** Of each of the three parts. */
  readonly milliseconds: number;
  /** Files are written once before they are measured, and gone over again and again. */
  readonly smallFileBytes: number;
  readonly bulkFileBytes: number;
}

/** Removes what it wrote. `dir` must be on the disk that the nodes use. */
export async function probeRawSync(dir: string, plan: ProbePlan): Promise<RawSync> {
  const { milliseconds, smallFileBytes, bulkFileBytes } = plan;
  const one = await writeAtOnce(dir, 1, 4096, milliseconds, smallFileBytes);
  const three = await writeAtOnce(dir, 3, 4096, milliseconds, smallFileBytes);
  const [bulk] = await writeAtOnce(dir, 1, mebibyte, milliseconds, bulkFileBytes);
  return {
    one: average(one),
    three: average(three),
    megabytesPerSecond: (bulk!.count * mebibyte) / bulk!.seconds / 1e6,
  };
}

async function writeAtOnce(
  dir: string,
  writers: number,
  blockBytes: number,
  milliseconds: number,
  fileBytes: number,
): Promise<WriterResult[]> {
  const paths = Array.from({ length: writers }, (_, index) => join(dir, `probe-${process.pid}-${index}`));
  const children = paths.map((path) =>
    spawn(process.execPath, [writerFile, path, String(blockBytes), String(milliseconds), String(fileBytes)], {
      stdio: ["pipe", "pipe", "inherit"],
    }),
  );
  try {
    const lines = children.map(linesOf);
    await Promise.all(lines.map((next) => next()));
    for (const child of children) child.stdin.write("begin\n");
    return (await Promise.all(lines.map((next) => next()))).map((line) => JSON.parse(line) as WriterResult);
  } finally {
    for (const child of children) child.kill("SIGKILL");
    for (const path of paths) rmSync(path, { force: true });
  }
}

function linesOf(child: ChildProcess): () => Promise<string> {
  const iterator = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  return async () => {
    const { done, value } = await iterator.next();
    if (done) throw new Error("a writer of the sync probe ended early");
    return value;
  };
}

function average(results: readonly WriterResult[]): WriterRate {
  const mean = (of: (result: WriterResult) => number) =>
    results.reduce((sum, result) => sum + of(result), 0) / results.length;
  return {
    syncsPerSecond: mean(({ count, seconds }) => count / seconds),
    latencyMs: {
      p50: mean(({ latencyMs }) => latencyMs.p50),
      p99: mean(({ latencyMs }) => latencyMs.p99),
      p999: mean(({ latencyMs }) => latencyMs.p999),
      max: Math.max(...results.map(({ latencyMs }) => latencyMs.max)),
    },
  };
}

/** The mean of the probes before and after a run. */
export function meanRawSync(probes: readonly RawSync[]): RawSync {
  const mean = (of: (probe: RawSync) => number) => probes.reduce((sum, probe) => sum + of(probe), 0) / probes.length;
  const rate = (which: "one" | "three"): WriterRate => ({
    syncsPerSecond: mean((probe) => probe[which].syncsPerSecond),
    latencyMs: {
      p50: mean((probe) => probe[which].latencyMs.p50),
      p99: mean((probe) => probe[which].latencyMs.p99),
      p999: mean((probe) => probe[which].latencyMs.p999),
      max: Math.max(...probes.map((probe) => probe[which].latencyMs.max)),
    },
  });
  return {
    one: rate("one"),
    three: rate("three"),
    megabytesPerSecond: mean((probe) => probe.megabytesPerSecond),
  };
}

export function describeRawSync({ one, three, megabytesPerSecond }: RawSync): string {
  const ms = (value: number) => value.toFixed(3);
  return (
    `raw sync of 4 KiB: one writer p50 ${ms(one.latencyMs.p50)} ms, p99 ${ms(one.latencyMs.p99)} ms, ` +
    `${Math.round(one.syncsPerSecond)}/s; three at once p50 ${ms(three.latencyMs.p50)} ms, p99 ${ms(three.latencyMs.p99)} ms, ` +
    `${Math.round(three.syncsPerSecond)}/s each; 1 MiB: ${Math.round(megabytesPerSecond)} MB/s`
  );
}
