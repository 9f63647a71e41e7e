// Goal: each recipe keeps its promise among participants that come, go and end at bad moments.
// Method: the real services over a log in memory and the real machines; each participant has a connection of its own.
import { afterEach, beforeEach, expect, test } from "vitest";
import { connectWith } from "../../../src/client/connect.ts";
import type { Log } from "../../../src/client/log.ts";
import { barrier } from "../../../src/client/recipes/barrier.ts";
import { election } from "../../../src/client/recipes/election.ts";
import { semaphore } from "../../../src/client/recipes/semaphore.ts";
import { serviceRegistry } from "../../../src/client/recipes/service-registry.ts";
import { workQueue } from "../../../src/client/recipes/work-queue.ts";
import { hashing } from "../../storage/hashing.ts";
import { collect, errorOf, text } from "../fixture.ts";
import { MachineNode } from "../objects/machine-node.ts";

let node: MachineNode;
let logs: Log[];

beforeEach(async () => {
  node = await new MachineNode().start();
  logs = await Promise.all(
    [1, 2, 3].map(() => connectWith(hashing, [node.address], { deadlineMs: 10_000, closeMs: 200 })),
  );
});

afterEach(async () => {
  await Promise.all(logs.map((log) => log.close()));
  await node.stop();
});

test("an election has one leader at a time, in the order in which they stood, and observers see each", async () => {
  const elections = logs.map((log) => election(log, "e"));
  const seen = collect(elections[2]!.observe(), ({ value }) => text(value), 4);
  const first = await elections[0]!.campaign("one");
  const second = elections[1]!.campaign("two");
  const third = elections[2]!.campaign("three");
  await first.proclaim("one, still");
  expect((await elections[1]!.leader())!.text()).toBe("one, still");
  await first.resign();
  const next = await Promise.race([second, third]);
  expect(next.token).toBeGreaterThan(first.token);
  await next.resign();
  const last = (await Promise.all([second, third])).find((each) => each !== next)!;
  expect(last.held).toBe(true);
  await last.resign();
  expect(await elections[0]!.leader()).toBeUndefined();
  expect((await seen).toSorted()).toEqual(["one", "one, still", "three", "two"]);
});

test("a semaphore lets in so many, and the next one when one leaves or its session ends", async () => {
  const doors = logs.map((log) => semaphore(log, "s/1", { permits: 2 }));
  const [a, b] = [await doors[0]!.acquire(), await doors[1]!.acquire()];
  const waiting = doors[2]!.acquire();
  const late = doors[0]!.acquire();
  const gaveUp = new AbortController();
  const given = errorOf(doors[1]!.acquire({ signal: gaveUp.signal }));
  expect(await Promise.race([waiting, late, new Promise((resolve) => setTimeout(resolve, 50, "nobody"))])).toBe(
    "nobody",
  );
  gaveUp.abort();
  expect(await given).toMatchObject({ code: "CANCELLED" });
  await a.release();
  const next = await Promise.race([waiting, late]);
  expect(next.token).toBeGreaterThan(b.token);
  await b.release();
  const last = (await Promise.all([waiting, late])).find((each) => each !== next)!;
  expect([next.held, last.held, a.held]).toEqual([true, true, false]);
});

test("nobody passes a barrier before all are there, nor leaves before all are done", async () => {
  const places = logs.map((log) => barrier(log, "b", { parties: 3 }));
  const passed: string[] = [];
  const pass = async (index: number) => {
    const visit = await places[index]!.enter();
    passed.push(`in ${index}`);
    return visit;
  };
  const early = [pass(0), pass(1)];
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(passed).toEqual([]);
  const visits = await Promise.all([...early, pass(2)]);
  expect(passed.length).toBe(3);
  const leaving = visits.slice(0, 2).map((visit, index) => visit.leave().then(() => passed.push(`out ${index}`)));
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(passed.length).toBe(3);
  await Promise.all([...leaving, visits[2]!.leave()]);
  expect(passed.length).toBe(5);
  // The next round begins with nobody inside.
  expect((await logs[0]!.space().range({ prefix: "barrier/" })).count).toBe(0);
});

test("a queue gives each job to one worker at a time, again when it is given back, and sets the hopeless aside", async () => {
  const queue = workQueue(logs[0]!, "q", { deliveriesMax: 2 });
  const ids = [await queue.put("one"), await queue.put("two")];
  expect(ids).toEqual([1, 2]);
  const [ada, bob] = [await workQueue(logs[1]!, "q", { deliveriesMax: 2 }).worker(), await queue.worker()];
  const first = await ada.claim();
  const second = await bob.claim();
  expect([first.id, second.id, first.delivery]).toEqual([1, 2, 1]);
  await second.acknowledge();
  expect(await errorOf(second.acknowledge())).toMatchObject({ code: "LEASE_LOST" });
  const waiting = bob.claim();
  // A worker that ends gives back what it did not acknowledge.
  await ada.close();
  const again = await waiting;
  expect([again.id, again.delivery, again.text()]).toEqual([1, 2, "one"]);
  expect(again.token).toBeGreaterThan(first.token);
  expect(first.signal.aborted).toBe(true);
  await again.release();
  const nothing = new AbortController();
  const over = errorOf(bob.claim({ signal: nothing.signal }));
  for await (const { key } of logs[0]!.space().watch({ prefix: "dead/" }, { from: 1 })) if (key !== "") break;
  nothing.abort();
  expect(await over).toMatchObject({ code: "CANCELLED" });
  const letters = await queue.deadLetters();
  expect([...letters].map(([id, letter]) => [id, letter.text()])).toEqual([[1, "one"]]);
  expect(await queue.size()).toBe(0);
  expect([await queue.revive(1), await queue.revive(1)]).toEqual([true, false]);
  const revived = await bob.claim();
  expect([revived.id, revived.delivery]).toEqual([1, 1]);
  await revived.acknowledge();
  expect(await queue.discard(1)).toBe(false);
  await bob.close();
});

test("a claim that is given up at any moment leaves no job with a worker that does not know of it", async () => {
  const queue = workQueue(logs[0]!, "given up", { deliveriesMax: 1000 });
  const worker = await queue.worker();
  let given = 0;
  for (let round = 0; round < 60; round += 1) {
    await queue.put(`${round}`);
    const over = new AbortController();
    const first = worker.claim({ signal: over.signal }).catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, round % 12));
    over.abort();
    const early = await first;
    if (early === undefined) given += 1;
    const job = early ?? (await worker.claim({ signal: AbortSignal.timeout(5_000) }));
    expect(job.text()).toBe(`${round}`);
    await job.acknowledge();
    await expect(job.acknowledge()).rejects.toMatchObject({ code: "LEASE_LOST" });
  }
  expect(given).toBeGreaterThan(0);
  expect(await queue.size()).toBe(0);
  await worker.close();
});

test("a hundred jobs among three workers: each is done once", async () => {
  const queue = workQueue(logs[0]!, "many");
  await Promise.all(Array.from({ length: 100 }, (_, index) => queue.put(`${index}`)));
  const done: string[] = [];
  const end = new AbortController();
  const work = async (log: Log) => {
    const worker = await workQueue(log, "many").worker();
    for (;;) {
      const job = await worker.claim({ signal: end.signal }).catch(() => undefined);
      if (job === undefined) break;
      await job.acknowledge();
      done.push(job.text());
      if (done.length === 100) end.abort();
    }
    await worker.close();
  };
  await Promise.all(logs.map(work));
  expect(done.toSorted((a, b) => Number(a) - Number(b))).toEqual(Array.from({ length: 100 }, (_, index) => `${index}`));
});

test("a registry lists who is there, and tells of each that comes, changes and goes", async () => {
  const registries = logs.map((log) => serviceRegistry(log, "web"));
  const a = await registries[0]!.register("a/1", "up");
  expect(await errorOf(registries[1]!.register("a/1", "mine"))).toMatchObject({ code: "LEASE_TAKEN" });
  const told = collect(registries[2]!.watch(), ({ id, value }) => [id, value?.text()], 4);
  const b = await registries[1]!.register("b", "up");
  await a.update("busy");
  expect([...(await registries[2]!.instances()).keys()]).toEqual(["a/1", "b"]);
  await b.close();
  expect(await told).toEqual([
    ["a/1", "up"],
    ["b", "up"],
    ["a/1", "busy"],
    ["b", undefined],
  ]);
  await a.close();
  expect(await errorOf(a.update("late"))).toMatchObject({ outcome: "none" });
});
