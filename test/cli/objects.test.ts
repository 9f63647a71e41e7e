// Goal: people and scripts reach shared objects by the command line, and its measurement verifies what it counts.
// Method: one node that is alone and the built command line; speed is not looked at.
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ObjectsBenchResult } from "../../src/cli/bench/objects-bench.ts";
import type { ClusterStatus } from "../../src/cli/status.ts";
import { makeTempDir, Running, runCli, type TempDir } from "../cluster/harness.ts";

let temp: TempDir;
let node: Running;
let to: readonly string[];

beforeAll(async () => {
  temp = makeTempDir();
  node = new Running(["serve", "--dir", join(temp.path, "node"), "--listen", "127.0.0.1:0", "--json"]);
  to = ["--to", (await node.line(0)).address as string];
});

afterAll(async () => {
  await node?.stop();
  temp?.remove();
});

const asJson = async (...args: string[]) => {
  const { code, json } = await runCli([...args, ...to, "--json"]);
  return [code, ...json()];
};

test("counters, registers and the space, with exit code 8 where a comparison does not hold", {
  timeout: 60_000,
}, async () => {
  expect(await asJson("counter", "add", "c", "--delta", "5")).toEqual([0, { before: 0, after: 5 }]);
  expect(await asJson("counter", "take", "c", "--count", "3")).toEqual([0, { first: 6, last: 8 }]);
  expect(await asJson("counter", "get", "c")).toEqual([0, { value: 8 }]);
  expect(await asJson("register", "swap", "r", "--next", "one")).toMatchObject([0, { done: true, value: "one" }]);
  expect(await asJson("register", "once", "r", "two")).toMatchObject([8, { done: false, value: "one" }]);
  expect(await asJson("register", "delete", "r")).toEqual([0, { existed: true }]);
  expect(await asJson("space", "put", "k/a", "1")).toMatchObject([0, {}]);
  expect(await asJson("space", "list", "k/", "--prefix")).toMatchObject([0, { key: "k/a", value: "1", writes: 1 }]);
  expect(await asJson("space", "delete", "k/", "--prefix")).toEqual([0, { deleted: 1 }]);
});

test("watches of counters and registers print each change until they are interrupted", {
  timeout: 60_000,
}, async () => {
  const watches = ["counter", "register"].map(
    (kind) => new Running([kind, "watch", "w", "--from", "1", ...to, "--json"]),
  );
  const [counters, registers] = watches;
  await asJson("counter", "add", "w", "--delta", "5");
  await asJson("register", "set", "w", "one");
  await asJson("register", "delete", "w");
  expect(await counters!.line(0)).toMatchObject({ value: 5 });
  expect(await registers!.line(0)).toMatchObject({ exists: true, value: "one" });
  expect(await registers!.line(1)).toMatchObject({ exists: false });
  await Promise.all(watches.map((watch) => watch.stop()));
});

test("status shows the machines of each node, and how far they are", { timeout: 60_000 }, async () => {
  await asJson("counter", "add", "s");
  const [code, status] = await asJson("status");
  expect(code).toBe(0);
  const { machines } = status as unknown as ClusterStatus;
  expect(machines.map(({ name }) => name).sort()).toEqual(["counters", "decisions", "leases", "registers", "space"]);
  expect(machines.find(({ name }) => name === "counters")).toMatchObject({ version: 1, behind: 0, state: "runs" });
});

test("lock gives its command the token, and its exit code to the caller", { timeout: 60_000 }, async () => {
  const script = ["-e", "console.log(Number(process.env.PAXLOG_TOKEN) > 0); process.exitCode = 3"];
  const { code, stdout } = await runCli(["lock", "job", ...to, "--", process.execPath, ...script]);
  expect([code, stdout.trim()]).toEqual([3, "true"]);
});

test("bench objects measures each kind of operation and verifies the counts", { timeout: 60_000 }, async () => {
  const [code, result] = await asJson("bench", "objects", "--duration", "1", "--warmup", "0", "--callers", "16");
  expect(code).toBe(0);
  const figures = result as unknown as ObjectsBenchResult;
  expect(figures.operationsPerSecond).toBeGreaterThan(0);
  for (const each of [figures, figures.fetchAdd, figures.compareAndSet, figures.ids, figures.linearizableReads]) {
    expect(each.latencyMs.p99).toBeGreaterThanOrEqual(each.latencyMs.p50);
  }
  expect(figures.ids.idsPerSecond).toBe(1000 * figures.ids.operationsPerSecond);
});
