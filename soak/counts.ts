import { connect } from "#src/client/connect";
import { recordTypeOf } from "#src/machine/machine";
import { MachineReplica } from "#src/machine/replica";
import { counterMachine } from "#src/objects/builtins";
import { Random } from "#src/simulator/random";
import { Nemesis, type NemesisPlan } from "./nemesis.ts";
import { BrokenPromise } from "./recorder.ts";
import { type SoakContext, withNetwork } from "./soak-cluster.ts";
import { type Requests, Writer, type WriterPlan } from "./writer.ts";

export interface CountsPlan extends NemesisPlan, WriterPlan {
  /** Of all clients together. */
  readonly additions: number;
  readonly clients: number;
  /** Who applies the commands: every node, or a replica in this program. */
  readonly host: ObjectHost;
}

export type ObjectHost = "nodes" | "program";

export interface CountsReport {
  readonly additions: number;
  readonly seconds: number;
  /** Clients that gave up with additions in flight, and were followed by another on the same session. */
  readonly restarts: number;
  /** Answers to an addition that had one already; each was the first one again. */
  readonly repeated: number;
  readonly strikes: Readonly<Record<string, number>>;
}

const name = "count";
const sessionTtlMs = 3_600_000;

/** The answer is the counter behind the addition, so that all answers together are 1 to the count. */
const onNodes: Requests = {
  open: async (log) => (await log.objectSession({ ttlMs: sessionTtlMs })).id,
  resume: async (log, resume) => {
    const counter = (await log.objectSession({ resume })).counter(name);
    return async (serial) => (await counter.fetchAdd(1, { serial })) + 1;
  },
};

const addition = {
  type: recordTypeOf(counterMachine),
  value: counterMachine.commands!.encode({ kind: "add", name, delta: 1 }),
};

/** The answer is the position of the command. */
const inProgram: Requests = {
  open: async (log) => (await log.session({ ttlMs: sessionTtlMs })).id,
  resume: async (log, resume) => {
    const session = await log.session({ resume });
    return async (serial) => (await session.append(addition, { serial })).position;
  },
};

/**
 * Clients that die, retry and send twice add to one counter, over nodes that are killed and paused. In the end the counter is the
 * number of additions, and each of them saw a value of its own. Throws BrokenPromise otherwise.
 */
export async function runCounts(context: SoakContext, plan: CountsPlan): Promise<CountsReport> {
  return await withNetwork(context, async (cluster, network) => {
    const random = new Random(context.seed);
    const { additions, host } = plan;
    const addresses = network.clientAddresses;
    const requests = host === "nodes" ? onNodes : inProgram;
    const nemesis = new Nemesis({ cluster, network, random: random.fork(), plan, note: context.note });
    const writers = Array.from({ length: plan.clients }, (_, index) => {
      const count = Math.floor((additions + index) / plan.clients);
      return new Writer({ requests, count, addresses, random: random.fork(), plan });
    });
    const sum = (of: (writer: Writer) => number): number => writers.reduce((total, writer) => total + of(writer), 0);
    const beganAt = performance.now();
    const secondsSince = (): number => (performance.now() - beganAt) / 1000;
    const tellProgress = (): void =>
      context.note(`${sum(({ answered }) => answered)} of ${additions} are answered, ${Math.round(secondsSince())} s`);
    const progress = setInterval(tellProgress, 5_000);
    try {
      await nemesis.during(() => Promise.all(writers.map((writer) => writer.run())));
    } finally {
      clearInterval(progress);
    }
    const seconds = secondsSince();
    if (host === "nodes") await verifyOnNodes(addresses, writers, additions);
    else await verifyInProgram(addresses, writers, additions);
    const [restarts, repeated] = [sum((writer) => writer.restarts), sum((writer) => writer.repeated)];
    return { additions, seconds, restarts, repeated, strikes: nemesis.counts };
  });
}

async function verifyOnNodes(addresses: string, writers: readonly Writer[], additions: number): Promise<void> {
  const log = await connect(addresses);
  try {
    const value = await log.counter(name).get();
    if (value !== additions) throw new BrokenPromise(`the counter is ${value}, not ${additions}`);
  } finally {
    await log.close();
  }
  const seen = new Uint8Array(additions + 1);
  for (const { answers } of writers) {
    for (const after of answers.subarray(1)) {
      if (after < 1 || after > additions || seen[after] === 1)
        throw new BrokenPromise(`${after} was seen twice, or never made`);
      seen[after] = 1;
    }
  }
}

/** The log holds each addition once, where its answers said, and a replica of the counter counts them all. */
async function verifyInProgram(addresses: string, writers: readonly Writer[], additions: number): Promise<void> {
  const expected = new Set(writers.flatMap(({ answers }) => [...answers.subarray(1)]));
  const replica = new MachineReplica(counterMachine);
  const log = await connect(addresses);
  try {
    for await (const record of log.read({ query: { types: [addition.type] } })) {
      const applied = replica.apply(record);
      if (applied.kind !== "reply" || applied.reply.kind !== "done")
        throw new BrokenPromise(`${record.position} fails`);
      if (!expected.delete(record.position)) throw new BrokenPromise(`nobody was told of position ${record.position}`);
    }
  } finally {
    await log.close();
  }
  const value = replica.ask({ name });
  if (value !== additions || expected.size > 0) throw new BrokenPromise(`the counter is ${value}, not ${additions}`);
}
