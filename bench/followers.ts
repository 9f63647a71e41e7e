import { limits } from "#src/base/limits";
import { TaggedLoad } from "./followers/load.ts";
import type { KindReport, ReaderGroup, ReadersReport } from "./followers/messages.ts";
import { ReaderProcess } from "./followers/reader-process.ts";
import { BenchCluster } from "./lib/bench-cluster.ts";
import type { LatencyMs } from "./lib/latency.ts";
import { type ProcessUsage, processUsage } from "./lib/process-usage.ts";
import type { BenchContext, Benchmark, Size } from "./lib/report.ts";
import { figure } from "./lib/table.ts";

export interface FollowersFigures {
  readonly tagged: number;
  readonly everything: number;
  readonly stalled: number;
  /** Records a second that they keep up with, appended and delivered to all but the stalled ones; and half of that. */
  readonly saturatedRate: number;
  readonly pacedRate: number;
  readonly answerMs: LatencyMs;
  readonly own: KindReport;
  readonly all: KindReport;
  /** Of the node that serves them, in MiB: before any came, when they had come, and the most it ever took. */
  readonly memoryMebibytes: { readonly before: number; readonly attached: number; readonly peak: number };
  /** Processors used while the rate was half: by the node that serves them, and by the one process that holds them all. */
  readonly servingCpu: number;
  readonly readersCpu: number;
}

export interface IdleFigures {
  readonly followers: number;
  readonly kibibytesEach: number;
  readonly attachSeconds: number;
  /** CPU of the serving node, in hundredths of a processor: without and with them, the log at rest; and while records come. */
  readonly cpu: {
    readonly before: number;
    readonly idle: number;
    readonly loadedBefore: number;
    readonly loaded: number;
  };
  readonly answerMs: { readonly before: LatencyMs; readonly after: LatencyMs };
  readonly rate: number;
}

export interface FollowersReport {
  readonly busy: FollowersFigures;
  readonly idle: IdleFigures;
}

interface Plan {
  readonly tagged: number;
  readonly few: number;
  readonly idle: number;
  readonly saturateMs: number;
  readonly paceMs: number;
  readonly restMs: number;
  readonly idleRate: number;
}

const plans: Readonly<Record<Size, Plan>> = {
  smoke: { tagged: 20, few: 2, idle: 50, saturateMs: 500, paceMs: 700, restMs: 300, idleRate: 100 },
  default: { tagged: 1000, few: 10, idle: 10_000, saturateMs: 30_000, paceMs: 20_000, restMs: 5000, idleRate: 200 },
  full: { tagged: 1000, few: 10, idle: 10_000, saturateMs: 60_000, paceMs: 60_000, restMs: 10_000, idleRate: 200 },
};

const recordsPerAppend = 10;
const recordBytes = 100;
const appendsInFlight = 32;

/** Many followers on one node while others append through the leader; and very many that wait for what never comes. */
export const followersBenchmark: Benchmark<FollowersReport> = {
  name: "followers",
  probes: "around",
  run: async (context) => {
    const plan = plans[context.size];
    const busy = await measureBusy(context, plan);
    const idle = await measureIdle(context, plan);
    return { figures: { busy, idle }, tables: [busyTable(busy), idleTable(idle)], remarks: remarks(busy) };
  },
};

async function measureBusy(context: BenchContext, plan: Plan): Promise<FollowersFigures> {
  const { tagged, few } = plan;
  const groups: ReaderGroup[] = [
    { count: tagged, wants: "own", stalled: false, perConnection: 250 },
    { count: few, wants: "all", stalled: false, perConnection: few },
    { count: few, wants: "all", stalled: true, perConnection: 1 },
  ];
  return await withReaders(context, async (cluster, readers, serving) => {
    const before = serving.usage();
    await readers.attach({ address: serving.address, groups });
    const attached = serving.usage();
    const log = await cluster.connect({}, [serving.leader]);
    try {
      const load = new TaggedLoad(log, tagged, recordsPerAppend, recordBytes);
      context.note(`${tagged} followers by tag, ${few} of everything, ${few} stalled: as much as they keep up with`);
      const saturatedFromMs = performance.now();
      const lag = new Lag(readers, load, tagged);
      await load.saturate(plan.saturateMs, appendsInFlight, () => lag.room());
      await untilDelivered(readers, load, tagged);
      // The readers take part: what counts is when the last of them has the last record.
      const saturatedRate = (load.count * 1000) / (performance.now() - saturatedFromMs);
      const pacedRate = saturatedRate / 2;
      context.note(`${figure(saturatedRate)} records/s; now at half of that`);
      await readers.measure(true);
      const cpuBefore = serving.usage();
      const readersBefore = usageOf(readers.pid);
      const beganMs = performance.now();
      const { answerMs } = await load.pace(pacedRate, plan.paceMs);
      const seconds = (performance.now() - beganMs) / 1000;
      const after = serving.usage();
      await readers.measure(false);
      const { own, all } = await untilDelivered(readers, load, tagged);
      return {
        ...{ tagged, everything: few, stalled: few, saturatedRate, pacedRate, answerMs, own, all },
        memoryMebibytes: {
          before: mebibytes(before.residentBytes),
          attached: mebibytes(attached.residentBytes),
          peak: mebibytes(after.residentBytesPeak),
        },
        servingCpu: (after.cpuSeconds - cpuBefore.cpuSeconds) / seconds,
        readersCpu: (usageOf(readers.pid).cpuSeconds - readersBefore.cpuSeconds) / seconds,
      };
    } finally {
      await log.close();
    }
  });
}

async function measureIdle(context: BenchContext, plan: Plan): Promise<IdleFigures> {
  const { idle: followers, idleRate: rate, restMs } = plan;
  return await withReaders(context, async (cluster, readers, serving) => {
    const log = await cluster.connect({}, [serving.leader]);
    try {
      const load = new TaggedLoad(log, 1, 1, recordBytes);
      const cpuWhile = async <T>(work: () => Promise<T>) => {
        const [before, beganMs] = [serving.usage(), performance.now()];
        const result = await work();
        const cpu = (serving.usage().cpuSeconds - before.cpuSeconds) / ((performance.now() - beganMs) / 1000);
        return { cpu, result };
      };
      const rest = () => new Promise<void>((resolve) => setTimeout(resolve, restMs));
      await load.pace(rate, restMs);
      const bare = await cpuWhile(rest);
      const bareLoaded = await cpuWhile(() => load.pace(rate, restMs));
      const before = serving.usage();
      context.note(`${followers} followers come that wait for what never comes`);
      const beganMs = performance.now();
      const groups: ReaderGroup[] = [
        { count: followers, wants: "none", stalled: false, perConnection: limits.streamsPerConnection - 24 },
      ];
      await readers.attach({ address: serving.address, groups });
      const attachSeconds = (performance.now() - beganMs) / 1000;
      await rest();
      const quiet = await cpuWhile(rest);
      const after = serving.usage();
      const loaded = await cpuWhile(() => load.pace(rate, restMs));
      const report = await readers.report();
      if (report.running !== followers || report.faults.length > 0) {
        throw new Error(`${report.running} of ${followers} followers run on: ${report.faults.join("; ")}`);
      }
      return {
        followers,
        attachSeconds,
        rate,
        kibibytesEach: (after.residentBytes - before.residentBytes) / 1024 / followers,
        cpu: { before: bare.cpu, idle: quiet.cpu, loadedBefore: bareLoaded.cpu, loaded: loaded.cpu },
        answerMs: { before: bareLoaded.result.answerMs, after: loaded.result.answerMs },
      };
    } finally {
      await log.close();
    }
  });
}

interface Serving {
  /** Of the follower to which the readers go, and of the leader. */
  readonly address: string;
  readonly leader: string;
  usage(): ProcessUsage;
}

function usageOf(pid: number): ProcessUsage {
  const found = processUsage(pid);
  if (found === undefined) throw new Error("this system does not say what a process uses");
  return found;
}

async function withReaders<T>(
  context: BenchContext,
  work: (cluster: BenchCluster, readers: ReaderProcess, serving: Serving) => Promise<T>,
): Promise<T> {
  const cluster = await BenchCluster.start(context.dir, 3);
  const readers = new ReaderProcess();
  try {
    const { leader, followers } = await cluster.roles();
    const address = followers[0]!;
    const status = (await cluster.statuses()).find(({ id, nodes }) =>
      nodes.some((node) => node.id === id && node.clientAddress === address),
    );
    const usage = () => usageOf(status!.pid);
    return await work(cluster, readers, { address, leader, usage });
  } finally {
    await readers.stop();
    await cluster.stop();
  }
}

/** Holds the load back while a reader is further behind than two records of its tag: a rate is reached when all are served at it. */
class Lag {
  readonly #readers: ReaderProcess;
  readonly #load: TaggedLoad;
  readonly #tags: number;
  #delivered = 0;
  #look: Promise<void> | undefined;

  constructor(readers: ReaderProcess, load: TaggedLoad, tags: number) {
    this.#readers = readers;
    this.#load = load;
    this.#tags = tags;
  }

  async room(): Promise<void> {
    while (this.#load.count - this.#delivered > 2 * this.#tags) {
      this.#look ??= this.#lookOnce();
      await this.#look;
    }
  }

  async #lookOnce(): Promise<void> {
    const { nextOfAll, nextOfTag } = await this.#readers.report();
    const ofTag = nextOfTag.map((next, tag) => next * this.#tags + tag);
    this.#delivered = Math.min(...nextOfAll, ...ofTag);
    await new Promise((resolve) => setTimeout(resolve, 10));
    this.#look = undefined;
  }
}

/** Every reader has all that was appended for it, once and in order. */
async function untilDelivered(readers: ReaderProcess, load: TaggedLoad, tagged: number): Promise<ReadersReport> {
  const deadline = performance.now() + 120_000;
  for (;;) {
    const report = await readers.report();
    if (report.faults.length > 0) throw new Error(report.faults.join("; "));
    const complete =
      report.nextOfAll.every((next) => next === load.count) &&
      report.nextOfTag.length === tagged &&
      report.nextOfTag.every((next, tag) => next === load.countOf(tag));
    if (complete) return report;
    if (performance.now() > deadline) throw new Error("records are not delivered within two minutes");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const mebibytes = (bytes: number): number => bytes / 1_048_576;

function busyTable({ tagged, everything, stalled, ...row }: FollowersFigures) {
  const { answerMs, own, all, memoryMebibytes: memory } = row;
  return {
    title: `${tagged} followers of a tag each, ${everything} of everything, ${stalled} stalled, on one follower of 3 nodes; appends of ${recordsPerAppend} records of ${recordBytes} bytes`,
    columns: [
      "records/s reached",
      "at",
      "answer p50 ms",
      "p99 ms",
      "to its tag p50 ms",
      "p99 ms",
      "to all p50 ms",
      "p99 ms",
      "CPU of the node",
      "of the readers",
      "MiB before",
      "attached",
      "peak",
    ],
    rows: [
      [
        row.saturatedRate,
        row.pacedRate,
        answerMs.p50,
        answerMs.p99,
        own.deliveryMs.p50,
        own.deliveryMs.p99,
        all.deliveryMs.p50,
        all.deliveryMs.p99,
        row.servingCpu,
        row.readersCpu,
        memory.before,
        memory.attached,
        memory.peak,
      ].map(figure),
    ],
  };
}

function idleTable({ followers, kibibytesEach, attachSeconds, cpu, answerMs, rate }: IdleFigures) {
  return {
    title: `${figure(followers)} followers on one node that wait for what never comes; appends of one record at ${rate}/s`,
    columns: [
      "KiB each",
      "attached in s",
      "CPU at rest without",
      "with",
      "CPU under appends without",
      "with",
      "answer p50 ms without",
      "with",
      "p99 ms without",
      "with",
    ],
    rows: [
      [
        kibibytesEach,
        attachSeconds,
        cpu.before,
        cpu.idle,
        cpu.loadedBefore,
        cpu.loaded,
        answerMs.before.p50,
        answerMs.after.p50,
        answerMs.before.p99,
        answerMs.after.p99,
      ].map(figure),
    ],
  };
}

const remarks = ({ own, all }: FollowersFigures): string[] => [
  "The rate reached is what all of these readers keep up with, none more than two records of its tag behind; the whole machine gives it, readers included.",
  "Delivery counts from the time at which the append was due to the record's arrival in the readers' process, from another node than the leader.",
  `verified: ${figure(own.records)} records to their tag's follower and ${figure(all.records)} to those of everything, each once and in order; the rest went on beside the stalled ones`,
];
