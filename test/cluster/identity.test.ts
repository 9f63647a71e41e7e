// Goal: a node's directory is its identity: wiped, swapped or foreign directories are refused by name, the others go on, and
// nothing in them changes. Method: real processes on one cluster, each case leaves it as it found it.

import { createHash } from "node:crypto";
import { cpSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { connect } from "../../src/client/connect.ts";
import type { Log } from "../../src/client/log.ts";
import { isAlive, runCli, TestCluster } from "./harness.ts";

let cluster: TestCluster;
let log: Log;

beforeAll(async () => {
  cluster = await TestCluster.start();
  log = await connect(cluster.addresses);
  await log.append({ value: "kept" });
});

afterAll(async () => {
  await log?.close();
  await cluster?.stop();
});

/** What the error of a node that refused to go on says. */
function lastError(stderr: string): { error: string; message: string } {
  const line = stderr
    .split("\n")
    .filter((text) => text.startsWith("{"))
    .at(-1);
  return JSON.parse(line ?? "{}") as { error: string; message: string };
}

async function expectAppends(): Promise<void> {
  const { position } = await log.append({ value: "still appending" });
  expect(position).toBeGreaterThan(1);
}

test("a wiped node cannot come back under its name", { timeout: 60_000 }, async () => {
  const node = cluster.node("n2");
  await cluster.kill(node);
  const aside = `${node.dir}.aside`;
  renameSync(node.dir, aside);

  const wiped = cluster.restart(node);
  expect(await wiped.exited).toBe(6);
  expect(lastError(wiped.stderr).error).toBe("NODE_REPLACED");
  expect(lastError(wiped.stderr).message).toMatch(/n2/);
  await expectAppends();

  rmSync(node.dir, { recursive: true, force: true });
  renameSync(aside, node.dir);
  await cluster.restart(node).line(0);
  await expectAppends();
});

test("a directory of another cluster is refused under a known name", { timeout: 60_000 }, async () => {
  const other = await TestCluster.start();
  const node = cluster.node("n3");
  const aside = `${node.dir}.aside`;
  try {
    const otherLog = await connect(other.addresses);
    await otherLog.append({ value: "of another cluster" });
    await otherLog.close();
    await other.kill(...other.nodes);
    await cluster.kill(node);
    renameSync(node.dir, aside);
    cpSync(other.node("n3").dir, node.dir, { recursive: true });

    const foreign = cluster.restart(node);
    expect(await foreign.exited).toBe(6);
    expect(lastError(foreign.stderr).error).toBe("FOREIGN_CLUSTER");
    await expectAppends();
  } finally {
    await other.stop();
  }
  rmSync(node.dir, { recursive: true, force: true });
  renameSync(aside, node.dir);
  await cluster.restart(node).line(0);
  await expectAppends();
});

test("the directory of one node does not start as another", { timeout: 60_000 }, async () => {
  const [one, two] = [cluster.node("n1"), cluster.node("n2")];
  await cluster.kill(two);
  await cluster.kill(one);
  const before = digestOf(one.dir);
  expect(Object.keys(before).length).toBeGreaterThan(1);
  const args = cluster.serveArguments({ ...two, dir: one.dir });
  const result = await runCli(args);
  expect(result.code).toBe(4);
  expect(result.error()).toMatchObject({ error: "DIRECTORY_UNUSABLE", outcome: "none" });
  expect(result.error().message).toMatch(/n1.*n2|n2.*n1/);
  expect(digestOf(one.dir)).toEqual(before);

  await cluster.restart(one).line(0);
  await cluster.restart(two).line(0);
  await expectAppends();
});

test("a directory that is in use names its owner and is not touched", async () => {
  const node = cluster.node("n1");
  const result = await runCli(cluster.serveArguments({ ...node, address: "127.0.0.1:0" }));
  expect(result.code).toBe(4);
  expect(result.error()).toMatchObject({ error: "DIRECTORY_IN_USE", facts: { pid: node.pid } });
  expect(isAlive(node.pid)).toBe(true);
  await expectAppends();
});

test("a node that was told another list of members is refused", { timeout: 60_000 }, async () => {
  const node = cluster.node("n3");
  await cluster.kill(node);
  const dir = join(cluster.temp.path, "fourth");
  const members = `${cluster.nodes.map((member) => `${member.id}=${member.peerAddress}`).join(",")},n4=127.0.0.1:1`;
  const result = await runCli([
    "serve",
    "--dir",
    dir,
    "--node",
    "n3",
    "--cluster",
    members,
    "--listen",
    node.address,
    "--json",
  ]);
  expect(result.code).toBe(6);
  expect(["CLUSTER_MISMATCH", "NODE_REPLACED"]).toContain(result.error().error);
  await cluster.restart(node).line(0);
  await expectAppends();
});

/** Every file of a directory but the lock's, by its content. */
function digestOf(dir: string): Record<string, string> {
  const digests: Record<string, string> = {};
  for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || entry.name === "LOCK") continue;
    const path = join(entry.parentPath, entry.name);
    digests[path] = createHash("sha256").update(readFileSync(path)).digest("hex");
  }
  return digests;
}
