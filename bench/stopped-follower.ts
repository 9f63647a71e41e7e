import { AppendLoad } from "#src/cli/bench/append-load";
import { makeBatches } from "#src/cli/bench/records";
import { BenchCluster, leaderOf, workBetween } from "./lib/bench-cluster.ts";
import { SamplingTarget, verifyRun } from "./lib/read-back.ts";
import type { BenchContext, Size } from "./lib/report.ts";
import { pipelined, unboundedClient } from "./measure-append.ts";

export interface StoppedFollowerFigures {
  readonly stoppedSeconds: number;
  /** From when it went on until it had all that was visible on the leader at that moment, under the same load. */
  readonly catchUpSeconds: number;
  /** Entries that it lacked when it went on. */
  readonly slotsBehind: number;
  readonly recordsPerSecond: number;
  readonly leaderChanges: number;
  readonly failedAppends: number;
  readonly residentMebibytesPeak: number;
  /** Read back from the follower that was stopped. */
  readonly sampledRecords: number;
}

const stoppedMs: Readonly<Record<Size, number>> = { smoke: 600, default: 10_000, full: 10_000 };

/** Stops a follower's process in the midst of the heaviest load, lets it go on, and waits until it has what it missed. */
export async function measureStoppedFollower(context: BenchContext): Promise<StoppedFollowerFigures> {
  const cluster = await BenchCluster.start(context.dir, 3);
  const plan = pipelined(100);
  const { leader, followers } = await cluster.roles();
  const log = await cluster.connect(unboundedClient(plan, 100), [leader]);
  const readBack = await cluster.connect({}, [followers[0]!]);
  try {
    const follower = await readBack.status({ address: followers[0]! });
    const begin = await cluster.sample();
    const tailBefore = await cluster.tail();
    const sampling = new SamplingTarget(log);
    let watched: Promise<{ readonly catchUpSeconds: number; readonly slotsBehind: number }> | undefined;
    const load = new AppendLoad({
      log: sampling,
      plan,
      batches: makeBatches(plan, 100, 64),
      warmupMs: 500,
      durationMs: stoppedMs[context.size] * 2,
      rate: undefined,
      onProgress: ({ seconds, recordsPerSecond }) =>
        context.note(`  ${seconds.toFixed(0)} s  ${Math.round(recordsPerSecond)} records/s`),
      onMeasure: async (part) => {
        if (part === "begin") watched = stopFor(cluster, follower.pid, follower.id, leader, stoppedMs[context.size]);
      },
    });
    context.note(`a follower stopped for ${stoppedMs[context.size]} ms under load`);
    const run = await load.run();
    if (run.records === 0 && run.failures[0] !== undefined) throw run.failures[0];
    const { catchUpSeconds, slotsBehind } = await watched!;
    const tail = { before: tailBefore, after: await cluster.tail() };
    const counts = { acknowledged: run.acknowledgedRecords, unknown: run.unknownRecords };
    const verified = await verifyRun(readBack, sampling.samples, counts, tail);
    const work = workBetween(begin, await cluster.sample());
    return {
      stoppedSeconds: stoppedMs[context.size] / 1000,
      catchUpSeconds,
      slotsBehind,
      recordsPerSecond: run.records / run.seconds,
      failedAppends: run.failedBatches,
      leaderChanges: leaderOf(work)?.leaderChanges ?? 1,
      residentMebibytesPeak: Math.max(...work.nodes.map((node) => node.residentMebibytesPeak)),
      sampledRecords: verified.sampledRecords,
    };
  } finally {
    await Promise.all([log.close(), readBack.close()]);
    await cluster.stop();
  }
}

async function stopFor(cluster: BenchCluster, pid: number, id: string, leader: string, forMs: number) {
  const questions = await cluster.connect({}, [leader]);
  const view = async () => {
    const status = await questions.status({ address: leader });
    return { leader: status.visibleEnd, follower: status.nodes.find((node) => node.id === id)!.visibleEnd };
  };
  try {
    process.kill(pid, "SIGSTOP");
    await pause(forMs);
    const missing = await view();
    process.kill(pid, "SIGCONT");
    const began = performance.now();
    while ((await view()).follower < missing.leader) {
      if (performance.now() - began > 120_000) throw new Error("the follower did not catch up within two minutes");
      await pause(50);
    }
    return {
      catchUpSeconds: (performance.now() - began) / 1000,
      slotsBehind: missing.leader - missing.follower,
    };
  } finally {
    // A process that is stopped cannot be asked to end.
    process.kill(pid, "SIGCONT");
    await questions.close();
  }
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
