// Goal: the example bank works as its README says, on a log of its own and on a cluster. Method: a copy of the folder, and its commands.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeTempDir, type TempDir, TestCluster } from "../cluster/harness.ts";
import { copyExample } from "./package-copy.ts";

const run = promisify(execFile);
let temp: TempDir;

beforeAll(() => {
  temp = makeTempDir();
  copyExample("bank", temp.path);
});

afterAll(() => temp.remove());

const story = [
  "33 transfers done, 7 refused: not enough money",
  "ada has 10 cents, bob has 990",
  "money was neither made nor lost",
  "a new branch agrees: true",
];

test("two branches share a log of their own, and find the bank again in the next run", {
  timeout: 120_000,
}, async () => {
  const { stdout } = await run("npm", ["start", "--silent"], { cwd: temp.path });
  expect(stdout.trim().split("\n")).toEqual(story);
  const again = await run(process.execPath, ["dist/main.js"], { cwd: temp.path });
  expect(again.stdout.trim().split("\n")).toEqual(story);
});

test("two branches share a cluster", { timeout: 120_000 }, async () => {
  const cluster = await TestCluster.start();
  try {
    const { stdout } = await run(process.execPath, ["dist/main.js", cluster.addresses], { cwd: temp.path });
    expect(stdout.trim().split("\n")).toEqual(story);
  } finally {
    await cluster.stop();
  }
});

test("the bank is checked to be deterministic", { timeout: 120_000 }, async () => {
  const { stdout } = await run("npm", ["run", "--silent", "check"], { cwd: temp.path });
  expect(stdout).toMatch(/same on every replica/);
});
