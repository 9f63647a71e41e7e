// Goal: the parts that make figures trustworthy: verification sees a lie, samples are even and bounded, /proc is read right.
// Method: plain calls with made-up answers.
import { expect, test } from "vitest";
import { cpuSecondsOf, fieldOf, processUsage } from "../../bench/lib/process-usage.ts";
import { SamplingTarget, verifyPositions, verifyRun } from "../../bench/lib/read-back.ts";
import { describeRawSync, meanRawSync } from "../../bench/lib/sync-probe.ts";
import { figure, renderTable } from "../../bench/lib/table.ts";
import { summarize } from "../../bench/profile/summary.ts";
import type { Log, LogRead } from "../../src/client/log.ts";
import type { LogRecord } from "../../src/client/log-batch.ts";

const record = (text: string) => ({ value: Buffer.from(text) });

/** A log whose records are these, from position 1 on. */
function logOf(...values: string[]): Log {
  const read = ({ from = 1, limit = values.length } = {}): LogRead => {
    const records = values.slice(from - 1, from - 1 + limit).map((text, index): LogRecord => {
      return {
        position: from + index,
        time: 1,
        session: 0,
        type: undefined,
        tags: [],
        value: Buffer.from(text),
        metadata: undefined,
      };
    });
    async function* each() {
      yield* records;
    }
    return { [Symbol.asyncIterator]: each, batches: () => ({ [Symbol.asyncIterator]: () => ({ next: neverAsked }) }) };
  };
  return { read } as unknown as Log;
}

const neverAsked = () => Promise.reject(new Error("nobody asks for batches"));

test("what stands where it was acknowledged passes; other bytes, another tail and shared positions do not", async () => {
  const samples = [
    { records: [record("c")], first: 3, last: 3 },
    { records: [record("a"), record("b")], first: 1, last: 2 },
  ];
  const tail = { before: 1, after: 4 };
  const all = { acknowledged: 3, unknown: 0 };
  const log = logOf("a", "b", "c");
  expect(await verifyRun(log, samples, all, tail)).toEqual({ ...all, tailMoved: 3, sampledRecords: 3 });
  await expect(verifyRun(logOf("a", "x", "c"), samples, all, tail)).rejects.toThrow(/record at 2 is not the one/);
  await expect(verifyRun(logOf("a", "b"), samples, all, tail)).rejects.toThrow(/of 1 records at 3 came 0/);
  await expect(verifyRun(log, [], all, tail)).rejects.toThrow(/nothing was sampled/);
  expect(() => verifyPositions(samples, { acknowledged: 2, unknown: 0 }, tail)).toThrow(/tail moved by 3/);
  expect(verifyPositions(samples, { acknowledged: 2, unknown: 1 }, tail)).toBe(3);
  expect(() => verifyPositions(samples, { acknowledged: 4, unknown: 1 }, tail)).toThrow(/tail moved by 3/);
  const shared = [...samples, { records: [record("b")], first: 2, last: 2 }];
  expect(() => verifyPositions(shared, all, tail)).toThrow(/where others are/);
  const past = [{ records: [record("d")], first: 4, last: 4 }];
  expect(() => verifyPositions(past, all, tail)).toThrow(/where others are/);
});

test("samples are bounded and spread over the whole run", async () => {
  let next = 1;
  const target = new SamplingTarget({
    append: async (records) => {
      const first = next;
      next += records.length;
      return { first, last: next - 1, time: 1 };
    },
  });
  for (let count = 0; count < 10_000; count += 1) await target.append([record("x")]);
  const firsts = target.samples.map(({ first }) => first);
  expect(firsts.length).toBeGreaterThan(50);
  expect(firsts.length).toBeLessThanOrEqual(128);
  const gaps = firsts.slice(1).map((first, index) => first - firsts[index]!);
  expect(new Set(gaps).size).toBe(1);
  expect(10_000 - firsts.at(-1)!).toBeLessThanOrEqual(gaps[0]!);
});

test("an append that fails is not sampled, and its caller hears of it", async () => {
  const target = new SamplingTarget({ append: () => Promise.reject(new Error("lost")) });
  await expect(target.append([record("x")])).rejects.toThrow("lost");
  expect(target.samples).toEqual([]);
});

test("CPU time is found behind a process name that holds anything", () => {
  const stat = `7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 11 0 100`;
  expect(cpuSecondsOf(stat)).toBe(3);
  expect(fieldOf("Name:\tnode\nVmRSS:\t   1234 kB\n", "VmRSS")).toBe(1234);
  expect(fieldOf("Name:\tnode\n", "VmRSS")).toBe(0);
});

test("the usage of this process grows as it works; of a process that is gone there is none", () => {
  const before = processUsage(process.pid)!;
  const until = performance.now() + 100;
  while (performance.now() < until);
  const after = processUsage(process.pid)!;
  expect(after.cpuSeconds).toBeGreaterThan(before.cpuSeconds);
  expect(after.residentBytes).toBeGreaterThan(1e6);
  // The system counts the peak and the present by different means; they may differ by a few pages.
  expect(after.residentBytesPeak).toBeGreaterThan(before.residentBytes * 0.9);
  expect(processUsage(2 ** 22 + 1)).toBeUndefined();
});

test("self time is summed by function, idle time left out of the shares", () => {
  const frame = (functionName: string, url = "", lineNumber = 0) => ({ functionName, url, lineNumber });
  const profile = {
    nodes: [
      { id: 1, callFrame: frame("(idle)") },
      { id: 2, callFrame: frame("work", "file:///somewhere/dist/runtime/engine.js", 9) },
      { id: 3, callFrame: frame("work", "file:///somewhere/dist/runtime/engine.js", 9) },
      { id: 4, callFrame: frame("(garbage collector)") },
    ],
    samples: [1, 2, 3, 4],
    timeDeltas: [4000, 2000, 1000, 1000],
  };
  expect(summarize("engine", profile, 5)).toEqual({
    thread: "engine",
    milliseconds: 8,
    idlePercent: 50,
    collectionPercent: 12.5,
    top: [
      { name: "work", place: "dist/runtime/engine.js:10", selfMilliseconds: 3, percent: 75 },
      { name: "(garbage collector)", place: "", selfMilliseconds: 1, percent: 25 },
    ],
  });
});

test("probes are averaged; tables align numbers to the right", () => {
  const probe = (scale: number) => {
    const rate = { syncsPerSecond: 1000 * scale, latencyMs: { p50: scale, p99: scale, p999: scale, max: scale } };
    return { one: rate, three: rate, megabytesPerSecond: 100 * scale };
  };
  expect(meanRawSync([probe(1), probe(3)])).toEqual({
    ...probe(2),
    one: { syncsPerSecond: 2000, latencyMs: { p50: 2, p99: 2, p999: 2, max: 3 } },
    three: { syncsPerSecond: 2000, latencyMs: { p50: 2, p99: 2, p999: 2, max: 3 } },
  });
  expect(describeRawSync(probe(2))).toBe(
    "raw sync of 4 KiB: one writer p50 2.000 ms, p99 2.000 ms, 2000/s; three at once p50 2.000 ms, p99 2.000 ms, " +
      "2000/s each; 1 MiB: 200 MB/s",
  );
  expect([1234567, 99.96, 9.876, 0.12345, 0].map(figure)).toEqual(["1,234,567", "100.0", "9.88", "0.123", "0"]);
  const rows = [
    ["one", "1"],
    ["eleven", "11"],
  ];
  expect(renderTable({ title: "counts", columns: ["what", "n"], rows })).toBe(
    "counts\n\nwhat     n\n------  --\none      1\neleven  11",
  );
});
