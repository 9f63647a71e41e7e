import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { BenchReport } from "../../bench/lib/report.ts";

const main = fileURLToPath(new URL("../../bench/dist/main.js", import.meta.url));
if (!existsSync(main)) throw new Error("these tests run the built benchmarks: npm run build && npm run build:bench");

export interface BenchRun<Figures> {
  readonly report: BenchReport<Figures>;
  /** Standard output and standard error, as they came. */
  readonly stdout: string;
  readonly progress: string;
}

/** Runs a benchmark at its smoke size, to its end. */
export async function runSmoke<Figures>(name: string): Promise<BenchRun<Figures>> {
  const { code, stdout, stderr } = await runBench([name, "--smoke", "--json"]);
  if (code !== 0) throw new Error(`bench ${name} ended with ${code}: ${stderr}`);
  return { report: JSON.parse(stdout) as BenchReport<Figures>, stdout, progress: stderr };
}

export function runBench(args: readonly string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [main, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, stdout, stderr })));
}
