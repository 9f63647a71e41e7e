import { expect } from "vitest";
import type { RawSync } from "../../bench/lib/sync-probe.ts";
import type { AppendFigures } from "../../bench/measure-append.ts";

/** Everything that a measurement of appends must hand back, whatever its speed. */
export function expectVerified(figures: AppendFigures): void {
  expect(figures.recordsPerSecond).toBeGreaterThan(0);
  const { acknowledged, tailMoved, unknown, sampledRecords } = figures.verified;
  expect(acknowledged).toBeGreaterThan(0);
  expect(sampledRecords).toBeGreaterThan(0);
  expect(tailMoved).toBeGreaterThanOrEqual(acknowledged);
  expect(tailMoved).toBeLessThanOrEqual(acknowledged + unknown);
  if (figures.failedAppends === 0) expect(unknown).toBe(0);

  const { p50, p99, p999, max } = figures.latencyMs;
  expect(p50).toBeGreaterThan(0);
  expect([p50, p99, p999, max].toSorted((a, b) => a - b)).toEqual([p50, p99, p999, max]);

  expect(figures.leaderSyncsPerSecond).toBeGreaterThan(0);
  expect(figures.work.nodes).toHaveLength(figures.nodes);
  expect(figures.work.nodes.filter(({ role }) => role === "leader")).toHaveLength(1);
  for (const node of figures.work.nodes) {
    expect(node.syncs).toBeGreaterThan(0);
    expect(node.cpu).toBeGreaterThan(0);
    expect(node.residentMebibytes).toBeGreaterThan(10);
    expect(node.residentMebibytesPeak).toBeGreaterThanOrEqual(node.residentMebibytes);
  }
}

export function expectProbed(rawSync: RawSync): void {
  for (const { syncsPerSecond, latencyMs } of [rawSync.one, rawSync.three]) {
    expect(syncsPerSecond).toBeGreaterThan(0);
    expect(latencyMs.p50).toBeGreaterThan(0);
  }
  expect(rawSync.megabytesPerSecond).toBeGreaterThan(0);
}
