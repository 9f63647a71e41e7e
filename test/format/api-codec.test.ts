/**
 * Goal: requests and answers survive the wire unchanged; bytes that are none get a verdict and never an exception.
 * Method: round trips of generated values, random bytes, and single fields out of range.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
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

const safe = fc.maxSafeNat();
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const logId = fc.integer({ min: 1, max: 0xffff_ffff });
const bytes = fc.uint8Array({ maxLength: 50 }).map((value) => Buffer.from(value));
const text = fc.string({ unit: "binary", maxLength: 12 });
const freshness = fc.constantFrom("linearizable" as const, "local" as const);

const appendRequest = fc.record({ logId, batch: bytes, crc32c: fc.option(u32, { nil: undefined }) });
const appendResponse = fc.record({ firstPosition: safe, recordCount: u32, time: safe });
const readBatch = fc.record({ firstPosition: safe, recordCount: u32, time: safe, batch: bytes, crc32c: u32 });
const peerStatus = fc.record({
  id: text,
  peerAddress: text,
  clientAddress: text,
  connected: fc.boolean(),
  visibleEnd: safe,
});
const status = fc.record({
  id: text,
  leader: text,
  leaderAddress: text,
  clusterId: text,
  role: fc.constantFrom("leader" as const, "follower" as const),
  phase: fc.constantFrom("recover" as const, "prepare" as const, "sync" as const, "accept" as const),
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
});

interface Case<T> {
  readonly codec: Codec<T>;
  readonly values: fc.Arbitrary<T>;
}
const caseOf = <T>(codec: Codec<T>, values: fc.Arbitrary<T>): Case<unknown> => ({ codec, values }) as Case<unknown>;

const cases: readonly (readonly [string, Case<unknown>])[] = [
  ["AppendRequest", caseOf(appendRequestCodec, appendRequest)],
  ["AppendResponse", caseOf(appendResponseCodec, appendResponse)],
  ["AppendStreamRequest", caseOf(appendStreamRequestCodec, appendRequest)],
  ["AppendStreamResponse", caseOf(appendStreamResponseCodec, fc.record({ acknowledged: fc.array(appendResponse) }))],
  [
    "ReadRequest",
    caseOf(readRequestCodec, fc.record({ logId, from: safe, limit: safe, follow: fc.boolean(), freshness })),
  ],
  [
    "ReadResponse",
    caseOf(readResponseCodec, fc.record({ batches: fc.array(readBatch), tail: safe, caughtUp: fc.boolean() })),
  ],
  ["CheckTailRequest", caseOf(checkTailRequestCodec, fc.record({ logId, freshness }))],
  ["CheckTailResponse", caseOf(checkTailResponseCodec, fc.record({ head: safe, tail: safe }))],
  ["StatusRequest", caseOf(statusRequestCodec, fc.constant({}))],
  ["StatusResponse", caseOf(statusResponseCodec, status)],
];

/** Bytes compare by their content: Buffer and Uint8Array are alike here. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}

describe.each(cases)("%s", (_name, { codec, values }) => {
  test("is the same after the wire", () => {
    fc.assert(
      fc.property(values, (value) => {
        expect(plain(codec.decode(codec.encode(value)))).toEqual({ kind: "ok", value: plain(value) });
      }),
    );
  });

  test("has a verdict on any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), values, fc.nat(), (random, value, at) => {
        expect(["ok", "malformed"]).toContain(codec.decode(random).kind);
        const real = Buffer.from(codec.encode(value));
        if (real.length > 0) real[at % real.length]! ^= 0x55;
        expect(["ok", "malformed"]).toContain(codec.decode(real).kind);
      }),
      { numRuns: 300 },
    );
  });
});

describe("fields", () => {
  const wire = paxlog.v1;
  test("that are absent have the meaning that log.proto gives them", () => {
    expect(readRequestCodec.decode(new Uint8Array(0))).toEqual({
      kind: "ok",
      value: { logId: 1, from: 0, limit: 0, follow: false, freshness: "linearizable" },
    });
    expect(appendRequestCodec.decode(new Uint8Array(0))).toMatchObject({ value: { logId: 1, crc32c: undefined } });
  });

  test("a checksum of 0 is a checksum, not none", () => {
    const encoded = appendRequestCodec.encode({ logId: 1, batch: new Uint8Array(1), crc32c: 0 });
    expect(appendRequestCodec.decode(encoded)).toMatchObject({ value: { crc32c: 0 } });
  });

  test.each([
    ["a position of 2^53", readRequestCodec, wire.ReadRequest.encode({ from: 2 ** 53 }).finish()],
    ["a limit of -1", readRequestCodec, wire.ReadRequest.encode({ limit: -1 }).finish()],
    ["an unknown freshness", readRequestCodec, Buffer.from([0x28, 0x05])],
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
    ["Append", "AppendStream", "Read", "CheckTail"].map((name) => `/paxlog.v1.LogService/${name}`),
  );
  expect(Object.values(clusterServicePaths)).toEqual(["/paxlog.v1.ClusterService/Status"]);
});
