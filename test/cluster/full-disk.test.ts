// Goal: a leader without room hands on to a node that has some, and no caller sees more of it than a pause.
// Method: real processes; one has a quota of a few segments, and leads.
import { expect, test } from "vitest";
import { connect } from "../../src/client/connect.ts";
import { makeTempDir, pause, Running } from "./harness.ts";
import { freePorts } from "./ports.ts";

const quotaBytes = 8 * 1024 * 1024;
const value = "x".repeat(64 * 1024);

test("appends move on to a node with room when the leader's quota is full, and none fails", {
  timeout: 120_000,
}, async () => {
  const temp = makeTempDir();
  const [a, b, c] = (await freePorts(3)).map((port) => `127.0.0.1:${port}`);
  const list = `a=${a},b=${b},c=${c}`;
  const start = (name: string, ...flags: string[]): Running =>
    new Running([
      "serve",
      ...["--dir", `${temp.path}/${name}`, "--node", name, "--cluster", list, "--listen", "127.0.0.1:0", "--json"],
      ...["--segment-size", "1048576", ...flags],
    ]);
  const nodes = [start("a", "--quota", String(quotaBytes)), start("b"), start("c")];
  try {
    const addresses = (await Promise.all(nodes.map((node) => node.line(0)))).map((line) => line.address as string);
    const log = await connect(addresses.join(","), { deadlineMs: 60_000 });
    const session = await log.session({ ttlMs: 120_000 });
    // The node with the smallest name stands first; on a slow machine another may have been faster.
    for (let tries = 0; (await log.status({ address: addresses[0]! })).role !== "leader"; tries += 1) {
      if (tries === 3) throw new Error("the node with the quota does not become the leader");
      const { leaderAddress } = await log.status({ address: addresses[0]! });
      const leader = addresses.indexOf(leaderAddress);
      if (leader < 1) continue;
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
