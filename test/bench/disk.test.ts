// Goal: the benchmark of the disk measures every way to write, and storage beside the same calls with nothing around them.
// Method: run the built command at its smoke size and look at the report; speed is not looked at.
import { expect, test } from "vitest";
import type { DiskFigures } from "../../bench/disk.ts";
import { loadFiles } from "../../src/native/files.ts";
import { runSmoke } from "./support.ts";

test("disk measures each size through each door in each kind of space, and groups through storage", {
  timeout: 60_000,
}, async () => {
  const { report, progress } = await runSmoke<DiskFigures>("disk");
  const { writes, groups, chosenMode } = report.figures;
  const doors = ["node:fs fdatasync"];
  if (loadFiles() !== undefined) doors.push("addon fdatasync", "addon O_DIRECT|O_DSYNC");
  const cells = [4096, 65_536, 1_048_576].flatMap((bytes) =>
    doors.flatMap((how) => ["reserved", "written"].map((space) => [bytes, how, space])),
  );
  expect(writes.map(({ bytes, how, space }) => [bytes, how, space])).toEqual(cells);
  for (const row of writes) {
    expect(row.writes).toBeGreaterThan(0);
    expect(row.megabytesPerSecond).toBeCloseTo((row.writesPerSecond * row.bytes) / 1e6);
    expect(row.latencyMs.p99).toBeGreaterThanOrEqual(row.latencyMs.p50);
  }
  expect(groups.map(({ how, groups: count }) => [how, count])).toEqual(doors.map((how) => [how, 6]));
  for (const { share, bareMegabytesPerSecond, storageMegabytesPerSecond } of groups) {
    expect(share).toBeCloseTo(storageMegabytesPerSecond / bareMegabytesPerSecond);
  }
  expect(chosenMode === undefined).toBe(doors.length === 1);
  expect(progress).toContain("64 KiB, round 1 of 1");
});
