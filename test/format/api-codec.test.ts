/**
 * Goal: requests and answers survive the wire unchanged; bytes that are none get a verdict and never an exception.
 * Method: round trips of generated values, random bytes, and single fields out of range.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PaxlogError } from "../../src/base/errors.ts";
import {
  appendRequestCodec,
  appendResponseCodec,
  appendStreamRequestCodec,
  appendStreamResponseCodec,
  type Codec,
  checkTailRequestCodec,
  checkTailResponseCodec,
  clusterServicePaths,
  logServicePaths,
  readRequestCodec,
  readResponseCodec,
  statusRequestCodec,
  statusResponseCodec,
} from "../../src/format/api-codec.ts";
import { paxlog } from "../../src/format/generated/wire.js";
import {
  dropHoldRequestCodec,
  dropHoldResponseCodec,
  putHoldRequestCodec,
  putHoldResponseCodec,
  trimRequestCodec,
  trimResponseCodec,
} from "../../src/format/retain-codec.ts";
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
import { guards, plain, queries } from "./api-values.ts";
import { type CodecCase, caseOf, checkCodecs } from "./codec-cases.ts";

const safe = fc.maxSafeNat();
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const logId = fc.integer({ min: 1, max: 0xffff_ffff });
const bytes = fc.uint8Array({ maxLength: 50 }).map((value) => Buffer.from(value));
const text = fc.string({ unit: "binary", maxLength: 12 });
const freshness = fc.constantFrom("linearizable" as const, "local" as const);

const appendRequest = fc.record({
  logId,
  batch: bytes,
  crc32c: fc.option(u32, { nil: undefined }),
  guards: fc.option(guards, { nil: undefined }),
});
const appendStreamRequest = fc
  .tuple(appendRequest, fc.boolean())
  .map(([append, independent]) => (independent ? { ...append, independent } : append));
const sessionId = fc.record({ logId, session: safe });
const appendResponse = fc.record({ firstPosition: safe, recordCount: u32, time: safe });
const readBatch = fc.record({
  firstPosition: safe,
  recordCount: u32,
  time: safe,
  session: safe,
  batch: bytes,
  crc32c: u32,
});
const peerStatus = fc.record({
  id: text,
  peerAddress: text,
  clientAddress: text,
  connected: fc.boolean(),
  visibleEnd: safe,
  voter: fc.boolean(),
});
const hold = fc.record({ name: text, owner: text, position: safe, expiresAt: safe });
const status = fc.record({
  id: text,
  leader: text,
  leaderAddress: text,
  clusterId: text,
  role: fc.constantFrom("leader" as const, "follower" as const, "nonvoter" as const),
  phase: fc.constantFrom(...(["recover", "prepare", "sync", "accept", "follow"] as const)),
  ballot: text,
  head: safe,
  tail: safe,
  acceptedEnd: safe,
  flushedEnd: safe,
  decidedEnd: safe,
  visibleEnd: safe,
  nodes: fc.array(peerStatus, { maxLength: 3 }),
  syncs: safe,
  leaderChanges: safe,
  uptimeMs: safe,
  memoryBytes: safe,
  hashing: fc.constantFrom("native" as const, "portable" as const),
  version: text,
  entriesAppended: safe,
  pid: safe,
  holds: fc.array(hold, { maxLength: 3 }),
  logBegin: safe,
  snapshotSlot: safe,
  diskFull: fc.boolean(),
});

const natural = safe.filter((value) => value > 0);
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
/** One way to say where it begins, or none. */
const start = fc.oneof(
  fc.record({ from: safe, fromTime: fc.constant(undefined), beforeTail: fc.constant(undefined) }),
  fc.record({ from: fc.constant(0), fromTime: safe, beforeTail: fc.constant(undefined) }),
  fc.record({ from: fc.constant(0), fromTime: fc.constant(undefined), beforeTail: safe }),
);
const readRequest = fc
  .tuple(
    start,
    fc.record({
      logId,
      to: maybe(natural),
      toTime: maybe(safe),
      limit: safe,
      maxBytes: maybe(natural),
      direction: fc.constantFrom("forward" as const, "backward" as const),
      query: maybe(queries),
      follow: fc.boolean(),
      freshness: fc.oneof(freshness, fc.record({ atLeast: safe })),
    }),
  )
  .map(([begin, rest]) => ({ ...begin, ...rest }));
const selectedBatch = fc
  .tuple(readBatch, fc.uniqueArray(fc.nat({ max: 20 }), { minLength: 1 }), fc.boolean())
  .map(([batch, ordinals, selected]) => {
    const ascending = ordinals.toSorted((a, b) => a - b);
    return { ...batch, recordCount: ascending.at(-1)! + 1 + (batch.recordCount % 100), ordinals: ascending, selected };
  });
const readResponse = fc.record({
  batches: fc.array(fc.oneof(readBatch, selectedBatch)),
  tail: safe,
  caughtUp: fc.boolean(),
  next: safe,
  fellBehind: fc.boolean(),
  freshness: maybe(fc.constantFrom("linearizable" as const, "atLeast" as const, "local" as const)),
  head: safe,
  begin: safe,
});

const cases: readonly (readonly [string, CodecCase<unknown>])[] = [
  ["AppendRequest", caseOf(appendRequestCodec, appendRequest)],
  ["AppendResponse", caseOf(appendResponseCodec, appendResponse)],
  ["AppendStreamRequest", caseOf(appendStreamRequestCodec, appendStreamRequest)],
  ["AppendStreamResponse", caseOf(appendStreamResponseCodec, fc.record({ acknowledged: fc.array(appendResponse) }))],
  ["ReadRequest", caseOf(readRequestCodec, readRequest)],
  ["ReadResponse", caseOf(readResponseCodec, readResponse)],
  ["CheckTailRequest", caseOf(checkTailRequestCodec, fc.record({ logId, freshness }))],
  ["CheckTailResponse", caseOf(checkTailResponseCodec, fc.record({ head: safe, tail: safe }))],
  ["OpenSessionRequest", caseOf(openSessionRequestCodec, fc.record({ logId, ttlMs: safe, announceEnd: fc.boolean() }))],
  ["OpenSessionResponse", caseOf(openSessionResponseCodec, fc.record({ session: safe, ttlMs: safe, time: safe }))],
  ["KeepSessionRequest", caseOf(keepSessionRequestCodec, sessionId)],
  ["KeepSessionResponse", caseOf(keepSessionResponseCodec, fc.record({ ttlMs: safe, time: safe }))],
  ["CloseSessionRequest", caseOf(closeSessionRequestCodec, sessionId)],
  ["CloseSessionResponse", caseOf(closeSessionResponseCodec, fc.constant({}))],
  ["FenceRequest", caseOf(fenceRequestCodec, fc.record({ logId, token: safe }))],
  ["TrimRequest", caseOf(trimRequestCodec, fc.record({ logId, position: safe }))],
  ["TrimResponse", caseOf(trimResponseCodec, fc.record({ head: safe, heldBy: fc.option(hold, { nil: undefined }) }))],
  [
    "PutHoldRequest",
    caseOf(putHoldRequestCodec, fc.record({ logId, name: text, owner: text, position: safe, ttlMs: safe })),
  ],
  ["PutHoldResponse", caseOf(putHoldResponseCodec, fc.record({ hold }))],
  ["DropHoldRequest", caseOf(dropHoldRequestCodec, fc.record({ logId, name: text }))],
  ["DropHoldResponse", caseOf(dropHoldResponseCodec, fc.record({ existed: fc.boolean() }))],
  ["FenceResponse", caseOf(fenceResponseCodec, fc.record({ fence: safe, tail: safe }))],
  ["StatusRequest", caseOf(statusRequestCodec, fc.constant({}))],
  ["StatusResponse", caseOf(statusResponseCodec, status)],
];

checkCodecs(cases, plain);

describe("fields", () => {
  const wire = paxlog.v1;
  test("that are absent have the meaning that log.proto gives them", () => {
    expect(readRequestCodec.decode(new Uint8Array(0))).toEqual({
      kind: "ok",
      value: { logId: 1, from: 0, limit: 0, follow: false, direction: "forward", freshness: "linearizable" },
    });
    expect(appendRequestCodec.decode(new Uint8Array(0))).toMatchObject({ value: { logId: 1, crc32c: undefined } });
  });

  test("a checksum of 0 is a checksum, not none", () => {
    const encoded = appendRequestCodec.encode({ logId: 1, batch: new Uint8Array(1), crc32c: 0 });
    expect(appendRequestCodec.decode(encoded)).toMatchObject({ value: { crc32c: 0 } });
  });

  test("of guards that demand nothing are no guards", () => {
    const encoded = wire.AppendRequest.encode({ batch: new Uint8Array(1), guards: {} }).finish();
    expect(appendRequestCodec.decode(encoded)).toMatchObject({ kind: "ok", value: { guards: undefined } });
  });

  test("of a refusal in a stream carry its code, outcome and facts", () => {
    const refused = new PaxlogError("TAIL_MISMATCH", "the tail is 9, not 7", { facts: { expected: 7, actual: 9 } });
    const acknowledged = [{ firstPosition: 1, recordCount: 2, time: 3 }];
    const decoded = appendStreamResponseCodec.decode(appendStreamResponseCodec.encode({ acknowledged, refused }));
    expect(decoded).toMatchObject({
      kind: "ok",
      value: { acknowledged, refused: { code: "TAIL_MISMATCH", outcome: "none", facts: { expected: 7, actual: 9 } } },
    });
  });

  const withGuards = (given: paxlog.v1.Guards.$Properties) =>
    wire.AppendRequest.encode({ batch: new Uint8Array(1), guards: given }).finish();
  test.each([
    ["an expected tail of 0", appendRequestCodec, withGuards({ expectedTail: 0 })],
    ["a session without an id", appendRequestCodec, withGuards({ session: { serial: 1 } })],
    ["a serial of 0", appendRequestCodec, withGuards({ session: { id: 4 } })],
    ["a condition without a query", appendRequestCodec, withGuards({ conditions: [{ after: 4 }] })],
    ["a query without an item", appendRequestCodec, withGuards({ conditions: [{ query: {} }] })],
    ["a stream of which nothing is expected", appendRequestCodec, withGuards({ streams: [{ tag: "a" }] })],
    ["a stream whose state is unspecified", appendRequestCodec, withGuards({ streams: [{ tag: "a", state: 0 }] })],
    ["a stream of revision 0", appendRequestCodec, withGuards({ streams: [{ tag: "a", revision: 0 }] })],
    [
      "a state of a stream that is unknown",
      appendRequestCodec,
      // Guards 4, streams 5, tag 1 "a", state 2 of 9.
      Buffer.from([0x22, 0x07, 0x2a, 0x05, 0x0a, 0x01, 0x61, 0x10, 0x09]),
    ],
    [
      "a refusal that is no error of paxlog",
      appendStreamResponseCodec,
      wire.AppendStreamResponse.encode({ refused: { code: 9, message: "no" } }).finish(),
    ],
    ["a position of 2^53", readRequestCodec, wire.ReadRequest.encode({ from: 2 ** 53 }).finish()],
    ["a limit of -1", readRequestCodec, wire.ReadRequest.encode({ limit: -1 }).finish()],
    ["an unknown freshness", readRequestCodec, Buffer.from([0x28, 0x05])],
    ["an unknown direction", readRequestCodec, wire.ReadRequest.encode({ direction: 7 as never }).finish()],
    ["a read for a query without an item", readRequestCodec, wire.ReadRequest.encode({ query: {} }).finish()],
    [
      "ordinals beyond the batch",
      readResponseCodec,
      wire.ReadResponse.encode({ batches: [{ recordCount: 2, ordinals: [2] }] }).finish(),
    ],
    [
      "ordinals that do not ascend",
      readResponseCodec,
      wire.ReadResponse.encode({ batches: [{ recordCount: 9, ordinals: [3, 3] }] }).finish(),
    ],
    [
      "a role that is unknown",
      statusResponseCodec,
      wire.StatusResponse.encode({ role: "king", phase: "accept", hashing: "native" }).finish(),
    ],
    ["a stream request without its append", appendStreamRequestCodec, new Uint8Array(0)],
  ])("make a message malformed that hold %s", (_what, codec: Codec<unknown>, encoded) => {
    expect(codec.decode(encoded).kind).toBe("malformed");
  });
});

test("the paths are those of the services in proto/", () => {
  expect(Object.values(logServicePaths)).toEqual(
    [
      "Append",
      "AppendStream",
      "Read",
      "CheckTail",
      "OpenSession",
      "KeepSession",
      "CloseSession",
      "Fence",
      "Trim",
      "PutHold",
      "DropHold",
    ].map((name) => `/paxlog.v1.LogService/${name}`),
  );
  expect(Object.values(clusterServicePaths)).toEqual(["/paxlog.v1.ClusterService/Status"]);
});
