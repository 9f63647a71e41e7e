// Goal: what is acknowledged survives kill -9 of any nodes, and the log goes on within two seconds. Method: real processes as the
// command line runs them, a client that appends all the time, a reader that follows all the time.
import { afterEach, beforeEach, expect, test } from "vitest";
import { connect } from "../../src/client/connect.ts";
import type { Log } from "../../src/client/log.ts";
import { pause, StallMeter, TestCluster } from "./harness.ts";
import { checkHistory, Follower, Load, readAll } from "./load.ts";

/** The bound for the next acknowledgement after a crash, beyond what the machine itself stood still. */
const outageMsMax = 2000;

/** A machine that stands still for so long loses heartbeats. */
const heartbeatMs = 100;

/** A node's process listens this soon where nothing else runs. */
const startMs = 500;

let cluster: TestCluster;
let log: Log;

beforeEach(async () => {
  cluster = await TestCluster.start();
  log = await connect(cluster.addresses);
});

afterEach(async () => {
  await log.close();
  await cluster.stop();
});

test("the leader is killed while a client appends: nothing acknowledged is lost, the log goes on", {
  timeout: 60_000,
}, async () => {
  const load = new Load(log);
  load.start();
  await load.until(200);
  const leader = await cluster.leader();
  const follower = new Follower(await connect(cluster.others(leader.id)[0]!.address));
  await load.until(load.acknowledged.size + 200);

  const stalls = new StallMeter();
  const next = load.nextAcknowledgement();
  await cluster.kill(leader);
  const outageMs = await next;
  expect(outageMs).toBeLessThan(outageMsMax + stalls.stop());

  await load.until(load.acknowledged.size + 200);
  await cluster.restart(leader).line(0);
  await load.until(load.acknowledged.size + 200);
  await load.stop();

  const values = await readAll(log);
  checkHistory(values, load);
  await follower.until(values.length);
  await follower.stop();
  expect(follower.values).toEqual(values);
  await expectSameEverywhere(values);
});

test("a follower is killed while a client appends: nobody waits for it, and it catches up", {
  timeout: 60_000,
}, async () => {
  const load = new Load(log);
  load.start();
  await load.until(200);
  const follower = cluster.others((await cluster.leader()).id)[0]!;
  const stalls = new StallMeter();
  const next = load.nextAcknowledgement();
  await cluster.kill(follower);
  const outageMs = await next;
  await load.until(load.acknowledged.size + 500);
  const stalledMs = stalls.stop();
  expect(outageMs).toBeLessThan(outageMsMax + stalledMs);
  // The leader stays, unless the machine held its processes up for so long that the others missed its heartbeats.
  if (stalledMs < heartbeatMs) expect(load.unknown.size).toBe(0);
  await cluster.restart(follower).line(0);
  await load.until(load.acknowledged.size + 200);
  await load.stop();

  const values = await readAll(log);
  checkHistory(values, load);
  await expectSameEverywhere(values);
});

test("all three are killed at once: two that come back have everything and go on", { timeout: 60_000 }, async () => {
  const load = new Load(log);
  load.start();
  await load.until(500);
  await cluster.kill(...cluster.nodes);
  const began = performance.now();
  await cluster.restart(cluster.nodes[0]!).line(0);
  // What a process takes to start here and now, beyond what it takes on a machine with nothing else to do.
  const slownessMs = Math.max(0, performance.now() - began - startMs);

  const stalls = new StallMeter();
  const next = load.nextAcknowledgement();
  const second = cluster.restart(cluster.nodes[1]!);
  const outageMs = await next;
  expect(outageMs).toBeLessThan(outageMsMax + slownessMs + stalls.stop());
  await second.line(0);
  await load.until(load.acknowledged.size + 100);
  await cluster.restart(cluster.nodes[2]!).line(0);
  await load.stop();

  const values = await readAll(log);
  checkHistory(values, load);
  await expectSameEverywhere(values);
});

/** Each node alone, asked for what it has, comes to hold the same records at the same positions. */
async function expectSameEverywhere(values: readonly string[]): Promise<void> {
  for (const node of cluster.nodes) {
    const own = await connect(node.address);
    try {
      for (let tries = 0; (await own.tail({ freshness: "local" })).tail <= values.length && tries < 500; tries++)
        await pause(20);
      expect((await readAll(own, "local")).slice(0, values.length)).toEqual(values);
    } finally {
      await own.close();
    }
  }
}
