import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { Session } from "node:inspector";
import { join } from "node:path";
import { BenchCluster } from "./lib/bench-cluster.ts";
import type { BenchContext, Benchmark, Size } from "./lib/report.ts";
import { figure } from "./lib/table.ts";
import { type AppendFigures, measureAppend, pipelined, unboundedClient } from "./measure-append.ts";
import { type CpuProfile, summarize, type ThreadProfile } from "./profile/summary.ts";

export interface ProfileFigures {
  readonly load: string;
  readonly append: AppendFigures;
  readonly threads: readonly ThreadProfile[];
}

const secondsOf: Readonly<Record<Size, number>> = { smoke: 0.5, default: 5, full: 10 };
const topMax = 18;

/** The leader's threads, one follower's and the load's, under pipelined batches, many small appends, and one at a time. */
export const profileBenchmark: Benchmark<readonly ProfileFigures[]> = {
  name: "profile",
  probes: "none",
  run: async (context) => {
    const loads = [
      { load: "batches of 1,000 x 100 bytes", plan: pipelined(100) },
      { load: "4,096 appends of one record of 100 bytes", plan: { records: 1, inFlight: 4096 } },
      { load: "one append of one record of 100 bytes at a time", plan: { records: 1, inFlight: 1 } },
    ];
    const figures: ProfileFigures[] = [];
    for (const { load, plan } of context.size === "smoke" ? loads.slice(0, 1) : loads) {
      context.note(`profiling ${load}`);
      const found = await profiled(context, plan);
      figures.push({ load, ...found });
    }
    return {
      figures,
      tables: figures.flatMap(({ load, append, threads }) =>
        threads.map((thread) => ({
          title:
            `${load}, ${figure(append.recordsPerSecond)} records/s, ${thread.thread}: idle ${figure(thread.idlePercent)} %, ` +
            `collecting garbage ${figure(thread.collectionPercent)} %`,
          columns: ["self ms", "% of busy", "function", "where"],
          rows: thread.top.map((row) => [figure(row.selfMilliseconds), figure(row.percent), row.name, row.place]),
        })),
      ),
      remarks: ["Profiling itself slows the load down. A blocking call (a sync) counts as busy."],
    };
  },
};

async function profiled(
  context: BenchContext,
  plan: { readonly records: number; readonly inFlight: number },
): Promise<Omit<ProfileFigures, "load">> {
  const dir = mkdtempSync(join(context.dir, "paxlog-profiles-"));
  const cluster = await startProfiled(context, dir);
  const own = new Session();
  own.connect();
  try {
    // Beginning and ending to profile holds a thread up for longer than a leader may be silent, so neither is done under load.
    const nodes = await beginProfiles(cluster, own);
    const { leader, followers } = await cluster.roles();
    const log = await cluster.connect(unboundedClient(plan, 100), [leader]);
    const readBack = await cluster.connect({}, [followers[0]!]);
    const durationMs = secondsOf[context.size] * 1000;
    let threads: readonly ThreadProfile[] = [];
    const what = {
      mode: "stream",
      recordBytes: 100,
      plan,
      warmupMs: durationMs / 5,
      durationMs,
      rate: undefined,
      afterLoad: async () => {
        threads = await endProfiles(dir, nodes, own);
      },
    } as const;
    const append = await measureAppend(cluster, log, readBack, what, context.note);
    await Promise.all([log.close(), readBack.close()]);
    return { append, threads };
  } finally {
    own.disconnect();
    await cluster.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

interface ProfiledNode {
  readonly pid: number;
  readonly role: string;
}

/** Node processes inherit this process' environment, so it is there for as long as they start. */
async function startProfiled(context: BenchContext, profilesDir: string): Promise<BenchCluster> {
  mkdirSync(profilesDir, { recursive: true });
  const before = process.env.NODE_OPTIONS;
  process.env.NODE_OPTIONS = `${before ?? ""} --import=${new URL("./profile/preload.js", import.meta.url).href}`.trim();
  process.env.PAXLOG_BENCH_PROFILES = profilesDir;
  try {
    return await BenchCluster.start(context.dir, 3);
  } finally {
    if (before === undefined) delete process.env.NODE_OPTIONS;
    else process.env.NODE_OPTIONS = before;
    delete process.env.PAXLOG_BENCH_PROFILES;
  }
}

/** Returns the leader and one follower, once there is a leader again. */
async function beginProfiles(cluster: BenchCluster, own: Session): Promise<readonly ProfiledNode[]> {
  const statuses = await cluster.statuses();
  for (const { pid } of statuses) process.kill(pid, "SIGUSR2");
  await command(own, "Profiler.enable");
  await command(own, "Profiler.start");
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const { pid } = await cluster.leader();
  const follower = statuses.find((status) => status.pid !== pid)!;
  return [
    { pid, role: "leader" },
    { pid: follower.pid, role: "follower" },
  ];
}

async function endProfiles(dir: string, nodes: readonly ProfiledNode[], own: Session): Promise<ThreadProfile[]> {
  const { profile } = (await command(own, "Profiler.stop")) as { readonly profile: CpuProfile };
  for (const { pid } of nodes) process.kill(pid, "SIGUSR2");
  const pids = nodes.map((node) => node.pid);
  await untilWritten(dir, pids);
  const threads = nodes.flatMap(({ pid, role }) =>
    readdirSync(dir)
      .filter((name) => name.startsWith(`${pid}-`))
      .toSorted()
      .map((name) => {
        const thread = `${role}'s ${name.slice(`${pid}-`.length).replace(".cpuprofile", "")} thread`;
        return summarize(thread, JSON.parse(readFileSync(join(dir, name), "utf8")) as CpuProfile, topMax);
      }),
  );
  return [...threads, summarize("the load", profile, topMax)];
}

function command(session: Session, method: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    session.post(method, (error, result) => (error === null ? resolve(result) : reject(error)));
  });
}

async function untilWritten(dir: string, pids: readonly number[]): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!pids.every((pid) => existsSync(join(dir, `${pid}.done`)))) {
    if (performance.now() > deadline) throw new Error("a node wrote no profile within 20 seconds");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
