import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import { fromMs } from "./clock.ts";
import { Cluster } from "./cluster.ts";
import type { Coverage } from "./coverage.ts";
import { Faults } from "./faults.ts";
import { drawPlan, type Strike } from "./plan.ts";
import { Random } from "./random.ts";
import { RunFailure } from "./run.ts";
import { SessionStorm, type StormPlan } from "./session-storm.ts";
import { calmNetwork } from "./sim-network.ts";
import { fastDisk } from "./sim-storage.ts";
import type { WatchTrace } from "./trace.ts";
import { check } from "./violation.ts";

export interface StormOptions {
  readonly seed: number;
  /** Of all sessions of the run. */
  readonly appends: number;
  readonly hashing: Hashing;
  readonly watch?: WatchTrace | undefined;
}

export interface StormReport {
  /** At least what was asked for, and as many of each session. */
  readonly appends: number;
  readonly virtualMs: number;
  readonly coverage: Coverage;
}

/** What strikes, and its mean time: between two strikes the cluster gets on. */
const strikeMeanMs: readonly (readonly [Strike, number])[] = [
  ["crashLeader", 3000],
  ["crash", 15_000],
  ["crashAll", 40_000],
  ["crashInTurn", 20_000],
  ["cutLeader", 10_000],
  ["partition", 20_000],
  ["oneWayCut", 20_000],
  ["pauseLeader", 10_000],
  ["reset", 5000],
];
const outageMaxMs = 500;

/** Time for the storm to end: far more than it takes where the cluster makes progress between faults. */
const virtualMsMax = 1_800_000;

/**
 * One run: sessions append until every request is answered, while nodes fail and clients lose answers, retry, repeat and die. Then
 * the log holds each request once, in the order of its session, and every answer was the first one.
 */
export function runStorm({ seed, appends, hashing, watch }: StormOptions): StormReport {
  const draws = new Random(seed).fork();
  const plan = drawPlan(draws);
  const nodeCount = Math.max(3, plan.nodeCount);
  const storm = drawStorm(draws, appends);
  const strikes = new Map(strikeMeanMs.map(([name, ms]) => [name, fromMs(ms)]));
  let faults: Faults | undefined;
  const cluster = new Cluster({
    ...plan,
    seed,
    nodeCount,
    hashing,
    watch,
    onCrash: (node) => faults?.restartLater(node),
  });
  const { clock, network, nodes, coverage, trace, random, ledger, desk } = cluster;
  const { delayMeanUs, lossRate, dropRate } = plan.network;
  const linkConditions = {
    ...plan.network,
    delayMeanUs: Math.min(delayMeanUs, 1000),
    lossRate: Math.min(lossRate, 0.001),
    dropRate: Math.min(dropRate, 0.001),
  };
  const faultPlan = {
    ...plan,
    network: linkConditions,
    nodeCount,
    strikeMeanUs: strikes,
    outageMaxUs: fromMs(outageMaxMs),
    disk: fastDisk,
  };
  faults = new Faults({ clock, random: random.fork(), network, nodes, plan: faultPlan, coverage, trace, ledger, desk });
  const sessions = new SessionStorm(
    { clock, hashing, ledger, coverage, desk, nodes: () => nodes, plan: storm },
    random.fork(),
  );
  try {
    for (const node of nodes) node.start();
    sessions.start();
    cluster.run(fromMs(1000));
    faults.start();
    const isDone = cluster.runUntil(() => sessions.isDone, fromMs(virtualMsMax));
    check(isDone, () => `${sessions.answered} of ${appends} requests are answered in half an hour`);
    const virtualMs = Math.round(clock.nowUs / 1000);
    faults.stop(new Set());
    network.conditions = { ...calmNetwork, dialRetryUs: plan.network.dialRetryUs };
    // Copies that are still on their way come in.
    cluster.run(fromMs(20 * limits.roundMs));
    sessions.check();
    cluster.checkDisks();
    coverage.count("storm.runs");
    return { appends: storm.sessions * storm.appends, virtualMs, coverage };
  } catch (error) {
    throw new RunFailure(seed, cluster, error);
  }
}

function drawStorm(random: Random, appends: number): StormPlan {
  const sessions = random.pick([1, 4, 10]);
  const burst = random.pick([1, 4, 20]);
  return {
    sessions,
    appends: Math.ceil(appends / sessions),
    inFlight: random.pick([8, 64, limits.sessionWindow]),
    burst,
    // About a thousand a second in all: faults strike many times in a run.
    burstMeanUs: fromMs(burst * sessions),
    patienceUs: fromMs(random.pick([50, 200, 1000])),
    answerLossRate: random.pick([0, 0.001, 0.01]),
    restartRate: random.pick([0, 0.0005, 0.005]),
    repeatRate: random.pick([0, 0.001, 0.02]),
  };
}
