// Goal: a node runs the built-in machines when somebody needs them, and not before; what they know is there after a restart, on every
// node, whatever was trimmed. Method: the built files, in this process and as nodes of a cluster.
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { limits } from "../../src/base/limits.ts";
import type { EmbeddedLog } from "../../src/node/open.ts";
import { builtinNames } from "../../src/objects/builtin-names.ts";
import { builtinMachines } from "../../src/objects/builtins.ts";
import { freePorts } from "../cluster/ports.ts";
import { flipByte } from "../objects/rotted-snapshot.ts";
import { open, temp } from "./opened-logs.ts";

const notes: string[] = [];
const onNote = (text: string): void => void notes.push(text);

const snapshotsIn = (dir: string): number[] =>
  readdirSync(join(dir, "machines", "counters"))
    .map(Number)
    .filter((position) => position > 0);

test("the names of the built-in machines are those that are run", () => {
  expect(builtinMachines.map(({ name }) => name)).toEqual(builtinNames);
});

describe.each([true, false])("with threads: %s", { timeout: 60_000 }, (threads) => {
  const options = () => ({ dir: join(temp.path, "log"), threads });

  test("they start when one of them is asked, and know after a restart what they knew", async () => {
    const log = await open(options());
    await log.append({ value: "no command" });
    expect(existsSync(join(temp.path, "log", "machines"))).toBe(false);
    expect(await log.counter("orders").fetchAdd(5)).toBe(0);
    expect(existsSync(join(temp.path, "log", "machines"))).toBe(true);
    await log.close();
    const again = await open(options());
    expect(await again.counter("orders").get()).toBe(5);
    expect(await again.counter("orders").fetchAdd(1)).toBe(5);
  });
});

test("a node whose state lacks what was trimmed takes that of another one", { timeout: 120_000 }, async () => {
  const addresses = (await freePorts(6)).map((port) => `127.0.0.1:${port}`);
  const names = ["a", "b", "c"] as const;
  const cluster = Object.fromEntries(names.map((name, index) => [name, addresses[index]!]));
  const dirOf = (name: string): string => join(temp.path, name);
  const start = (name: string): Promise<EmbeddedLog> =>
    open({ dir: dirOf(name), node: name, cluster, listen: addresses[3 + names.indexOf(name as "a")]!, onNote });
  const [a, b, c] = await Promise.all(names.map(start));
  const commands = limits.machinePointCommands + 100;
  const counter = a!.counter("orders");
  await Promise.all(Array.from({ length: commands }, () => counter.fetchAdd(1)));
  await vi.waitFor(() => expect(names.filter((name) => snapshotsIn(dirOf(name)).length === 0)).toEqual([]), 30_000);
  await c!.close();
  rmSync(join(dirOf("c"), "machines", "counters"), { recursive: true });
  // The hold of the machines lets everything go that a snapshot covers.
  await vi.waitFor(async () => expect((await a!.trim(snapshotsIn(dirOf("a"))[0]!)).heldBy).toBeUndefined(), 30_000);
  expect((await b!.tail()).head).toBeGreaterThan(1);
  const again = await start("c");
  expect(await again.counter("orders").get()).toBe(commands);
  await vi.waitFor(() => expect(snapshotsIn(dirOf("c"))).not.toEqual([]), 30_000);
  await again.close();
  for (const position of snapshotsIn(dirOf("c"))) {
    flipByte(join(dirOf("c"), "machines", "counters", String(position)), "state");
  }
  const once = await start("c");
  expect(await once.counter("orders").get()).toBe(commands);
  expect(notes.join("\n")).toMatch(
    /the snapshot of the machine counters at \d+ is left out: .*its bytes are not what its hash says/,
  );
});

test("where every state that covers what was trimmed is damaged, that machine stops by name, and forgets nothing", {
  timeout: 120_000,
}, async () => {
  const options = { dir: join(temp.path, "log"), onNote, segmentBytes: limits.segmentBytesMin };
  const log = await open(options);
  const counter = log.counter("orders");
  const commands = limits.machinePointCommands + 1;
  const add = (times: number) => Promise.all(Array.from({ length: times }, () => counter.fetchAdd(1)));
  await add(1);
  // What is trimmed goes with its segments: nobody can make a state of what the disk still has.
  for (let segment = 0; segment < 3; segment += 1) await log.append({ value: Buffer.alloc(700_000) });
  await add(commands - 1);
  await log.register("other").set("here");
  await vi.waitFor(() => expect(snapshotsIn(options.dir)).not.toEqual([]), 30_000);
  const [position] = snapshotsIn(options.dir);
  await vi.waitFor(async () => expect((await log.trim(position!)).heldBy).toBeUndefined(), 30_000);
  await vi.waitFor(() => expect(existsSync(join(options.dir, "log", "00000001.log"))).toBe(false), 30_000);
  await log.close();
  // Another one may have been saved meanwhile.
  const kept = snapshotsIn(options.dir);
  for (const each of kept) flipByte(join(options.dir, "machines", "counters", String(each)), "state");
  const again = await open(options);
  await expect(again.counter("orders").get()).rejects.toMatchObject({ code: "MACHINE_STOPPED" });
  await expect(again.counter("orders").fetchAdd(1)).rejects.toMatchObject({ code: "MACHINE_STOPPED" });
  expect((await again.register("other").get())?.text()).toBe("here");
  for (const each of kept) {
    expect(notes.join("\n")).toContain(`the snapshot of the machine counters at ${each} is left out`);
  }
});
