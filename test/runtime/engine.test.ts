// Goal: the engine carries out the core's effects in order, on real storage: appends are answered when durable, reads see them,
// memory and segments give the same log, failures reject everything by name. Method: one node alone, in this thread.
import { afterEach, beforeEach, expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import { decodeBatch } from "../../src/format/batch-decode.ts";
import type { Engine } from "../../src/runtime/engine.ts";
import { type Disk, DiskError, type DiskFile } from "../../src/storage/disk.ts";
import { NodeDisk } from "../../src/storage/node-disk.ts";
import type { StoredBatch } from "../../src/transport/backend.ts";
import { append, appendWhenLed, hashing, type LoneNode, makeTempDir, startLoneNode } from "./lone-node.ts";
import { step } from "./steps.ts";

let temp: ReturnType<typeof makeTempDir>;
let node: LoneNode | undefined;

beforeEach(() => {
  temp = makeTempDir();
});

afterEach(async () => {
  await node?.close();
  node = undefined;
  temp.remove();
});

/** All values from a position on, read as a reader does: batch by batch until the tail. */
function readValues(engine: Engine, from: number, bytesMax = 64 * 1024): string[] {
  const values: string[] = [];
  let next = from;
  for (let batches = engine.read(step(next, { bytesMax })).batches; batches.length > 0; ) {
    for (const batch of batches) {
      const texts = textsOf(batch);
      expect(batch.firstPosition + texts.length).toBeGreaterThan(next);
      expect(batch.firstPosition).toBeLessThanOrEqual(next);
      values.push(...texts.slice(next - batch.firstPosition));
      next = batch.firstPosition + batch.recordCount;
    }
    batches = engine.read(step(next, { bytesMax })).batches;
  }
  expect(next).toBe(engine.bounds().tail);
  return values;
}

function textsOf(batch: StoredBatch): string[] {
  expect(hashing.crc32c(batch.batch)).toBe(batch.crc32c);
  const view = decodeBatch(batch.batch);
  return Array.from({ length: view.recordCount }, (_, index) => Buffer.from(view.value(index)).toString());
}

test("appends get dense positions in the order of the calls and are visible when they are answered", async () => {
  node = await startLoneNode(temp.dir);
  const { engine } = node;
  expect(engine.bounds()).toEqual({ head: 1, tail: 1 });
  await appendWhenLed(engine, ["first"]);
  const results = await Promise.all(
    Array.from({ length: 500 }, (_, index) => append(engine, [`a${index}`, `b${index}`])),
  );
  for (const [index, result] of results.entries()) {
    expect(result).toMatchObject({ kind: "acknowledged", firstPosition: 2 + 2 * index, recordCount: 2 });
  }
  expect(engine.bounds()).toEqual({ head: 1, tail: 1002 });
  const expected = ["first", ...Array.from({ length: 500 }, (_, index) => [`a${index}`, `b${index}`]).flat()];
  expect(readValues(engine, 1)).toEqual(expected);
  expect(readValues(engine, 500)).toEqual(expected.slice(499));
  expect(engine.read(step(1002)).batches).toEqual([]);
});

test("appends of one turn share one group and one sync", async () => {
  node = await startLoneNode(temp.dir);
  const { engine } = node;
  await appendWhenLed(engine, ["first"]);
  const before = engine.status();
  await Promise.all(Array.from({ length: 400 }, () => append(engine, ["x"])));
  const after = engine.status();
  expect(after.entriesAppended - before.entriesAppended).toBe(400);
  // One for the group, and room for the mark of an idle moment before and after it.
  expect(after.syncs - before.syncs).toBeLessThanOrEqual(4);
});

test("a restarted node goes on where it was, reads its old segments, and serves linearizable reads", async () => {
  node = await startLoneNode(temp.dir);
  const big = "v".repeat(100_000);
  // More than three segments of a megabyte, so that reading crosses files.
  for (let index = 0; index < 40; index++) await appendWhenLed(node.engine, [`${index}:${big}`]);
  await node.close();

  node = await startLoneNode(temp.dir);
  await node.engine.linearize();
  expect(node.engine.bounds().tail).toBe(41);
  const values = readValues(node.engine, 1, limits.messageEntryBytes);
  expect(values.map((value) => value.split(":")[0])).toEqual(Array.from({ length: 40 }, (_, index) => String(index)));
  expect(values.every((value) => value.endsWith(big))).toBe(true);
  expect(await appendWhenLed(node.engine, ["next"])).toMatchObject({ kind: "acknowledged", firstPosition: 41 });
  expect(node.engine.status().ballot).not.toBe("1.1.1");
});

test("listeners hear each move of the tail until they are taken off", async () => {
  node = await startLoneNode(temp.dir);
  const { engine } = node;
  await appendWhenLed(engine, ["first"]);
  const heard: number[] = [];
  const off = engine.onTail(() => heard.push(engine.bounds().tail));
  await append(engine, ["second"]);
  await append(engine, ["third"]);
  off();
  await append(engine, ["fourth"]);
  expect(heard).toEqual([3, 4]);
});

test("a full window makes appends wait, never fail", async () => {
  node = await startLoneNode(temp.dir);
  const { engine } = node;
  await appendWhenLed(engine, ["first"]);
  const count = 3 * limits.windowSlots;
  const results = await Promise.all(Array.from({ length: count }, (_, index) => append(engine, [String(index)])));
  expect(results.every((result) => result.kind === "acknowledged")).toBe(true);
  expect(engine.bounds().tail).toBe(2 + count);
});

/** A disk whose files stop to sync when told so. */
class FailingDisk implements Disk {
  readonly #disk = new NodeDisk();
  failing = false;

  readonly #wrap = (file: DiskFile): DiskFile => ({
    path: file.path,
    size: () => file.size(),
    read: (offset, target) => file.read(offset, target),
    write: (offset, parts) => file.write(offset, parts),
    resize: (length) => file.resize(length),
    close: () => file.close(),
    sync: () => {
      if (this.failing) throw new DiskError("EIO", "fdatasync", file.path);
      file.sync();
    },
  });
  create = (path: string) => this.#wrap(this.#disk.create(path));
  open = (path: string, access: "read" | "write") => this.#wrap(this.#disk.open(path, access));
  exists = (path: string) => this.#disk.exists(path);
  makeDirectory = (path: string) => this.#disk.makeDirectory(path);
  list = (path: string) => this.#disk.list(path);
  rename = (from: string, to: string) => this.#disk.rename(from, to);
  remove = (path: string) => this.#disk.remove(path);
  removeDirectory = (path: string) => this.#disk.removeDirectory(path);
  syncDirectory = (path: string) => this.#disk.syncDirectory(path);
}

test("a failed sync stops the node: what was handed to the disk is unknown, what comes later was not written", async () => {
  const disk = new FailingDisk();
  node = await startLoneNode(temp.dir, disk);
  const { engine, stopped } = node;
  await appendWhenLed(engine, ["kept"]);
  disk.failing = true;
  const lost = await append(engine, ["lost"]);
  expect(lost).toMatchObject({ kind: "failed", error: { code: "STORAGE_FAILED", outcome: "unknown" } });
  expect((await stopped).code).toBe("STORAGE_FAILED");
  const later = await append(engine, ["later"]);
  expect(later).toMatchObject({ kind: "failed", error: { code: "STORAGE_FAILED", outcome: "none" } });
  await expect(engine.linearize()).rejects.toMatchObject({ code: "STORAGE_FAILED" });
  await node.close();

  disk.failing = false;
  node = await startLoneNode(temp.dir, disk);
  await node.engine.linearize();
  expect(readValues(node.engine, 1)[0]).toBe("kept");
});

test("stopping rejects appends and reads that wait", async () => {
  node = await startLoneNode(temp.dir);
  await appendWhenLed(node.engine, ["first"]);
  const waiting = append(node.engine, ["x"]);
  const read = node.engine.linearize();
  const closing = node.close();
  node = undefined;
  expect(await waiting).toMatchObject({ kind: "failed", error: { code: "CLOSED", outcome: "none" } });
  await expect(read).rejects.toMatchObject({ code: "CLOSED" });
  await closing;
});
