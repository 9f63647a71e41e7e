/** Goal: the client library and the product's own gRPC services understand each other. Method: both for real, over a log in memory. */
import { afterEach, expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import { connect } from "../../src/client/connect.ts";
import { loadHashing } from "../../src/native/hashing.ts";
import { startClientServer } from "../../src/transport/client-server.ts";
import { MemoryBackend } from "../transport/memory-backend.ts";
import { collect, errorOf, text } from "./fixture.ts";

const endings: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

test("what is appended is read back, followed, bounded and refused in the same words", async () => {
  const hashing = await loadHashing();
  const backend = new MemoryBackend();
  const server = await startClientServer({ listen: "127.0.0.1:0", backend, hashing, log: () => {} });
  endings.push(() => server.close());
  const log = await connect(server.address);
  endings.push(() => log.close());

  const following = collect(log.read({ follow: true }), (record) => record.position, 1002);
  expect(await log.append({ value: "a", type: "T", tags: ["x"] })).toMatchObject({ position: 1 });
  const many = Array.from({ length: 1000 }, (_, index) => ({ value: `${index}` }));
  expect(await log.append(many)).toMatchObject({ first: 2, last: 1001 });
  expect(await log.append({ value: "z" })).toMatchObject({ position: 1002 });
  expect(await following).toEqual(Array.from({ length: 1002 }, (_, index) => index + 1));
  expect(await collect(log.read({ from: 1000, limit: 3 }), (record) => text(record.value))).toEqual([
    "998",
    "999",
    "z",
  ]);
  expect(await log.tail()).toMatchObject({ head: 1, tail: 1003 });
  expect((await log.status()).tail).toBe(1003);
  expect(await errorOf(collect(log.read({ from: 1004 }), () => 0))).toMatchObject({
    code: "POSITION_PAST_TAIL",
    outcome: "none",
  });
});

test("guards, sessions and the fence mean the same to both, and a refusal has its facts", async () => {
  const hashing = await loadHashing();
  const backend = new MemoryBackend();
  const server = await startClientServer({ listen: "127.0.0.1:0", backend, hashing, log: () => {} });
  endings.push(() => server.close());
  const log = await connect(server.address);
  endings.push(() => log.close());

  const session = await log.session({ ttlMs: 5_000 });
  const results = await Promise.allSettled([
    log.append({ value: "a", tags: ["x"] }, { expectedTail: 1 }),
    session.append(
      { value: "b" },
      { stream: { tag: "x", expected: 1 }, condition: { query: { tags: ["y"] }, after: 0 } },
    ),
    session.append({ value: "no" }, { streams: [{ tag: "x", expected: "noStream" }] }),
    session.append({ value: "c" }),
    log.append({ value: "no" }, { condition: { query: [{ types: ["T"] }, { tags: ["x"] }], after: 0 } }),
    log.append({ value: "d" }),
  ]);
  expect(results.map((result) => (result.status === "fulfilled" ? "lands" : result.reason.code)).toSorted()).toEqual([
    "CONDITION_FAILED",
    "STREAM_REVISION_MISMATCH",
    "lands",
    "lands",
    "lands",
    "lands",
  ]);
  expect(results[4]).toMatchObject({ reason: { outcome: "none", facts: { index: 0, position: 1 } } });
  expect(session.state).toEqual({ id: session.id, nextSerial: 4 });
  expect(await log.fence(9)).toEqual({ fence: 9, tail: 5 });
  expect(await errorOf(log.append({ value: "no" }, { fencingToken: 8 }))).toMatchObject({
    code: "FENCED",
    facts: { fence: 9, token: 8 },
  });
  await session.close();
  expect(await errorOf(log.session({ resume: session.state }))).toMatchObject({ code: "SESSION_UNKNOWN" });
});

test("more reads than one connection carries are all served", { timeout: 60_000 }, async () => {
  const hashing = await loadHashing();
  const backend = new MemoryBackend();
  const server = await startClientServer({ listen: "127.0.0.1:0", backend, hashing, log: () => {} });
  endings.push(() => server.close());
  const log = await connect(server.address);
  endings.push(() => log.close());
  const count = limits.streamsPerConnection + 50;
  const reads = Array.from({ length: count }, (_, index) =>
    collect(log.read({ query: { tags: [`${index % 100}`] }, follow: true, limit: 1 }), (record) => record.position),
  );
  await log.append(Array.from({ length: 100 }, (_, index) => ({ value: "", tags: [`${index}`] })));
  expect(await Promise.all(reads)).toEqual(reads.map((_, index) => [1 + (index % 100)]));
});
