// Goal: a node indexes its closed segments by itself, on a worker or without one, uses the indexes from then on, and ends cleanly while
// one is being built. Method: the built files; small segments; the directory itself.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { EmbeddedLog } from "../../src/node/open.ts";
import { collect, text } from "../client/fixture.ts";
import { open, temp } from "./opened-logs.ts";
import { runScript } from "./scripts.ts";

async function openLog(threads: boolean, notes: string[] = []): Promise<EmbeddedLog> {
  const dir = join(temp.path, "log");
  const log = await open({ dir, threads, segmentBytes: 1024 * 1024, onNote: (note) => notes.push(note) });
  return log;
}

const indexes = () => readdirSync(join(temp.path, "log/log")).filter((name) => name.endsWith(".idx"));

async function fill(log: EmbeddedLog, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    await log.append({ value: `${index}`.padEnd(100_000, "."), tags: [`tag ${index % 10}`] });
  }
}

describe.each([true, false])("with threads: %s", { timeout: 60_000 }, (threads) => {
  test("closed segments get their indexes, and a log with indexes reads the same when it is opened again", async () => {
    const notes: string[] = [];
    const log = await openLog(threads, notes);
    await fill(log, 45);
    await expect.poll(() => indexes().length, { timeout: 30_000 }).toBeGreaterThanOrEqual(3);
    const expected = Array.from({ length: 45 }, (_, index) => `${index}`);
    const numbers = (opened: EmbeddedLog) => collect(opened.read(), (record) => text(record.value).split(".")[0]);
    expect(await numbers(log)).toEqual(expected);
    await log.close();
    expect(notes.filter((note) => note.includes("index"))).toEqual([]);

    const again = await openLog(threads, notes);
    expect(await numbers(again)).toEqual(expected);
    expect((await collect(again.read({ from: 23, limit: 1 }), (record) => record.position))[0]).toBe(23);
  });
});

test("a node closes at once while an index is being built, and leaves a directory that opens", {
  timeout: 60_000,
}, async () => {
  const log = await openLog(true);
  await fill(log, 25);
  await log.close();
  const again = await openLog(true);
  expect(await again.tail()).toMatchObject({ tail: 26 });
  await expect.poll(() => indexes().length, { timeout: 30_000 }).toBeGreaterThanOrEqual(2);
});

test("a program whose log is alone ends by itself though indexes are to be built", { timeout: 60_000 }, async () => {
  const result = await runScript(
    `const log = await open({ dir: process.argv[1], segmentBytes: 1024 * 1024 });
     for (let index = 0; index < 30; index += 1) await log.append({ value: Buffer.alloc(100_000) });
     console.log("done");`,
    [join(temp.path, "alone")],
  );
  expect(result).toMatchObject({ code: 0, stdout: "done\n", stderr: "" });
});
