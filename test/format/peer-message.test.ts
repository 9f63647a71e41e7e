/**
 * Goal: every message survives the wire unchanged, and no bytes whatever make the decoder throw or let an unverified entry in.
 * Method: round trips of generated messages of every kind; bytes that are random, cut, or changed in one place.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Hash, NodeId, Position, Slot, Uid } from "../../src/base/types.ts";
import type { Ballot } from "../../src/core/ballot.ts";
import { type Entry, emptyPayload } from "../../src/core/entry.ts";
import { laneOf, type Message, type MessageKind } from "../../src/core/message.ts";
import { makeEntryMaker } from "../../src/format/entry.ts";
import { paxlog } from "../../src/format/generated/wire.js";
import { decodeEnvelope, encodeEnvelope } from "../../src/format/peer-message.ts";
import { chunkCountOf, encodeManifest } from "../../src/format/snapshot.ts";
import { loadHashing } from "../../src/native/hashing.ts";

const hashing = await loadHashing();

const makeEntry = makeEntryMaker(hashing);

const safe = fc.maxSafeNat();
const slot = safe as fc.Arbitrary<Slot>;
const node = fc.integer({ min: 0, max: 0xffff_ffff }) as fc.Arbitrary<NodeId>;
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const id16 = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes).toString("hex"));
const hash = id16 as fc.Arbitrary<string> as fc.Arbitrary<Hash>;
const uid = id16 as fc.Arbitrary<string> as fc.Arbitrary<Uid>;
const from1 = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const name = fc.string({ unit: "binary", maxLength: 16 });
const ballot: fc.Arbitrary<Ballot> = fc.record({ configId: u32, n: safe, nodeId: node });
const promiseId = fc.record({ incarnation: safe, counter: safe });
const age = fc.double({ min: 0, max: 1e9, noNaN: true }).map((value) => value + 0);
const member = fc.record({ nodeId: node, nodeUid: uid, name, peerAddress: name, clientAddress: name });
const state = fc.constantFrom("intact" as const, "damaged" as const, "unknown" as const);

/** A run of chained entries from `first` on. */
function entriesFrom(first: number, prevHash: Hash, payloads: readonly Uint8Array[]): Entry[] {
  const entries: Entry[] = [];
  for (const [index, batch] of payloads.entries()) {
    const isBatch = batch.length > 0;
    entries.push(
      makeEntry(
        {
          slot: (first + index) as Slot,
          originBallot: { configId: 1, n: 7, nodeId: 2 as NodeId },
          floor: first as Slot,
          kind: isBatch ? "batch" : "noop",
          firstPosition: (first * 10) as Position,
          recordCount: isBatch ? 3 : 0,
          time: 1_700_000_000_000,
          session: 0,
          serial: 0,
          batchChecksum: isBatch ? hashing.crc32c(batch) : 0,
          guardLength: 0,
          prevHash: entries.at(-1)?.hash ?? prevHash,
        },
        isBatch ? { batch, guards: new Uint8Array(0) } : emptyPayload,
      ),
    );
  }
  return entries;
}

const run = fc
  .record({
    first: fc.integer({ min: 1, max: 2 ** 40 }) as fc.Arbitrary<number> as fc.Arbitrary<Slot>,
    prevHash: hash,
    payloads: fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 5 }),
  })
  .map(({ first, prevHash, payloads }) => ({ first, prevHash, entries: entriesFrom(first, prevHash, payloads) }));

/** One arbitrary for each kind: a kind without one does not compile. */
const messages: { readonly [K in MessageKind]: fc.Arbitrary<Extract<Message, { kind: K }>> } = {
  hello: fc.record({
    kind: fc.constant("hello"),
    clusterId: fc.oneof(uid, fc.constant("" as const)),
    configId: u32,
    nodeUid: uid,
    incarnation: safe,
    name,
    protocolVersion: u32,
    peerAddress: name,
    clientAddress: name,
    started: fc.boolean(),
    names: fc.array(name, { maxLength: 7 }),
    nonvoter: fc.boolean(),
  }),
  refused: fc.record({
    kind: fc.constant("refused"),
    code: fc.constantFrom("FOREIGN_CLUSTER", "NODE_REPLACED", "OLD_INCARNATION", "CLUSTER_MISMATCH", "MOVED"),
    reason: name,
  }),
  genesis: fc.record({ kind: fc.constant("genesis"), clusterId: uid, members: fc.array(member, { maxLength: 7 }) }),
  genesisAck: fc.record({ kind: fc.constant("genesisAck"), clusterId: uid, nodeUid: uid }),
  started: fc.record({ kind: fc.constant("started"), clusterId: uid }),
  heartbeat: fc.record({ kind: fc.constant("heartbeat"), round: safe, visibleEnd: slot }),
  heartbeatReply: fc.record({
    kind: fc.constant("heartbeatReply"),
    round: safe,
    ballot,
    leader: ballot,
    happy: fc.boolean(),
    flushedEnd: slot,
    visibleEnd: slot,
    oldestSyncMs: age,
    loopLagMs: age,
    diskFull: fc.boolean(),
    unreadyMachines: fc.nat(24),
    clientAddress: name,
  }),
  prepare: fc.record({
    kind: fc.constant("prepare"),
    n: ballot,
    decidedEnd: slot,
    acceptedBallot: ballot,
    acceptedEnd: slot,
  }),
  promise: fc
    .record({
      kind: fc.constant("promise"),
      n: ballot,
      promiseId,
      acceptedBallot: ballot,
      acceptedEnd: slot,
      endCertain: fc.boolean(),
      decidedEnd: fc.integer({ min: 1, max: 2 ** 40 }) as fc.Arbitrary<number> as fc.Arbitrary<Slot>,
      decidedHash: hash,
      logBegin: slot,
      abstains: fc.boolean(),
      window: fc.array(fc.record({ hash, state }), { maxLength: 40 }),
    })
    .map((promise) => ({
      ...promise,
      window: promise.window.map((entry, index) => ({ slot: (promise.decidedEnd + index) as Slot, ...entry })),
    })),
  prepareRequest: fc.record({ kind: fc.constant("prepareRequest"), promised: ballot }),
  notAccepted: fc.record({ kind: fc.constant("notAccepted"), promised: ballot }),
  syncBegin: fc.record({
    kind: fc.constant("syncBegin"),
    n: ballot,
    promiseId,
    syncId: safe,
    fromSlot: slot,
    prevHash: hash,
  }),
  syncChunk: fc
    .record({ n: ballot, syncId: safe, chunk: u32, run })
    .map(({ run: { entries }, ...rest }) => ({ kind: "syncChunk", ...rest, entries })),
  syncEnd: fc.record({ kind: fc.constant("syncEnd"), n: ballot, syncId: safe, chunkCount: u32, decidedEnd: slot }),
  accept: fc.record({ n: ballot, decidedEnd: slot, run }).map(({ run: { first, prevHash, entries }, ...rest }) => ({
    kind: "accept",
    ...rest,
    firstSlot: first,
    prevHash,
    entries,
  })),
  accepted: fc.record({ kind: fc.constant("accepted"), n: ballot, syncId: safe, matchedEnd: slot, hash }),
  decide: fc.record({ kind: fc.constant("decide"), n: ballot, decidedEnd: slot, hash }),
  follow: fc.record({ kind: fc.constant("follow"), fromSlot: slot, prevHash: hash, begins: fc.boolean() }),
  fetch: fc.record({
    kind: fc.constant("fetch"),
    requestId: safe,
    fromSlot: slot,
    prevHash: hash,
    n: fc.option(ballot, { nil: undefined }),
  }),
  entries: fc
    .record({ requestId: safe, visibleEnd: slot, run })
    .map(({ run: { first, entries }, ...rest }) => ({ kind: "entries", ...rest, fromSlot: first, entries })),
  snapshotMeta: fc
    .record({ requestId: safe, slot: from1, position: from1, time: safe, hash, begin: from1, length: u32 })
    .map(({ requestId, slot: at, position, time, begin, length, ...hashes }) => {
      const base = { slot: at as Slot, hash: hashes.hash, position: position as Position, time };
      const bytes = 1 + (length % 3_000_000);
      const chunkHashes = Array.from({ length: chunkCountOf(bytes) }, () => hashes.hash);
      const clusterId = hashes.hash as string as Uid;
      const encoded = encodeManifest({ clusterId, base, length: bytes, chunkHashes }, hashing);
      const least = Math.min(begin, at, position);
      const logBegin = { slot: least as Slot, hash: hashes.hash, position: least as Position, time };
      const { bytes: manifest, rootHash } = encoded;
      return { kind: "snapshotMeta" as const, requestId, base, rootHash, logBegin, manifest };
    }),
  snapshotFetch: fc.record({ kind: fc.constant("snapshotFetch"), requestId: safe, slot, rootHash: hash, chunk: u32 }),
  snapshotChunk: fc.record({
    kind: fc.constant("snapshotChunk"),
    requestId: safe,
    chunk: u32,
    bytes: fc.uint8Array({ maxLength: 100 }),
  }),
  probe: fc.record({ kind: fc.constant("probe"), n: ballot, probeId: safe }),
  probeAck: fc.record({ kind: fc.constant("probeAck"), n: ballot, probeId: safe }),
  readIndex: fc.record({ kind: fc.constant("readIndex"), requestId: safe }),
  readIndexReply: fc.record({ kind: fc.constant("readIndexReply"), requestId: safe, accepted: fc.boolean(), r: slot }),
};

const kinds = Object.keys(laneOf) as MessageKind[];
const anyMessage: fc.Arbitrary<Message> = fc.oneof(...kinds.map((kind) => messages[kind] as fc.Arbitrary<Message>));

/** Entries compare by their fields and by the content of their bytes: Buffer and Uint8Array are alike here. */
function plain(message: Message): unknown {
  if (!("entries" in message)) return message;
  return { ...message, entries: message.entries.map((entry) => ({ ...entry, bytes: Buffer.from(entry.bytes) })) };
}

describe("a message between nodes", () => {
  test.each(kinds)("of kind %s is the same after the wire", (kind) => {
    fc.assert(
      fc.property(node, u32, messages[kind] as fc.Arbitrary<Message>, (from, configId, message) => {
        const decoded = decodeEnvelope(encodeEnvelope(from, configId, message), hashing);
        if (decoded.kind !== "ok") throw new Error(decoded.reason);
        expect(decoded.from).toBe(from);
        expect(decoded.configId).toBe(configId);
        expect(plain(decoded.message)).toEqual(plain(message));
      }),
      { numRuns: 60 },
    );
  });

  test("decodes entries as views of its own bytes, without a copy", () => {
    const entries = entriesFrom(5, "00".repeat(16) as Hash, [new Uint8Array(1000), new Uint8Array(0)]);
    const n = { configId: 1, n: 1, nodeId: 1 as NodeId };
    const bytes = encodeEnvelope(1 as NodeId, 1, { kind: "syncChunk", n, syncId: 1, chunk: 0, entries });
    const decoded = decodeEnvelope(bytes, hashing);
    if (decoded.kind !== "ok" || decoded.message.kind !== "syncChunk") throw new Error("not decoded");
    expect(decoded.message.entries.map((entry) => entry.bytes.buffer === bytes.buffer)).toEqual([true, true]);
  });
});

describe("bytes that are no message", () => {
  test("get a verdict, never an exception", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(["ok", "malformed"]).toContain(decodeEnvelope(bytes, hashing).kind);
      }),
      { numRuns: 2000 },
    );
  });

  test("get a verdict where a real message was cut or changed", () => {
    fc.assert(
      fc.property(anyMessage, fc.nat(), fc.nat(255), fc.boolean(), (message, at, value, cut) => {
        const bytes = encodeEnvelope(1 as NodeId, 1, message);
        const index = at % bytes.length;
        const changed = cut ? bytes.subarray(0, index) : Buffer.from(bytes);
        if (!cut) changed[index] = value;
        expect(["ok", "malformed"]).toContain(decodeEnvelope(changed, hashing).kind);
      }),
      { numRuns: 2000 },
    );
  });

  test("never bring in an entry with a changed bit", () => {
    const n = { configId: 1, n: 1, nodeId: 1 as NodeId };
    const prevHash = "ab".repeat(16) as Hash;
    const entries = entriesFrom(9, prevHash, [Buffer.from("first"), Buffer.from("second")]);
    const bytes = encodeEnvelope(1 as NodeId, 1, {
      kind: "accept",
      n,
      firstSlot: 9 as Slot,
      prevHash,
      entries,
      decidedEnd: 9 as Slot,
    });
    const entryBytes = entries.reduce((sum, entry) => sum + entry.bytes.length, 0);
    for (let index = bytes.length - entryBytes; index < bytes.length; index++) {
      const changed = Buffer.from(bytes);
      changed[index] = changed[index]! ^ 0x10;
      expect(decodeEnvelope(changed, hashing).kind).toBe("malformed");
    }
  });

  const envelope = (fields: paxlog.v1.Envelope.$Properties) => paxlog.v1.Envelope.encode(fields).finish();
  const id = new Uint8Array(16);
  const long = (value: bigint) => ({ low: Number(value & 0xffff_ffffn), high: Number(value >> 32n), unsigned: true });
  test.each([
    ["a number of 2^53", envelope({ heartbeat: { round: long(2n ** 53n) as never } })],
    ["the largest number of a field", envelope({ heartbeat: { round: long(2n ** 64n - 1n) as never } })],
    ["a hash of 15 bytes", envelope({ decide: { n: {}, hash: new Uint8Array(15) } })],
    ["a missing ballot", envelope({ probe: { probeId: 1 } })],
    ["no message at all", envelope({ from: 1 })],
    [
      "a window whose columns differ",
      envelope({ promise: { n: {}, promiseId: {}, acceptedBallot: {}, decidedHash: id, windowHashes: id } }),
    ],
    [
      "a window state that is unknown",
      envelope({
        promise: {
          n: {},
          promiseId: {},
          acceptedBallot: {},
          decidedHash: id,
          windowHashes: id,
          windowStates: new Uint8Array(1),
        },
      }),
    ],
    [
      "a window above the limit",
      envelope({
        promise: {
          n: {},
          promiseId: {},
          acceptedBallot: {},
          decidedHash: id,
          windowHashes: new Uint8Array(16 * 1025),
          windowStates: new Uint8Array(1025).fill(1),
        },
      }),
    ],
    ["an unknown refusal", envelope({ refused: { code: "GO_AWAY" } })],
    [
      "entries on a message that carries none",
      envelope({
        heartbeat: { round: 1 },
        entryBytes: entriesFrom(1, "00".repeat(16) as Hash, [new Uint8Array(0)])[0]!.bytes,
      }),
    ],
    [
      "entries that do not begin where the Accept says",
      envelope({
        accept: { n: {}, firstSlot: 2, prevHash: id },
        entryBytes: entriesFrom(1, "00".repeat(16) as Hash, [new Uint8Array(0)])[0]!.bytes,
      }),
    ],
    ["an age that is no number", envelope({ heartbeatReply: { ballot: {}, leader: {}, oldestSyncMs: Number.NaN } })],
    ["too many names", envelope({ hello: { nodeUid: id, names: Array(8).fill("a") } })],
    ["a name that is too long", envelope({ hello: { nodeUid: id, name: "a".repeat(65) } })],
  ])("are malformed where they hold %s", (_what, bytes) => {
    expect(decodeEnvelope(bytes, hashing).kind).toBe("malformed");
  });

  test("of exactly 2^53 - 1 are still a number", () => {
    const bytes = envelope({ heartbeat: { round: Number.MAX_SAFE_INTEGER } });
    expect(decodeEnvelope(bytes, hashing)).toMatchObject({ message: { round: Number.MAX_SAFE_INTEGER } });
  });
});
