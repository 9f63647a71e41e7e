import type { Histogram } from "hdr-histogram-js";
import type { Log } from "../../client/log.ts";
import { counterMachine } from "../../objects/builtins.ts";
import { machine } from "./append-bench.ts";
import { callersLoad, type LoadResult, type LoadTimes, newHistogram, verifyCount } from "./objects-load.ts";

export interface ObjectsBenchOptions {
  readonly log: Log;
  readonly callers: number;
  /** How many numbers one caller takes at once. */
  readonly idsPerTake: number;
  readonly times: LoadTimes;
  readonly nodes: number;
  readonly note: (line: string) => void;
}

export interface LatencyMs {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export interface ObjectFigures {
  readonly operationsPerSecond: number;
  readonly latencyMs: LatencyMs;
}

/** Of fetch-and-add and compare-and-set together; each for itself, and what else was measured, beside it. */
export interface ObjectsBenchResult extends ObjectFigures {
  readonly fetchAdd: ObjectFigures;
  readonly compareAndSet: ObjectFigures;
  /** `operationsPerSecond` counts takes, `idsPerSecond` the numbers that they brought. */
  readonly ids: ObjectFigures & { readonly idsPerSecond: number };
  /** Questions that any node answers after one look at the log. */
  readonly linearizableReads: ObjectFigures;
  /** Questions to a replica in the asking program. */
  readonly localReads: { readonly operationsPerSecond: number };
  readonly callers: number;
  readonly idsPerTake: number;
  readonly nodes: number;
  readonly machine: ReturnType<typeof machine>;
}

const keysOfCallers = 16;

/**
 * Measures shared objects: every change is decided and synced on a majority, applied, and replied to. Counts are verified.
 * @throws PaxlogError of the first operation that fails, INVARIANT_BROKEN where a count is wrong.
 */
export async function benchObjects(options: ObjectsBenchOptions): Promise<ObjectsBenchResult> {
  const { log, callers, idsPerTake, times, nodes, note } = options;
  const told = (name: string, result: LoadResult): LoadResult => {
    const { operationsPerSecond, latencyMs } = figuresOf(result);
    note(
      `${name.padEnd(18)} ${operationsPerSecond.toLocaleString("en")}/s  p50 ${latencyMs.p50} ms  p99 ${latencyMs.p99} ms`,
    );
    return result;
  };
  const fetchAdd = told("fetch-and-add", await loadFetchAdd(log, callers, times));
  const compareAndSet = told("compare-and-set", await loadCompareAndSet(log, callers, times));
  const ids = told("take ids", await loadTakes(log, callers, idsPerTake, times));
  const reads = told("linearizable reads", await loadReads(log, callers, times));
  const localReads = { operationsPerSecond: await loadLocalReads(log, times) };
  note(`${"local reads".padEnd(18)} ${localReads.operationsPerSecond.toLocaleString("en")}/s`);
  const idFigures = figuresOf(ids);
  return {
    ...figuresOf(together(fetchAdd, compareAndSet)),
    fetchAdd: figuresOf(fetchAdd),
    compareAndSet: figuresOf(compareAndSet),
    ids: { ...idFigures, idsPerSecond: idFigures.operationsPerSecond * idsPerTake },
    linearizableReads: figuresOf(reads),
    localReads,
    callers,
    idsPerTake,
    nodes,
    machine: machine(),
  };
}

async function loadFetchAdd(log: Log, callers: number, times: LoadTimes): Promise<LoadResult> {
  const counters = Array.from({ length: keysOfCallers }, (_, index) => log.counter(`bench-${index}`));
  const before = await sumOf(counters);
  let done = 0;
  const result = await callersLoad(
    Array.from({ length: callers }, (_, index) => async () => {
      await counters[index % keysOfCallers]!.fetchAdd(1);
      done += 1;
    }),
    times,
  );
  verifyCount("the counters grew by", (await sumOf(counters)) - before, done);
  return result;
}

async function sumOf(counters: readonly { get(): Promise<number> }[]): Promise<number> {
  const values = await Promise.all(counters.map((counter) => counter.get()));
  return values.reduce((sum, value) => sum + value, 0);
}

/** Each caller has a register of its own, so that every comparison holds: the work is that of a success. */
async function loadCompareAndSet(log: Log, callers: number, times: LoadTimes): Promise<LoadResult> {
  const operations = await Promise.all(
    Array.from({ length: callers }, async (_, index) => {
      const register = log.register(`bench-${index}`);
      let { version } = await register.set("0");
      let count = 0;
      return async () => {
        count += 1;
        const { done, now } = await register.compareAndSet({ version }, `${count}`);
        verifyCount("comparisons that held", done ? 1 : 0, 1);
        version = now!.version;
      };
    }),
  );
  return callersLoad(operations, times);
}

async function loadTakes(log: Log, callers: number, idsPerTake: number, times: LoadTimes): Promise<LoadResult> {
  const ids = log.counter("bench-ids");
  const before = await ids.get();
  let taken = 0;
  const take = async (): Promise<void> => {
    const { first, last } = await ids.take(idsPerTake);
    taken += last - first + 1;
  };
  const result = await callersLoad(new Array<typeof take>(callers).fill(take), times);
  verifyCount("the numbers taken are", (await ids.get()) - before, taken);
  return result;
}

function loadReads(log: Log, callers: number, times: LoadTimes): Promise<LoadResult> {
  const counter = log.counter("bench-0");
  return callersLoad(
    new Array<() => Promise<number>>(callers).fill(() => counter.get()),
    times,
  );
}

/** The machine that the nodes run, as a replica in this program. */
async function loadLocalReads(log: Log, { durationMs }: LoadTimes): Promise<number> {
  await using replica = log.machine(counterMachine);
  await replica.ask({ name: "bench-0" });
  const began = performance.now();
  let operations = 0;
  // The clock is looked at now and then, and the loop lets others run.
  for (let now = began; now < began + durationMs; now = performance.now()) {
    for (let index = 0; index < 1000; index += 1) await replica.ask({ name: "bench-0" }, { freshness: "local" });
    operations += 1000;
    await new Promise((resolve) => setImmediate(resolve));
  }
  return Math.round(operations / ((performance.now() - began) / 1000));
}

function together(a: LoadResult, b: LoadResult): LoadResult {
  const latency = newHistogram();
  latency.add(a.latency);
  latency.add(b.latency);
  return { operations: a.operations + b.operations, seconds: a.seconds + b.seconds, latency };
}

const figuresOf = ({ operations, seconds, latency }: LoadResult): ObjectFigures => ({
  operationsPerSecond: Math.round(operations / seconds),
  latencyMs: latencyOf(latency),
});

function latencyOf(latency: Histogram): LatencyMs {
  const at = (percentile: number) => Number((latency.getValueAtPercentile(percentile) / 1000).toFixed(3));
  return { p50: at(50), p99: at(99), p999: at(99.9), max: Number((latency.maxValue / 1000).toFixed(3)) };
}
