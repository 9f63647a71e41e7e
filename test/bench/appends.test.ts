// Goal: the benchmarks of appends measure what they say, verify it, and hand back every figure that the goals ask for.
// Method: run the built commands at their smoke size and look at the reports; speed is not looked at.
import { expect, test } from "vitest";
import type { ClosedLoopFigures } from "../../bench/closed-loop.ts";
import type { GoalsFigures } from "../../bench/goals.ts";
import type { RawSync } from "../../bench/lib/sync-probe.ts";
import type { AppendFigures } from "../../bench/measure-append.ts";
import type { TransportFigures } from "../../bench/transport.ts";
import { runBench, runSmoke } from "./support.ts";

const timeout = 60_000;

function expectVerified(figures: AppendFigures): void {
  expect(figures.recordsPerSecond).toBeGreaterThan(0);
  expect(figures.verified.acknowledged).toBeGreaterThan(0);
  if (figures.leaderChanges === 0) expect(figures.failedAppends).toBe(0);
  const { acknowledged, tailMoved, unknown } = figures.verified;
  expect(tailMoved).toBeGreaterThanOrEqual(acknowledged);
  expect(tailMoved).toBeLessThanOrEqual(acknowledged + unknown);
  expect(figures.verified.sampledRecords).toBeGreaterThan(0);
  expect(figures.latencyMs.p50).toBeGreaterThan(0);
  expect(figures.latencyMs.p99).toBeGreaterThanOrEqual(figures.latencyMs.p50);
  expect(figures.latencyMs.max).toBeGreaterThanOrEqual(figures.latencyMs.p99);
  expect(figures.work.nodes).toHaveLength(figures.nodes);
  expect(figures.work.nodes.filter(({ role }) => role === "leader")).toHaveLength(1);
  expect(figures.leaderSyncsPerSecond).toBeGreaterThan(0);
  for (const node of figures.work.nodes) {
    expect(node.syncs).toBeGreaterThan(0);
    expect(node.cpu).toBeGreaterThan(0);
    expect(node.residentMebibytes).toBeGreaterThan(10);
    expect(node.residentMebibytesPeak).toBeGreaterThanOrEqual(node.residentMebibytes);
  }
}

function expectProbed(mean: RawSync): void {
  for (const { syncsPerSecond, latencyMs } of [mean.one, mean.three]) {
    expect(syncsPerSecond).toBeGreaterThan(0);
    expect(latencyMs.p50).toBeGreaterThan(0);
  }
  expect(mean.megabytesPerSecond).toBeGreaterThan(0);
}

test("append measures three nodes and one, unary and on a stream, at full speed and at a rate", {
  timeout,
}, async () => {
  const { report, progress } = await runSmoke<readonly AppendFigures[]>("append");
  expect(report).toMatchObject({ benchmark: "append", size: "smoke" });
  expect(report.machine.cpus).toBeGreaterThan(0);
  expectProbed(report.rawSync!.mean);
  expect(report.figures.map(({ nodes, mode, rate }) => [nodes, mode, rate !== null])).toEqual([
    [3, "stream", false],
    [3, "stream", true],
    [3, "unary", false],
    [1, "stream", false],
    [1, "unary", false],
  ]);
  for (const figures of report.figures) expectVerified(figures);
  const [free, paced] = report.figures;
  expect(paced!.rate).toBe(Math.round(free!.recordsPerSecond / 2));
  expect(progress).toContain("3 nodes, unary, 4 x 1 x 1024 bytes in flight");
});

test("closed-loop has one append in flight and sets it beside the raw sync of as many writers", {
  timeout,
}, async () => {
  const { report } = await runSmoke<readonly ClosedLoopFigures[]>("closed-loop");
  expect(report.figures.map(({ append }) => append.nodes)).toEqual([3, 1]);
  expect(report.rawSync!.probes).toHaveLength(3);
  for (const { append, rawSyncMs, syncsPerAppend } of report.figures) {
    expectVerified(append);
    expect(append).toMatchObject({ appendsInFlight: 1, recordsPerAppend: 1 });
    expect(syncsPerAppend).toBeCloseTo(append.latencyMs.p50 / rawSyncMs);
  }
});

test("transport measures the messages alone, and an empty handler beside a node", { timeout }, async () => {
  const { report } = await runSmoke<readonly TransportFigures[]>("transport");
  expect(report.figures.map(({ kind, mode, nodes }) => [kind, mode, nodes])).toEqual([
    ["flow", "stream", 3],
    ["empty", "unary", 1],
    ["node", "unary", 1],
  ]);
  for (const row of report.figures) {
    expect(row.acknowledged).toBeGreaterThan(0);
    expect(row.recordsPerSecond).toBeGreaterThan(0);
    expect(row.positionsVerified).toBe(row.kind !== "empty");
    expect(row.cpu).toHaveLength(row.nodes);
    expect(Math.min(...row.cpu)).toBeGreaterThan(0);
  }
});

test("without a name everything that the goals name is measured in one run", { timeout: 2 * timeout }, async () => {
  const { code, stdout, stderr } = await runBench(["--smoke", "--json"]);
  expect(code, stderr).toBe(0);
  const { figures, rawSync } = JSON.parse(stdout) as { figures: GoalsFigures; rawSync: { mean: RawSync } };
  expectProbed(rawSync.mean);
  expect(figures.goals.map(({ unit }) => unit)).toEqual(["records/s", "MB/s", "records/s", "ms", "%", "records/s"]);
  for (const { atLeast, aim, reached, ratio, unit } of figures.goals) {
    expect(ratio).toBeCloseTo(unit === "ms" ? atLeast / reached : reached / atLeast);
    expect(unit === "ms" ? atLeast > 0 : aim > atLeast).toBe(true);
  }
  const { threeNodes, oneNode, stoppedFollower } = figures.parts;
  for (const row of [...threeNodes, ...oneNode]) expectVerified(row);
  expect(stoppedFollower.sampledRecords).toBeGreaterThan(0);
  expect(stoppedFollower.slotsBehind).toBeGreaterThan(0);
  expect(stoppedFollower.catchUpSeconds).toBeGreaterThan(0);
});
