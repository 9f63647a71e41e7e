import { PaxlogError } from "#src/base/errors";
import { connect } from "#src/client/connect";
import type { ConnectOptions, Log } from "#src/client/log";
import { Random } from "#src/simulator/random";
import { HolderProcess } from "./holder-process.ts";
import { Nemesis, type NemesisPlan } from "./nemesis.ts";
import { BrokenPromise } from "./recorder.ts";
import { pause, type SoakContext, withNetwork } from "./soak-cluster.ts";
import { throwUnlessRetryable } from "./writer.ts";

export interface FencePlan extends NemesisPlan {
  /** Holders, one behind the other. */
  readonly holders: number;
  /** Every so many of them is a process that is stopped (SIGSTOP) while it writes, and goes on when another one holds the lease. */
  readonly stopEvery: number;
}

export interface FenceReport {
  readonly holders: number;
  /** Of them, those that were stopped and went on too late. */
  readonly stopped: number;
  /** Writes of holders that were gone already: each was refused. */
  readonly refused: number;
  readonly strikes: Readonly<Record<string, number>>;
}

const name = "the-one-writer";
const ttlMs = 1_000;
const connectOptions: ConnectOptions = { deadlineMs: 20_000, closeMs: 100 };

/**
 * Holders of one lease follow each other: each goes silent, or is stopped, while it holds it, waits out its successor's grant, and then
 * writes under its own token. Tokens only grow, and every such write is refused. Throws BrokenPromise otherwise.
 */
export async function runFence(context: SoakContext, plan: FencePlan): Promise<FenceReport> {
  return await withNetwork(context, async (cluster, network) => {
    const random = new Random(context.seed);
    const nemesis = new Nemesis({ cluster, network, random: random.fork(), plan, note: context.note });
    const addresses = network.clientAddresses;
    nemesis.start();
    let last = 0;
    let refused = 0;
    const stopped: HolderProcess[] = [];
    let wentOn = 0;
    try {
      for (let holder = 1; holder <= plan.holders; holder += 1) {
        const isStopped = holder % plan.stopEvery === 0;
        const inProcess = isStopped ? await startHolder(addresses, last) : undefined;
        const token = inProcess?.token ?? (await persistently(addresses, (log) => takeOver(log, last)));
        for (const before of stopped.splice(0)) {
          await before.goOn();
          wentOn += 1;
        }
        if (last > 0) {
          await persistently(addresses, (log) => writeLate(log, last));
          refused += 1;
        }
        last = token;
        context.note(
          `holder ${holder} of ${plan.holders} has the token ${token}${isStopped ? ", and is stopped" : ""}`,
        );
        if (inProcess === undefined) continue;
        stopped.push(inProcess);
        // It writes all the time: at any point of that it is stopped.
        await pause(random.below(100));
        inProcess.stop();
      }
    } finally {
      for (const holder of stopped) holder.kill();
      await nemesis.stop();
    }
    const tokens = await persistently(addresses, writtenTokens);
    if (tokens.some((token, index) => index > 0 && token < tokens[index - 1]!)) {
      throw new BrokenPromise(`a holder wrote behind its successor: ${tokens.join(" ")}`);
    }
    return { holders: plan.holders, stopped: wentOn, refused, strikes: nemesis.counts };
  });
}

/** The same as takeOver, in a process of its own that writes on. */
async function startHolder(addresses: string, last: number): Promise<HolderProcess> {
  for (;;) {
    const holder = await HolderProcess.start(addresses, name, ttlMs);
    if (holder === undefined) continue;
    if (holder.token <= last) throw new BrokenPromise(`the token ${holder.token} was granted after ${last}`);
    return holder;
  }
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
