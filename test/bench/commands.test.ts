// Goal: the benchmarks that the goals do not run hand back what they measured, verified.
// Method: run the built commands at their smoke size and look at the reports; speed is not looked at.
import { expect, test } from "vitest";
import type { CodecFigures } from "../../bench/codec.ts";
import type { FollowersReport } from "../../bench/followers.ts";
import type { GuardsReport } from "../../bench/guards.ts";
import type { AppendFigures } from "../../bench/measure-append.ts";
import type { ProfileFigures } from "../../bench/profile.ts";
import type { MachineStartFigures } from "../../bench/start.ts";
import type { TailFigures } from "../../bench/tail.ts";
import { expectProbed, expectVerified } from "./expectations.ts";
import { runBench, runSmoke } from "./support.ts";

const timeout = 60_000;

test("append measures three nodes and one, unary and on a stream, at full speed and at a rate", {
  timeout,
}, async () => {
  const { report } = await runSmoke<readonly AppendFigures[]>("append");
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
});

test("tail delivers every record that was due, and counts from when it was due", { timeout }, async () => {
  const { report } = await runSmoke<readonly TailFigures[]>("tail");
  const [row, ...more] = report.figures;
  expect(more).toEqual([]);
  expect(row).toMatchObject({ appendsPerSecond: 200, delivered: 100 });
  expect(row!.answerMs.p50).toBeGreaterThan(0);
  expect(row!.deliveryMs.p50).toBeGreaterThan(0);
  // Nothing is answered or delivered before it is sent.
  expect(Math.min(row!.answerMs.max, row!.deliveryMs.max)).toBeGreaterThanOrEqual(row!.sendingMs.p50);
});

test("followers by tag and of everything get what is theirs, beside stalled ones, and idle ones are held", {
  timeout,
}, async () => {
  const { report } = await runSmoke<FollowersReport>("followers");
  const { busy, idle } = report.figures;
  expect(busy).toMatchObject({ tagged: 20, everything: 2, stalled: 2 });
  expect(busy.all.records).toBe(2 * busy.own.records);
  expect(busy.pacedRate).toBe(busy.saturatedRate / 2);
  expect(idle.followers).toBe(50);
});

test("guards measures each kind of guard, each verdict held against the truth", { timeout }, async () => {
  const { report } = await runSmoke<GuardsReport>("guards");
  const { rows, records, windowRecords, windowBytes } = report.figures;
  expect(rows.map(({ what }) => what)).toEqual([
    "no guard, 10 records with a tag each",
    "no guard, a record without a tag",
    "expected tail",
    "condition on a tag, after in the window, holds",
    "condition on a tag, after in the window, refused",
    "stream at its expected revision",
  ]);
  for (const { us } of rows) expect(us.p50).toBeGreaterThan(0);
  expect(windowRecords).toBeGreaterThanOrEqual(records);
  expect(windowBytes).toBeGreaterThan(0);
});

test("start finds what the machines were, behind few commands and behind more", { timeout }, async () => {
  const { report } = await runSmoke<readonly MachineStartFigures[]>("start");
  expect(report.figures.map(({ commands }) => commands)).toEqual([8_192, 40_960]);
  for (const { processMs, openMs, cpuMs, memoryMiB } of report.figures) {
    expect(processMs).toBeGreaterThan(openMs);
    expect(Math.min(openMs, cpuMs, memoryMiB)).toBeGreaterThan(0);
  }
});

test("codec measures every step of an append and of a read", { timeout }, async () => {
  const { report } = await runSmoke<readonly CodecFigures[]>("codec");
  expect(report.rawSync).toBeUndefined();
  const steps = new Set(report.figures.map(({ what }) => what.replace(/, \d.*/, "")));
  expect([...steps].toSorted()).toEqual([
    "Accept decode",
    "Accept encode",
    "append request decode",
    "append request encode",
    "batch CRC32C",
    "batch XXH3-128",
    "batch decode, every value",
    "batch encode",
    "batch scan",
    "entries decode",
    "entry make",
    "read response decode",
    "read response encode",
  ]);
  for (const { microseconds, records, recordsPerSecond } of report.figures) {
    expect(microseconds).toBeGreaterThan(0);
    expect((recordsPerSecond * microseconds) / 1e6).toBeCloseTo(records);
  }
});

test("profile names the functions of every thread of the leader", { timeout }, async () => {
  const { report } = await runSmoke<readonly ProfileFigures[]>("profile");
  const { append, threads } = report.figures[0]!;
  expect(append.verified.acknowledged).toBeGreaterThan(0);
  expect(threads.map(({ thread }) => thread)).toEqual([
    "leader's engine thread",
    "leader's storage thread",
    "follower's engine thread",
    "follower's storage thread",
    "the load",
  ]);
  for (const { milliseconds, idlePercent, top } of threads) {
    expect(milliseconds).toBeGreaterThan(0);
    expect(idlePercent).toBeLessThan(100);
    expect(top.length).toBeGreaterThan(0);
    expect(top.reduce((sum, { percent }) => sum + percent, 0)).toBeLessThanOrEqual(100.001);
  }
  const places = threads.flatMap(({ top }) => top.map(({ place }) => place));
  expect(places.some((place) => place.startsWith("dist/"))).toBe(true);
});

test("a table for people ends with the machine; an unknown name is refused", { timeout }, async () => {
  const text = await runBench(["codec", "--smoke"]);
  expect(text.code).toBe(0);
  expect(text.stdout).toMatch(/^encoding and decoding, one thread\n\nwhat +records x bytes .*us +records\/s/);
  expect(text.stdout).toMatch(/\d+ x .+ MiB, .+ Node \d+\.\d+\.\d+; .*load average at the start [\d.]+/);
  const unknown = await runBench(["no-such-benchmark"]);
  expect(unknown.code).not.toBe(0);
  expect(unknown.stderr).toMatch(/error: /);
});
