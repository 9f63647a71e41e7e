/** Goal: opening, asking and closing are bounded in time and end in typed errors. Method: nodes that are late, dead, or hang. */
import { describe, expect, test } from "vitest";
import { PaxlogError } from "../../src/base/errors.ts";
import { limits } from "../../src/base/limits.ts";
import { connect, connectWith } from "../../src/client/connect.ts";
import { hashing } from "../storage/hashing.ts";
import { collect, errorOf, fixture, text, until } from "./fixture.ts";
import { TestNode } from "./test-node.ts";

const { node, open } = fixture();

/** An address where nothing listens. */
async function deadAddress(): Promise<string> {
  const gone = await new TestNode().start();
  gone.crash();
  return gone.address;
}

describe("connect", () => {
  test("takes addresses separated by commas, with spaces, and with real checksums", async () => {
    const server = await node();
    const log = await connect(`${await deadAddress()}, ${server.address}`);
    expect(await log.append({ value: "ä" })).toMatchObject({ position: 1 });
    expect(await collect(log.read(), (record) => text(record.value))).toEqual(["ä"]);
    await log.close();
  });

  test.each([
    "",
    "host",
    "host:0",
    "host:70000",
    "a b:7100",
    ["127.0.0.1:7100", "nonsense"],
    [],
    [5 as unknown as string],
  ])("%j is INVALID_ARGUMENT", async (addresses) => {
    expect(await errorOf(connectWith(hashing, addresses))).toMatchObject({
      code: "INVALID_ARGUMENT",
      retryable: false,
    });
  });

  test.each([
    { deadlineMs: 0 },
    { deadlineMs: 1.5 },
    { inFlightBytes: -1 },
    { inFlightBatches: Number.NaN },
    { closeMs: 2 ** 31 },
  ])("%j is INVALID_ARGUMENT", async (options) => {
    const error = await errorOf(connectWith(hashing, "127.0.0.1:7100", options));
    expect(error).toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringContaining(Object.keys(options)[0]!),
    });
  });

  test("waits for a node that is late", async () => {
    const late = await new TestNode().start();
    late.crash();
    const opening = open([late]);
    await new Promise((resolve) => setTimeout(resolve, 200));
    await late.start();
    const log = await opening;
    expect(await log.append({ value: "a" })).toMatchObject({ position: 1 });
    late.crash();
  });

  test("gives up at its deadline with UNAVAILABLE that names the addresses", async () => {
    const address = await deadAddress();
    const started = performance.now();
    const error = await errorOf(connectWith(hashing, address, { deadlineMs: 300 }));
    expect(error).toMatchObject({ code: "UNAVAILABLE", outcome: "none", message: expect.stringContaining(address) });
    expect(performance.now() - started).toBeLessThan(2000);
  });

  test("is given up by its signal", async () => {
    const address = await deadAddress();
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 50);
    expect(await errorOf(connectWith(hashing, address, { signal: controller.signal }))).toMatchObject({
      code: "CANCELLED",
    });
    expect(await errorOf(connectWith(hashing, address, { signal: controller.signal }))).toMatchObject({
      code: "CANCELLED",
    });
  });
});

describe("tail and status", () => {
  test("any node answers; one that is gone or stuck for now is passed by", async () => {
    const gone = await node();
    const stuck = await node();
    const good = await node();
    stuck.onCheckTail = () => new PaxlogError("UNAVAILABLE", "no majority here");
    const log = await open([gone, stuck, good]);
    gone.crash();
    expect(await log.tail()).toMatchObject({ head: 1, tail: 1 });
    expect((await log.status()).id).toBe(good.address);
  });

  test("what never gets better ends at the deadline with the last error", async () => {
    const stuck = await node();
    stuck.onCheckTail = () => new PaxlogError("UNAVAILABLE", "no majority here");
    const log = await open([stuck], { deadlineMs: 200 });
    expect(await errorOf(log.tail())).toMatchObject({ code: "UNAVAILABLE", message: "no majority here" });
  });

  test("a node that hangs: DEADLINE_EXCEEDED; and CANCELLED by the signal", async () => {
    const hanging = await node();
    hanging.onCheckTail = () => "hang";
    const log = await open([hanging], { deadlineMs: 200 });
    expect(await errorOf(log.tail())).toMatchObject({ code: "DEADLINE_EXCEEDED" });
    const controller = new AbortController();
    const asking = errorOf(log.tail({ signal: controller.signal }));
    controller.abort();
    expect(await asking).toMatchObject({ code: "CANCELLED" });
    expect(await errorOf(log.tail({ signal: controller.signal }))).toMatchObject({ code: "CANCELLED" });
  });

  test("status of one address is that of its node, and fails at once where there is none", async () => {
    const one = await node();
    const other = await node();
    const log = await open([one]);
    expect((await log.status({ address: other.address })).id).toBe(other.address);
    const started = performance.now();
    expect(await errorOf(log.status({ address: await deadAddress() }))).toMatchObject({ code: "UNAVAILABLE" });
    expect(performance.now() - started).toBeLessThan(limits.clientConnectMs);
    expect(await errorOf(log.status({ address: "nonsense" }))).toMatchObject({ code: "INVALID_ARGUMENT" });
  });
});

describe("close", () => {
  test("waits for the appends under way, and every call of it for the same end", async () => {
    const server = await node();
    const log = await open([server], { closeMs: 3000 });
    await log.append({ value: "first" });
    server.script = () => ({ kind: "hold" });
    const sent = log.append({ value: "a" });
    await until(() => server.arrived.length === 2);
    const unsent = log.append({ value: "b" });
    let closed = false;
    const closing = Promise.all([log.close(), log.close(), log[Symbol.asyncDispose]()]).then(() => {
      closed = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(closed).toBe(false);
    server.script = () => ({ kind: "acknowledge" });
    server.release();
    await closing;
    expect([await sent, await unsent].map(({ position }) => position)).toEqual([2, 3]);
  });

  test("ends what does not end by itself: sent is unknown, unsent is none", async () => {
    const server = await node();
    const log = await open([server], { closeMs: 100, inFlightBatches: 1 });
    server.script = () => ({ kind: "hold" });
    const sent = errorOf(log.append({ value: "a" }));
    await until(() => server.arrived.length === 1);
    const unsent = errorOf(log.append({ value: "b" }));
    const started = performance.now();
    await log.close();
    expect(performance.now() - started).toBeLessThan(1000);
    expect(await sent).toMatchObject({ code: "CLOSED", outcome: "unknown" });
    expect(await unsent).toMatchObject({ code: "CLOSED", outcome: "none" });
  });

  test("everything after it is CLOSED", async () => {
    const log = await open([await node()]);
    await log.close();
    expect(await errorOf(log.append({ value: "a" }))).toMatchObject({ code: "CLOSED", outcome: "none" });
    expect(await errorOf(log.tail())).toMatchObject({ code: "CLOSED" });
    expect(await errorOf(log.status())).toMatchObject({ code: "CLOSED" });
    await log.close();
  });

  test("while no node is there it does not wait longer than it said", async () => {
    const server = await node();
    const log = await open([server], { closeMs: 100 });
    server.crash();
    const waiting = errorOf(log.append({ value: "a" }));
    const started = performance.now();
    await log.close();
    expect(performance.now() - started).toBeLessThan(1000);
    expect((await waiting).code).toMatch(/CLOSED|UNAVAILABLE/);
  });
});
