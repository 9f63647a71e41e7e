import { PaxlogError } from "#src/base/errors";
import { connect } from "#src/client/connect";
import type { ConnectOptions, Log } from "#src/client/log";
import { Random } from "#src/simulator/random";
import { Nemesis, type NemesisPlan } from "./nemesis.ts";
import { BrokenPromise } from "./recorder.ts";
import { pause, type SoakContext, withNetwork } from "./soak-cluster.ts";
import { throwUnlessRetryable } from "./writer.ts";

export interface FencePlan extends NemesisPlan {
  /** Holders, one behind the other. */
  readonly holders: number;
}

export interface FenceReport {
  readonly holders: number;
  /** Writes of holders that were gone already: each was refused. */
  readonly refused: number;
  readonly strikes: Readonly<Record<string, number>>;
}

const name = "the one writer";
const ttlMs = 1_000;
const connectOptions: ConnectOptions = { deadlineMs: 20_000, closeMs: 100 };

/**
 * Holders of one lease follow each other: each goes silent while it holds it, waits out its successor's grant, and then writes under its
 * own token. Tokens only grow, and every such write is refused. Throws BrokenPromise otherwise.
 */
export async function runFence(context: SoakContext, plan: FencePlan): Promise<FenceReport> {
  return await withNetwork(context, async (cluster, network) => {
    const random = new Random(context.seed);
    const nemesis = new Nemesis({ cluster, network, random: random.fork(), plan, note: context.note });
    const addresses = network.clientAddresses;
    nemesis.start();
    let last = 0;
    let refused = 0;
    try {
      for (let holder = 1; holder <= plan.holders; holder += 1) {
        const token = await persistently(addresses, (log) => takeOver(log, last));
        if (last > 0) {
          await persistently(addresses, (log) => writeLate(log, last));
          refused += 1;
        }
        last = token;
        context.note(`holder ${holder} of ${plan.holders} has the token ${token}`);
      }
    } finally {
      await nemesis.stop();
    }
    const tokens = await persistently(addresses, writtenTokens);
    if (tokens.some((token, index) => index > 0 && token < tokens[index - 1]!)) {
      throw new BrokenPromise(`a holder wrote behind its successor: ${tokens.join(" ")}`);
    }
    return { holders: plan.holders, refused, strikes: nemesis.counts };
  });
}

/** Takes the lease, fences everybody before out, and writes; then its connection ends without a word to the log. */
async function takeOver(log: Log, last: number): Promise<number> {
  const { token } = await log.lease(name, { ttlMs });
  if (token <= last) throw new BrokenPromise(`the token ${token} was granted after ${last}`);
  await log.fence(token);
  const session = await log.session();
  await session.append({ value: `${token}`, tags: [name] }, { fencingToken: token });
  return token;
}

async function writeLate(log: Log, token: number): Promise<void> {
  const session = await log.session();
  const late = await session.append({ value: `${token}`, tags: [name] }, { fencingToken: token }).then(
    ({ position }) => position,
    (error: unknown) => {
      if (error instanceof PaxlogError && error.code === "FENCED") return undefined;
      throw error;
    },
  );
  if (late !== undefined) throw new BrokenPromise(`the holder of ${token} wrote at ${late}, behind its successor`);
}

async function writtenTokens(log: Log): Promise<number[]> {
  const tokens: number[] = [];
  for await (const { value } of log.read({ query: { tags: [name] } }))
    tokens.push(Number(Buffer.from(value).toString()));
  return tokens;
}

const isOver = (error: unknown): boolean =>
  error instanceof PaxlogError && (error.code === "SESSION_UNKNOWN" || error.code === "LEASE_LOST");

/** On a connection of its own, which is not told that it is over; again where faults ended it. */
async function persistently<Result>(addresses: string, use: (log: Log) => Promise<Result>): Promise<Result> {
  for (;;) {
    try {
      const log = await connect(addresses, connectOptions);
      try {
        return await use(log);
      } finally {
        await log.close();
      }
    } catch (error) {
      // An outage outlasts a short session: then it is over before it did anything.
      if (!isOver(error)) throwUnlessRetryable(error);
      await pause(100);
    }
  }
}
