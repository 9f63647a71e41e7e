/**
 * Goal: the services keep what log.proto and cluster.proto say, above all for bad input, failing backends and slow callers.
 * Method: a real server on loopback over a log in memory, called by plain gRPC with bytes, as a client in any language would.
 */

import * as net from "node:net";
import type { Client } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { PaxlogError } from "../../src/base/errors.ts";
import { limits } from "../../src/base/limits.ts";
import {
  appendRequestCodec,
  appendResponseCodec,
  appendStreamRequestCodec,
  appendStreamResponseCodec,
  checkTailRequestCodec,
  checkTailResponseCodec,
  clusterServicePaths,
  logServicePaths,
  type ReadRequest,
  type ReadResponse,
  readRequestCodec,
  readResponseCodec,
  statusRequestCodec,
  statusResponseCodec,
} from "../../src/format/api-codec.ts";
import { encodeBatch } from "../../src/format/batch-encode.ts";
import { paxlog } from "../../src/format/generated/wire.js";
import { loadHashing } from "../../src/native/hashing.ts";
import { type ClientServer, startClientServer } from "../../src/transport/client-server.ts";
import { MemoryBackend } from "./memory-backend.ts";
import { appendOf, batchOf, call, connectTo, endOf, openAppendStream, openRead, until, unwrap } from "./test-client.ts";

const hashing = await loadHashing();

let backend: MemoryBackend;
let server: ClientServer;
let client: Client;
let log: string[];

beforeEach(async () => {
  backend = new MemoryBackend();
  log = [];
  server = await startClientServer({ listen: "127.0.0.1:0", backend, hashing, log: (line) => log.push(line) });
  client = connectTo(server.port);
});

afterEach(async () => {
  client.close();
  await server.close();
});

const append = (value: Parameters<typeof appendRequestCodec.encode>[0] | Buffer) =>
  call(client, logServicePaths.append, appendRequestCodec, appendResponseCodec, value);
const checkTail = (value: Buffer | { logId: number; freshness: "linearizable" | "local" }) =>
  call(client, logServicePaths.checkTail, checkTailRequestCodec, checkTailResponseCodec, value);

const wholeLog: ReadRequest = { logId: 1, from: 1, limit: 0, follow: false, freshness: "linearizable" };
const read = (request: Partial<ReadRequest> = {}) =>
  openRead(client, readRequestCodec.encode({ ...wholeLog, ...request }));

/** Everything that a read sends until it ends. */
async function readAll(request: Partial<ReadRequest> | Buffer): Promise<ReadResponse[]> {
  const stream = Buffer.isBuffer(request) ? openRead(client, request) : read(request);
  const responses: ReadResponse[] = [];
  stream.on("data", (bytes: Buffer) => responses.push(unwrap(readResponseCodec.decode(bytes))));
  const failure = await endOf(stream);
  if (failure !== undefined) throw failure;
  return responses;
}

const positionsOf = (responses: readonly ReadResponse[]) =>
  responses.flatMap((response) => response.batches.map((batch) => batch.firstPosition));

function put(count: number, bytes = 10): void {
  for (let index = 0; index < count; index++) {
    const batch = batchOf(Buffer.alloc(bytes, index));
    backend.put(batch, hashing.crc32c(batch), 1);
  }
}

describe("Append", () => {
  test("answers with position, count and time, and stores the bytes as sent", async () => {
    const batch = batchOf("one", "two");
    expect(await append(appendOf(batch))).toEqual({ firstPosition: 1, recordCount: 2, time: 1001 });
    expect(await append(appendOf(batchOf("three")))).toEqual({ firstPosition: 3, recordCount: 1, time: 1003 });
    expect(Buffer.from(backend.batches[0]!.batch)).toEqual(batch);
    expect(backend.batches[0]!.crc32c).toBe(hashing.crc32c(batch));
  });

  test("takes a batch without a checksum and log 0 for log 1", async () => {
    expect(await append({ logId: 0, batch: batchOf("x"), crc32c: undefined })).toMatchObject({ firstPosition: 1 });
  });

  const oversizedRecord = batchOf(Buffer.alloc(limits.recordBytesMax + 1));
  const oversizedBatch = batchOf(
    Buffer.alloc(limits.recordBytesMax),
    Buffer.alloc(limits.recordBytesMax - 10),
    "x".repeat(100),
  );
  test.each([
    ["an unknown log", { ...appendOf(batchOf("x")), logId: 7 }, "UNKNOWN_LOG", 5],
    ["a wrong checksum", { ...appendOf(batchOf("x")), crc32c: 1 }, "CHECKSUM_MISMATCH", 3],
    ["bytes that are no batch", appendOf(Buffer.from("not a batch")), "BATCH_MALFORMED", 3],
    ["an empty batch", appendOf(Buffer.alloc(0)), "BATCH_MALFORMED", 3],
    ["a record above the limit", appendOf(oversizedRecord), "RECORD_TOO_LARGE", 3],
    ["a batch above the limit", appendOf(oversizedBatch), "BATCH_TOO_LARGE", 3],
    ["a record of the log's own", appendOf(encodeBatch([{ value: "", type: "$machine-hash" }])), "TYPE_RESERVED", 3],
    ["bytes that are no request", Buffer.from([0xff, 0xff, 0xff]), "INVALID_ARGUMENT", 3],
  ])("refuses %s, with outcome none and nothing changed", async (_what, request, code, grpcCode) => {
    const failure = await append(request).catch((cause) => cause);
    expect(failure).toMatchObject({ grpcCode, error: { code, outcome: "none", retryable: false } });
    expect(backend.batches).toEqual([]);
  });

  test("names the limit that a batch is above", async () => {
    await expect(append(appendOf(oversizedBatch))).rejects.toMatchObject({
      error: { facts: { limit: limits.batchBytesMax } },
    });
    await expect(append(appendOf(oversizedRecord))).rejects.toMatchObject({
      error: { facts: { limit: limits.recordBytesMax } },
    });
  });

  test("passes on the backend's error with its facts and outcome", async () => {
    backend.failures.set(1, new PaxlogError("NOT_LEADER", "b leads", { facts: { leader: "127.0.0.1:7102" } }));
    backend.failures.set(2, new PaxlogError("LEADER_LOST", "lost", { outcome: "unknown" }));
    await expect(append(appendOf(batchOf("x")))).rejects.toMatchObject({
      grpcCode: 9,
      error: {
        code: "NOT_LEADER",
        outcome: "none",
        retryable: true,
        message: "b leads",
        facts: { leader: "127.0.0.1:7102" },
      },
    });
    await expect(append(appendOf(batchOf("x")))).rejects.toMatchObject({
      grpcCode: 2,
      error: { code: "LEADER_LOST", outcome: "unknown" },
    });
  });

  test("is refused as OVERLOADED where there is no room", async () => {
    backend.roomMax = 0;
    await expect(append(appendOf(batchOf("x")))).rejects.toMatchObject({
      grpcCode: 8,
      error: { code: "OVERLOADED", outcome: "none", retryable: true },
    });
  });

  test("tells a fault of the node without its insides, and logs them", async () => {
    backend.append = () => {
      throw new TypeError("secret path /var/x");
    };
    const failure = await append(appendOf(batchOf("x"))).catch((cause) => cause);
    expect(failure).toMatchObject({ grpcCode: 13, error: { code: "INVARIANT_BROKEN", outcome: "unknown" } });
    expect(failure.error.message).not.toContain("secret");
    expect(log.join("\n")).toContain("secret path /var/x");
  });

  test("refuses a message above gRPC's limit without reading it", async () => {
    const huge = appendRequestCodec.encode({
      logId: 1,
      batch: Buffer.alloc(limits.messageBytesMax),
      crc32c: undefined,
    });
    await expect(append(huge)).rejects.toMatchObject({ grpcCode: 8 });
  });
});

describe("AppendStream", () => {
  /** Sends batches and gathers the answers until the stream ends. */
  function appendStream() {
    const stream = openAppendStream(client);
    const answers: { firstPosition: number; recordCount: number }[] = [];
    let messages = 0;
    stream.on("data", (bytes: Buffer) => {
      messages += 1;
      answers.push(...unwrap(appendStreamResponseCodec.decode(bytes)).acknowledged);
    });
    return { stream, answers, ended: endOf(stream), messages: () => messages };
  }
  const request = (...values: string[]) => appendStreamRequestCodec.encode(appendOf(batchOf(...values)));

  test("answers thousands of batches in order, many in one message", async () => {
    backend.roomMax = 1024;
    backend.holds = true;
    const turns = setInterval(() => backend.release(), 5);
    const { stream, answers, ended, messages } = appendStream();
    const count = 3000;
    for (let index = 0; index < count; index++) stream.write(request(`r${index}`));
    stream.end();
    expect(await ended).toBeUndefined();
    clearInterval(turns);
    expect(answers.map((answer) => answer.firstPosition)).toEqual(
      Array.from({ length: count }, (_, index) => index + 1),
    );
    expect(backend.batches.length).toBe(count);
    expect(messages()).toBeLessThan(count / 10);
  });

  test("stops reading while the backend has no room, and loses nothing", async () => {
    backend.roomMax = 4;
    backend.holds = true;
    const { stream, answers, ended } = appendStream();
    for (let index = 0; index < 100; index++) stream.write(request(`r${index}`));
    stream.end();
    await until("the backend is full", () => backend.waiting === 4);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(backend.waiting).toBe(4);
    backend.holds = false;
    backend.release();
    expect(await ended).toBeUndefined();
    expect(answers.map((answer) => answer.firstPosition)).toEqual(Array.from({ length: 100 }, (_, index) => index + 1));
    expect(backend.waitingMax).toBe(4);
  });

  test("stops reading while its caller takes no answers", async () => {
    const { stream, answers, ended } = appendStream();
    const count = 20_000;
    stream.once("data", () => stream.pause());
    for (let index = 0; index < count; index++) stream.write(request("r"));
    stream.end();
    await until("the first ones are taken", () => backend.batches.length > 0);
    let before = 0;
    while (backend.batches.length !== before) {
      before = backend.batches.length;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    expect(backend.batches.length).toBeGreaterThan(0);
    expect(backend.batches.length).toBeLessThan(count);
    stream.resume();
    expect(await ended).toBeUndefined();
    expect(answers.length).toBe(count);
  });

  test("shares the room among streams without going above it", async () => {
    backend.roomMax = 3;
    const streams = Array.from({ length: 8 }, () => appendStream());
    for (const { stream } of streams) {
      for (let index = 0; index < 50; index++) stream.write(request(`r${index}`));
      stream.end();
    }
    for (const { ended } of streams) expect(await ended).toBeUndefined();
    expect(backend.batches.length).toBe(400);
    expect(backend.waitingMax).toBeLessThanOrEqual(3);
    for (const { answers } of streams) {
      const positions = answers.map((answer) => answer.firstPosition);
      expect(positions).toEqual([...positions].sort((a, b) => a - b));
    }
  });

  test("ends at a bad request, after the answers to all before it; nothing behind it is stored", async () => {
    const { stream, answers, ended } = appendStream();
    stream.write(request("good"));
    stream.write(appendStreamRequestCodec.encode({ ...appendOf(batchOf("bad")), crc32c: 5 }));
    stream.write(request("behind"));
    expect(await ended).toMatchObject({
      grpcCode: 3,
      error: { code: "CHECKSUM_MISMATCH", outcome: "none", facts: { acknowledged: 1 } },
    });
    expect(answers.length).toBeLessThanOrEqual(1);
    expect(backend.batches.length).toBe(1);
  });

  test("ends with the first failure once all that was handed on is answered", async () => {
    backend.failures.set(2, new PaxlogError("NOT_LEADER", "deposed"));
    backend.failures.set(3, new PaxlogError("NOT_LEADER", "deposed too"));
    const { stream, answers, ended } = appendStream();
    backend.holds = true;
    for (const value of ["a", "b", "c"]) stream.write(request(value));
    await until("all wait", () => backend.waiting === 3);
    backend.release();
    expect(await ended).toMatchObject({
      error: { code: "NOT_LEADER", message: "deposed", outcome: "none", facts: { acknowledged: 1 } },
    });
    expect(answers.length).toBeLessThanOrEqual(1);
  });

  test("says unknown where something behind the failure may be in the log", async () => {
    backend.failures.set(1, new PaxlogError("OVERLOADED", "full"));
    backend.failures.set(2, new PaxlogError("LEADER_LOST", "lost", { outcome: "unknown" }));
    const { stream, answers, ended } = appendStream();
    backend.holds = true;
    for (const value of ["a", "b"]) stream.write(request(value));
    await until("both wait", () => backend.waiting === 2);
    backend.release();
    expect(await ended).toMatchObject({
      error: { code: "OVERLOADED", outcome: "unknown", facts: { acknowledged: 0 } },
    });
    expect(answers).toEqual([]);
  });

  test("of a caller that is gone reads nothing more, and the server goes on", async () => {
    backend.holds = true;
    const { stream, ended } = appendStream();
    stream.write(request("a"));
    await until("it waits", () => backend.waiting === 1);
    stream.cancel();
    expect(await ended).toMatchObject({ grpcCode: 1 });
    backend.holds = false;
    backend.release();
    expect(await append(appendOf(batchOf("next")))).toMatchObject({ firstPosition: 2 });
  });

  test("that is empty ends well", async () => {
    const { stream, ended, answers } = appendStream();
    stream.end();
    expect(await ended).toBeUndefined();
    expect(answers).toEqual([]);
  });
});

describe("Read", () => {
  test("brings history in order and says when it reached the tail", async () => {
    put(3);
    const responses = await readAll({});
    expect(positionsOf(responses)).toEqual([1, 2, 3]);
    expect(responses.at(-1)).toMatchObject({ tail: 4, caughtUp: true });
    expect(responses.filter((response) => response.caughtUp).length).toBe(1);
    expect(responses[0]!.batches[0]).toMatchObject({ recordCount: 1, time: 1001, crc32c: backend.batches[0]!.crc32c });
    expect(Buffer.from(responses[0]!.batches[0]!.batch)).toEqual(Buffer.from(backend.batches[0]!.batch));
    expect(backend.linearizations).toBe(1);
  });

  test("of an empty log says that it caught up", async () => {
    expect(await readAll({ from: 0 })).toMatchObject([{ batches: [], tail: 1, caughtUp: true, begin: 1, next: 1 }]);
  });

  test("begins with the batch that holds the position, and ends with the one that holds the last record of the limit", async () => {
    await append(appendOf(batchOf("1", "2", "3")));
    await append(appendOf(batchOf("4", "5", "6")));
    await append(appendOf(batchOf("7")));
    expect(positionsOf(await readAll({ from: 2, limit: 2 }))[0]).toBe(1);
    const responses = await readAll({ from: 3, limit: 3 });
    expect(positionsOf(responses).slice(0, 2)).toEqual([1, 4]);
  });

  test("with a limit does not go on to the end of the log", async () => {
    put(40, 200_000);
    const sent = positionsOf(await readAll({ limit: 3 }));
    expect(sent.slice(0, 3)).toEqual([1, 2, 3]);
    expect(sent.length).toBeLessThan(8);
  });

  test("local does not ask for a linearization", async () => {
    put(1);
    expect(positionsOf(await readAll({ freshness: "local" }))).toEqual([1]);
    expect(backend.linearizations).toBe(0);
  });

  test("fails where linearization fails", async () => {
    backend.linearizeError = new PaxlogError("UNAVAILABLE", "no leader");
    await expect(readAll({})).rejects.toMatchObject({ grpcCode: 14, error: { code: "UNAVAILABLE" } });
    await expect(checkTail({ logId: 1, freshness: "linearizable" })).rejects.toMatchObject({
      error: { code: "UNAVAILABLE" },
    });
    expect(await checkTail({ logId: 1, freshness: "local" })).toEqual({ head: 1, tail: 1, freshness: "local" });
  });

  const encode = (fields: paxlog.v1.ReadRequest.$Properties) =>
    Buffer.from(paxlog.v1.ReadRequest.encode(fields).finish());
  test.each([
    [
      "a position past the tail",
      encode({ from: 5 }),
      { grpcCode: 11, error: { code: "POSITION_PAST_TAIL", facts: { tail: 3 } } },
    ],
    ["a negative position", encode({ from: -1 }), { grpcCode: 3, error: { code: "INVALID_ARGUMENT" } }],
    ["a negative limit", encode({ limit: -5 }), { grpcCode: 3, error: { code: "INVALID_ARGUMENT" } }],
    ["a position of 2^53", encode({ from: 2 ** 53 }), { grpcCode: 3, error: { code: "INVALID_ARGUMENT" } }],
    ["an unknown freshness", encode({ freshness: 9 as never }), { grpcCode: 3, error: { code: "INVALID_ARGUMENT" } }],
    ["an unknown log", encode({ logId: 2 }), { grpcCode: 5, error: { code: "UNKNOWN_LOG" } }],
  ])("refuses %s", async (_what, bytes, expected) => {
    put(2);
    await expect(readAll(bytes)).rejects.toMatchObject(expected);
    expect(backend.tailListeners).toBe(0);
  });

  test("that follows goes on with what comes, from above the tail too, and hears the tail every second", async () => {
    put(2);
    const stream = read({ from: 4, follow: true });
    const responses: ReadResponse[] = [];
    stream.on("data", (bytes: Buffer) => responses.push(unwrap(readResponseCodec.decode(bytes))));
    const ended = endOf(stream);
    await until("it caught up", () => responses.length === 1);
    expect(responses[0]).toMatchObject({
      batches: [],
      tail: 3,
      caughtUp: true,
      begin: 4,
      next: 4,
      freshness: "linearizable",
    });
    put(2);
    await until("position 4", () => positionsOf(responses).length === 1);
    expect(positionsOf(responses)).toEqual([4]);
    await until("a heartbeat", () => responses.at(-1)!.batches.length === 0 && responses.at(-1)!.tail === 5, 4_000);
    expect(responses.at(-1)).toMatchObject({ batches: [], tail: 5, caughtUp: true, next: 5 });
    stream.cancel();
    await ended;
    await until("the listener is gone", () => backend.tailListeners === 0);
  });

  test("that follows while appends come misses and repeats nothing", async () => {
    const stream = read({ follow: true });
    const positions: number[] = [];
    stream.on("data", (bytes: Buffer) => positions.push(...positionsOf([unwrap(readResponseCodec.decode(bytes))])));
    const ended = endOf(stream);
    const appends = openAppendStream(client);
    appends.on("data", () => {});
    for (let index = 0; index < 2000; index++)
      appends.write(appendStreamRequestCodec.encode(appendOf(batchOf(`r${index}`))));
    appends.end();
    await until("all are read", () => positions.length === 2000);
    expect(positions).toEqual(Array.from({ length: 2000 }, (_, index) => index + 1));
    stream.cancel();
    await ended;
  });

  test("by a reader that takes nothing waits in the log, not in memory", async () => {
    put(400, 1_000_000);
    let handedOut = 0;
    const readStep = backend.read.bind(backend);
    backend.read = (step) => {
      const piece = readStep(step);
      for (const { batch } of piece.batches) handedOut += batch.length;
      return piece;
    };
    const stream = read();
    const ended = endOf(stream);
    let received = 0;
    stream.on("data", (bytes: Buffer) => {
      received += unwrap(readResponseCodec.decode(bytes)).batches.length;
      if (received === 1) stream.pause();
    });
    let before = -1;
    while (handedOut !== before) {
      before = handedOut;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    expect(received).toBe(1);
    // The caller's own library takes 16 messages ahead; the rest is what the server lets wait.
    expect(handedOut).toBeLessThan(16 * 1_000_000 + limits.readerBufferBytes + 4 * 1_000_000);
    stream.resume();
    expect(await ended).toBeUndefined();
    expect(received).toBe(400);
  });
});

describe("CheckTail and Status", () => {
  test("CheckTail answers head and tail", async () => {
    put(2);
    expect(await checkTail({ logId: 1, freshness: "linearizable" })).toMatchObject({ head: 1, tail: 3 });
    await expect(checkTail({ logId: 3, freshness: "local" })).rejects.toMatchObject({ error: { code: "UNKNOWN_LOG" } });
  });

  test("Status answers the backend's status, numbers above 2^32 included", async () => {
    const status = await call(client, clusterServicePaths.status, statusRequestCodec, statusResponseCodec, {});
    expect(status).toEqual(backend.status());
  });
});

describe("the server", () => {
  test("ends a following read, answers appends under way, and frees its port when it closes", async () => {
    const stream = read({ follow: true });
    stream.on("data", () => {});
    const readEnded = endOf(stream);
    backend.holds = true;
    const appended = append(appendOf(batchOf("x")));
    await until("the append waits", () => backend.waiting === 1 && backend.tailListeners === 1);
    const closed = server.close();
    expect(await readEnded).toMatchObject({ grpcCode: 14, error: { code: "CLOSED" } });
    backend.release();
    expect(await appended).toMatchObject({ firstPosition: 1 });
    await closed;
    const again = await startClientServer({ listen: server.address, backend, hashing, log: () => {} });
    await again.close();
  });

  test("is closed within its bound although an append is never answered", async () => {
    backend.holds = true;
    const appended = append(appendOf(batchOf("x"))).catch((cause) => cause);
    await until("the append waits", () => backend.waiting === 1);
    const begin = performance.now();
    await server.close();
    expect(performance.now() - begin).toBeLessThan(limits.drainMs + 1_000);
    expect((await appended).grpcCode).not.toBe(0);
  });

  test("ends an append stream that waits for more when it closes", async () => {
    const stream = openAppendStream(client);
    stream.on("data", () => {});
    const ended = endOf(stream);
    stream.write(appendStreamRequestCodec.encode(appendOf(batchOf("x"))));
    await until("it is stored", () => backend.batches.length === 1);
    await server.close();
    expect(await ended).toMatchObject({
      error: { code: "CLOSED", outcome: "none", retryable: true, facts: { acknowledged: 1 } },
    });
  });

  test("opens its HTTP/2 windows, and so has nothing to complain of", () => {
    expect(log).toEqual([]);
  });

  test("refuses compressed messages", async () => {
    const compressing = connectTo(server.port, { "grpc.default_compression_algorithm": 2 });
    await expect(
      call(
        compressing,
        logServicePaths.append,
        appendRequestCodec,
        appendResponseCodec,
        appendOf(batchOf("x".repeat(5000))),
      ),
    ).rejects.toMatchObject({ grpcCode: 12 });
    compressing.close();
    expect(backend.batches).toEqual([]);
  });

  test.each([
    ["0.0.0.0:0", "INSECURE_ADDRESS"],
    ["[::]:0", "INSECURE_ADDRESS"],
    ["127.0.0.1", "INVALID_ARGUMENT"],
    ["127.0.0.1:70000", "INVALID_ARGUMENT"],
  ])("does not listen on %s: %s", async (listen, code) => {
    await expect(startClientServer({ listen, backend, hashing, log: () => {} })).rejects.toMatchObject({ code });
  });

  test("listens beyond loopback where that is allowed", async () => {
    const open = await startClientServer({ listen: "0.0.0.0:0", insecure: true, backend, hashing, log: () => {} });
    expect(open.address).toBe(`0.0.0.0:${open.port}`);
    await open.close();
  });

  test("names a port that is in use", async () => {
    const failure = startClientServer({ listen: server.address, backend, hashing, log: () => {} });
    await expect(failure).rejects.toMatchObject({ code: "ADDRESS_IN_USE", facts: { address: server.address } });
  });

  test("drops a connection that never speaks HTTP/2", async () => {
    const socket = net.connect(server.port, "127.0.0.1");
    const begin = performance.now();
    await new Promise<void>((resolve) => socket.once("close", () => resolve()).resume());
    expect(performance.now() - begin).toBeGreaterThan(limits.handshakeMs - 500);
  });
});
