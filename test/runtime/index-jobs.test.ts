// Who sees to indexes: what it makes of a segment that is not there.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { limits } from "../../src/base/limits.ts";
import type { Slot } from "../../src/base/types.ts";
import { IndexJobs } from "../../src/runtime/index-jobs.ts";
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

test("one that is still wanted at the next look is damage", () => {
  const { damages, look } = jobsOver([gone, gone]);
  look();
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
