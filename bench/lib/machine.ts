import { spawnSync } from "node:child_process";
import { arch, cpus, loadavg, platform, release, totalmem } from "node:os";

/** Where and when a figure was taken. A figure without it says nothing. */
export interface MachineFacts {
  readonly time: string;
  readonly cpus: number;
  readonly cpu: string;
  readonly memoryMebibytes: number;
  readonly platform: string;
  readonly node: string;
  /** Of the checkout, with "+" where files were changed since; undefined outside of one. */
  readonly commit: string | undefined;
  /** Processes that wanted to run, on average over the last minute, when the run began: what others took from it. */
  readonly loadAverage: number;
}

export function machineFacts(): MachineFacts {
  const all = cpus();
  return {
    time: new Date().toISOString(),
    cpus: all.length,
    cpu: all[0]?.model ?? "unknown",
    memoryMebibytes: Math.round(totalmem() / 1_048_576),
    platform: `${platform()} ${release()} ${arch()}`,
    node: process.versions.node,
    commit: commit(),
    loadAverage: Number((loadavg()[0] ?? 0).toFixed(2)),
  };
}

export function describeMachine(machine: MachineFacts): string {
  const { cpus: count, cpu, memoryMebibytes, platform: system, node, commit: at, time, loadAverage } = machine;
  return (
    `${count} x ${cpu}, ${memoryMebibytes} MiB, ${system}, Node ${node}; ` +
    `${at === undefined ? "" : `commit ${at}, `}${time}, load average at the start ${loadAverage}`
  );
}

function commit(): string | undefined {
  const revision = git("rev-parse", "--short", "HEAD");
  if (revision === undefined) return process.env.PAXLOG_BENCH_COMMIT;
  const changes = git("status", "--porcelain", "--untracked-files=no", "--", "src", "native/src", "bench");
  return changes === "" ? revision : `${revision}+`;
}

function git(...args: string[]): string | undefined {
  const { status, stdout } = spawnSync("git", args, { cwd: import.meta.dirname, encoding: "utf8" });
  return status === 0 ? stdout.trim() : undefined;
}
