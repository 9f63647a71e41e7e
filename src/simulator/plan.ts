import { limits } from "../base/limits.ts";
import { fromMs } from "./clock.ts";
import type { LogClientsPlan } from "./log-clients.ts";
import type { Random } from "./random.ts";
import { calmNetwork, type NetworkConditions } from "./sim-network.ts";
import { type DiskConditions, fastDisk } from "./sim-storage.ts";
import type { WorkloadPlan } from "./workload.ts";

/** A kind of fault that strikes again and again, at random times. */
export const strikes = [
  "crash",
  "crashLeader",
  "crashAll",
  "crashInOperation",
  "crashInTurn",
  "crashInRecovery",
  "partition",
  "cutLeader",
  "oneWayCut",
  "clog",
  "reset",
  "pause",
  "pauseLeader",
  "stall",
  "clockJump",
  "fullDisk",
  "trim",
] as const;
export type Strike = (typeof strikes)[number];

/** Everything about a run that is drawn before it begins. */
export interface Plan {
  readonly nodeCount: number;
  readonly faultsUs: number;
  /** Mean time between two strikes of each kind that this run has. */
  readonly strikeMeanUs: ReadonlyMap<Strike, number>;
  /** How long what a strike took away stays away, at most. */
  readonly outageMaxUs: number;
  /** Whether the faults begin before genesis. */
  readonly faultsFromStart: boolean;
  readonly network: NetworkConditions;
  readonly disk: DiskConditions;
  readonly workload: WorkloadPlan;
  readonly logClients: LogClientsPlan;
  readonly turnEventsMax: number;
  readonly turnDelayUs: number;
  readonly drifts: readonly number[];
  /** In the end a random majority must do without the others. */
  readonly endsWithMinorityDown: boolean;
}

/** Swarm testing: each run has a random subset of the faults, each in a random strength, so that no fault hides another. */
export function drawPlan(random: Random): Plan {
  const nodeCount = random.pick([1, 2, 3, 3, 3, 3, 3, 3, 4, 5, 5, 5]);
  const strikeMeanUs = new Map<Strike, number>();
  const strikeRate = random.pick([0.1, 0.2, 0.4]);
  for (const strike of strikes) {
    const meanUs = fromMs(random.pick([150, 500, 1000, 2000]));
    if (random.chance(strikeRate)) strikeMeanUs.set(strike, meanUs);
  }
  // The model of what clients are told knows of no trims.
  const trims = strikeMeanUs.has("trim");
  return {
    nodeCount,
    faultsUs: fromMs(random.between(1500, 5000)),
    strikeMeanUs,
    outageMaxUs: fromMs(random.pick([50, 300, 700, 1500])),
    faultsFromStart: random.chance(0.2),
    network: drawNetwork(random),
    disk: drawDisk(random),
    workload: drawWorkload(random),
    turnEventsMax: random.pick([1, 2, 8, 64]),
    turnDelayUs: random.pick([0, 50, 500]),
    drifts: Array.from({ length: nodeCount }, () => (random.chance(0.3) ? 0.95 + random.unit() * 0.1 : 1)),
    endsWithMinorityDown: random.chance(0.3),
    logClients: { ...drawLogClients(random), ...(trims ? { count: 0 } : {}) },
  };
}

function drawNetwork(random: Random): NetworkConditions {
  const isHard = random.chance(0.6);
  const some = (values: readonly number[]): number => (random.chance(0.4) && isHard ? random.pick(values) : 0);
  return {
    ...calmNetwork,
    delayMeanUs: random.pick([100, 1000, 5000, 20_000]),
    tailRate: some([0.001, 0.01, 0.1]),
    tailUs: fromMs(random.pick([50, 500, 1500])),
    lossRate: some([0.001, 0.01, 0.05, 0.3]),
    dropRate: some([0.001, 0.01, 0.1]),
    duplicateRate: some([0.01, 0.1, 0.5]),
    reorderRate: some([0.01, 0.1, 1]),
    lateRate: some([0.1, 0.5, 1]),
    noticeMaxUs: fromMs(random.pick([1, 50, 500])),
    dialRetryUs: fromMs(random.pick([10, 50, 200])),
  };
}

function drawDisk(random: Random): DiskConditions {
  return {
    ...fastDisk,
    syncMeanUs: random.pick([100, 400, 2000, 10_000]),
    stallRate: random.pick([0, 0, 0, 0.002, 0.02]),
    stallMaxUs: fromMs(random.pick([100, 1000, 3000])),
  };
}

function drawWorkload(random: Random): WorkloadPlan {
  // Many small visits, or few that bring a flood: the sum is bounded, since recovery reads it again and again.
  const [visitMeanMs, burstMax] = random.pick([
    [5, 1],
    [10, 3],
    [10, 3],
    [20, 10],
    [20, 10],
    [40, 1],
    [100, 60],
    [100, 60],
    // Fills the window of a leader that is cut off.
    [60, 80],
  ] as const);
  return {
    visitMeanUs: fromMs(visitMeanMs),
    burstMax,
    waitingMax: random.pick([50, 200, 2000]),
    readRate: random.pick([0.05, 0.2, 0.5]),
    largeRate: random.pick([0, 0, 0.01, 0.1]),
    largeBytesMax: random.pick([10_000, 100_000, 400_000]),
    largeBytesTotal: random.chance(0.05) ? 16_000_000 : 1_500_000,
  };
}

function drawLogClients(random: Random): LogClientsPlan {
  return {
    count: random.pick([0, 0, 2, 5, 10]),
    thinkMeanUs: fromMs(random.pick([2, 10, 50])),
    patienceUs: fromMs(random.pick([100, 500, 3000])),
    repeatRate: random.pick([0, 0.1, 0.5]),
    // The shorter one ends sessions whose client is cut off for a while.
    sessionTtlMs: random.pick([limits.sessionTtlMsMin, 60_000]),
  };
}
