import { connect } from "#src/client/connect";
import { Random } from "#src/simulator/random";
import { Nemesis, type NemesisPlan } from "./nemesis.ts";
import { BrokenPromise } from "./recorder.ts";
import { type SoakContext, withNetwork } from "./soak-cluster.ts";
import { type Requests, Writer, type WriterPlan } from "./writer.ts";

export interface StormPlan extends NemesisPlan, WriterPlan {
  /** Of all sessions together. */
  readonly appends: number;
  readonly sessions: number;
}

export interface StormReport {
  readonly appends: number;
  readonly seconds: number;
  /** Clients that gave up with requests in flight, and were followed by another on the same session. */
  readonly restarts: number;
  /** Answers to a request that had one already. */
  readonly repeated: number;
  readonly strikes: Readonly<Record<string, number>>;
}

const sessionTtlMs = 3_600_000;
const valueBytes = 8;

/** Request `serial` of session `index` appends both numbers; its answer is the position. */
const numbered = (index: number): Requests => ({
  open: async (log) => (await log.session({ ttlMs: sessionTtlMs })).id,
  resume: async (log, resume) => {
    const session = await log.session({ resume });
    return async (serial) => {
      const value = Buffer.alloc(valueBytes);
      value.writeUInt32LE(index, 0);
      value.writeUInt32LE(serial, 4);
      return (await session.append({ value }, { serial })).position;
    };
  },
});

/**
 * Sessions append numbered records through clients that die, retry and repeat, to nodes that are killed and paused. In the end the
 * log holds each record once, in the order of its session, where every one of its answers said. Throws BrokenPromise otherwise.
 */
export async function runStorm(context: SoakContext, plan: StormPlan): Promise<StormReport> {
  return await withNetwork(context, async (cluster, network) => {
    const random = new Random(context.seed);
    const addresses = network.clientAddresses;
    const nemesis = new Nemesis({ cluster, network, random: random.fork(), plan, note: context.note });
    const writers = Array.from({ length: plan.sessions }, (_, index) => {
      const count = Math.floor((plan.appends + index) / plan.sessions);
      return new Writer({ requests: numbered(index), count, addresses, random: random.fork(), plan });
    });
    const beganAt = performance.now();
    const progress = setInterval(() => {
      const answered = writers.reduce((sum, writer) => sum + writer.answered, 0);
      context.note(
        `${answered} of ${plan.appends} are answered, ${Math.round((performance.now() - beganAt) / 1000)} s`,
      );
    }, 5_000);
    try {
      await nemesis.during(() => Promise.all(writers.map((writer) => writer.run())));
    } finally {
      clearInterval(progress);
    }
    const seconds = (performance.now() - beganAt) / 1000;
    context.note(`reading ${plan.appends} records back`);
    await verify(addresses, writers, plan.appends);
    const sum = (of: (writer: Writer) => number): number => writers.reduce((total, writer) => total + of(writer), 0);
    return {
      appends: plan.appends,
      seconds,
      restarts: sum(({ restarts }) => restarts),
      repeated: sum(({ repeated }) => repeated),
      strikes: nemesis.counts,
    };
  });
}

async function verify(addresses: string, writers: readonly Writer[], count: number): Promise<void> {
  const next = writers.map(() => 1);
  let position = 0;
  const log = await connect(addresses);
  try {
    for await (const record of log.read({ from: 1 })) {
      position += 1;
      const value = Buffer.from(record.value);
      const [index, serial] = [value.readUInt32LE(0), value.readUInt32LE(4)];
      const what = `position ${record.position} holds request ${serial} of session ${index}`;
      if (record.position !== position) throw new BrokenPromise(`position ${position} is missing`);
      if (serial !== next[index]) throw new BrokenPromise(`${what}, whose next is ${next[index]}`);
      const answer = writers[index]!.answers[serial];
      if (answer !== position) throw new BrokenPromise(`${what}, which was answered with ${answer}`);
      next[index] = serial + 1;
    }
  } finally {
    await log.close();
  }
  if (position !== count) throw new BrokenPromise(`the log holds ${position} records of ${count}`);
}
