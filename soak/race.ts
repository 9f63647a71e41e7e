import { PaxlogError } from "#src/base/errors";
import { connect } from "#src/client/connect";
import type { AppendedMany, AppendOptions, Log } from "#src/client/log";
import { Random } from "#src/simulator/random";
import { BrokenPromise } from "./recorder.ts";
import { pause, type SoakContext, withCluster } from "./soak-cluster.ts";

export interface RacePlan {
  /** Of each kind. */
  readonly rounds: number;
  readonly clients: number;
}

export interface RaceReport {
  readonly rounds: number;
  /** By client, over all kinds: a race that one of them always wins is none. */
  readonly wins: readonly number[];
}

/** What each round is about: one of the clients may win it, and the refusal of the others names what it wrote. */
const races: readonly {
  readonly name: string;
  readonly guard: (tag: string, tail: number) => AppendOptions;
  readonly code: string;
  readonly seen: (winner: AppendedMany) => Readonly<Record<string, number>>;
}[] = [
  {
    name: "expectedTail",
    guard: (_tag, tail) => ({ expectedTail: tail }),
    code: "TAIL_MISMATCH",
    seen: ({ last }) => ({ actual: last + 1 }),
  },
  {
    name: "condition",
    guard: (tag, tail) => ({ condition: { query: { tags: [tag] }, after: tail - 1 } }),
    code: "CONDITION_FAILED",
    seen: ({ first }) => ({ position: first }),
  },
  {
    name: "stream",
    guard: (tag) => ({ stream: { tag, expected: "noStream" } }),
    code: "STREAM_REVISION_MISMATCH",
    seen: ({ last }) => ({ actual: last }),
  },
];

/** Clients try the same at the same time, again and again: each round has one winner, and the others are told who it was. */
export async function runRace(context: SoakContext, plan: RacePlan): Promise<RaceReport> {
  return await withCluster(context, async (cluster) => {
    const logs = await Promise.all(Array.from({ length: plan.clients }, () => connect(cluster.clientAddresses)));
    const wins = logs.map(() => 0);
    const random = new Random(context.seed);
    try {
      for (let round = 1; round <= plan.rounds; round += 1) {
        for (const race of races) wins[await runRound(logs, race, `${race.name} ${round}`, random)]! += 1;
        if (round % 1000 === 0) context.note(`${round} of ${plan.rounds} rounds`);
      }
    } finally {
      await Promise.all(logs.map((log) => log.close()));
    }
    return { rounds: races.length * plan.rounds, wins };
  });
}

/** Returns who won. */
async function runRound(
  logs: readonly Log[],
  race: (typeof races)[number],
  tag: string,
  random: Random,
): Promise<number> {
  const { tail } = await logs[0]!.tail();
  const options = race.guard(tag, tail);
  // Who sends first mostly wins: that is drawn.
  const delays = random.shuffle(logs.map((_, index) => (index === 0 ? 0 : random.below(2))));
  const results = await Promise.allSettled(
    logs.map(async (log, index) => {
      if (delays[index] !== 0) await pause(delays[index]!);
      return await log.append([{ value: `${tag} by ${index}`, tags: [tag] }], options);
    }),
  );
  const winners = results.flatMap((result, index) => (result.status === "fulfilled" ? [index] : []));
  const [winner] = winners;
  if (winner === undefined || winners.length > 1) {
    const told = results.map((result) => (result.status === "rejected" ? String(result.reason) : "appended"));
    throw new BrokenPromise(`${winners.length} clients win ${tag} at tail ${tail}: ${told.join("; ")}`);
  }
  const written = results[winner] as PromiseFulfilledResult<AppendedMany>;
  const expected = race.seen(written.value);
  for (const result of results) {
    if (result.status === "fulfilled") continue;
    const error: unknown = result.reason;
    const isRight =
      error instanceof PaxlogError &&
      error.code === race.code &&
      error.outcome === "none" &&
      Object.entries(expected).every(([name, value]) => error.facts[name] === value);
    if (!isRight) throw new BrokenPromise(`who lost ${tag} was told ${String(error)}, not ${JSON.stringify(expected)}`);
  }
  return winner;
}
