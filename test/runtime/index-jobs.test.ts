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
