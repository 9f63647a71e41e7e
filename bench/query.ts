import { readdirSync, statSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { RecordInput } from "#src/format/batch-encode";
import { type EmbeddedLog, open } from "#src/node/open";
import type { BenchContext, Benchmark, Size } from "./lib/report.ts";
import { figure } from "./lib/table.ts";

export interface QueryFigures {
  readonly what: string;
  /** Records that the query found, each compared: as many as there are. */
  readonly found: number;
  readonly firstMs: number;
  /** Of the runs behind the first one. */
  readonly medianMs: number;
}

/** What indexing costs while batches are appended as fast as they go. */
export interface IndexCost {
  readonly rounds: number;
  readonly recordsPerSecond: { readonly indexing: number; readonly without: number };
  /** Of all threads of the process, the load's included. */
  readonly cpuUsPerRecord: { readonly indexing: number; readonly without: number };
}

export interface QueryReport {
  readonly records: number;
  readonly distinctTags: number;
  readonly segments: number;
  readonly logBytes: number;
  readonly indexBytes: number;
  readonly queries: readonly QueryFigures[];
  readonly cost: IndexCost;
}

interface Plan {
  readonly records: number;
  readonly tags: number;
  readonly segmentBytes: number;
  readonly rounds: number;
  readonly roundMs: number;
  /** Of each query; fewer where it has many results. */
  readonly repeats: number;
}

const mebibyte = 1024 * 1024;
const plans: Readonly<Record<Size, Plan>> = {
  smoke: { records: 60_000, tags: 6_000, segmentBytes: 2 * mebibyte, rounds: 1, roundMs: 300, repeats: 4 },
  default: {
    records: 10_000_000,
    tags: 1_000_000,
    segmentBytes: 64 * mebibyte,
    rounds: 5,
    roundMs: 4_000,
    repeats: 20,
  },
  full: { records: 10_000_000, tags: 1_000_000, segmentBytes: 64 * mebibyte, rounds: 15, roundMs: 6_000, repeats: 20 },
};

const perBatch = 100;
const inFlight = 32;

/** A log with many tags: how long it takes to find the records of one, and what it costs to be able to. */
export const queryBenchmark: Benchmark<QueryReport> = {
  name: "query",
  probes: "none",
  run: async (context) => {
    const plan = plans[context.size];
    const base = await mkdtemp(join(context.dir, "paxlog-query-"));
    try {
      const found = await measureQueries(context, plan, join(base, "queried"));
      const cost = await measureCost(context, plan, base);
      const { recordsPerSecond: rate, cpuUsPerRecord: cpu } = cost;
      return {
        figures: { ...found, cost },
        tables: [
          {
            title: `queries for one tag, ${figure(found.records)} records with ${figure(found.distinctTags)} distinct tags`,
            columns: ["tag with", "records", "first ms", "median ms"],
            rows: found.queries.map((row) => [row.what, figure(row.found), figure(row.firstMs), figure(row.medianMs)]),
          },
          {
            title: `appends of ${perBatch} records of 100 bytes with a tag each, interleaved, ${cost.rounds} rounds each`,
            columns: ["", "records/s", "CPU us a record"],
            rows: [
              ["indexing", figure(rate.indexing), figure(cpu.indexing)],
              ["without", figure(rate.without), figure(cpu.without)],
            ],
          },
        ],
        remarks: [
          `${figure(found.segments)} segments, ${figure(found.logBytes / 1e6)} MB, indexes ${figure(found.indexBytes / 1e6)} MB`,
          "verified: each query found exactly the records that bear its tag",
        ],
      };
    } finally {
      await rm(base, { recursive: true, force: true });
    }
  },
};

/** Tags whose records are spread over the whole log: "1", "100" and "10000" have so many, the others share the rest evenly. */
class TaggedRecords {
  readonly #plan: Plan;
  readonly #value = Buffer.alloc(100, "v");
  readonly counts: ReadonlyMap<string, number>;

  constructor(plan: Plan) {
    this.#plan = plan;
    this.counts = new Map(
      [1, 100, 10_000].filter((count) => count * 5 <= plan.records).map((count) => [`${count}`, count]),
    );
  }

  batch(first: number): RecordInput[] {
    return Array.from({ length: perBatch }, (_, index) => ({ value: this.#value, tags: [this.tagOf(first + index)] }));
  }

  /** A query with many results need not be repeated as often. */
  repeatsOf(tag: string): number {
    return Math.min(this.#plan.repeats, (this.counts.get(tag) ?? 0) > 1000 ? 5 : 20);
  }

  /** The ordinal of a record decides its tag: ordinals of the rare tags never meet, for their places in a stride differ. */
  tagOf(ordinal: number): string {
    let place = 1;
    for (const [tag, count] of this.counts) {
      const stride = Math.floor(this.#plan.records / count);
      if (ordinal % stride === place && ordinal < stride * count) return tag;
      place += 1;
    }
    return `t${ordinal % (this.#plan.tags - this.counts.size)}`;
  }
}

async function measureQueries(context: BenchContext, plan: Plan, dir: string): Promise<Omit<QueryReport, "cost">> {
  const { repeats } = plan;
  const tagged = new TaggedRecords(plan);
  const log = await open({ dir, segmentBytes: plan.segmentBytes });
  try {
    context.note(`appending ${figure(plan.records)} records`);
    await appendUntil(log, (ordinal) => (ordinal < plan.records ? tagged.batch(ordinal) : undefined));
    context.note("waiting for the last index");
    await indexed(dir);
    const expected = new Map<string, number>(tagged.counts);
    const ordinary = Array.from(
      { length: repeats },
      (_, index) => `t${Math.floor(((index + 0.5) / repeats) * (plan.tags - 3))}`,
    );
    for (let ordinal = 0; ordinal < plan.records; ordinal += 1) {
      const tag = tagged.tagOf(ordinal);
      if (!tagged.counts.has(tag) && ordinary.includes(tag)) expected.set(tag, (expected.get(tag) ?? 0) + 1);
    }
    context.note("queries");
    const queries: QueryFigures[] = [];
    for (const tag of tagged.counts.keys())
      queries.push(await timed(log, `${tag} records`, Array(tagged.repeatsOf(tag)).fill(tag), expected));
    queries.push(await timed(log, "about 10 records, another tag each time", ordinary, expected));
    queries.push(
      await timed(
        log,
        "none",
        Array.from({ length: repeats }, (_, index) => `absent ${index}`),
        expected,
      ),
    );
    const files = sizesIn(dir);
    return {
      records: plan.records,
      distinctTags: plan.tags,
      segments: files.filter(({ name }) => name.endsWith(".log")).length,
      logBytes: files.reduce((bytes, { name, size }) => bytes + (name.endsWith(".log") ? size : 0), 0),
      indexBytes: files.reduce((bytes, { name, size }) => bytes + (name.endsWith(".idx") ? size : 0), 0),
      queries,
    };
  } finally {
    await log.close();
  }
}

async function timed(
  log: EmbeddedLog,
  what: string,
  tags: readonly string[],
  expected: ReadonlyMap<string, number>,
): Promise<QueryFigures> {
  const times: number[] = [];
  let found = 0;
  for (const tag of tags) {
    const began = performance.now();
    found = 0;
    for await (const record of log.read({ query: { tags: [tag] } })) {
      if (record.tags[0] !== tag) throw new Error(`a record with the tag ${record.tags[0]} came for ${tag}`);
      found += 1;
    }
    times.push(performance.now() - began);
    if (found !== (expected.get(tag) ?? 0))
      throw new Error(`${found} records came for ${tag}, not ${expected.get(tag)}`);
  }
  const later = times.slice(1).sort((a, b) => a - b);
  return { what, found, firstMs: times[0]!, medianMs: later[Math.floor(later.length / 2)]! };
}

/** Two logs in turn, one with indexing and one without, each given the same load for the same time. */
async function measureCost(context: BenchContext, plan: Plan, base: string): Promise<IndexCost> {
  const tagged = new TaggedRecords(plan);
  const batches = Array.from({ length: 500 }, (_, index) => tagged.batch(index * perBatch));
  const sums = {
    indexing: { records: 0, ms: 0, cpu: 0, rates: [] as number[] },
    without: { records: 0, ms: 0, cpu: 0, rates: [] as number[] },
  };
  for (let round = 1; round <= plan.rounds; round += 1) {
    context.note(`cost of indexing, round ${round} of ${plan.rounds}`);
    const order = round % 2 === 1 ? (["indexing", "without"] as const) : (["without", "indexing"] as const);
    for (const how of order) {
      const dir = join(base, `${how}-${round}`);
      const log = await open({ dir, segmentBytes: plan.segmentBytes, indexing: how === "indexing" });
      await log.append(batches[0]!);
      const cpu = process.cpuUsage();
      const began = performance.now();
      const records = await appendUntil(log, (ordinal) =>
        performance.now() - began < plan.roundMs ? batches[(ordinal / perBatch) % batches.length] : undefined,
      );
      const ms = performance.now() - began;
      // What was put off belongs to the cost.
      if (how === "indexing") await indexed(dir);
      const { user, system } = process.cpuUsage(cpu);
      await log.close();
      await rm(dir, { recursive: true, force: true });
      const sum = sums[how];
      sum.records += records;
      sum.cpu += user + system;
      sum.rates.push((records / ms) * 1000);
    }
  }
  const median = (rates: readonly number[]) => [...rates].sort((a, b) => a - b)[Math.floor(rates.length / 2)]!;
  return {
    rounds: plan.rounds,
    recordsPerSecond: { indexing: median(sums.indexing.rates), without: median(sums.without.rates) },
    cpuUsPerRecord: {
      indexing: sums.indexing.cpu / sums.indexing.records,
      without: sums.without.cpu / sums.without.records,
    },
  };
}

/** Appends batches with so many in flight until there is none; returns how many records. */
async function appendUntil(
  log: EmbeddedLog,
  batchAt: (ordinal: number) => readonly RecordInput[] | undefined,
): Promise<number> {
  let next = 0;
  const sender = async () => {
    for (let batch = batchAt(next); batch !== undefined; batch = batchAt(next)) {
      next += perBatch;
      await log.append(batch);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, sender));
  return next;
}

/** Until every closed segment has its index. */
async function indexed(dir: string): Promise<void> {
  for (let waited = 0; waited < 600_000; waited += 20) {
    const names = readdirSync(join(dir, "log"));
    const last = names.filter((name) => name.endsWith(".log")).length;
    const indexes = names.filter((name) => name.endsWith(".idx")).length;
    // The open segment has none, and the next one may be made already.
    if (indexes >= last - 2) return;
    await sleep(20);
  }
  throw new Error("the indexes do not come");
}

function sizesIn(dir: string): { readonly name: string; readonly size: number }[] {
  const log = join(dir, "log");
  return readdirSync(log).map((name) => ({ name, size: statSync(join(log, name)).size }));
}
