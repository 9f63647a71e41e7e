// Who sees to indexes: what it makes of a segment that is not there.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { limits } from "../../src/base/limits.ts";
import type { Slot } from "../../src/base/types.ts";
import { IndexJobs } from "../../src/runtime/index-jobs.ts";
import type { IndexedSegment, IndexJob } from "../../src/storage/index-builder.ts";
import type { LogReader } from "../../src/storage/reader.ts";
import { trimmedMeanwhile } from "../../src/storage/segment-files.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function jobsOver(looks: (() => undefined)[]): { readonly damages: unknown[]; look(): void } {
  const damages: unknown[] = [];
  const reader = { nextIndexJob: () => looks.shift()?.() } as unknown as LogReader;
  const jobs = new IndexJobs({
    reader,
    decidedEnd: () => 1 as Slot,
    build: () => {},
    onWritten: () => {},
    note: () => {},
    onDamaged: (cause) => damages.push(cause),
  });
  return {
    damages,
    look: () => {
      vi.advanceTimersByTime(limits.indexPollMs);
      if (looks.length === 0) jobs.stop();
    },
  };
}

const gone = (): never => {
  throw trimmedMeanwhile(22);
};
const fine = (): undefined => undefined;

test("a segment that is trimmed before the word of it comes is no damage", () => {
  const { damages, look } = jobsOver([gone, fine, gone, fine]);
  for (let count = 0; count < 4; count += 1) look();
  expect(damages).toEqual([]);
});

test("nor is one where the word takes its time, as it does on a busy disk; one that stays away is", () => {
  const looksWithin = limits.segmentMissingMs / limits.indexPollMs;
  const { damages, look } = jobsOver(Array.from({ length: looksWithin + 2 }, () => gone));
  for (let count = 0; count < looksWithin; count += 1) look();
  expect(damages).toEqual([]);
  look();
  expect(damages).toHaveLength(1);
});

test("an index that could not be built is told of, unless its segment was trimmed meanwhile", () => {
  const notes: string[] = [];
  const known = new Set([2]);
  const reader = {
    nextIndexJob: () => undefined,
    indexFailed: (generation: number) => known.has(generation),
  } as unknown as LogReader;
  const jobs = new IndexJobs({
    reader,
    decidedEnd: () => 1 as Slot,
    build: () => {},
    onWritten: () => {},
    note: (text) => notes.push(text),
    onDamaged: () => {},
  });
  jobs.failed(1, "it is gone");
  jobs.failed(2, "the disk is full");
  jobs.stop();
  expect(notes).toEqual([expect.stringContaining("segment 2 was not built: the disk is full")]);
});

test("while the log grows an index is built a small part of the time, and one after the other when it is calm", () => {
  let end = 1;
  let grows = true;
  const begun: number[] = [];
  const job = (generation: number) => ({ generation }) as IndexJob;
  const reader = {
    nextIndexJob: () => job(begun.length + 1),
    indexed: () => {},
  } as unknown as LogReader;
  const jobs = new IndexJobs({
    reader,
    decidedEnd: () => end as Slot,
    build: ({ generation }) => {
      begun.push(Math.round(performance.now()));
      setTimeout(() => jobs.built({ generation } as IndexedSegment), 100);
    },
    onWritten: () => {},
    note: () => {},
    onDamaged: () => {},
  });
  const pass = (milliseconds: number) => {
    for (let passed = 0; passed < milliseconds; passed += 50) {
      if (grows) end += 1;
      vi.advanceTimersByTime(50);
    }
  };
  pass(10_000);
  const pauses = begun.slice(1).map((at, index) => at - begun[index]!);
  expect(begun.length).toBeGreaterThanOrEqual(4);
  for (const each of pauses) expect(each).toBeGreaterThanOrEqual(100 * limits.indexRestFactor);
  const before = begun.length;
  grows = false;
  pass(2_000);
  expect(begun.length - before).toBeGreaterThanOrEqual(10);
  jobs.stop();
});

test("a segment that a query comes to is next, and whoever waits for it waits no longer than it takes, or than a bound", async () => {
  const begun: number[] = [];
  const left = new Set([1, 2, 3, 4]);
  const job = (generation: number) => ({ generation, begin: { slot: 10 * generation } }) as IndexJob;
  const reader = {
    nextIndexJob: () => [...left].map(job)[0],
    indexJobAt: (slot: Slot) => (left.has(slot / 10) ? job(slot / 10) : undefined),
    indexed: ({ generation }: IndexedSegment) => left.delete(generation),
    indexFailed: (generation: number) => left.delete(generation),
  } as unknown as LogReader;
  const jobs = new IndexJobs({
    reader,
    decidedEnd: () => 100 as Slot,
    build: ({ generation }) => begun.push(generation),
    onWritten: () => {},
    note: () => {},
    onDamaged: () => {},
  });
  const over: string[] = [];
  const wait = (slot: number, name: string) => void jobs.missingAt(slot as Slot)?.then(() => over.push(name));
  const settled = () => vi.advanceTimersByTimeAsync(0);
  vi.advanceTimersByTime(limits.indexPollMs);
  expect(begun).toEqual([1]);
  wait(30, "a");
  wait(30, "b");
  wait(20, "c");
  jobs.built({ generation: 1 } as IndexedSegment);
  jobs.built({ generation: 3 } as IndexedSegment);
  await settled();
  expect([begun, over]).toEqual([
    [1, 3, 2],
    ["a", "b"],
  ]);
  expect(jobs.missingAt(30 as Slot)).toBeUndefined();
  await vi.advanceTimersByTimeAsync(limits.indexWaitMs - 1);
  expect(over).toEqual(["a", "b"]);
  await vi.advanceTimersByTimeAsync(1);
  expect(over).toEqual(["a", "b", "c"]);
  wait(20, "d");
  jobs.failed(2, "the disk is full");
  await settled();
  expect(over).toEqual(["a", "b", "c", "d"]);
  wait(40, "e");
  jobs.stop();
  await settled();
  expect(over).toEqual(["a", "b", "c", "d", "e"]);
});
