// Goal: whatever a read asks for, its steps together bring exactly the records that it asks for, in order, and where one stops
// another one goes on. Method: a directory written by a real node, opened with its end in memory; each generated read is compared
// with a filter over all records.
import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import { position, type Slot } from "../../src/base/types.ts";
import { Log } from "../../src/core/log.ts";
import { decodeBatch } from "../../src/format/batch-decode.ts";
import type { RecordInput } from "../../src/format/batch-encode.ts";
import { guardsOf } from "../../src/format/entry.ts";
import { History, type RecentEntries } from "../../src/runtime/history.ts";
import { HistoryReads, type Visible } from "../../src/runtime/history-reads.ts";
import { TagWindow } from "../../src/sequencer/tag-window.ts";
import { NodeDisk } from "../../src/storage/node-disk.ts";
import { LogReader } from "../../src/storage/reader.ts";
import { Store } from "../../src/storage/store.ts";
import type { ReadStep, StoredBatch } from "../../src/transport/backend.ts";
import { appendWhenLed, hashing, makeTempDir, startLoneNode } from "./lone-node.ts";

const batchCount = 120;
const records: { readonly type: string | undefined; readonly tags: readonly string[] }[] = [];
let temp: ReturnType<typeof makeTempDir>;
let reads: HistoryReads;
/** The same over a window of recent hashes, and over one that is short of what is in memory. */
const others: HistoryReads[] = [];
let visible: Visible;

/** Batches of 1 to 5 records, some of them large; a few types and tags, and tags that are rare. */
function batchOf(index: number): RecordInput[] {
  return Array.from({ length: 1 + (index % 5) }, (_, at) => {
    const number = 7 * index + at;
    const tags = [`third ${number % 3}`, ...(number % 50 === 0 ? ["rare"] : []), ...(at === 0 ? ["first"] : [])];
    const value = ".".repeat(number % 17 === 0 ? 20_000 : number % 40);
    return { value, tags: number % 4 === 0 ? [] : tags, type: number % 2 === 0 ? `type ${number % 6}` : undefined };
  });
}

beforeAll(async () => {
  temp = makeTempDir();
  const node = await startLoneNode(temp.dir);
  for (let index = 0; index < batchCount; index += 1) {
    const batch = batchOf(index);
    await appendWhenLed(node.engine, batch);
    for (const { type, tags = [] } of batch) records.push({ type, tags });
    // Entries without records lie between the others, and at one place more of them than a step of a read takes.
    const fences = index === 20 ? 40 : index % 10 === 0 ? 1 : 0;
    for (let count = 0; count < fences; count += 1) await node.engine.fence(100 * index + count);
  }
  await node.close();
  const disk = new NodeDisk();
  const segmentBytes = limits.segmentBytesMin;
  const store = Store.open({ disk, dir: temp.dir, hashing, randomBytes, name: "node", segmentBytes });
  const reader = new LogReader(disk, temp.dir, hashing, store.layout);
  store.close();
  const entries = reader.read(1 as Slot, reader.end, Number.MAX_SAFE_INTEGER);
  const kept = entries.slice(Math.floor(entries.length / 2));
  const [{ slot, prevHash: hash, firstPosition, time }] = kept as [(typeof kept)[0]];
  const log = new Log({ slot, hash, position: firstPosition, time }, kept);
  const readsWith = (recent?: RecentEntries) =>
    new HistoryReads(new History(log, reader, recent), (bytes) => hashing.crc32c(bytes));
  reads = readsWith();
  for (const covered of [kept, kept.slice(20)]) {
    const window = new TagWindow(covered[0]!.firstPosition);
    for (const entry of covered) {
      if (entry.kind === "batch") window.add(guardsOf(entry), entry.firstPosition, entry.recordCount);
    }
    others.push(readsWith({ window, windowEnd: reader.end }));
  }
  visible = { head: position(1), headSlot: 1 as Slot, tail: position(records.length + 1), end: reader.end };
});

afterAll(() => temp.remove());

const item = fc.record({
  types: fc.subarray(["type 0", "type 2", "type 4", "type 9"]),
  tags: fc.subarray(["third 0", "third 1", "rare", "first", "unheard"], { maxLength: 2 }),
});
const query = fc.option(fc.record({ items: fc.array(item, { minLength: 1, maxLength: 3 }) }), { nil: undefined });

const matches = (at: number, asked: ReadStep["query"]): boolean =>
  asked === undefined ||
  asked.items.some(({ types, tags }) => {
    const record = records[at - 1]!;
    const typed = types.length === 0 || (record.type !== undefined && types.includes(record.type));
    return typed && tags.every((tag) => record.tags.includes(tag));
  });

/** Positions of a batch's records, checked against its bytes. */
function positionsOf({ firstPosition, recordCount, batch, crc32c, ordinals, selected }: StoredBatch): number[] {
  expect(hashing.crc32c(batch)).toBe(crc32c);
  const view = decodeBatch(batch);
  const chosen = ordinals ?? Array.from({ length: recordCount }, (_, ordinal) => ordinal);
  expect(view.recordCount).toBe(selected ? chosen.length : recordCount);
  return chosen.map((ordinal, index) => {
    const { type, tags } = view.record(selected ? index : ordinal);
    expect({ type, tags }).toEqual(records[firstPosition + ordinal - 1]);
    return firstPosition + ordinal;
  });
}

/** What the steps of a read bring, and where the read would go on. */
function readAll(first: ReadStep, by = reads): { found: number[]; next: number } {
  const { direction, end } = first;
  const forward = direction === "forward";
  const found: number[] = [];
  let step = first;
  for (let count = 0; count < 1000; count += 1) {
    const { batches, next } = by.read(step, visible);
    const beyond = (at: number) => (forward ? at < step.from || at >= end : at > step.from || at <= end);
    for (const batch of batches) {
      const positions = positionsOf(batch).filter((at) => !beyond(at));
      found.push(...(forward ? positions : positions.reverse()));
    }
    const left = first.recordsMax - found.length;
    const over = forward ? next >= Math.min(end, visible.tail) : next <= end;
    if (left <= 0 || over) return { found: found.slice(0, first.recordsMax), next };
    expect(next === step.from && batches.length > 0).toBe(false);
    step = { ...step, from: position(next), recordsMax: left };
  }
  throw new Error("the read does not end");
}

test("steps bring what was asked for, in either direction, from memory and from disk, and the rest begins where they stop", () => {
  const place = fc.integer({ min: 1, max: 360 }).map((at) => Math.min(at, records.length));
  const bytesMax = fc.constantFrom(1, 500, 25_000, 1_000_000);
  const recordsMax = fc.constantFrom(1, 2, 7, Number.POSITIVE_INFINITY);
  const direction = fc.constantFrom("forward" as const, "backward" as const);
  fc.assert(
    fc.property(place, place, bytesMax, recordsMax, direction, query, (a, b, bytes, count, way, asked) => {
      const forward = way === "forward";
      const [low, high] = [Math.min(a, b), Math.max(a, b)];
      const [from, end] = forward ? [low, high + 1] : [high, low - 1];
      const step = {
        direction: way,
        from: position(from),
        end: position(end),
        query: asked,
        bytesMax: bytes,
        recordsMax: count,
      };
      const all = Array.from({ length: high - low + 1 }, (_, index) => low + index).filter((at) => matches(at, asked));
      if (!forward) all.reverse();
      const { found, next } = readAll(step);
      expect(found).toEqual(all.slice(0, count));
      const rest = forward ? next < end : next > end;
      const later = rest ? readAll({ ...step, from: position(next), recordsMax: Number.POSITIVE_INFINITY }).found : [];
      expect([...found, ...later]).toEqual(all);
      for (const other of others) expect(readAll(step, other).found).toEqual(found);
    }),
    { numRuns: 200 },
  );
});

test("a read backward begins with its first record also where a read forward has stopped before entries without records", () => {
  const forward = {
    direction: "forward",
    query: undefined,
    bytesMax: 1,
    recordsMax: Number.POSITIVE_INFINITY,
  } as const;
  const backward = { ...forward, direction: "backward", end: 0, recordsMax: 1 } as const;
  for (let place = 1; place < records.length; place += 1) {
    const { next } = reads.read({ ...forward, from: position(place), end: position(place + 1) }, visible);
    if (next === visible.tail) break;
    const { found } = readAll({ ...backward, from: position(next) });
    expect(found).toEqual([next]);
  }
});
