/** Goal: appends reach the leader in few batches, in order, with bounded memory. Method: count what arrives at a scripted node. */
import { describe, expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import { encodeBatch } from "../../src/format/batch-encode.ts";
import { errorOf, fixture, until } from "./fixture.ts";

const { node, open } = fixture();

describe("batching", () => {
  test("calls of one turn of the event loop become one batch, and each gets its own position", async () => {
    const leader = await node();
    const log = await open([leader]);
    const appended = await Promise.all([
      log.append({ value: "a" }),
      log.append([{ value: "b" }, { value: "c" }]),
      Promise.resolve().then(() => log.append({ value: "d" })),
    ]);
    expect(appended).toEqual([
      { position: 1, time: 1000 },
      { first: 2, last: 3, time: 1000 },
      { position: 4, time: 1000 },
    ]);
    expect(leader.arrived).toEqual([4]);
    expect(leader.log.values()).toEqual(["a", "b", "c", "d"]);
  });

  test("a call in a later turn does not wait for the one in flight to be answered", async () => {
    const leader = await node();
    const log = await open([leader]);
    await log.append({ value: "first" });
    leader.script = () => ({ kind: "hold" });
    const one = log.append({ value: "one" });
    await until(() => leader.arrived.length === 2);
    const two = log.append({ value: "two" });
    await until(() => leader.arrived.length === 3);
    leader.release();
    expect([await one, await two].map(({ position }) => position)).toEqual([2, 3]);
  });

  test("while many small batches are in flight, calls gather into the next one", async () => {
    const leader = await node();
    const log = await open([leader]);
    await log.append({ value: "first" });
    leader.script = () => ({ kind: "hold" });
    const held: Promise<unknown>[] = [];
    for (let count = 1; count <= limits.clientEagerBatches; count += 1) {
      held.push(log.append({ value: `held ${count}` }));
      await until(() => leader.arrived.length === 1 + count);
    }
    const gathered: Promise<unknown>[] = [];
    for (let count = 0; count < 20; count += 1) {
      gathered.push(log.append({ value: `gathered ${count}` }));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(leader.arrived.length).toBe(1 + limits.clientEagerBatches);
    leader.script = () => ({ kind: "acknowledge" });
    leader.release();
    await Promise.all([...held, ...gathered]);
    expect(leader.arrived.at(-1)).toBe(20);
  });

  test("a flood is split into batches below the limits, in order", async () => {
    const leader = await node();
    const log = await open([leader]);
    const count = 20_000;
    const appended = await Promise.all(
      Array.from({ length: count }, (_, index) => log.append({ value: `${index}`.padEnd(100, ".") })),
    );
    expect(appended.map(({ position }) => position)).toEqual(Array.from({ length: count }, (_, index) => index + 1));
    expect(leader.log.values().map((value) => Number.parseInt(value, 10))).toEqual(
      Array.from({ length: count }, (_, index) => index),
    );
    for (const { batch } of leader.log.batches) expect(batch.length).toBeLessThanOrEqual(limits.clientBatchBytes);
    expect(leader.arrived.length).toBeLessThan(20);
  });

  test("the records of one call stay together in one batch", async () => {
    const leader = await node();
    const log = await open([leader]);
    const many = Array.from({ length: 10 }, () => ({ value: new Uint8Array(100_000) }));
    await Promise.all([log.append({ value: "before" }), log.append(many), log.append({ value: "after" })]);
    expect(leader.arrived).toEqual([1, 10, 1]);
  });

  test("a batch that was made before travels alone and as it is", async () => {
    const leader = await node();
    const log = await open([leader]);
    const batch = encodeBatch([{ value: "x", type: "T" }, { value: "y" }]);
    const results = await Promise.all([
      log.append({ value: "before" }),
      log.appendBatch(batch),
      log.append({ value: "after" }),
    ]);
    expect(results[1]).toEqual({ first: 2, last: 3, time: 1001 });
    expect(leader.arrived).toEqual([1, 2, 1]);
    expect(Buffer.from(leader.log.batches[1]!.batch)).toEqual(Buffer.from(batch));
  });
});

describe("bounds", () => {
  test("bytes and batches in flight stay below what was set, and nothing is lost for it", async () => {
    const leader = await node();
    const log = await open([leader], { inFlightBytes: 300_000, inFlightBatches: 3 });
    await log.append({ value: "first" });
    leader.script = () => ({ kind: "hold" });
    const all = Array.from({ length: 40 }, () => log.append({ value: new Uint8Array(50_000) }));
    await until(() => leader.arrived.length > 1);
    // Long enough for a library without bounds to send everything.
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(leader.inFlightMax).toBeLessThanOrEqual(3);
    expect(leader.inFlightBytesMax).toBeLessThanOrEqual(300_000 + 2_000);
    leader.script = () => ({ kind: "acknowledge" });
    leader.release();
    const positions = (await Promise.all(all)).map(({ position }) => position);
    expect(positions).toEqual(Array.from({ length: 40 }, (_, index) => index + 2));
    expect(leader.inFlightBytesMax).toBeLessThanOrEqual(300_000 + 2_000);
  });

  test("what waits for room is not encoded, so a full buffer makes calls wait and does not grow", async () => {
    const leader = await node();
    const log = await open([leader], { inFlightBytes: 1_000_000 });
    await log.append({ value: "first" });
    leader.script = () => ({ kind: "swallow" });
    const value = new Uint8Array(100_000);
    const before = process.memoryUsage().arrayBuffers;
    const all = Promise.allSettled(Array.from({ length: 2_000 }, () => log.append({ value })));
    await until(() => leader.arrived.length >= 3);
    await new Promise((resolve) => setTimeout(resolve, 100));
    // 200 MB wait. Sent bytes are held by the library, by gRPC and by the node of this test, which is in the same process.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20_000_000);
    expect(leader.inFlightBytesMax).toBeLessThanOrEqual(1_002_000);
    leader.crash();
    await log.close();
    await all;
  });

  test("more calls than may wait are refused as OVERLOADED, outcome none, and those that wait are not", async () => {
    const leader = await node();
    const log = await open([leader], { waitingAppends: 10 });
    const results = await Promise.allSettled(Array.from({ length: 12 }, () => log.append({ value: "x" })));
    expect(results.filter(({ status }) => status === "fulfilled").length).toBe(10);
    expect(results.slice(10)).toMatchObject([
      { reason: { code: "OVERLOADED", outcome: "none", retryable: true, facts: { limit: 10 } } },
      { reason: { code: "OVERLOADED" } },
    ]);
    expect(await log.append({ value: "y" })).toMatchObject({ position: 11 });
  });

  test("a record larger than the bytes in flight goes alone", async () => {
    const leader = await node();
    const log = await open([leader], { inFlightBytes: 1000 });
    const appended = await Promise.all([
      log.append({ value: "a" }),
      log.append({ value: new Uint8Array(5000) }),
      log.append({ value: "b" }),
    ]);
    expect(appended.map(({ position }) => position)).toEqual([1, 2, 3]);
  });

  test("a node that has not answered yet is sent one batch only", async () => {
    const leader = await node();
    const log = await open([leader]);
    leader.script = () => ({ kind: "hold" });
    const all = Array.from({ length: 30 }, () => log.append({ value: new Uint8Array(50_000) }));
    await until(() => leader.arrived.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(leader.arrived.length).toBe(1);
    leader.script = () => ({ kind: "acknowledge" });
    leader.release();
    await Promise.all(all);
  });
});

describe("what is refused before it is sent", () => {
  test("an illegal record fails its own call and not those beside it", async () => {
    const leader = await node();
    const log = await open([leader]);
    const [before, large, wrong, many, after] = await Promise.allSettled([
      log.append({ value: "before" }),
      log.append({ value: new Uint8Array(limits.recordBytesMax + 1) }),
      log.append({ value: 5 as unknown as string }),
      log.append([{ value: "fine" }, { value: "", type: "x".repeat(257) }]),
      log.append({ value: "after" }),
    ]);
    expect(large).toMatchObject({
      reason: { code: "RECORD_TOO_LARGE", outcome: "none", facts: { limit: limits.recordBytesMax } },
    });
    expect(wrong).toMatchObject({ reason: { code: "INVALID_ARGUMENT", outcome: "none" } });
    expect(many).toMatchObject({ reason: { code: "INVALID_ARGUMENT", outcome: "none", facts: { record: 1 } } });
    expect([before.status, after.status]).toEqual(["fulfilled", "fulfilled"]);
    expect(leader.log.values()).toEqual(["before", "after"]);
  });

  test("records that fit no batch, no records, and bytes that are no batch", async () => {
    const leader = await node();
    const log = await open([leader]);
    const three = Array.from({ length: 3 }, () => ({ value: new Uint8Array(limits.recordBytesMax) }));
    expect(await errorOf(log.append(three))).toMatchObject({ code: "BATCH_TOO_LARGE", outcome: "none" });
    expect(await errorOf(log.append([]))).toMatchObject({ code: "INVALID_ARGUMENT", outcome: "none" });
    expect(await errorOf(log.appendBatch(Uint8Array.of(1, 2, 3)))).toMatchObject({
      code: "BATCH_MALFORMED",
      outcome: "none",
    });
    expect(await errorOf(log.appendBatch("x" as unknown as Uint8Array))).toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(await errorOf(log.append(undefined as unknown as []))).toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(leader.arrived).toEqual([]);
  });
});

describe("abort", () => {
  test("an append that was not sent is not sent: CANCELLED, outcome none", async () => {
    const leader = await node();
    const log = await open([leader], { inFlightBatches: 1 });
    leader.script = () => ({ kind: "hold" });
    const first = log.append({ value: "first" });
    await until(() => leader.arrived.length === 1);
    const controller = new AbortController();
    const waiting = log.append({ value: "never" }, { signal: controller.signal });
    const behind = log.append({ value: "behind" });
    controller.abort(new Error("changed my mind"));
    expect(await errorOf(waiting)).toMatchObject({
      code: "CANCELLED",
      outcome: "none",
      cause: { message: "changed my mind" },
    });
    leader.script = () => ({ kind: "acknowledge" });
    leader.release();
    expect([await first, await behind].map(({ position }) => position)).toEqual([1, 2]);
    expect(leader.log.values()).toEqual(["first", "behind"]);
    expect(await errorOf(log.append({ value: "x" }, { signal: controller.signal }))).toMatchObject({
      code: "CANCELLED",
      outcome: "none",
    });
  });

  test("an append that was sent may be in the log: CANCELLED, outcome unknown, and its neighbours go on", async () => {
    const leader = await node();
    const log = await open([leader]);
    leader.script = () => ({ kind: "hold" });
    const controller = new AbortController();
    const aborted = log.append({ value: "a" }, { signal: controller.signal });
    const neighbour = log.append({ value: "b" });
    await until(() => leader.arrived.length === 1);
    controller.abort();
    expect(await errorOf(aborted)).toMatchObject({ code: "CANCELLED", outcome: "unknown" });
    leader.release();
    expect(await neighbour).toMatchObject({ position: 2 });
  });

  test("a signal shared by many calls is listened to once", async () => {
    const leader = await node();
    const log = await open([leader]);
    const warnings: string[] = [];
    const onWarning = (warning: Error) => warnings.push(warning.name);
    process.on("warning", onWarning);
    const { signal } = new AbortController();
    await Promise.all(Array.from({ length: 50 }, () => log.append({ value: "x" }, { signal })));
    await new Promise((resolve) => setTimeout(resolve, 10));
    process.off("warning", onWarning);
    expect(warnings).toEqual([]);
  });
});
