// Goal: a backend on another thread is as good as the engine itself: same answers, same order, bounded, one message a turn.
// Method: one contract on both, over a real engine; and over a log in memory, whose room and failures the test decides.
import { MessageChannel } from "node:worker_threads";
import { afterEach, expect, test } from "vitest";
import { PaxlogError } from "../../src/base/errors.ts";
import { limits } from "../../src/base/limits.ts";
import { position } from "../../src/base/types.ts";
import { BackendProxy } from "../../src/runtime/backend-proxy.ts";
import { BackendServer } from "../../src/runtime/backend-server.ts";
import type { CreditBounds } from "../../src/runtime/credit.ts";
import { AppendCaller } from "../../src/transport/append-caller.ts";
import { MemoryBackend } from "../transport/memory-backend.ts";
import { append, appendGuarded, describeBackend } from "./backend-contract.ts";
import { overPort } from "./over-port.ts";
import { batchesFrom, step } from "./steps.ts";

describeBackend("the engine", async (node) => ({ backend: node.engine, close: () => {} }));
describeBackend("a proxy of the engine", (node) => overPort(node.engine));

let close: () => void = () => {};
afterEach(() => close());

async function overMemory(credit?: CreditBounds) {
  const memory = new MemoryBackend();
  const opened = await overPort(memory, credit);
  close = opened.close;
  return { memory, proxy: opened.backend, messages: opened.messages, closeOther: opened.closeOther };
}

test("all of one turn goes over in one message, and comes back in one", async () => {
  const { memory, proxy, messages } = await overMemory();
  memory.roomMax = 2000;
  const before = { ...messages };
  await Promise.all(Array.from({ length: 1000 }, (_, index) => append(proxy, `${index}`)));
  expect(messages.toBackend - before.toBackend).toBe(1);
  // One says that they were taken, one that they are in the log.
  expect(messages.fromBackend - before.fromBackend).toBeLessThanOrEqual(2);
});

test("what waits in a backend without room uses up the proxy's credit; at twice of it appends are refused", async () => {
  const { memory, proxy } = await overMemory({ bytes: 1 << 20, count: 10 });
  memory.holds = true;
  memory.roomMax = 5;
  const answers = Array.from({ length: 25 }, (_, index) => append(proxy, `${index}`));
  expect(proxy.hasRoom()).toBe(false);
  const refused = await Promise.all(answers.slice(20));
  expect(refused.every((each) => each.kind === "failed" && each.error.code === "OVERLOADED")).toBe(true);
  let room = false;
  proxy.whenRoom(() => {
    room = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  // Five were taken, and fifteen are still under way.
  expect([memory.waiting, room]).toEqual([5, false]);
  memory.holds = false;
  memory.release();
  const taken = await Promise.all(answers.slice(0, 20));
  expect(taken.map((each) => each.kind === "acknowledged" && each.firstPosition)).toEqual(
    Array.from({ length: 20 }, (_, index) => index + 1),
  );
  expect([proxy.hasRoom(), room]).toEqual([true, true]);
});

test("what a caller has under way when one of its appends fails is refused; other callers are no concern of it", async () => {
  const { memory, proxy } = await overMemory();
  memory.roomMax = 1;
  memory.failures.set(1, new PaxlogError("LEADER_LOST", "lost", { outcome: "unknown" }));
  const order = { caller: new AppendCaller(), independent: false };
  let late: Promise<unknown> | undefined;
  const first = append(proxy, "1", order).then((result) => {
    late = append(proxy, "4", order);
    return result;
  });
  const second = append(proxy, "2", order);
  const another = append(proxy, "3", { caller: new AppendCaller(), independent: false });
  expect(await first).toMatchObject({ kind: "failed", error: { code: "LEADER_LOST", outcome: "unknown" } });
  expect(await second).toMatchObject({ kind: "failed", error: { code: "LEADER_LOST", outcome: "none" } });
  expect(await another).toMatchObject({ kind: "acknowledged", firstPosition: 1 });
  expect(await late).toMatchObject({ kind: "failed", error: { code: "LEADER_LOST", outcome: "none" } });
});

test("a failed guard of an independent append is no concern of those behind it", async () => {
  const { memory, proxy } = await overMemory();
  memory.failures.set(1, new PaxlogError("CONDITION_FAILED", "no"));
  memory.failures.set(3, new PaxlogError("CONDITION_FAILED", "no"));
  const caller = new AppendCaller();
  const orders = [true, false, false, true].map((independent) => ({ caller, independent }));
  const answers = await Promise.all(orders.map((order) => append(proxy, "x", order)));
  expect(answers.map(({ kind }) => kind)).toEqual(["failed", "acknowledged", "failed", "failed"]);
});

test("guards, sessions and the fence go over with their answers", async () => {
  const { memory, proxy } = await overMemory();
  const { session } = await proxy.openSession({ ttlMs: 5_000, announceEnd: false });
  expect(await proxy.keepSession(session)).toEqual({ ttlMs: 5_000, time: 2_000 });
  const guards = { expectedTail: position(1), fencingToken: 3, session: { id: session, serial: 1 } };
  expect(await appendGuarded(proxy, guards)).toMatchObject({ kind: "acknowledged", firstPosition: 1 });
  expect(await appendGuarded(proxy, guards)).toMatchObject({ kind: "acknowledged", firstPosition: 1 });
  expect(memory.guards).toEqual([guards, guards]);
  expect(await proxy.fence(4)).toEqual({ fence: 4, tail: 2 });
  expect(await appendGuarded(proxy, { fencingToken: 3 })).toMatchObject({
    kind: "failed",
    error: { code: "FENCED", outcome: "none", facts: { token: 3, fence: 4, tail: 2 } },
  });
  await expect(proxy.fence(3)).rejects.toMatchObject({ code: "FENCED", facts: { token: 3, fence: 4 } });
  await proxy.closeSession(session);
  await expect(proxy.keepSession(session)).rejects.toMatchObject({ code: "SESSION_UNKNOWN", outcome: "unknown" });
});

test("a failure of one append is no concern of those behind it", async () => {
  const { memory, proxy } = await overMemory();
  memory.roomMax = 1;
  memory.failures.set(1, new PaxlogError("CHECKSUM_MISMATCH", "bad"));
  const answers = await Promise.all([append(proxy, "1"), append(proxy, "2"), append(proxy, "3")]);
  expect(answers.map(({ kind }) => kind)).toEqual(["failed", "acknowledged", "acknowledged"]);
});

test("a follow waits at the tail; a prompt one comes with the first record, a lazy one with what came meanwhile", async () => {
  const { proxy } = await overMemory();
  const prompt = proxy.follow(step(1), "prompt");
  await append(proxy, "1");
  expect((await prompt.piece).batches.map((batch) => batch.firstPosition)).toEqual([1]);
  const lazy = proxy.follow(step(2), "lazy");
  await append(proxy, "2");
  await append(proxy, "3");
  expect((await lazy.piece).batches.map((batch) => batch.firstPosition)).toEqual([2, 3]);
  // What is there already is not waited for.
  expect((await proxy.follow(step(1), "prompt").piece).next).toBe(4);
});

test("a follow that is hurried has what there is, and one whose node ends is rejected", async () => {
  const { proxy } = await overMemory();
  const nothing = proxy.follow(step(1), "prompt");
  nothing.hurry();
  expect(await nothing.piece).toMatchObject({ batches: [], next: 1 });
  nothing.hurry();
  const late = proxy.follow(step(1), "prompt");
  const refused = expect(late.piece).rejects.toMatchObject({ code: "CLOSED" });
  close();
  await refused;
});

test("moves of the tail wake the other thread one by one only while somebody there listens", async () => {
  const { port1, port2 } = new MessageChannel();
  const memory = new MemoryBackend();
  const server = new BackendServer({ port: port1, backend: memory });
  const proxy = new BackendProxy({ port: port2, name: "node" });
  let messages = 0;
  port2.on("message", () => {
    messages += 1;
  });
  const put = async () => {
    memory.put(Buffer.from("x"), 0, 1);
    await new Promise((resolve) => setTimeout(resolve, 5));
  };
  await put();
  messages = 0;
  const began = performance.now();
  for (let count = 0; count < 40; count++) await put();
  expect(messages).toBeLessThanOrEqual(1 + (performance.now() - began) / limits.portTailMs);
  await new Promise((resolve) => setTimeout(resolve, 4 * limits.portTailMs));
  expect(proxy.bounds().tail).toBe(42);

  const heard: number[] = [];
  const off = proxy.onTail(() => heard.push(proxy.bounds().tail));
  await new Promise((resolve) => setTimeout(resolve, 50));
  for (let count = 0; count < 5; count++) await put();
  expect(heard.length).toBeGreaterThanOrEqual(1);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(heard.at(-1)).toBe(47);
  off();
  proxy.end(new PaxlogError("CLOSED", "closed by the test"));
  server.close();
});

test("errors come over with all that they say", async () => {
  const { memory, proxy } = await overMemory();
  memory.linearizeError = new PaxlogError("UNAVAILABLE", "no leader", { facts: { leader: "a:1" } });
  const error = await proxy.linearize().then(
    () => undefined,
    (cause: unknown) => cause,
  );
  expect(error).toBeInstanceOf(PaxlogError);
  expect(error).toMatchObject({ code: "UNAVAILABLE", retryable: true, facts: { leader: "a:1" } });
});

test("bytes arrive as they were, many readers at once", async () => {
  const { memory, proxy } = await overMemory();
  const values = Array.from({ length: 50 }, (_, index) => Buffer.alloc(100_000, index));
  await Promise.all(values.map((value) => append(proxy, value)));
  const reads = Array.from({ length: 20 }, (_, index) => batchesFrom(proxy, 1 + index, 1_000_000));
  for (const [index, read] of reads.entries()) {
    const batches = await read;
    expect(batches.length).toBeGreaterThan(5);
    for (const [at, batch] of batches.entries()) {
      expect(batch.firstPosition).toBe(1 + index + at);
      expect(Buffer.compare(batch.batch, memory.batches[index + at]!.batch)).toBe(0);
    }
  }
});

test("when the other thread ends, what was sent is unknown and nothing waits for ever", async () => {
  const { memory, proxy } = await overMemory();
  memory.holds = true;
  const sent = append(proxy, "1");
  await new Promise((resolve) => setTimeout(resolve, 10));
  const unsent = append(proxy, "2");
  proxy.end(new PaxlogError("STORAGE_FAILED", "the disk failed"));
  expect(await sent).toMatchObject({ kind: "failed", error: { code: "STORAGE_FAILED", outcome: "unknown" } });
  expect(await unsent).toMatchObject({ kind: "failed", error: { code: "STORAGE_FAILED", outcome: "none" } });
  await expect(proxy.status()).rejects.toMatchObject({ code: "STORAGE_FAILED" });
  await expect(proxy.fence(1)).rejects.toMatchObject({ code: "STORAGE_FAILED", outcome: "none" });
});

test("when the other end closes the port, everything ends by name, and the process goes on", async () => {
  const { memory, proxy, closeOther } = await overMemory();
  memory.holds = true;
  const sent = append(proxy, "1");
  const read = proxy.status();
  const ended = new Promise<void>((resolve) => proxy.onTail(resolve));
  await new Promise((resolve) => setTimeout(resolve, 10));
  closeOther();
  await ended;
  expect(await sent).toMatchObject({ kind: "failed", error: { code: "UNAVAILABLE", outcome: "unknown" } });
  await read.catch(() => {});
  await expect(proxy.status()).rejects.toMatchObject({ code: "UNAVAILABLE", outcome: "none" });
});
