/**
 * Goal: a read delivers every record once, in order, with bounded memory, whatever becomes of connections and nodes. Method: a
 * log of known records behind nodes that break, refuse, lag and lie.
 */
import { describe, expect, test } from "vitest";
import { PaxlogError } from "../../src/base/errors.ts";
import type { ReadOptions } from "../../src/client/log.ts";
import type { ReadNotice } from "../../src/client/read-options.ts";
import { encodeBatch } from "../../src/format/batch-encode.ts";
import { collect, errorOf, fixture, text, until } from "./fixture.ts";
import { MemoryLog } from "./test-node.ts";

const { node, open } = fixture();

/** Batches of 1, 2, 3, 1, 2, 3 ... records whose values are their positions. */
function filled(batchCount: number): MemoryLog {
  const log = new MemoryLog();
  for (let batch = 0; batch < batchCount; batch += 1) {
    const records = Array.from({ length: 1 + (batch % 3) }, (_, index) => ({ value: `${log.tail + index}` }));
    log.append(encodeBatch(records));
  }
  return log;
}

const range = (begin: number, end: number): number[] =>
  Array.from({ length: end - begin }, (_, index) => begin + index);

test("a read that is stopped in the midst of a batch says nothing of what lies behind", async () => {
  const log = await open([await node(filled(3))]);
  const ended = new AbortController();
  const told: number[] = [];
  const positions: number[] = [];
  const onNotice = ({ kind, next }: ReadNotice) => kind !== "begun" && told.push(next);
  for await (const { position } of log.read({ from: 4, follow: true, signal: ended.signal, onNotice })) {
    positions.push(position);
    ended.abort();
  }
  expect(positions).toEqual([4]);
  expect(told).toEqual([]);
});

describe("history", () => {
  test("a record has all that was appended with it", async () => {
    const leader = await node();
    const log = await open([leader]);
    await log.append([{ value: "v", type: "T", tags: ["a", "b"], metadata: "m" }, { value: new Uint8Array([0, 255]) }]);
    expect(
      await collect(log.read(), (record) => ({
        ...record,
        value: [...record.value],
        metadata: record.metadata && text(record.metadata),
      })),
    ).toEqual([
      { position: 1, time: 1000, session: 0, type: "T", tags: ["a", "b"], value: [118], metadata: "m" },
      { position: 2, time: 1000, session: 0, type: undefined, tags: [], value: [0, 255], metadata: undefined },
    ]);
  });

  test("an empty log is an empty iteration", async () => {
    const log = await open([await node()]);
    expect(await collect(log.read(), (record) => record)).toEqual([]);
  });

  const windows: readonly [ReadOptions, number, number][] = [
    [{}, 1, 40],
    [{ from: 1, limit: 1 }, 1, 2],
    [{ from: 3 }, 3, 40],
    [{ from: 5, limit: 7 }, 5, 12],
    [{ from: 6, limit: 1 }, 6, 7],
    [{ from: 39 }, 39, 40],
    [{ from: 40 }, 40, 40],
    [{ limit: 0 }, 1, 1],
    [{ from: 30, limit: 1000 }, 30, 40],
  ];
  test.each(windows)("%j reads exactly its window, by record and by batch", async (options, begin, end) => {
    const server = await node(filled(20));
    server.batchesPerMessage = 3;
    const log = await open([server]);
    const records = await collect(log.read(options), (record) => [record.position, text(record.value)]);
    expect(records).toEqual(range(begin, end).map((position) => [position, `${position}`]));
    const batches = await collect(log.read(options).batches(), (batch) => batch);
    expect(batches.flatMap((batch) => range(batch.first, batch.last + 1))).toEqual(range(begin, end));
    const again = batches.flatMap((batch) => [...batch.records()].map((record) => Number(text(record.value))));
    expect(again).toEqual(range(begin, end));
    for (const batch of batches) {
      expect(() => batch.record(batch.count)).toThrow(PaxlogError);
      expect(() => batch.record(-1)).toThrow(PaxlogError);
    }
  });

  test("each iteration of one read is a read of its own", async () => {
    const log = await open([await node(filled(3))]);
    const reading = log.read({ from: 2 });
    expect(await collect(reading, (record) => record.position)).toEqual([2, 3, 4, 5, 6]);
    expect(await collect(reading, (record) => record.position)).toEqual([2, 3, 4, 5, 6]);
  });

  test("next() may be called again before it was answered", async () => {
    const log = await open([await node(filled(3))]);
    const iterator = log.read()[Symbol.asyncIterator]();
    const results = await Promise.all(Array.from({ length: 8 }, () => iterator.next()));
    expect(results.map((result) => (result.done ? "done" : result.value.position))).toEqual([
      1,
      2,
      3,
      4,
      5,
      6,
      "done",
      "done",
    ]);
  });

  test("what is asked for reaches the node", async () => {
    const server = await node(filled(4));
    const log = await open([server]);
    await collect(log.read({ from: 2, limit: 3, freshness: "local" }), () => 0);
    expect(server.reads).toMatchObject([{ logId: 1, from: 2, limit: 3, follow: false, freshness: "local" }]);
  });
});

describe("resuming", () => {
  test("a stream that breaks is taken up on the next node, right behind the last record delivered", async () => {
    const shared = filled(20);
    const one = await node(shared);
    const other = await node(shared);
    one.readBreaksAfter = 5;
    other.readBreaksAfter = 4;
    const log = await open([one, other]);
    expect(await collect(log.read(), (record) => record.position)).toEqual(range(1, 40));
    expect([one.reads.map((read) => read.from), other.reads.map((read) => read.from)]).toEqual([[0, 19], [10]]);
  });

  test("a node that says nothing any more is left for another, and nothing is missed", {
    timeout: 60_000,
  }, async () => {
    const shared = filled(6);
    const frozen = await node(shared);
    const other = await node(shared);
    frozen.readsFreezeAfter = 2;
    const log = await open([frozen, other]);
    expect(await collect(log.read(), (record) => record.position)).toEqual(range(1, 13));
    expect(other.reads.map((read) => read.from)).toEqual([4]);
  });

  test("the limit counts over all streams", async () => {
    const server = await node(filled(20));
    server.readBreaksAfter = 3;
    const log = await open([server]);
    expect(await collect(log.read({ from: 2, limit: 12 }), (record) => record.position)).toEqual(range(2, 14));
    expect(server.reads.map(({ from, limit }) => [from, limit])).toEqual([
      [2, 12],
      [8, 6],
    ]);
  });

  test("a follower's node dies: the read goes on elsewhere and misses nothing", async () => {
    const shared = filled(3);
    const one = await node(shared);
    const other = await node(shared);
    const log = await open([one, other]);
    const seen: number[] = [];
    const reading = (async () => {
      for await (const record of log.read({ follow: true })) {
        seen.push(record.position);
        if (record.position === 12) break;
      }
    })();
    await until(() => seen.length === 6);
    one.crash();
    for (let count = 0; count < 3; count += 1) shared.append(encodeBatch([{ value: "x" }, { value: "y" }]));
    await reading;
    expect(seen).toEqual(range(1, 13));
  });

  test("a read that follows waits longer than the deadline for its node to come back", async () => {
    const server = await node(filled(3));
    const log = await open([server], { deadlineMs: 200 });
    const seen: number[] = [];
    const reading = collect(log.read({ follow: true }), (record) => seen.push(record.position), 7);
    await until(() => seen.length === 6);
    server.crash();
    await new Promise((resolve) => setTimeout(resolve, 500));
    await server.start();
    server.log.append(encodeBatch([{ value: "x" }]));
    await reading;
    expect(seen).toEqual(range(1, 8));
  });

  test("a history without a node ends with UNAVAILABLE at the deadline", async () => {
    const server = await node(filled(3));
    const log = await open([server], { deadlineMs: 300 });
    server.crash();
    expect(await errorOf(collect(log.read(), () => 0))).toMatchObject({ code: "UNAVAILABLE", retryable: true });
  });

  test("damaged bytes are never delivered: another node is asked, and the checksum named if none does better", async () => {
    const shared = filled(5);
    const bad = await node(shared);
    const good = await node(shared);
    bad.corruptChecksum = true;
    const log = await open([bad, good], { deadlineMs: 300 });
    expect(await collect(log.read(), (record) => record.position)).toEqual(range(1, 10));
    good.corruptChecksum = true;
    expect(await errorOf(collect(log.read(), () => 0))).toMatchObject({ code: "CHECKSUM_MISMATCH" });
  });

  test("a node that leaves out records is not believed", async () => {
    const shared = filled(5);
    const holey = await node(new MemoryLog());
    holey.log.batches.push(...shared.batches.filter((_, index) => index !== 1));
    holey.log.tail = shared.tail;
    const whole = await node(shared);
    const log = await open([holey, whole]);
    expect(await collect(log.read(), (record) => record.position)).toEqual(range(1, 10));
  });

  test("a node that lags behind the one before does not end a local read that was resumed", async () => {
    const shared = filled(6);
    const one = await node(shared);
    const lagging = await node(shared);
    one.readBreaksAfter = 2;
    lagging.onRead = (_request, read) =>
      read < 3 ? new PaxlogError("POSITION_PAST_TAIL", "the tail is 1") : undefined;
    const log = await open([one, lagging]);
    expect(await collect(log.read({ freshness: "local" }), (record) => record.position)).toEqual(range(1, 13));
  });
});

describe("following", () => {
  test("new records come as they are appended, and the tail is told once it is reached", async () => {
    const server = await node(filled(2));
    const log = await open([server]);
    const seen: (number | string)[] = [];
    const reading = (async () => {
      const options = { follow: true, onCaughtUp: (tail: number) => seen.push(`caught up at ${tail}`) };
      for await (const record of log.read(options)) {
        seen.push(record.position);
        if (record.position === 6) break;
      }
    })();
    await until(() => seen.length === 4);
    await log.append({ value: "a" });
    await log.append([{ value: "b" }, { value: "c" }]);
    await reading;
    expect(seen).toEqual([1, 2, 3, "caught up at 4", 4, 5, 6]);
  });

  test("the limit ends a read that follows", async () => {
    const server = await node(filled(2));
    const log = await open([server]);
    const reading = collect(log.read({ from: 2, limit: 4, follow: true }), (record) => record.position);
    await log.append([{ value: "a" }, { value: "b" }, { value: "c" }]);
    expect(await reading).toEqual([2, 3, 4, 5]);
  });
});

describe("ending", () => {
  test("abort ends the iteration without an error: before it began, while it waits, and in the middle of a batch", async () => {
    const log = await open([await node(filled(3))]);
    expect(await collect(log.read({ signal: AbortSignal.abort() }), () => 0)).toEqual([]);

    const waiting = new AbortController();
    const seen: number[] = [];
    const reading = collect(log.read({ follow: true, signal: waiting.signal }), (record) => seen.push(record.position));
    await until(() => seen.length === 6);
    waiting.abort();
    expect(await reading).toEqual([1, 2, 3, 4, 5, 6]);

    const middle = new AbortController();
    const positions: number[] = [];
    for await (const record of log.read({ signal: middle.signal })) {
      positions.push(record.position);
      if (record.position === 2) middle.abort();
    }
    expect(positions).toEqual([1, 2]);
  });

  test("leaving the loop ends the stream on the node", async () => {
    const server = await node(filled(3));
    const log = await open([server]);
    for await (const record of log.read({ follow: true })) if (record.position === 2) break;
    await until(() => server.readsOpen === 0);
  });

  test("return() ends a read while next() waits", async () => {
    const log = await open([await node()]);
    const iterator = log.read({ follow: true })[Symbol.asyncIterator]();
    const waiting = iterator.next();
    await new Promise((resolve) => setTimeout(resolve, 30));
    await iterator.return?.();
    expect(await waiting).toEqual({ done: true, value: undefined });
  });

  test("close ends a read that waits with CLOSED", async () => {
    const server = await node();
    const log = await open([server]);
    const reading = errorOf(collect(log.read({ follow: true }), () => 0));
    await until(() => server.reads.length === 1);
    await log.close();
    expect(await reading).toMatchObject({ code: "CLOSED" });
    expect(await errorOf(collect(log.read(), () => 0))).toMatchObject({ code: "CLOSED" });
  });
});

describe("bad requests", () => {
  test.each([
    { from: 0 },
    { from: -1 },
    { from: 1.5 },
    { from: Number.NaN },
    { limit: -1 },
    { limit: 0.5 },
    { freshness: "soon" as "local" },
  ])("%j is INVALID_ARGUMENT before anything is sent", async (options) => {
    const log = await open([await node()]);
    expect(() => log.read(options)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  });

  test("what the node refuses is not asked of another", async () => {
    for (const code of ["POSITION_PAST_TAIL", "POSITION_BELOW_HEAD", "UNKNOWN_LOG", "INVALID_ARGUMENT"] as const) {
      const server = await node();
      server.onRead = () => new PaxlogError(code, "no", { facts: { tail: 7 } });
      const log = await open([server, await node()]);
      expect(await errorOf(collect(log.read({ from: 9 }), () => 0))).toMatchObject({
        code,
        facts: { tail: 7 },
        outcome: "none",
      });
      expect(server.reads.length).toBe(1);
    }
  });
});

describe("memory", () => {
  test("a reader that does not read stops the node", async () => {
    const shared = new MemoryLog();
    for (let batch = 0; batch < 96; batch += 1)
      shared.append(encodeBatch([{ value: new Uint8Array(1024 * 1024 - 1) }]));
    const server = await node(shared);
    const log = await open([server]);
    const iterator = log.read().batches()[Symbol.asyncIterator]();
    await iterator.next();
    let before = -1;
    // Until nothing moves any more.
    while (before !== server.readMessages) {
      before = server.readMessages;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    // 16 MiB are in flight by HTTP/2's window, two messages wait here, and the node's own buffers hold some more.
    expect(server.readMessages).toBeLessThan(48);
    let count = 1;
    while (!(await iterator.next()).done) count += 1;
    expect(count).toBe(96);
  });
});
