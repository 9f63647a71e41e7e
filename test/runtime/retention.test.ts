// Which part of the log a policy lets go of: whole segments, never the newest, never less than it asks to keep.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Position, Slot } from "../../src/base/types.ts";
import { type RetainedLog, type RetentionPolicy, trimFor } from "../../src/runtime/retention.ts";

const nothing: RetentionPolicy = { ageMs: undefined, bytes: undefined, records: undefined };
const place = (position: number) => ({ position: position as Position, slot: position as Slot });

/** Segments of ten records, a record a second. */
function logOf(segments: number, head = 1): RetainedLog {
  return {
    head: place(head),
    tail: (segments * 10 + 1) as Position,
    segmentBegins: Array.from({ length: segments }, (_, index) => place(index * 10 + 1)),
    segmentBytes: 1000,
    positionOfTime: (time) => Math.max(1, Math.ceil(time / 1000)) as Position,
  };
}

describe("a retention policy", () => {
  test("lets go of nothing where it says nothing, and nothing of a log that is short enough", () => {
    expect(trimFor(nothing, logOf(5), 50_000)).toBeUndefined();
    expect(trimFor({ ...nothing, records: 50 }, logOf(5), 50_000)).toBeUndefined();
    expect(trimFor({ ...nothing, bytes: 5000 }, logOf(5), 50_000)).toBeUndefined();
    expect(trimFor({ ...nothing, ageMs: 60_000 }, logOf(5), 50_000)).toBeUndefined();
  });

  test("trims to the begin of a segment, so that at least what it asks for is kept", () => {
    expect(trimFor({ ...nothing, records: 25 }, logOf(5), 50_000)).toEqual(place(21));
    expect(trimFor({ ...nothing, bytes: 2000 }, logOf(5), 50_000)).toEqual(place(31));
    expect(trimFor({ ...nothing, ageMs: 25_000 }, logOf(5), 50_000)).toEqual(place(21));
    expect(trimFor({ records: 45, bytes: 10_000, ageMs: 15_000 }, logOf(5), 50_000)).toEqual(place(31));
  });

  test("does not trim again to where the head is already", () => {
    expect(trimFor({ ...nothing, records: 25 }, logOf(5, 21), 50_000)).toBeUndefined();
    expect(trimFor({ ...nothing, records: 25 }, logOf(5, 25), 50_000)).toBeUndefined();
  });

  test("never takes the newest segment, nor more records than it may", () => {
    const amount = fc.option(fc.integer({ min: 1, max: 200 }), { nil: undefined });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), amount, amount, (segments, records, segmentsKept) => {
        const log = logOf(segments);
        const bytes = segmentsKept === undefined ? undefined : segmentsKept * 1000;
        const head = trimFor({ ...nothing, records, bytes }, log, 0);
        if (head === undefined) return;
        expect(log.segmentBegins).toContainEqual(head);
        expect(head.position).toBeLessThanOrEqual(log.segmentBegins.at(-1)!.position);
        const keptRecords = log.tail - head.position;
        const isRight =
          (records !== undefined && keptRecords >= records) ||
          (bytes !== undefined && Math.ceil(keptRecords / 10) * 1000 >= bytes);
        expect(isRight).toBe(true);
      }),
    );
  });
});
