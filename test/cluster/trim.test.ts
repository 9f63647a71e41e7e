// Goal: what is trimmed goes from every disk, and a node that was away meanwhile comes back with a snapshot and all that was kept.
// Method: real processes with small segments; one is killed, the log is trimmed behind its back, the others forget what they held in
// memory, and it starts again.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { connect } from "../../src/client/connect.ts";
import type { Log } from "../../src/client/log.ts";
import { type ClusterNode, pause, TestCluster } from "./harness.ts";

const value = "x".repeat(64 * 1024);

/** Records of 64 KiB, each once. */
async function append(log: Log, count: number): Promise<void> {
  const session = await log.session();
  for (let done = 0; done < count; done += 10) await session.append(Array.from({ length: 10 }, () => ({ value })));
  await session.close();
}

const segments = (node: ClusterNode): number =>
  readdirSync(join(node.dir, "log")).filter((name) => name.endsWith(".log")).length;

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 400; tries += 1) {
    if (await holds().catch(() => false)) return;
    await pause(50);
  }
  throw new Error(`not within 20 s: ${what}`);
}

test("a node that was away while the log was trimmed gets a snapshot and every record that was kept", {
  timeout: 90_000,
}, async () => {
  const cluster = await TestCluster.start();
  const log = await connect(cluster.addresses);
  try {
    await append(log, 20);
    const leader = await cluster.leader();
    const [away, other] = cluster.others(leader.id) as [ClusterNode, ClusterNode];
    await cluster.kill(away);
    await append(log, 100);
    const full = segments(leader);
    expect(await log.trim(101)).toEqual({ head: 101, heldBy: undefined });
    for (const node of [leader, other]) {
      await until(
        `${node.id} lets go of the log`,
        async () => (await log.status({ address: node.address })).logBegin > 1,
      );
      expect(segments(node)).toBeLessThan(full);
    }
    for (const node of [other, leader]) {
      await cluster.kill(node);
      await cluster.restart(node).line(0);
    }
    await append(log, 10);
    await cluster.restart(away).line(0);
    const { tail } = await log.tail();
    const single = await connect(away.address);
    await until("it has caught up", async () => (await single.tail({ freshness: "local" })).tail === tail);
    const status = await single.status({ address: away.address });
    expect(status).toMatchObject({ id: away.id, head: 101, tail });
    expect(status.logBegin).toBeGreaterThan(1);
    expect(status.snapshotSlot).toBeGreaterThanOrEqual(status.logBegin);
    const positions: number[] = [];
    for await (const record of single.read({ from: 101, freshness: "local" })) positions.push(record.position);
    expect(positions).toEqual(Array.from({ length: tail - 101 }, (_, index) => 101 + index));
    // It is worth a vote again: with it alone beside the leader the log goes on.
    await cluster.kill(other);
    await append(log, 10);
    await single.close();
  } finally {
    await log.close();
    await cluster.stop();
  }
});
