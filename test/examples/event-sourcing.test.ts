// Goal: the example shop works as its README says, on a log of its own and on a cluster, and needs nothing but the public package.
// Method: a copy of the folder with the package beside it, as `npm install` would link it, and `npm start`.
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { connect } from "../../src/client/connect.ts";
import { makeTempDir, type TempDir, TestCluster } from "../cluster/harness.ts";
import { root } from "../tidy/sources.ts";
import { copyExample } from "./package-copy.ts";

const run = promisify(execFile);

let temp: TempDir;

beforeAll(() => {
  temp = makeTempDir();
  copyExample("event-sourcing", temp.path);
});

afterAll(() => temp.remove());

const story = (lines: readonly string[]) => lines.map((line) => line.replace(/customer-\d|\d+ times/, "N"));

/** Which of the two servers is faster is open; everything else is not. */
function expectStory(stdout: string): void {
  const lines = stdout.trim().split("\n");
  expect(story(lines.slice(0, 2)).toSorted()).toEqual(["named ada", "refused: the name ada is taken by N"]);
  expect(lines[2]).toBe("cart-1 holds 15 apples");
  expect(lines.slice(3, 5).toSorted()).toEqual(["checked out", "refused: cart cart-1 is checked out"]);
  expect(lines[5]).toBe("cart-1 costs 750 cents");
  expect(story(lines.slice(6))).toEqual(["decided again N because the other server was faster"]);
}

const start = (...args: string[]) => run("npm", ["start", "--silent", "--", ...args], { cwd: temp.path });

test("two servers share a log of their own, and find it again in the next run", { timeout: 180_000 }, async () => {
  const { stdout, stderr } = await start();
  expect(stderr).toBe("");
  expectStory(stdout);
  const again = (await run(process.execPath, ["dist/main.js"], { cwd: temp.path })).stdout.split("\n");
  const refused = "refused: the name ada is taken by N";
  expect(story(again.slice(0, 3))).toEqual([refused, refused, "cart-24 holds 15 apples"]);
});

test("two servers share a cluster, and the log holds what happened and nothing else", {
  timeout: 180_000,
}, async () => {
  const cluster = await TestCluster.start();
  try {
    const { stdout } = await start(cluster.addresses);
    expectStory(stdout);
    const types: Record<string, number> = {};
    await using log = await connect(cluster.addresses);
    for await (const { type } of log.read()) types[type!] = (types[type!] ?? 0) + 1;
    expect(types).toEqual({ CustomerNamed: 1, ItemAdded: 20, ItemRemoved: 1, CheckedOut: 1 });
  } finally {
    await cluster.stop();
  }
});

test("the example imports nothing but the package, and what it is made of itself", () => {
  const folder = join(root, "examples/event-sourcing/src");
  for (const name of readdirSync(folder)) {
    for (const [, target] of readFileSync(join(folder, name), "utf8").matchAll(/from "([^"]+)"/g)) {
      expect(target, name).toMatch(/^(paxlog|\.\/[a-z]+\.ts)$/);
    }
  }
});
