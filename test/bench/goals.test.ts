// Goal: the run that the goals are held to measures every workload they name, verifies it, and compares within the run.
// Method: run the built command at its smoke size and look at the report; speed is not looked at. Closed loop, transport, read
// and the stopped follower are parts of it, and their commands hand back the same figures.
import { expect, test } from "vitest";
import type { GoalsFigures } from "../../bench/goals.ts";
import { expectProbed, expectVerified } from "./expectations.ts";
import { runSmoke } from "./support.ts";

test("goals measures every workload in one run, beside the raw rate of the disk", { timeout: 120_000 }, async () => {
  const { report, progress } = await runSmoke<GoalsFigures>("goals");
  expect(report).toMatchObject({ benchmark: "goals", size: "smoke" });
  expect(report.machine.cpus).toBeGreaterThan(0);
  expectProbed(report.rawSync!.mean);
  expect(progress).toContain("3 nodes, stream, 8 x 50 x 1024 bytes in flight");

  const { goals, parts } = report.figures;
  expect(goals.map(({ unit }) => unit)).toEqual(["records/s", "MB/s", "records/s", "ms", "%", "records/s", "%"]);
  for (const { atLeast, aim, reached, ratio, unit } of goals) {
    expect(ratio).toBeCloseTo(unit === "ms" ? atLeast / reached : reached / atLeast);
    expect(unit === "ms" ? atLeast > 0 && aim > 0 : aim > atLeast).toBe(true);
  }
  expect(goals[0]!.reached).toBe(parts.threeNodes[0]!.recordsPerSecond);

  expect(parts.threeNodes.map(({ nodes, recordBytes }) => [nodes, recordBytes])).toEqual([
    [3, 100],
    [3, 1024],
  ]);
  expect(parts.oneNode.map(({ nodes, recordBytes }) => [nodes, recordBytes])).toEqual([[1, 100]]);
  for (const row of [...parts.threeNodes, ...parts.oneNode]) expectVerified(row);
  expectClosedLoop(parts.closedLoop);
  expectTransport(parts);
  expectReads(parts.reads);
  expect(parts.groups.groups).toBeGreaterThan(0);
  expect(parts.groups.share).toBeGreaterThan(0);

  const { sampledRecords, slotsBehind, catchUpSeconds, recordsPerSecond } = parts.stoppedFollower;
  expect(Math.min(sampledRecords, slotsBehind, catchUpSeconds, recordsPerSecond)).toBeGreaterThan(0);
});

function expectClosedLoop(figures: GoalsFigures["parts"]["closedLoop"]): void {
  expect(figures.map(({ append }) => append.nodes)).toEqual([3, 1]);
  for (const { append, rawSyncMs, syncsPerAppend } of figures) {
    expectVerified(append);
    expect(append).toMatchObject({ appendsInFlight: 1, recordsPerAppend: 1, rate: null });
    expect(syncsPerAppend).toBeCloseTo(append.latencyMs.p50 / rawSyncMs);
  }
}

function expectTransport({ flows, unary }: GoalsFigures["parts"]): void {
  expect(flows.map(({ kind, nodes, recordBytes }) => [kind, nodes, recordBytes])).toEqual([
    ["flow", 3, 100],
    ["flow", 3, 1024],
    ["flow", 1, 1024],
  ]);
  expect(unary.map(({ kind, mode, positionsVerified }) => [kind, mode, positionsVerified])).toEqual([
    ["empty", "unary", false],
    ["node", "unary", true],
  ]);
  for (const row of [...flows, ...unary]) {
    expect(row.acknowledged).toBeGreaterThan(0);
    expect(row.recordsPerSecond).toBeGreaterThan(0);
    expect(row.cpu).toHaveLength(row.nodes);
  }
}

function expectReads(reads: GoalsFigures["parts"]["reads"]): void {
  expect(reads.map(({ how }) => how)).toEqual(["batches", "records"]);
  for (const { records, comparedRecords, recordsPerSecond, megabytesPerSecond } of reads) {
    expect(records).toBe(20_000);
    expect(comparedRecords).toBe(records);
    expect(megabytesPerSecond).toBeCloseTo((recordsPerSecond * 100) / 1e6);
  }
}
