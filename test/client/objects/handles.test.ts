// Goal: the handles of shared objects say what the machines do, in the callers' own words, and commands travel together.
// Method: the real services over a log in memory and the real machines; what is lost on the way is in executes.test.ts.
import { expect, test } from "vitest";
import { jsonBytes } from "../../../src/client/objects/stored-bytes.ts";
import { errorOf } from "../fixture.ts";
import { log, node, setUpMachineLog } from "./machine-log.ts";

setUpMachineLog();

test("a counter adds, takes ranges and says what it is", async () => {
  const orders = log.counter("orders");
  expect(await orders.get()).toBe(0);
  expect([await orders.fetchAdd(), await orders.fetchAdd(5), await orders.fetchAdd(-2)]).toEqual([0, 1, 6]);
  expect(await orders.take(10)).toEqual({ first: 5, last: 14 });
  expect(await orders.get({ freshness: "local" })).toBe(14);
  expect(await log.counter("others").get()).toBe(0);
});

test("a counter that would leave its range stays, and so does one that is asked for what is no number", async () => {
  const full = log.counter("full");
  await full.fetchAdd(Number.MAX_SAFE_INTEGER);
  expect(await errorOf(full.fetchAdd())).toMatchObject({ code: "COUNTER_OUT_OF_RANGE", facts: { name: "full" } });
  expect(await errorOf(full.fetchAdd(0.5))).toMatchObject({ code: "INVALID_ARGUMENT", outcome: "none" });
  expect(await errorOf(full.take(0))).toMatchObject({ code: "INVALID_ARGUMENT", outcome: "none" });
  expect(await full.get()).toBe(Number.MAX_SAFE_INTEGER);
});

test("commands of one turn are one batch, and each caller has its own reply", async () => {
  await log.counter("warm").fetchAdd();
  const before = node.log.batches.length;
  const calls = Array.from({ length: 500 }, (_, index) => log.counter(`c${index % 3}`).fetchAdd(1));
  const values = await Promise.all(calls);
  expect(node.log.batches.length).toBe(before + 1);
  expect(values).toEqual(calls.map((_, index) => Math.floor(index / 3)));
});

test("a register is set, compared by value and by version, written once, deleted", async () => {
  const leader = log.register("leader");
  expect(await leader.get()).toBeUndefined();
  const first = await leader.compareAndSet(null, "ada");
  expect(first).toMatchObject({ done: true, before: undefined });
  expect(first.now!.text()).toBe("ada");
  expect(await leader.get()).toMatchObject({ version: first.now!.version });
  const refused = await leader.compareAndSet(null, "bob");
  expect(refused.done).toBe(false);
  expect(refused.now!.text()).toBe("ada");
  const second = await leader.compareAndSet({ version: first.now!.version }, jsonBytes({ name: "bob" }));
  expect(second.now!.json()).toEqual({ name: "bob" });
  expect(second.now!.version).toBeGreaterThan(first.now!.version);
  expect((await leader.writeOnce("late")).now!.json()).toEqual({ name: "bob" });
  expect(await leader.compareAndSet(jsonBytes({ name: "bob" }), null)).toMatchObject({ done: true, now: undefined });
  expect(await leader.delete()).toBe(false);
  expect((await leader.writeOnce("won")).done).toBe(true);
  expect((await leader.set("set")).text()).toBe("set");
});

test("a lease has one holder, in this process too; the next in line has it when it is released", async () => {
  const first = await log.lease("job", { value: "one" });
  expect(first.held).toBe(true);
  expect(await errorOf(log.lease("job", { wait: false }))).toMatchObject({
    code: "LEASE_TAKEN",
    facts: { name: "job", token: first.token, session: first.session },
  });
  const next = log.lease("job", { value: "two" });
  for await (const state of log.watchLease("job", { from: 1 })) if (state.waiting.length === 1) break;
  await first.proclaim("one again");
  expect((await log.leaseState("job")).holder!.text()).toBe("one again");
  await first.release();
  const second = await next;
  expect(second.token).toBeGreaterThan(first.token);
  expect([first.held, second.held]).toEqual([false, true]);
  expect(await first.lost).toMatchObject({ code: "CLOSED" });
  expect(first.signal.aborted).toBe(true);
  await second.release();
  expect(await log.leaseState("job")).toMatchObject({ holder: undefined, waiting: [] });
});

test("who gives up waiting for a lease leaves the line", async () => {
  await using held = await log.lease("job");
  const giveUp = new AbortController();
  const waiting = errorOf(log.lease("job", { signal: giveUp.signal }));
  for await (const { waiting } of log.watchLease("job", { from: 1 })) if (waiting.length === 1) break;
  giveUp.abort();
  expect(await waiting).toMatchObject({ code: "CANCELLED" });
  expect(await log.leaseState("job")).toMatchObject({ holder: { token: held.token }, waiting: [] });
});

test("a decision commits when all voted yes and aborts at the first no; who waits is told", async () => {
  const paid = log.decision("paid");
  expect(await paid.begin({ participants: ["a", "b"], timeoutMs: 60_000 })).toMatchObject({ outcome: "pending" });
  const outcome = paid.outcome();
  expect(await paid.vote("a", true)).toMatchObject({ outcome: "pending", voted: ["a"] });
  expect(await paid.vote("b", true)).toMatchObject({ outcome: "committed" });
  expect(await outcome).toMatchObject({ outcome: "committed", participants: ["a", "b"] });
  const refused = log.decision("refused");
  await refused.begin({ participants: ["a", "b"], timeoutMs: 60_000 });
  expect(await refused.vote("b", false)).toMatchObject({ outcome: "aborted" });
  expect(await refused.outcome()).toMatchObject({ outcome: "aborted" });
  await refused.forget();
  expect(await refused.get()).toMatchObject({ outcome: "unknown" });
  expect(await errorOf(refused.outcome())).toMatchObject({ code: "INVALID_ARGUMENT" });
});

test("after the log was closed nothing is taken, and a watch says so", async () => {
  const watching = errorOf(
    (async () => {
      for await (const _ of log.watchLease("job", { from: 1 }));
    })(),
  );
  const lease = await log.lease("other");
  await log.close();
  expect(lease.held).toBe(false);
  expect(await watching).toMatchObject({ code: "CLOSED" });
  expect(await errorOf(log.counter("c").fetchAdd())).toMatchObject({ code: "CLOSED", outcome: "none" });
  expect(await errorOf(log.counter("c").get())).toMatchObject({ code: "CLOSED", outcome: "none" });
});
