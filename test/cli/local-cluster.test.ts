// Goal: `cluster` runs node processes, tells of each, never starts one again, goes on with its data, and leaves nothing behind.
// Method: the built command line; processes are looked for by their numbers.
import { afterEach, beforeEach, expect, test } from "vitest";
import { connect } from "../../src/client/connect.ts";
import { isAlive, pause, Running, runCli, TestCluster } from "../cluster/harness.ts";

let cluster: TestCluster;

beforeEach(async () => {
  cluster = await TestCluster.start();
});

afterEach(async () => {
  await cluster.stop();
});

async function untilGone(pids: readonly number[]): Promise<void> {
  for (let tries = 0; pids.some(isAlive); tries++) {
    if (tries > 1000) throw new Error(`of ${pids.join(", ")} some are still there`);
    await pause(10);
  }
}

test("run again on its directory it goes on with its data and its addresses", { timeout: 60_000 }, async () => {
  const log = await connect(cluster.addresses);
  const session = await log.session();
  const { position } = await session.append({ value: "before" });
  await log.close();
  const before = cluster.nodes.map((node) => ({ id: node.id, address: node.address, dir: node.dir }));
  const pids = cluster.nodes.map((node) => node.pid);
  expect(await cluster.running.stop("SIGTERM")).toBe(0);
  await untilGone(pids);

  await cluster.startAll();
  expect(cluster.nodes.map((node) => ({ id: node.id, address: node.address, dir: node.dir }))).toEqual(before);
  const read = await runCli(["read", "--to", cluster.addresses, "--json"]);
  expect(read.json()).toMatchObject([{ position, value: "before" }]);
});

test("a node that dies is told of and not started again; the last one ends the command", {
  timeout: 60_000,
}, async () => {
  // A cluster begins once all its nodes have met: before that no majority can stand in for one that is missing.
  await cluster.leader();
  const [first, ...rest] = cluster.nodes;
  await cluster.kill(first!);
  expect(await cluster.running.line(3)).toEqual({ id: first!.id, exit: "SIGKILL" });
  await pause(300);
  expect(isAlive(first!.pid)).toBe(false);
  const log = await connect(rest.map((node) => node.address).join(","));
  const session = await log.session();
  expect((await session.append({ value: "goes on" })).position).toBe(1);
  await log.close();
  await cluster.kill(...rest);
  expect(await cluster.running.exited).toBe(1);
});

test("the nodes do not outlive their parent, however it ends", { timeout: 60_000 }, async () => {
  const pids = cluster.nodes.map((node) => node.pid);
  expect(pids.every(isAlive)).toBe(true);
  await cluster.running.stop("SIGKILL");
  await untilGone(pids);
});

test("a directory of another size of cluster is refused", async () => {
  const other = new Running(["cluster", "--nodes", "5", "--dir", cluster.dir, "--json"]);
  expect(await other.exited).toBe(2);
  expect(other.stderr).toMatch(/holds a cluster of 3 nodes, not 5/);
});
