// Goal: what a session asks for is in the log once, in order, and gets one answer, whatever happens to its clients and nodes.
// Method: storms in the simulator; a million appends: `npm run sim:storm`.
import { expect, test } from "vitest";
import { Coverage } from "../../src/simulator/coverage.ts";
import { runStorm } from "../../src/simulator/storm.ts";
import { hashing } from "./support.ts";

const appends = Number(process.env.PAXLOG_STORM_APPENDS ?? 4_000);
const appendsOfRun = 2_000;

/** What so many appends must have met: a storm without retries and elections shows nothing. */
const atLeast: Readonly<Record<string, number>> = {
  "storm.sentAgain": 1000,
  "storm.answeredAgain": 100,
  "storm.connections": 50,
  "storm.lost": 20,
  leaderElected: 8,
};

test(`${appends} session appends under storms land once each, in order`, { timeout: 600_000 }, () => {
  const coverage = new Coverage();
  let done = 0;
  for (let seed = 1; done < appends; seed += 1) {
    const report = runStorm({ seed, appends: appendsOfRun, hashing });
    coverage.merge(report.coverage);
    done += report.appends;
  }
  expect(done).toBe(appends);
  const missing = Object.entries(atLeast).filter(([name, count]) => coverage.of(name) < count);
  expect(missing.map(([name, count]) => `${name}: ${coverage.of(name)} of ${count}`)).toEqual([]);
});
