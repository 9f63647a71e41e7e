// Goal: a search says what reading every record would, from segments, and lets others have their turn after each piece. Method: a
// directory written by a real node, opened again with nothing in memory.
import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import { position, type Slot } from "../../src/base/types.ts";
import { Log } from "../../src/core/log.ts";
import type { HistoryQuery } from "../../src/core/sequencer.ts";
import { makeEntryParts } from "../../src/format/entry-parts.ts";
import { History } from "../../src/runtime/history.ts";
import { HistorySearches } from "../../src/runtime/history-searches.ts";
import { NodeDisk } from "../../src/storage/node-disk.ts";
import { LogReader } from "../../src/storage/reader.ts";
import { Store } from "../../src/storage/store.ts";
import { appendWhenLed, hashing, makeTempDir, startLoneNode } from "./lone-node.ts";

const count = 200;
let temp: ReturnType<typeof makeTempDir>;

beforeEach(async () => {
  temp = makeTempDir();
  const node = await startLoneNode(temp.dir);
  await node.engine.linearize();
  // An entry without records in front: the head's slot is not that of the first record.
  await node.engine.openSession({ ttlMs: 10_000, announceEnd: false });
  for (let index = 1; index <= count; index += 1) {
    await appendWhenLed(node.engine, [{ value: ".".repeat(8000), tags: [`tenth ${index % 10}`, `own ${index}`] }]);
  }
  await node.close();
});

afterEach(() => {
  temp.remove();
});

/** Answers by search id, and how many pieces were looked at. */
function searchAll(
  queries: readonly HistoryQuery[],
  prepare: (history: History) => void = () => {},
): { answers: Map<number, number>; pieces: number } {
  const disk = new NodeDisk();
  const segmentBytes = limits.segmentBytesMin;
  const store = Store.open({ disk, dir: temp.dir, hashing, randomBytes, name: "node", segmentBytes });
  const reader = new LogReader(disk, temp.dir, hashing, store.layout, store.readerStart);
  const { base, window } = store.recovered;
  store.close();
  const answers = new Map<number, number>();
  const waiting: (() => void)[] = [];
  const history = new History(new Log(base, window), reader);
  prepare(history);
  const searches = new HistorySearches({
    history,
    parts: makeEntryParts(hashing),
    visibleEnd: () => reader.end as Slot,
    tail: () => position(count + 1),
    head: () => ({ position: position(1), slot: 1 as Slot }),
    later: (piece) => waiting.push(piece),
    done: (searchId, match) => answers.set(searchId, match),
    failed: (cause) => {
      throw cause;
    },
  });
  for (const [index, query] of queries.entries()) searches.start({ kind: "search", searchId: index, query });
  let pieces = 0;
  for (let piece = waiting.shift(); piece !== undefined; piece = waiting.shift()) {
    piece();
    pieces += 1;
  }
  return { answers, pieces };
}

const query = (tag: string, from: number, end: number, want: "first" | "last"): HistoryQuery => ({
  guard: "condition",
  index: 0,
  query: { items: [{ types: [], tags: [tag] }] },
  from: position(from),
  end: position(end),
  want,
});

test("the first and the last record that matches in a range are found, one search after the other", () => {
  const { answers } = searchAll([
    query("tenth 3", 1, count + 1, "first"),
    query("tenth 3", 1, count + 1, "last"),
    query("tenth 3", 4, 13, "first"),
    query("tenth 3", 4, 14, "last"),
    query("own 150", 1, 151, "first"),
    query("own 150", 1, 150, "first"),
    query("unheard", 1, count + 1, "last"),
    query("own 1", 1, 2, "first"),
  ]);
  expect([...answers.values()]).toEqual([3, 193, 0, 13, 150, 0, 0, 1]);
});

test("the last position of a range is looked at though a reader goes on there, in front of entries without records", () => {
  const readerGoesOn = (history: History) => history.remember(position(1), 1 as Slot);
  expect([...searchAll([query("own 1", 1, 2, "first")], readerGoesOn).answers.values()]).toEqual([1]);
});

test("a search of the whole log is cut in pieces", () => {
  const { pieces } = searchAll([query("unheard", 1, count + 1, "first")]);
  expect(pieces).toBeGreaterThanOrEqual(Math.floor((count * 8000) / limits.searchPieceBytes));
});
