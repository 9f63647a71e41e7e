// Goal: the log reads the same from memory and from segments, and what a peer gets continues the chain that it named. Method: a
// directory written by a real node, opened again with nothing in memory.
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import { type Hash, type NodeId, position, type Slot } from "../../src/base/types.ts";
import { Log } from "../../src/core/log.ts";
import { History } from "../../src/runtime/history.ts";
import { HistoryReads } from "../../src/runtime/history-reads.ts";
import { NodeDisk } from "../../src/storage/node-disk.ts";
import { LogReader } from "../../src/storage/reader.ts";
import { Store } from "../../src/storage/store.ts";
import { appendWhenLed, hashing, makeTempDir, startLoneNode } from "./lone-node.ts";
import { step } from "./steps.ts";

const count = 300;
let temp: ReturnType<typeof makeTempDir>;

beforeEach(async () => {
  temp = makeTempDir();
  const node = await startLoneNode(temp.dir);
  for (let index = 0; index < count / 3; index++) {
    await appendWhenLed(node.engine, [`${index}a`.padEnd(8000, "."), `${index}b`, `${index}c`]);
  }
  await node.close();
});

afterEach(() => {
  temp.remove();
});

function openHistory() {
  const disk = new NodeDisk();
  const store = Store.open({
    disk,
    dir: temp.dir,
    hashing,
    randomBytes,
    name: "node",
    segmentBytes: limits.segmentBytesMin,
  });
  const reader = new LogReader(disk, temp.dir, hashing, store.layout, store.readerStart);
  const { base, window } = store.recovered;
  const entries = reader.read(1 as Slot, reader.end, Number.MAX_SAFE_INTEGER);
  store.close();
  const hashAt = (slot: number): Hash => entries[slot - 1]!.prevHash;
  // Nothing but what is uncertain stays in memory.
  const history = new History(new Log(base, window), reader);
  const reads = new HistoryReads(history, (bytes) => hashing.crc32c(bytes));
  const visible = { head: position(1), headSlot: 1 as Slot, tail: position(count + 1), end: reader.end };
  const batchesFrom = (from: number, bytesMax: number) => reads.read(step(from, { bytesMax }), visible).batches;
  return { history, batchesFrom, end: reader.end, hashAt };
}

test("reading on from batch to batch, or from any position anew, gives the same batches", () => {
  const { batchesFrom } = openHistory();
  let next = 1;
  const seen: number[] = [];
  while (next <= count) {
    const batches = batchesFrom(next, 50_000);
    expect(batches.length).toBeGreaterThan(0);
    for (const batch of batches) {
      expect(batch.firstPosition).toBe(next);
      expect(hashing.crc32c(batch.batch)).toBe(batch.crc32c);
      next = batch.firstPosition + batch.recordCount;
      seen.push(batch.firstPosition);
    }
  }
  expect(seen.length).toBe(count / 3);
  const fresh = openHistory();
  for (const from of [2, 3, 150, count]) {
    const [first] = fresh.batchesFrom(from, 1);
    expect(first!.firstPosition).toBe(from - ((from - 1) % 3));
  }
});

test("a peer gets entries only if they continue the chain that it has", () => {
  const { history, end, hashAt } = openHistory();
  const ask = (fromSlot: number, prevHash: Hash) =>
    history.entriesFor({
      kind: "sendEntries",
      to: 2 as NodeId,
      requestId: 9,
      fromSlot: fromSlot as Slot,
      prevHash,
      end,
      visibleEnd: end,
    });
  const answer = ask(10, hashAt(10));
  expect(answer).toMatchObject({ requestId: 9, fromSlot: 10, visibleEnd: end });
  expect(answer.entries[0]!.slot).toBe(10);
  expect(answer.entries.reduce((sum, entry) => sum + entry.bytes.length, 0)).toBeLessThanOrEqual(
    limits.messageEntryBytes,
  );
  expect(ask(10, hashAt(11)).entries).toEqual([]);
});

test("what rotted after it was recovered is an error with a name, never wrong bytes", () => {
  const { batchesFrom } = openHistory();
  const segments = join(temp.dir, "log");
  const file = join(segments, readdirSync(segments).sort()[0]!);
  const bytes = readFileSync(file);
  bytes[bytes.indexOf("50a.....") + 4]! ^= 1;
  writeFileSync(file, bytes);
  expect(() => batchesFrom(151, 1)).toThrow(expect.objectContaining({ code: "DAMAGED" }));
  expect(batchesFrom(1, 1)[0]!.firstPosition).toBe(1);
});
