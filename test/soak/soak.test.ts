// Goal: against real processes, what clients are told under kill -9 and SIGSTOP is what one log could have told them, races have one
// winner, and what a session asks for is in the log once. Method: the long runs of soak/, short; minutes and millions: docs/testing.md.
import { tmpdir } from "node:os";
import { expect, test } from "vitest";
import { runCounts } from "../../soak/counts.ts";
import { runFence } from "../../soak/fence.ts";
import { runHistory } from "../../soak/history.ts";
import { runKills } from "../../soak/kills.ts";
import { Ledger, tagOfNumber, textOf, writtenOf } from "../../soak/ledger.ts";
import { runObjectHistory } from "../../soak/object-history.ts";
import { runRace } from "../../soak/race.ts";
import { runReaders } from "../../soak/readers.ts";
import { runRecipes } from "../../soak/recipes.ts";
import { BrokenPromise, Recorder } from "../../soak/recorder.ts";
import type { SoakContext } from "../../soak/soak-cluster.ts";
import { runStorm } from "../../soak/storm.ts";
import type { Log } from "../../src/client/log.ts";

const context: SoakContext = { dir: tmpdir(), nodes: 3, seed: 1, note: () => {} };
const leaderFaults = { strikes: ["killLeader", "pauseLeader"], calmMs: 1000, outageMs: 2000 } as const;
const cutsToo = ["killLeader", "pauseLeader", "cutLeader", "cutOneWay", "cutLink", "cutClients"] as const;
const timeout = 180_000;

test("the history of clients over killed, paused and cut off leaders is linearizable", { timeout }, async () => {
  const plan = { ...leaderFaults, strikes: cutsToo, seconds: 6, clients: 8, thinkMs: 5, checkMs: 60_000 };
  const { operations, appended, refused, strikes } = await runHistory(context, plan);
  expect(operations).toBeGreaterThan(20);
  expect(appended).toBeGreaterThan(5);
  expect(refused).toBeGreaterThan(2);
  expect(Object.keys(strikes).length).toBeGreaterThan(0);
});

test("of two clients that race with a guard one wins, and the other is told who", { timeout }, async () => {
  const { rounds, wins } = await runRace(context, { rounds: 40, clients: 2 });
  expect(rounds).toBe(120);
  expect(wins[0]! + wins[1]!).toBe(120);
  expect(Math.min(...wins), "both take part").toBeGreaterThan(0);
});

test("sessions append once each, in order, through clients that die over leaders that do", { timeout }, async () => {
  const plan = { ...leaderFaults, appends: 2000, sessions: 3, inFlight: 100, lifeAppends: 400, twinRate: 0.5 };
  const { appends, restarts, repeated } = await runStorm(context, plan);
  expect(appends).toBe(2000);
  expect(restarts).toBeGreaterThan(2);
  expect(repeated).toBeGreaterThan(0);
});

test("a counter on the nodes counts each addition once, over clients and leaders that die", { timeout }, async () => {
  const sizes = { additions: 300, clients: 3, inFlight: 100, lifeAppends: 60, twinRate: 0.5, host: "nodes" } as const;
  const { additions, restarts } = await runCounts(context, { ...leaderFaults, ...sizes });
  expect(additions).toBe(300);
  expect(restarts).toBeGreaterThan(0);
});

test("a holder that comes back late is refused, and tokens only grow", { timeout }, async () => {
  const { refused, stopped } = await runFence(context, { ...leaderFaults, calmMs: 4000, holders: 4, stopEvery: 2 });
  expect([refused, stopped]).toEqual([3, 1]);
});

test("what clients of shared objects are told over killed, paused and cut off leaders is linearizable", {
  timeout,
}, async () => {
  const plan = { ...leaderFaults, strikes: cutsToo, seconds: 6, clients: 4, thinkMs: 5, checkMs: 60_000 };
  const { counters, registers, keys, leases, decisions, accounts, transactions } = await runObjectHistory(
    context,
    plan,
  );
  expect(counters + registers + keys + leases + decisions + accounts + transactions).toBeGreaterThan(10);
});

test("recipes keep their promises among participants that go away without a word, over leaders that die", {
  timeout,
}, async () => {
  const plan = {
    ...leaderFaults,
    strikes: ["killLeader", "cutLeader"],
    calmMs: 3000,
    seconds: 5,
    participants: 3,
  } as const;
  const { terms, permits, passed, instances, jobs } = await runRecipes(context, plan);
  expect(terms + permits + passed + instances).toBeGreaterThan(3);
  expect(jobs).toBeGreaterThan(0);
});

test("readers see each record once, in order, over killed nodes, a nonvoter and trims", { timeout }, async () => {
  const faults = { strikes: ["killLeader", "killFollower"], calmMs: 1500, outageMs: 1500 } as const;
  const sizes = { seconds: 4, readers: 4, writers: 2, nonvoters: 1, rate: 200, keepRecords: 300, trimMs: 1000 };
  const { appended, delivered, reconnects } = await runReaders(context, { ...faults, ...sizes });
  expect(appended).toBeGreaterThan(20);
  expect(delivered).toBeGreaterThan(appended);
  expect(reconnects).toBeGreaterThan(4);
});

test("a reader that gets other bytes, another record, or a gap is told from one that does not", () => {
  const ledger = new Ledger();
  const record = { writer: 1, number: 3 };
  const value = Buffer.from(textOf(record));
  expect(writtenOf(value, [tagOfNumber(3)], 9)).toEqual(record);
  expect(() => writtenOf(value, [tagOfNumber(4)], 9)).toThrow(BrokenPromise);
  expect(() => writtenOf(Buffer.from(`${value.toString()}x`), [tagOfNumber(3)], 9)).toThrow(BrokenPromise);
  ledger.note(2, record, "one");
  expect(() => ledger.note(2, { writer: 1, number: 4 }, "another")).toThrow(BrokenPromise);
  expect(() => ledger.checkOrder()).toThrow("nobody knows");
});

/** A log that answers as it is told to; the recorder asks nothing else of it. */
function logThatAnswers(...firsts: number[]): Log {
  return { append: async () => ({ first: firsts.shift(), last: 0, time: 0 }) } as unknown as Log;
}

test("the recorder sees what is not where it was acknowledged, what is there twice, and what nobody asked for", async () => {
  const records = [{ type: "", tags: [] }];
  const settled = async (log: readonly string[]): Promise<void> => {
    const recorder = new Recorder();
    const client = recorder.client("one", logThatAnswers(1, 2));
    await client.append(records, {});
    await client.append(records, {});
    recorder.settle(log, performance.now());
  };
  await expect(settled(["one/1 0", "one/2 0"])).resolves.toBeUndefined();
  await expect(settled(["one/2 0", "one/1 0"])).rejects.toThrow(BrokenPromise);
  await expect(settled(["one/1 0"])).rejects.toThrow(/acknowledged at 2, and is at no position/);
  await expect(settled(["one/1 0", "one/2 0", "one/2 0"])).rejects.toThrow(/at positions 2 and 3/);
  await expect(settled(["one/1 0", "one/2 0", "two/1 0"])).rejects.toThrow(/nobody appended "two\/1 0"/);
});

test("a node that is killed while it snapshots and trims keeps what it acknowledged", { timeout }, async () => {
  const { kills, appended } = await runKills(context, { kills: 3, keepRecords: 30, valueBytes: 40_000 });
  expect(kills).toBe(3);
  expect(appended).toBeGreaterThan(10);
});
