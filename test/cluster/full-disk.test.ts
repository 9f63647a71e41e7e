// Goal: a leader without room hands on to a node that has some, and no caller sees more of it than a pause.
// Method: real processes; one has a quota of a few segments, and leads.
import { expect, test } from "vitest";
import { connect } from "../../src/client/connect.ts";
import { makeTempDir, pause, Running } from "./harness.ts";
import { freePorts } from "./ports.ts";

const quotaBytes = 8 * 1024 * 1024;
const value = "x".repeat(64 * 1024);

/** Three nodes on free ports, to be started. */
async function cluster() {
  const temp = makeTempDir();
  const [a, b, c] = (await freePorts(3)).map((port) => `127.0.0.1:${port}`);
  const list = `a=${a},b=${b},c=${c}`;
  const start = (name: string, ...flags: string[]): Running =>
    new Running([
      "serve",
      ...["--dir", `${temp.path}/${name}`, "--node", name, "--cluster", list, "--listen", "127.0.0.1:0", "--json"],
      ...["--segment-size", "1048576", ...flags],
    ]);
  return { temp, start };
}

test("appends move on to a node with room when the leader's quota is full, and none fails", {
  timeout: 120_000,
}, async () => {
  const { temp, start } = await cluster();
  const nodes = [start("a", "--quota", String(quotaBytes)), start("b"), start("c")];
  try {
    const addresses = (await Promise.all(nodes.map((node) => node.line(0)))).map((line) => line.address as string);
    const log = await connect(addresses.join(","), { deadlineMs: 60_000 });
    const session = await log.session({ ttlMs: 120_000 });
    // The node with the smallest name stands first; on a slow machine another may have been faster.
    for (let tries = 0; (await log.status({ address: addresses[0]! })).role !== "leader"; tries += 1) {
      if (tries === 10) throw new Error("the node with the quota does not become the leader");
      const { leaderAddress } = await log.status({ address: addresses[0]! });
      const leader = addresses.indexOf(leaderAddress);
      if (leader < 1) {
        await pause(500);
        continue;
      }
      nodes[leader]!.child.kill("SIGSTOP");
      await pause(3000);
      nodes[leader]!.child.kill("SIGCONT");
      await pause(1000);
    }
    let acknowledged = 0;
    for (; acknowledged < 160; acknowledged += 10) {
      await session.append(Array.from({ length: 10 }, () => ({ value })));
    }
    expect(await log.tail()).toMatchObject({ head: 1, tail: 1 + acknowledged });
    const status = await log.status({ address: addresses[1]! });
    expect([addresses[1], addresses[2]]).toContain(status.leaderAddress);
    await log.close();
  } finally {
    await Promise.all(nodes.map((node) => node.stop("SIGKILL")));
    temp.remove();
  }
});

test("a follower that is full to its reserve runs on without what comes then, and catches up when it has room", {
  timeout: 120_000,
}, async () => {
  const { temp, start } = await cluster();
  // The node with the largest name stands last.
  const nodes = [start("a"), start("b"), start("c", "--quota", String(quotaBytes))];
  try {
    const addresses = (await Promise.all(nodes.map((node) => node.line(0)))).map((line) => line.address as string);
    const log = await connect(addresses.join(","), { deadlineMs: 60_000 });
    const session = await log.session({ ttlMs: 120_000 });
    let acknowledged = 0;
    for (; acknowledged < 240; acknowledged += 10) {
      await session.append(Array.from({ length: 10 }, () => ({ value })));
    }
    const full = () => log.status({ address: addresses[2]! });
    await expect.poll(async () => (await full()).diskFull, { timeout: 20_000 }).toBe(true);
    const shown = (await full()).tail;
    expect(shown).toBeLessThan(1 + acknowledged);
    await pause(2_000);
    expect(await full()).toMatchObject({ role: "follower", tail: shown });
    const alone = await connect(addresses[2]!, { deadlineMs: 10_000 });
    let count = 0;
    for await (const _ of alone.read({ freshness: "local" })) count += 1;
    expect(count).toBe(shown - 1);
    await alone.close();

    await nodes[2]!.stop("SIGTERM");
    nodes[2] = start("c");
    const { address } = await nodes[2].line(0);
    const tail = async () => (await log.status({ address: address as string })).tail;
    await expect.poll(tail, { timeout: 30_000 }).toBe(1 + acknowledged);
    await log.close();
  } finally {
    await Promise.all(nodes.map((node) => node.stop("SIGKILL")));
    temp.remove();
  }
});
