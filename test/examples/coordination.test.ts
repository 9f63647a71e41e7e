// Goal: the examples of coordination and of carts work as their READMEs say, alone, again, and on a cluster. Method: copies of their
// folders with the package beside them, and their commands.
import { execFile } from "node:child_process";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeTempDir, type TempDir, TestCluster } from "../cluster/harness.ts";
import { copyExample } from "./package-copy.ts";

const run = promisify(execFile);
let temp: TempDir;

beforeAll(() => {
  temp = makeTempDir();
  for (const name of ["coordination", "cart"]) copyExample(name, join(temp.path, name));
});

afterAll(() => temp.remove());

async function linesOf(name: string, command: string, ...args: string[]): Promise<string[]> {
  const { stdout, stderr } = await run(command, args, { cwd: join(temp.path, name) });
  expect(stderr).toBe("");
  return stdout.trim().split("\n");
}

const coordinated = [
  "4000 ids, 4000 of them different",
  "both customers were told the same owner: true",
  "the second worker leads: true, the first one: false",
  "late work: FENCED",
  "the late holder: refused; the report is by the second",
];

const bought = ["refused: no such item", "costs 310 cents; cart is checked out", "found again, checked out: true"];

test("programs share ids, names, an office and a lock, on a log of their own and in the next run", {
  timeout: 240_000,
}, async () => {
  expect(await linesOf("coordination", "npm", "start", "--silent")).toEqual(coordinated);
  expect(await linesOf("coordination", process.execPath, "dist/main.js")).toEqual(coordinated);
});

test("the shop begins with its snapshot in the next run, and is checked to be deterministic", {
  timeout: 240_000,
}, async () => {
  expect(await linesOf("cart", "npm", "start", "--silent")).toEqual(["begins with an empty shop", ...bought]);
  expect(await linesOf("cart", process.execPath, "dist/main.js")).toEqual(["begins with a snapshot", ...bought]);
  expect(await linesOf("cart", process.execPath, "dist/check.js")).toEqual([
    "the carts are the same on every replica, as far as 10,000 commands show",
  ]);
});

test("programs coordinate on a cluster", { timeout: 240_000 }, async () => {
  const cluster = await TestCluster.start();
  try {
    // A folder of its own: the store of files has seen the tokens of one log.
    copyExample("coordination", join(temp.path, "clustered"));
    cpSync(join(temp.path, "coordination/dist"), join(temp.path, "clustered/dist"), { recursive: true });
    expect(await linesOf("clustered", process.execPath, "dist/main.js", cluster.addresses)).toEqual(coordinated);
  } finally {
    await cluster.stop();
  }
});
