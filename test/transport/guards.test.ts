/**
 * Goal: what an append demands reaches the backend as its sender said it, within limits, and refusals reach the sender with all
 * facts, on both ways of appending. Method: a real server over a log in memory, called by plain gRPC with bytes.
 */
import type { Client, ClientDuplexStream } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { PaxlogError } from "../../src/base/errors.ts";
import { limits } from "../../src/base/limits.ts";
import { position } from "../../src/base/types.ts";
import type { Guards } from "../../src/core/guards.ts";
import {
  type AppendRequest,
  appendRequestCodec,
  appendResponseCodec,
  appendStreamRequestCodec,
  appendStreamResponseCodec,
  type Codec,
  logServicePaths,
} from "../../src/format/api-codec.ts";
import {
  closeSessionRequestCodec,
  closeSessionResponseCodec,
  fenceRequestCodec,
  fenceResponseCodec,
  keepSessionRequestCodec,
  keepSessionResponseCodec,
  openSessionRequestCodec,
  openSessionResponseCodec,
} from "../../src/format/session-codec.ts";
import { loadHashing } from "../../src/native/hashing.ts";
import { type ClientServer, startClientServer } from "../../src/transport/client-server.ts";
import { MemoryBackend } from "./memory-backend.ts";
import { appendOf, batchOf, call, connectTo, endOf, openAppendStream, unwrap } from "./test-client.ts";

let backend: MemoryBackend;
let server: ClientServer;
let client: Client;

beforeEach(async () => {
  backend = new MemoryBackend();
  const hashing = await loadHashing();
  server = await startClientServer({ listen: "127.0.0.1:0", backend, hashing, log: () => {} });
  client = connectTo(server.port);
});

afterEach(async () => {
  client.close();
  await server.close();
});

const ask = <Q, A>(path: string, request: Codec<Q>, response: Codec<A>, value: Q) =>
  call(client, path, request, response, value);
const append = (request: AppendRequest) =>
  ask(logServicePaths.append, appendRequestCodec, appendResponseCodec, request);
const guarded = (guards: Guards, value = "x"): AppendRequest => ({ ...appendOf(batchOf(value)), guards });
const failureOf = (promise: Promise<unknown>) => promise.catch((cause: unknown) => cause);

const everyGuard: Guards = {
  expectedTail: position(1),
  fencingToken: 0,
  conditions: [
    {
      query: {
        items: [
          { types: ["T", "Ü"], tags: ["a", "b"] },
          { types: [], tags: [] },
        ],
      },
      after: 0,
    },
    { query: { items: [{ types: [], tags: ["c"] }] }, after: position(7) },
  ],
  streams: [
    { tag: "s", expected: "noStream" },
    { tag: "t", expected: position(3) },
    { tag: "u", expected: "streamExists" },
    { tag: "v", expected: "any" },
  ],
};

test("all guards reach the backend as they were sent", async () => {
  // Refused, since the log is empty: what counts is what arrived.
  await expect(append(guarded(everyGuard))).rejects.toMatchObject({ error: { code: "STREAM_REVISION_MISMATCH" } });
  await append(appendOf(batchOf("y")));
  expect(backend.guards).toEqual([everyGuard, undefined]);
});

test("a refusal tells the guard, what was expected and what was seen", async () => {
  await append(guarded({ expectedTail: position(1) }));
  expect(await failureOf(append(guarded({ expectedTail: position(1) })))).toEqual({
    grpcCode: 10,
    error: expect.objectContaining({
      code: "TAIL_MISMATCH",
      outcome: "none",
      retryable: false,
      facts: { guard: "expectedTail", index: 0, expected: 1, actual: 2, tail: 2 },
    }),
  });
  expect(backend.batches.length).toBe(1);
});

describe("guards above a limit are refused as GUARD_TOO_LARGE with the limit:", () => {
  const item = { types: [], tags: ["a"] };
  const query = { items: [item] };
  const many = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);
  const condition = { query, after: 0 } as const;
  const stream = { tag: "s", expected: "any" } as const;
  const cases: readonly (readonly [string, Guards, number])[] = [
    ["conditions", { conditions: many(limits.guardConditionsMax + 1, condition) }, limits.guardConditionsMax],
    ["streams", { streams: many(limits.guardStreamsMax + 1, stream) }, limits.guardStreamsMax],
    [
      "items",
      { conditions: [{ query: { items: many(limits.queryItemsMax + 1, item) }, after: 0 }] },
      limits.queryItemsMax,
    ],
    [
      "types",
      { conditions: [{ query: { items: [{ types: many(limits.queryTypesMax + 1, "t"), tags: [] }] }, after: 0 }] },
      limits.queryTypesMax,
    ],
    [
      "tags",
      { conditions: [{ query: { items: [{ types: [], tags: many(limits.queryTagsMax + 1, "t") }] }, after: 0 }] },
      limits.queryTagsMax,
    ],
    [
      "one tag's bytes",
      { conditions: [{ query: { items: [{ types: [], tags: ["ü".repeat(limits.tagBytesMax)] }] }, after: 0 }] },
      limits.tagBytesMax,
    ],
    ["a stream's tag", { streams: [{ tag: "t".repeat(limits.tagBytesMax + 1), expected: "any" }] }, limits.tagBytesMax],
    [
      "all together",
      {
        conditions: many(16, {
          query: { items: many(32, { types: [], tags: many(64, "t".repeat(16)) }) },
          after: 0,
        } as const),
      },
      limits.guardBytesMax,
    ],
  ];
  test.each(cases)("%s", async (_what, guards, limit) => {
    expect(await failureOf(append(guarded(guards)))).toMatchObject({
      grpcCode: 3,
      error: { code: "GUARD_TOO_LARGE", outcome: "none", retryable: false, facts: { limit } },
    });
    expect(backend.guards).toEqual([]);
  });

  test("and at each limit they are taken", async () => {
    const largest: Guards = {
      conditions: [
        ...many(limits.guardConditionsMax - 1, condition),
        { query: { items: many(limits.queryItemsMax, item) }, after: 0 },
      ],
      streams: many(limits.guardStreamsMax, stream),
    };
    await append(guarded(largest));
    expect(backend.guards).toEqual([largest]);
  });
});

describe("an AppendStream", () => {
  let stream: ClientDuplexStream<Buffer, Buffer>;
  let answers: (number | string)[];
  let end: ReturnType<typeof endOf>;

  beforeEach(() => {
    answers = [];
    stream = openAppendStream(client);
    end = endOf(stream);
    stream.on("data", (bytes: Buffer) => {
      const { acknowledged, refused } = unwrap(appendStreamResponseCodec.decode(bytes));
      answers.push(...acknowledged.map(({ firstPosition }) => firstPosition));
      if (refused !== undefined) answers.push(refused.code);
    });
  });

  const send = (request: AppendRequest, independent = false) =>
    stream.write(appendStreamRequestCodec.encode({ ...request, independent }));

  test("goes on after the refusal of an independent request, and answers in order", async () => {
    send(appendOf(batchOf("a")));
    send(guarded({ expectedTail: position(9) }), true);
    send(guarded({ expectedTail: position(2) }), true);
    send(guarded({ expectedTail: position(2) }), true);
    send(appendOf(batchOf("b")));
    stream.end();
    expect(await end).toBeUndefined();
    expect(answers).toEqual([1, "TAIL_MISMATCH", 2, "TAIL_MISMATCH", 3]);
  });

  test("ends with the refusal of any other request, and nothing behind it is written", async () => {
    send(appendOf(batchOf("a")));
    send(guarded({ expectedTail: position(9) }));
    send(appendOf(batchOf("b")));
    send(guarded({ expectedTail: position(2) }), true);
    stream.end();
    expect(await end).toMatchObject({
      grpcCode: 10,
      error: { code: "TAIL_MISMATCH", outcome: "none", facts: { expected: 9, actual: 2, acknowledged: 1 } },
    });
    expect(backend.batches.length).toBe(1);
  });

  test("ends although the failure came while it waited for room", async () => {
    backend.roomMax = 1;
    backend.holds = true;
    backend.failures.set(1, new PaxlogError("LEADER_LOST", "lost", { outcome: "unknown" }));
    for (let index = 0; index < 5; index += 1) send(appendOf(batchOf(`${index}`)));
    await expect.poll(() => backend.waiting, { timeout: 10_000 }).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 50));
    backend.release();
    expect(await end).toMatchObject({ error: { code: "LEADER_LOST", outcome: "unknown" } });
    expect(backend.batches.length).toBe(0);
  });

  test("gives each retry within a session the first answer, and goes on after what a session refuses", async () => {
    const { session } = await ask(logServicePaths.openSession, openSessionRequestCodec, openSessionResponseCodec, {
      logId: 1,
      ttlMs: 0,
      announceEnd: false,
    });
    const once = (serial: number, id = session) => send(guarded({ session: { id, serial } }, `${serial}`));
    for (const serial of [1, 2, 1, 2, 3]) once(serial);
    once(1, session + 1);
    once(4);
    stream.end();
    expect(await end).toBeUndefined();
    expect(answers).toEqual([1, 2, 1, 2, 3, "SESSION_UNKNOWN", 4]);
    expect(backend.batches.length).toBe(4);
  });
});

test("sessions and the fence are served, and their refusals say what was seen", async () => {
  const opened = await ask(logServicePaths.openSession, openSessionRequestCodec, openSessionResponseCodec, {
    logId: 0,
    ttlMs: 0,
    announceEnd: false,
  });
  expect(opened).toEqual({ session: 1000, ttlMs: limits.sessionTtlMsDefault, time: 1_000 });
  const id = { logId: 1, session: opened.session };
  expect(await ask(logServicePaths.keepSession, keepSessionRequestCodec, keepSessionResponseCodec, id)).toEqual({
    ttlMs: 60_000,
    time: 2_000,
  });
  const close = () => ask(logServicePaths.closeSession, closeSessionRequestCodec, closeSessionResponseCodec, id);
  expect(await close()).toEqual({});
  expect(await failureOf(close())).toMatchObject({
    grpcCode: 5,
    error: { code: "SESSION_UNKNOWN", outcome: "unknown" },
  });

  const fence = (token: number, logId = 1) =>
    ask(logServicePaths.fence, fenceRequestCodec, fenceResponseCodec, { logId, token });
  expect(await fence(7)).toEqual({ fence: 7, tail: 1 });
  expect(await fence(7)).toEqual({ fence: 7, tail: 1 });
  expect(await failureOf(fence(6))).toMatchObject({
    grpcCode: 9,
    error: { code: "FENCED", outcome: "none", facts: { token: 6, fence: 7, tail: 1 } },
  });
  expect(await failureOf(fence(8, 2))).toMatchObject({ grpcCode: 5, error: { code: "UNKNOWN_LOG" } });
});
