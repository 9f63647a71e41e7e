// Many small clusters, each with faults of its own (RELIABILITY A1, A2): every seed must keep every promise and make progress
// once the faults stop, and together they must have met what they are for. More seeds: `npm run sim -- --seeds 10000`.
import { expect, test } from "vitest";
import { Coverage } from "../../src/simulator/coverage.ts";
import { runSeed } from "../../src/simulator/run.ts";
import { hashing } from "./support.ts";

const firstSeed = Number(process.env.PAXLOG_SIM_FROM ?? 1);
const seedCount = Number(process.env.PAXLOG_SIM_SEEDS ?? 60);

/** What 500 seeds must have met at least so often, and fewer in proportion: a simulator that never gets there finds nothing. */
const atLeast: Readonly<Record<string, number>> = {
  appendAcknowledged: 10_000,
  "append.LEADER_LOST": 100,
  appendLost: 100,
  readReady: 1000,
  leaderElected: 500,
  replaceThatCuts: 20,
  replaceEmpty: 100,
  learnt: 100,
  entriesFromSegments: 20,
  syncTaken: 500,
  syncBeginStale: 10,
  tornEnd: 5,
  unreportedWriteSurvived: 50,
  unreportedWriteLost: 50,
  crashInCommit: 50,
  crashInRecovery: 50,
  crashBetweenEffects: 50,
  "strike.crashAll": 50,
  segmentBegun: 500,
  messageLost: 500,
  messageDuplicated: 500,
  messageReordered: 50,
  messageLate: 500,
  "history.operations": 50_000,
  "history.appended": 20_000,
  "history.refused": 20_000,
  "history.append.unknown": 500,
  "history.repeatedAnswer": 700,
  "history.sessionEnds": 500,
  historySearched: 20,
  trimmed: 40,
  "strike.fullDisk": 300,
};

test(`${seedCount} seeds keep every promise, and meet what they are for`, { timeout: 600_000 }, () => {
  const coverage = new Coverage();
  const failures: string[] = [];
  for (let seed = firstSeed; seed < firstSeed + seedCount; seed += 1) {
    try {
      coverage.merge(runSeed({ seed, hashing }).coverage);
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error));
    }
  }
  expect(failures.slice(0, 3).join("\n"), `${failures.length} seeds fail`).toBe("");
  const missing = Object.entries(atLeast).filter(([name, count]) => coverage.of(name) < (count * seedCount) / 500);
  expect(missing.map(([name, count]) => `${name}: ${coverage.of(name)} of ${count}`)).toEqual([]);
});

test("a seed is a run: the same seed twice gives the same trace, another seed another", { timeout: 60_000 }, () => {
  const hashes = new Set<string>();
  for (let seed = firstSeed; seed < firstSeed + 4; seed += 1) {
    const first = runSeed({ seed, hashing }).traceHash;
    expect(runSeed({ seed, hashing }).traceHash).toBe(first);
    hashes.add(first);
  }
  expect(hashes.size).toBe(4);
});
