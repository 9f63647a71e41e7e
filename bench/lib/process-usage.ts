import { readdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";

/** What the system counts for one process since it began. Read from /proc: on other systems there are no such figures. */
export interface ProcessUsage {
  /** In user and in kernel mode, all threads. */
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  /** The most it ever was. */
  readonly residentBytesPeak: number;
  /** How often one of its threads went to sleep by itself: each is a wake-up later. */
  readonly sleeps: number;
  readonly bytesWritten: number;
}

/** Undefined where the process is gone, or where the system has no /proc. */
export function processUsage(pid: number): ProcessUsage | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return {
      cpuSeconds: cpuSecondsOf(readFileSync(`/proc/${pid}/stat`, "utf8")),
      residentBytes: 1024 * fieldOf(status, "VmRSS"),
      residentBytesPeak: 1024 * fieldOf(status, "VmHWM"),
      sleeps: sleepsOf(pid),
      bytesWritten: fieldOf(readFileSync(`/proc/${pid}/io`, "utf8"), "write_bytes"),
    };
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH" || code === "EACCES") return undefined;
    throw cause;
  }
}

/** CPU seconds of this process. */
export function ownCpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** CPU seconds of the whole machine that were not idle, since it began. */
export function machineCpuSeconds(): number {
  return cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0) / 1000;
}

/** Linux counts time for user space in hundredths, whatever its own clock does. */
const ticksPerSecond = 100;

/** The process' name stands in parentheses and may hold anything, so fields are counted from behind it. */
export function cpuSecondsOf(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [userTicks, systemTicks] = [Number(fields[11]), Number(fields[12])];
  return (userTicks + systemTicks) / ticksPerSecond;
}

/** `Name:   123 kB` as 123; 0 where there is no such line. */
export function fieldOf(text: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? 0);
}

function sleepsOf(pid: number): number {
  let sleeps = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    sleeps += fieldOf(readFileSync(`/proc/${pid}/task/${thread}/status`, "utf8"), "voluntary_ctxt_switches");
  }
  return sleeps;
}
