import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { toHex, viewOf, writeHex } from "../../src/base/bytes.ts";
import { limits } from "../../src/base/limits.ts";
import type { Hash, NodeId, Position, Slot, Uid } from "../../src/base/types.ts";
import { noBallot } from "../../src/core/ballot.ts";
import {
  decodeGroupHeader,
  encodeGroupHeader,
  type GroupHeader,
  groupExtent,
  groupHeaderBytes,
  type SegmentTag,
} from "../../src/format/group.ts";
import { decodeSegmentHeader, encodeSegmentHeader, type SegmentHeader } from "../../src/format/segment.ts";
import { decodeSuperblock, encodeSuperblock, type Superblock, setCopyNumber } from "../../src/format/superblock.ts";
import { hashing } from "../storage/hashing.ts";

const safe = fc.oneof(fc.nat(1000), fc.maxSafeNat());
const safeFromOne = safe.map((value) => Math.max(1, value));
const slot = safeFromOne.map((value) => value as Slot);
const u32 = fc.oneof(fc.nat(1000), fc.constantFrom(0, 0xffff_ffff));
const node = u32.map((value) => value as NodeId);
const hex = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => toHex(bytes));
const uid = hex.map((value) => value as Uid);
const hash = hex.map((value) => value as Hash);
const ballot = fc.record({ configId: u32, n: safe, nodeId: node });
const text = (bytes: number) => fc.string({ unit: "binary", maxLength: Math.floor(bytes / 4) });

/** Each single bit of `bytes` flipped, and each shorter piece of them, must be refused. */
function refusesEveryChange(bytes: Uint8Array, accepts: (bytes: Uint8Array) => boolean): void {
  expect(accepts(bytes)).toBe(true);
  for (let index = 0; index < bytes.length; index += 1) {
    bytes[index]! ^= 1 << (index % 8);
    if (accepts(bytes)) throw new Error(`a flip in byte ${index} is not seen`);
    bytes[index]! ^= 1 << (index % 8);
  }
  for (let length = 0; length < bytes.length; length += 1) {
    if (accepts(bytes.subarray(0, length))) throw new Error(`a cut at ${length} is not seen`);
  }
}

describe("a group header", () => {
  const tag: fc.Arbitrary<SegmentTag> = fc.record({ clusterId: uid, generation: safeFromOne, nonce: uid });
  const header: fc.Arbitrary<GroupHeader> = fc
    .record({
      kind: fc.constantFrom("append" as const, "replace" as const, "mark" as const),
      sequence: safeFromOne,
      firstSlot: slot,
      prevHash: hash,
      ballot,
      decidedEnd: slot,
      entryCount: u32,
      entriesLength: u32,
      entriesChecksum: u32,
    })
    .map((made) => ({
      ...made,
      durableSequence: made.sequence - 1,
      ballot: made.kind === "replace" ? made.ballot : noBallot,
    }));
  const [sampleTag, sample] = [
    fc.sample(tag, { seed: 1, numRuns: 1 })[0]!,
    fc.sample(header, { seed: 1, numRuns: 1 })[0]!,
  ];

  test("comes back as it was made", () => {
    fc.assert(
      fc.property(tag, header, safe, (tag, header, offset) => {
        const bytes = encodeGroupHeader(header, tag, offset, hashing);
        expect(bytes.length).toBe(groupHeaderBytes);
        expect(decodeGroupHeader(bytes, tag, offset, hashing)).toEqual({ kind: "ok", header });
      }),
    );
  });

  test("is refused after the change of any byte, and when cut", () => {
    const bytes = encodeGroupHeader(sample, sampleTag, 4096, hashing);
    refusesEveryChange(bytes, (bytes) => decodeGroupHeader(bytes, sampleTag, 4096, hashing).kind === "ok");
  });

  test("does not count in another place, segment, generation or cluster", () => {
    const bytes = encodeGroupHeader(sample, sampleTag, 4096, hashing);
    const other = "ff00ff00ff00ff00ff00ff00ff00ff00" as Uid;
    const decode = (tag: SegmentTag, offset: number) => decodeGroupHeader(bytes, tag, offset, hashing).kind;
    expect(decode(sampleTag, 8192)).toBe("none");
    expect(decode({ ...sampleTag, nonce: other }, 4096)).toBe("none");
    expect(decode({ ...sampleTag, clusterId: other }, 4096)).toBe("none");
    expect(decode({ ...sampleTag, generation: sampleTag.generation + 1 }, 4096)).toBe("none");
  });

  test.each([12, 13])("of a later release is told apart from damage (byte %i)", (at) => {
    const bytes = encodeGroupHeader(sample, sampleTag, 4096, hashing);
    bytes[at] = 200;
    viewOf(bytes).setUint32(8, hashing.crc32c(bytes.subarray(12)), true);
    expect(decodeGroupHeader(bytes, sampleTag, 4096, hashing).kind).toBe("unknownVersion");
  });

  test("takes whole blocks with its entries", () => {
    expect([0, 1, 3904, 3905, 8000].map(groupExtent)).toEqual([4096, 4096, 4096, 8192, 8192]);
  });
});

describe("a segment header", () => {
  const begin = fc.record({ slot, hash, position: safeFromOne.map((value) => value as Position), time: safe });
  const header: fc.Arbitrary<SegmentHeader> = fc.record({
    nonce: uid,
    clusterId: uid,
    nodeUid: uid,
    nodeId: node,
    generation: safeFromOne,
    size: safe.map((value) => Math.max(4096, value)),
    firstSequence: safeFromOne,
    begin,
    ballot,
    previousEnd: safe,
  });
  const sample = fc.sample(header, { seed: 1, numRuns: 1 })[0]!;

  test("comes back as it was made, in one block", () => {
    fc.assert(
      fc.property(header, (header) => {
        const bytes = encodeSegmentHeader(header, hashing);
        expect(bytes.length).toBe(limits.blockBytes);
        expect(decodeSegmentHeader(bytes, hashing)).toEqual({ kind: "ok", header });
      }),
    );
  });

  test("is refused after the change of any byte, and when cut", () => {
    refusesEveryChange(
      encodeSegmentHeader(sample, hashing),
      (bytes) => decodeSegmentHeader(bytes, hashing).kind === "ok",
    );
  });

  test("of a later release is told apart from damage", () => {
    const bytes = encodeSegmentHeader(sample, hashing);
    bytes[12] = 2;
    viewOf(bytes).setUint32(8, hashing.crc32c(bytes.subarray(12)), true);
    expect(decodeSegmentHeader(bytes, hashing)).toEqual({ kind: "unknownVersion", version: 2 });
  });
});

describe("a superblock", () => {
  const address = text(limits.addressBytesMax);
  const name = text(limits.nameBytesMax);
  const member = fc.record({ nodeId: node, nodeUid: uid, name, peerAddress: address, clientAddress: address });
  const genesis = fc.record({
    clusterId: uid,
    nodeId: node,
    members: fc.array(member, { maxLength: limits.votersMax, size: "max" }),
  });
  const superblock: fc.Arbitrary<Superblock> = fc
    .record({
      identity: fc.record({ name, nodeUid: uid, incarnation: safe }),
      state: fc.record({
        genesis: fc.option(genesis, { nil: undefined }),
        started: fc.boolean(),
        promised: ballot,
        acceptedBallot: ballot,
      }),
      logBegin: fc.record({ slot, hash, position: safeFromOne.map((value) => value as Position), time: safe }),
      beginGeneration: safeFromOne,
      highestGeneration: safe,
      durableSequence: safe,
      decidedEnd: slot,
      segmentBytes: safeFromOne,
      beginSequence: safe,
      beginBallot: ballot,
      snapshot: fc.option(fc.record({ slot, rootHash: hash }), { nil: undefined }),
      clean: fc.boolean(),
    })
    .map((made) => ({
      ...made,
      logBegin: { ...made.logBegin, hash: (made.state.genesis === undefined ? "" : made.logBegin.hash) as Hash },
    }));

  test("comes back as it was made, whichever copy it is", () => {
    fc.assert(
      fc.property(superblock, safeFromOne, hash, fc.nat(3), (superblock, sequence, previous, place) => {
        const { bytes, checksum } = encodeSuperblock(superblock, sequence, previous, hashing);
        setCopyNumber(bytes, place);
        const copy = { sequence, checksum, previous, superblock };
        expect(decodeSuperblock(bytes, place, hashing)).toEqual({ kind: "ok", copy });
      }),
    );
  });

  test("has room for seven members with names and addresses as long as they may be", () => {
    const long = "a".repeat(limits.addressBytesMax);
    const full = { nodeUid: "00".repeat(16) as Uid, name: "n".repeat(limits.nameBytesMax), peerAddress: long };
    const members = Array.from({ length: limits.votersMax }, (_, index) => ({
      ...full,
      nodeId: (index + 1) as NodeId,
      clientAddress: long,
    }));
    const [made] = fc.sample(superblock, { seed: 1, numRuns: 1 });
    const genesis = { clusterId: full.nodeUid, nodeId: 1 as NodeId, members };
    const identity = { ...made!.identity, name: full.name };
    const { bytes } = encodeSuperblock({ ...made!, identity, state: { ...made!.state, genesis } }, 1, "", hashing);
    const decoded = decodeSuperblock(bytes, 0, hashing);
    expect(decoded.kind === "ok" && decoded.copy.superblock.state.genesis).toEqual(genesis);
  });

  test("is refused after the change of any byte, when cut, and in the place of another copy", () => {
    const [made] = fc.sample(superblock, { seed: 2, numRuns: 1 });
    const { bytes } = encodeSuperblock(made!, 7, "", hashing);
    refusesEveryChange(bytes, (bytes) => decodeSuperblock(bytes, 0, hashing).kind === "ok");
    expect(decodeSuperblock(bytes, 1, hashing).kind).toBe("malformed");
  });

  test("of a later release is told apart from damage", () => {
    const [made] = fc.sample(superblock, { seed: 2, numRuns: 1 });
    const { bytes } = encodeSuperblock(made!, 7, "", hashing);
    bytes[32] = 2;
    writeHex(bytes, 8, hashing.xxh3(bytes.subarray(32)));
    expect(decodeSuperblock(bytes, 0, hashing)).toEqual({ kind: "unknownVersion", version: 2 });
  });
});
