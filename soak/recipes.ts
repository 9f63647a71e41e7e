import { PaxlogError } from "#src/base/errors";
import { connect } from "#src/client/connect";
import type { ConnectOptions, Log } from "#src/client/log";
import { Random } from "#src/simulator/random";
import { Nemesis, type NemesisPlan } from "./nemesis.ts";
import { Jobs } from "./recipe-queue.ts";
import { Instances, Leaders, Parties, Permits, type Role } from "./recipe-roles.ts";
import { pause, type SoakContext, withNetwork } from "./soak-cluster.ts";

export interface RecipesPlan extends NemesisPlan {
  readonly seconds: number;
  /** Of each recipe; at least as many as a barrier waits for. */
  readonly participants: number;
}

export interface RecipesReport {
  /** Of leaders, and what they wrote into a store that looks at tokens. */
  readonly terms: number;
  readonly writes: number;
  readonly permits: number;
  /** Times that somebody passed a barrier. */
  readonly passed: number;
  readonly instances: number;
  readonly jobs: number;
  readonly deliveries: number;
  readonly acknowledged: number;
  readonly deadLetters: number;
  readonly strikes: Readonly<Record<string, number>>;
}

const connectOptions: ConnectOptions = { deadlineMs: 4_000, answerMs: 2_000, closeMs: 1 };

/**
 * Participants of every recipe come, work and go away without a word, while nodes are killed, paused and cut off. At no moment two of
 * them lead or too many are inside, nobody passes a barrier alone, who lives is listed, and no job is lost or done twice. Throws
 * BrokenPromise otherwise.
 */
export async function runRecipes(context: SoakContext, plan: RecipesPlan): Promise<RecipesReport> {
  return await withNetwork(context, async (cluster, network) => {
    const random = new Random(context.seed);
    const nemesis = new Nemesis({ cluster, network, random: random.fork(), plan, note: context.note });
    const [leaders, permits, parties, instances, jobs] = [
      new Leaders(),
      new Permits(),
      new Parties(),
      new Instances(),
      new Jobs(),
    ];
    const roles = [leaders.role, permits.role, parties.role, instances.role, jobs.worker, jobs.producer];
    const endAt = performance.now() + plan.seconds * 1000;
    await nemesis.during(() =>
      Promise.all(
        roles.flatMap((play) => {
          const role: Played = { play, turns: 0 };
          return Array.from({ length: plan.participants }, () =>
            playUntil(endAt, role, network.clientAddresses, random.fork()),
          );
        }),
      ),
    );
    const log = await connect(network.clientAddresses);
    try {
      await jobs.verify(log);
      await instances.verify(log);
    } finally {
      await log.close();
    }
    return {
      terms: leaders.terms,
      writes: leaders.store.writes,
      permits: permits.granted,
      passed: parties.passed,
      instances: instances.registered,
      jobs: jobs.put,
      deliveries: jobs.delivered,
      acknowledged: jobs.acknowledged,
      deadLetters: jobs.deadLetters,
      strikes: nemesis.counts,
    };
  });
}

interface Played {
  readonly play: Role;
  /** How often anybody came to its end. */
  turns: number;
}

/** A machine that has much else to do may not get to anything in time: then a role goes on for so long. */
const slackMs = 60_000;

/** One participant after another, each on a connection of its own, until each is gone. */
async function playUntil(endAt: number, role: Played, addresses: string, random: Random): Promise<void> {
  const isOver = (): boolean => performance.now() >= (role.turns === 0 ? endAt + slackMs : endAt);
  while (!isOver()) {
    let log: Log | undefined;
    try {
      log = await connect(addresses, connectOptions);
      for (let isGone = false; !isGone && !isOver(); ) {
        isGone = (await role.play({ log, random })) === "is gone";
        role.turns += 1;
        await pause(random.below(20));
      }
    } catch (error) {
      throwUnlessPassing(error);
      await pause(100);
    } finally {
      await log?.close();
    }
  }
}

/** What an outage brings about: waits that end, sessions that do. */
function throwUnlessPassing(error: unknown): void {
  const passing = ["CANCELLED", "CLOSED", "LEASE_LOST", "SESSION_UNKNOWN", "REPLY_GONE"];
  const isPassing = error instanceof PaxlogError && (error.retryable || passing.includes(error.code));
  if (!isPassing) throw error;
}
