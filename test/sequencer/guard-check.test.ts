// Guards over types and tags against the plain truth: random logs, of which the window covers the end only and the memory less.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Position, Slot } from "../../src/base/types.ts";
import { noBallot } from "../../src/core/ballot.ts";
import type { Entry } from "../../src/core/entry.ts";
import type { Guards, Query, Refusal, StreamGuard } from "../../src/core/guards.ts";
import type { EntrySource, HistoryAnswer, HistoryQuery } from "../../src/core/sequencer.ts";
import { encodeBatch } from "../../src/format/batch-encode.ts";
import { guardsOfBatch } from "../../src/format/batch-guards.ts";
import { makeEntryMaker } from "../../src/format/entry.ts";
import { makeEntryParts } from "../../src/format/entry-parts.ts";
import { loadHashing } from "../../src/native/hashing.ts";
import { GuardCheck } from "../../src/sequencer/guard-check.ts";
import { LogState } from "../../src/sequencer/log-state.ts";

const hashing = await loadHashing();
const parts = makeEntryParts(hashing);
const makeEntry = makeEntryMaker(hashing);

interface TestRecord {
  readonly type: string | undefined;
  readonly tags: readonly string[];
}

interface TestLog {
  readonly records: readonly TestRecord[];
  readonly entries: readonly Entry[];
  readonly state: LogState;
}

/** A log of these batches. Of its hashes the window has those of the entries from `windowBegin` on. */
function logOf(batches: readonly (readonly TestRecord[])[], windowBegin: number): TestLog {
  const records: TestRecord[] = [];
  const entries: Entry[] = [];
  let state = new LogState();
  for (const [index, batch] of batches.entries()) {
    const bytes = encodeBatch(batch.map(({ type, tags }) => ({ value: new Uint8Array(1), type, tags: [...tags] })));
    const guards = guardsOfBatch(bytes);
    const entry = makeEntry(
      {
        slot: (index + 1) as Slot,
        originBallot: noBallot,
        floor: 1 as Slot,
        kind: "batch",
        firstPosition: (records.length + 1) as Position,
        recordCount: batch.length,
        time: 1,
        session: 0,
        serial: 0,
        batchChecksum: hashing.crc32c(bytes),
        guardLength: guards.length,
        prevHash: entries[index - 1]?.hash ?? ("00".repeat(16) as never),
      },
      { batch: bytes, guards },
    );
    if (index === windowBegin) {
      const snapshot = state.save();
      const nothing = { lows: new Uint32Array(), highs: new Uint32Array(), firsts: new Float64Array() };
      const window = { ...nothing, counts: new Uint32Array(), coveredFrom: state.nextPosition };
      state = new LogState({ ...snapshot, window });
    }
    expect(state.apply(entry, parts)).toBeUndefined();
    entries.push(entry);
    records.push(...batch);
  }
  return { records, entries, state };
}

/** The entries from `memoryBegin` on. */
function sourceOf(entries: readonly Entry[], memoryBegin: number): EntrySource {
  return {
    acceptedEnd: (entries.length + 1) as Slot,
    at: (slot) => (slot > memoryBegin ? entries[slot - 1] : undefined),
    slotOfPosition: (position) => {
      const index = entries.findIndex((entry) => position < entry.firstPosition + entry.recordCount);
      return index >= memoryBegin ? ((index + 1) as Slot) : undefined;
    },
  };
}

const matches = (query: Query, record: TestRecord): boolean =>
  query.items.some(
    ({ types, tags }) =>
      (types.length === 0 || (record.type !== undefined && types.includes(record.type))) &&
      tags.every((tag) => record.tags.includes(tag)),
  );

/** Position of the first or last record in [from, end) that matches; 0 where none does. */
function find(records: readonly TestRecord[], { query, from, end, want }: HistoryQuery): Position | 0 {
  const found: number[] = [];
  for (let at = from; at < end; at = (at + 1) as Position) if (matches(query, records[at - 1]!)) found.push(at);
  return ((want === "first" ? found[0] : found[found.length - 1]) ?? 0) as Position | 0;
}

/** The verdict, with every question to the history answered, and how many there were. */
function judge({ records, entries, state }: TestLog, memoryBegin: number, guards: Guards) {
  const check = new GuardCheck(state, parts);
  const seen: HistoryAnswer[] = [];
  for (;;) {
    const verdict = check.check(guards, sourceOf(entries, memoryBegin), seen);
    if (verdict?.kind !== "unseen") return { refusal: verdict?.refusal, questions: seen.length };
    expect(verdict.query.end).toBeLessThanOrEqual(records.length + 1);
    expect(verdict.query.from).toBeLessThan(verdict.query.end);
    seen.push({ query: verdict.query, match: find(records, verdict.query) });
    expect(seen.length).toBeLessThan(200);
  }
}

function expectedRefusal({ records }: TestLog, guards: Guards): Refusal | undefined {
  const end = (records.length + 1) as Position;
  for (const [index, { tag, expected }] of (guards.streams ?? []).entries()) {
    const query = { items: [{ types: [], tags: [tag] }] };
    const actual = find(records, { guard: "stream", index, query, from: 1 as Position, end, want: "last" });
    const holds =
      expected === "any" ||
      (expected === "noStream" ? actual === 0 : expected === "streamExists" ? actual > 0 : actual === expected);
    if (!holds) return { guard: "stream", index, actual, tail: end };
  }
  for (const [index, { query, after }] of (guards.conditions ?? []).entries()) {
    const from = (after + 1) as Position;
    const actual = find(records, { guard: "condition", index, query, from, end, want: "first" });
    if (actual !== 0) return { guard: "condition", index, actual, tail: end };
  }
  return undefined;
}

const types = fc.constantFrom("t1", "t2", "t3");
const tags = fc.constantFrom("a", "b", "c", "d", "rare");
const record = fc.record({
  type: fc.option(types, { nil: undefined }),
  tags: fc.uniqueArray(tags, { maxLength: 3 }),
});
const query = fc.record({
  items: fc.array(
    fc.record({ types: fc.uniqueArray(types, { maxLength: 2 }), tags: fc.uniqueArray(tags, { maxLength: 2 }) }),
    { minLength: 1, maxLength: 2 },
  ),
});
const stream: fc.Arbitrary<StreamGuard> = fc.record({
  tag: tags,
  expected: fc.oneof(
    fc.constantFrom("any" as const, "noStream" as const, "streamExists" as const),
    fc.integer({ min: 1, max: 80 }).map((position) => position as Position),
  ),
});

describe("guards over types and tags", () => {
  test("are judged as if every record was looked at, wherever the window and the memory begin", () => {
    const given = fc.record({
      batches: fc.array(fc.array(record, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 25 }),
      windowBegin: fc.nat(30),
      memoryBegin: fc.nat(30),
      conditions: fc.array(fc.record({ query, after: fc.nat(80).map((after) => after as Position | 0) }), {
        maxLength: 2,
      }),
      streams: fc.array(stream, { maxLength: 2 }),
    });
    fc.assert(
      fc.property(given, ({ batches, windowBegin, memoryBegin, conditions, streams }) => {
        const log = logOf(batches, windowBegin);
        const guards = { conditions, streams };
        expect(judge(log, memoryBegin, guards).refusal).toEqual(expectedRefusal(log, guards));
      }),
      { numRuns: 1500 },
    );
  });

  test("ask the history nothing where window and memory have the answer", () => {
    const batches = Array.from({ length: 50 }, (_, index) => [{ type: "t1", tags: [`tag ${index}`] }]);
    const log = logOf(batches, 20);
    const behind = (position: number, tag: string) => ({
      conditions: [{ query: { items: [{ types: [], tags: [tag] }] }, after: position as Position }],
    });
    expect(judge(log, 20, behind(20, "tag 3"))).toEqual({ refusal: undefined, questions: 0 });
    expect(judge(log, 20, behind(20, "tag 30"))).toMatchObject({ refusal: { actual: 31 }, questions: 0 });
    expect(judge(log, 20, behind(19, "tag 3"))).toMatchObject({ questions: 1 });
  });

  test("leave to the history what too many entries bear", () => {
    const batches = Array.from({ length: 1500 }, (_, index) => [{ type: index === 1200 ? "t2" : "t1", tags: ["hot"] }]);
    const log = logOf(batches, 0);
    const guards = { conditions: [{ query: { items: [{ types: ["t2"], tags: ["hot"] }] }, after: 0 as const }] };
    const { refusal, questions } = judge(log, 0, guards);
    expect(refusal).toMatchObject({ actual: 1201 });
    expect(questions).toBe(1);
  });

  test("verify a hash that two different tags share on the bytes", () => {
    // The one hash that stands for anything: what bears it may hold any tag, and is looked at.
    const many = Array.from({ length: 1200 }, (_, index) => ({
      type: undefined,
      tags: Array.from({ length: 60 }, (_, of) => `${index}.${of}`),
    }));
    const log = logOf([many, [{ type: "t1", tags: ["a"] }]], 0);
    expect(log.entries[0]!.guardLength).toBe(8);
    const judged = (tag: string) => judge(log, 0, { streams: [{ tag, expected: "noStream" }] }).refusal;
    expect(judged("7.7")).toMatchObject({ actual: 8 });
    expect(judged("a")).toMatchObject({ actual: 1201 });
    expect(judged("7.60")).toBeUndefined();
  });
});
