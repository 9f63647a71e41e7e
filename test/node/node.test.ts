// Goal: a node in the user's own process starts, serves, stops by name and leaves nothing behind. Method: the built files, since
// workers run those only; real directories and ports.
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { PaxlogError } from "../../src/base/errors.ts";
import { connect } from "../../src/client/connect.ts";
import type { RunningNode, startNode as StartNode } from "../../src/node/node.ts";
import { makeTempDir, type TempDir } from "../cluster/harness.ts";
import { freePorts } from "../cluster/ports.ts";

const built = "../../dist/node/node.js";
const { startNode } = (await import(built)) as { startNode: typeof StartNode };

let temp: TempDir;
let nodes: RunningNode[];

beforeEach(() => {
  temp = makeTempDir();
  nodes = [];
});

afterEach(async () => {
  await Promise.all(nodes.map((node) => node.close()));
  temp.remove();
});

async function start(...args: Parameters<typeof StartNode>): Promise<RunningNode> {
  const node = await startNode(...args);
  nodes.push(node);
  return node;
}

/** The built files have classes of their own, so an error is known by its fields. */
async function codeOf(promise: Promise<unknown>): Promise<string> {
  return await promise.then(
    () => "resolved",
    (error: PaxlogError) => error.code,
  );
}

test("a node serves until it is closed, and its directory and port are free afterwards", {
  timeout: 30_000,
}, async () => {
  const notes: string[] = [];
  const config = { dir: join(temp.path, "a"), listen: "127.0.0.1:0" };
  const node = await start(config, { onNote: (text) => notes.push(text) });
  expect(notes.filter((text) => text.includes("checksums are computed by")).length).toBe(1);
  const log = await connect(node.clientAddress);
  const { position } = await log.append({ value: "x" });
  await log.close();
  expect(await node.status()).toMatchObject({ id: "node", role: "leader", tail: position + 1, pid: process.pid });
  await node.close();
  await node.close();
  expect(await node.closed).toBeUndefined();
  expect(await codeOf(node.status())).toBe("CLOSED");

  const again = await start({ ...config, listen: node.clientAddress });
  expect(again.clientAddress).toBe(node.clientAddress);
  const read = await connect(again.clientAddress);
  expect((await read.tail()).tail).toBe(position + 1);
  await read.close();
});

test("a directory is opened once, in one process too", { timeout: 30_000 }, async () => {
  const config = { dir: join(temp.path, "a"), listen: "127.0.0.1:0" };
  await start(config);
  await expect(startNode(config)).rejects.toMatchObject({ code: "DIRECTORY_IN_USE", facts: { pid: process.pid } });
});

test("three nodes in one process form a cluster; one that stops is no harm", { timeout: 30_000 }, async () => {
  const ports = await freePorts(3);
  const cluster = ports.map((port, index) => ({ name: `n${index + 1}`, peerAddress: `127.0.0.1:${port}` }));
  const started = await Promise.all(
    cluster.map(({ name }) => start({ dir: join(temp.path, name), name, cluster, listen: "127.0.0.1:0" })),
  );
  const log = await connect(started.map((node) => node.clientAddress));
  // Nine threads that begin at once may well change their first leader: a session's append lands once all the same.
  const session = await log.session({ ttlMs: 30_000 });
  expect((await session.append({ value: "one" })).position).toBe(1);
  await started[2]!.close();
  expect((await session.append({ value: "two" })).position).toBe(2);
  await log.close();
});

test("what cannot start leaves nothing running", { timeout: 30_000 }, async () => {
  const node = await start({ dir: join(temp.path, "a"), listen: "127.0.0.1:0" });
  const taken = { dir: join(temp.path, "b"), listen: node.clientAddress };
  expect(await codeOf(startNode(taken))).toBe("ADDRESS_IN_USE");
  // The directory was given free again with the threads that held it.
  const next = await start({ ...taken, listen: "127.0.0.1:0" });
  expect(next.dir).toBe(taken.dir);
});
