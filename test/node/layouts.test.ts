// Goal: which thread serves clients is nothing that they notice. Method: one set of tests for both layouts, over gRPC, with the
// built files.
import { createServer } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { connect } from "../../src/client/connect.ts";
import type { Log } from "../../src/client/log.ts";
import type { Layout } from "../../src/node/config.ts";
import type { RunningNode, startNode as StartNode } from "../../src/node/node.ts";
import { collect, errorOf, text } from "../client/fixture.ts";
import { makeTempDir, type TempDir } from "../cluster/harness.ts";

const built = "../../dist/node/node.js";
const { startNode } = (await import(built)) as { startNode: typeof StartNode };

describe.each<Layout>(["compact", "spread"])("layout %s", (layout) => {
  let temp: TempDir;
  let node: RunningNode;
  let log: Log;
  let notes: string[];

  beforeEach(async () => {
    temp = makeTempDir();
    notes = [];
    const config = { dir: join(temp.path, "a"), listen: "127.0.0.1:0", layout };
    node = await startNode(config, { onNote: (note) => notes.push(note) });
    log = await connect(node.clientAddress);
  });

  afterEach(async () => {
    await log.close();
    await node.close();
    temp.remove();
  });

  test("the node says which it has", () => {
    expect(notes.filter((note) => note.includes(`layout ${layout}`)).length).toBe(1);
  });

  test("appends, reads, follows and tells its status", async () => {
    expect(await log.append({ type: "A", tags: ["t"], value: "one" })).toMatchObject({ position: 1 });
    const following = collect(log.read({ from: 2, follow: true }), (record) => text(record.value), 1000);
    const answers = await Promise.all(Array.from({ length: 1000 }, (_, index) => log.append({ value: `${index}` })));
    expect(answers.map(({ position }) => position)).toEqual(answers.map((_, index) => 2 + index));
    expect(await following).toEqual(answers.map((_, index) => `${index}`));
    expect(await log.tail()).toMatchObject({ head: 1, tail: 1002 });
    expect(await log.status()).toMatchObject({ role: "leader", tail: 1002, leaderAddress: node.clientAddress });
    const error = await errorOf(collect(log.read({ from: 2000 }), (record) => record.position));
    expect(error).toMatchObject({ code: "POSITION_PAST_TAIL", facts: { tail: 1002 } });
  });

  test("many megabytes go in and out as they were, with as much under way as the library sends", async () => {
    const values = Array.from({ length: 300 }, (_, index) => Buffer.alloc(200_000, index));
    await Promise.all(values.map((value) => log.append({ value })));
    const readers = Array.from({ length: 3 }, () =>
      collect(log.read(), (record) => Buffer.compare(record.value, values[record.position - 1]!)),
    );
    for (const differences of await Promise.all(readers)) expect(differences).toEqual(values.map(() => 0));
  });

  test("several clients share the node, each in its order", async () => {
    const others = await Promise.all(Array.from({ length: 4 }, () => connect(node.clientAddress)));
    const all = await Promise.all(
      others.map((each) => Promise.all(Array.from({ length: 300 }, () => each.append({ value: "x" })))),
    );
    for (const answers of all) {
      const positions = answers.map(({ position }) => position);
      expect(positions).toEqual([...positions].sort((a, b) => a - b));
    }
    expect(new Set(all.flat().map(({ position }) => position)).size).toBe(1200);
    await Promise.all(others.map((each) => each.close()));
  });

  test("closing answers what was sent, and gives port and directory free", async () => {
    const answers = Array.from({ length: 100 }, () => log.append({ value: "x" }));
    await answers[0];
    await node.close();
    const settled = await Promise.allSettled(answers);
    expect(settled.filter(({ status }) => status === "fulfilled").length).toBeGreaterThan(0);
    const again = await startNode({ dir: node.dir, listen: node.clientAddress, layout });
    const client = await connect(again.clientAddress);
    const acknowledged = settled.flatMap((each) => (each.status === "fulfilled" ? [each.value.position] : []));
    expect((await client.tail()).tail).toBeGreaterThan(Math.max(...acknowledged));
    await client.close();
    await again.close();
  });

  test("a port that is taken, or a directory, is an error with its name, and nothing stays behind", async () => {
    const dir = join(temp.path, "b");
    const taken = startNode({ dir, listen: node.clientAddress, layout });
    expect(await taken.catch(({ code }: { code: string }) => code)).toBe("ADDRESS_IN_USE");
    const inUse = startNode({ dir: node.dir, listen: "127.0.0.1:0", layout });
    expect(await inUse.catch(({ code }: { code: string }) => code)).toBe("DIRECTORY_IN_USE");
    const next = await startNode({ dir, listen: "127.0.0.1:0", layout });
    const { clientAddress } = next;
    await next.close();
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject).listen(Number(clientAddress.split(":")[1]), "127.0.0.1", resolve);
    });
    await new Promise((resolve) => server.close(resolve));
  });
});
