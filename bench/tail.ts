import type { Log } from "#src/client/log";
import { BenchCluster } from "./lib/bench-cluster.ts";
import { type LatencyMs, latencyOf, newHistogram, recordMs } from "./lib/latency.ts";
import type { BenchContext, Benchmark, Size } from "./lib/report.ts";
import { figure } from "./lib/table.ts";

export interface TailFigures {
  readonly appendsPerSecond: number;
  readonly seconds: number;
  readonly delivered: number;
  /** Both from the time at which the append was due: to its answer, and to the record's arrival from another node. */
  readonly answerMs: LatencyMs;
  readonly deliveryMs: LatencyMs;
  /** How late the load itself was, for want of a finer timer or of a processor. It is part of both. */
  readonly sendingMs: LatencyMs;
}

const durations: Readonly<Record<Size, { readonly warmupMs: number; readonly durationMs: number }>> = {
  smoke: { warmupMs: 100, durationMs: 400 },
  default: { warmupMs: 1000, durationMs: 5000 },
  full: { warmupMs: 2000, durationMs: 20_000 },
};

const ratesOf: Readonly<Record<Size, readonly number[]>> = {
  smoke: [200],
  default: [100, 1000, 10_000],
  full: [100, 1000, 10_000, 50_000],
};

const recordBytes = 100;

/** Records appended through the leader at a fixed rate, and a reader that follows on a follower. */
export const tailBenchmark: Benchmark<readonly TailFigures[]> = {
  name: "tail",
  probes: "around",
  run: async (context) => {
    const cluster = await BenchCluster.start(context.dir, 3);
    const figures: TailFigures[] = [];
    try {
      for (const rate of ratesOf[context.size]) figures.push(await measureTail(context, cluster, rate));
    } finally {
      await cluster.stop();
    }
    return {
      figures,
      tables: [
        {
          title: "append to delivery on another node, 3 nodes, records of 100 bytes at a fixed rate",
          columns: [
            "appends/s",
            "sent late p50 ms",
            "answer p50 ms",
            "p99 ms",
            "delivery p50 ms",
            "p99 ms",
            "p99.9 ms",
            "max ms",
            "delivered",
          ],
          rows: figures.map((row) => [
            figure(row.appendsPerSecond),
            figure(row.sendingMs.p50),
            figure(row.answerMs.p50),
            figure(row.answerMs.p99),
            figure(row.deliveryMs.p50),
            figure(row.deliveryMs.p99),
            figure(row.deliveryMs.p999),
            figure(row.deliveryMs.max),
            figure(row.delivered),
          ]),
        },
      ],
      remarks: [
        "Latency counts from the time at which an append was due, not from when it was sent.",
        "verified: every record was delivered once, in order, with the number that it was sent with",
      ],
    };
  },
};

async function measureTail(context: BenchContext, cluster: BenchCluster, rate: number): Promise<TailFigures> {
  context.note(`${rate} appends/s`);
  const { warmupMs, durationMs } = durations[context.size];
  const { leader, followers } = await cluster.roles();
  const writer = await cluster.connect({}, [leader]);
  const reader = await cluster.connect({}, [followers[0]!]);
  const count = Math.ceil((rate * (warmupMs + durationMs)) / 1000);
  const measuredFrom = Math.floor((rate * warmupMs) / 1000);
  const sendings = newHistogram();
  const answers = newHistogram();
  const deliveries = newHistogram();
  try {
    const beginMs = performance.now() + 200;
    const dueMs = (index: number) => beginMs + (index * 1000) / rate;
    const done = follow(reader, await cluster.tail(), count, (index) => {
      if (index >= measuredFrom) recordMs(deliveries, performance.now() - dueMs(index));
    });
    await Promise.all([
      done,
      appendAtRate(writer, count, dueMs, (index, what) => {
        const histogram = what === "sent" ? sendings : answers;
        if (index >= measuredFrom) recordMs(histogram, performance.now() - dueMs(index));
      }),
    ]);
    return {
      appendsPerSecond: rate,
      seconds: durationMs / 1000,
      delivered: count,
      answerMs: latencyOf(answers),
      deliveryMs: latencyOf(deliveries),
      sendingMs: latencyOf(sendings),
    };
  } finally {
    await Promise.all([writer.close(), reader.close()]);
  }
}

/** Sends record after record when each is due; its number stands in its first bytes. */
async function appendAtRate(
  log: Log,
  count: number,
  dueMs: (index: number) => number,
  onStep: (index: number, what: "sent" | "answered") => void,
): Promise<void> {
  const answers: Promise<void>[] = [];
  for (let index = 0; index < count; index += 1) {
    const waitMs = dueMs(index) - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    const value = Buffer.alloc(recordBytes, index);
    value.writeUInt32LE(index, 0);
    const at = index;
    onStep(at, "sent");
    answers.push(log.append({ value }).then(() => onStep(at, "answered")));
  }
  await Promise.all(answers);
}

async function follow(log: Log, from: number, count: number, onRecord: (index: number) => void): Promise<void> {
  let next = 0;
  for await (const { position, value } of log.read({ from, limit: count, follow: true })) {
    const index = Buffer.from(value.buffer, value.byteOffset, value.length).readUInt32LE(0);
    if (index !== next || position !== from + next) {
      throw new Error(`record ${index} came at position ${position}; ${next} at ${from + next} was due`);
    }
    onRecord(index);
    next += 1;
  }
  if (next !== count) throw new Error(`${count} records were appended, but ${next} were delivered`);
}
