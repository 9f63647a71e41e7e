import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { toHex, viewOf, writeHex, writeU64 } from "../../src/base/bytes.ts";
import { limits } from "../../src/base/limits.ts";
import type { Hash, NodeId, Position, Slot, Uid } from "../../src/base/types.ts";
import type { Entry, EntryHeader, EntryKind, Payload } from "../../src/core/entry.ts";
import { entryKinds } from "../../src/core/entry.ts";
import {
  batchOf,
  decodeEntries,
  decodeEntry,
  entryHeaderBytes,
  firstHash,
  guardsOf,
  makeEntryMaker,
} from "../../src/format/entry.ts";
import { hashing } from "../storage/hashing.ts";

const makeEntry = makeEntryMaker(hashing);
const clusterId = "00112233445566778899aabbccddeeff" as Uid;

const safe = fc.oneof(fc.nat(1000), fc.constantFrom(0xffff_ffff, 0x1_0000_0000, 2 ** 52), fc.maxSafeNat());
const u32 = fc.oneof(fc.nat(1000), fc.constantFrom(0, 0xffff_ffff));
const hash = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => toHex(bytes) as Hash);

/** Headers with every field anywhere in its range, and a payload to match. */
const made = fc
  .record({
    kind: fc.constantFrom(...(Object.keys(entryKinds) as EntryKind[])),
    slot: safe.map((value) => Math.max(1, value) as Slot),
    originBallot: fc.record({ configId: u32, n: safe, nodeId: u32.map((value) => value as NodeId) }),
    floorBelow: fc.nat(1024),
    firstPosition: safe.map((value) => Math.max(1, value - 0xffff_ffff) as Position),
    recordCount: fc.integer({ min: 1, max: 0xffff_ffff }),
    time: safe,
    session: safe,
    serial: safe,
    prevHash: hash,
    batch: fc.uint8Array({ maxLength: 300 }),
    guards: fc.uint8Array({ maxLength: 40 }),
  })
  .map(({ batch, guards, floorBelow, ...rest }) => {
    const header: EntryHeader = {
      ...rest,
      floor: Math.max(0, rest.slot - floorBelow) as Slot,
      recordCount: rest.kind === "batch" ? rest.recordCount : 0,
      batchChecksum: hashing.crc32c(batch),
      guardLength: guards.length,
    };
    const payload: Payload = { batch, guards };
    return { header, payload, entry: makeEntry(header, payload) };
  });

function chain(count: number, batchBytes = 20): Entry[] {
  const entries: Entry[] = [];
  for (let index = 0; index < count; index += 1) {
    const batch = new Uint8Array(batchBytes).fill(index + 1);
    const header: EntryHeader = {
      slot: (index + 1) as Slot,
      originBallot: { configId: 1, n: 3, nodeId: 2 as NodeId },
      floor: 1 as Slot,
      kind: "batch",
      firstPosition: (index * 4 + 1) as Position,
      recordCount: 4,
      time: 1_700_000_000_000 + index,
      session: 0,
      serial: 0,
      batchChecksum: hashing.crc32c(batch),
      guardLength: 0,
      prevHash: entries[index - 1]?.hash ?? firstHash(clusterId, hashing),
    };
    entries.push(makeEntry(header, { batch, guards: new Uint8Array(0) }));
  }
  return entries;
}

/** Makes both hashes of the first entry in `bytes` true again after a field was changed. */
function rehash(bytes: Uint8Array): Uint8Array {
  writeHex(bytes, 32, hashing.xxh3(bytes.subarray(entryHeaderBytes)));
  writeHex(bytes, 0, hashing.xxh3(bytes.subarray(16, entryHeaderBytes)));
  return bytes;
}

const reasonOf = (bytes: Uint8Array): string => {
  const decoded = decodeEntry(bytes, 0, hashing);
  return decoded.kind === "malformed" ? decoded.reason : "ok";
};

describe("an entry", () => {
  test("comes back as it was made, at any offset", () => {
    fc.assert(
      fc.property(made, fc.nat(70), ({ entry, payload }, offset) => {
        const bytes = new Uint8Array(offset + entry.bytes.length + 5).fill(0xee);
        bytes.set(entry.bytes, offset);
        const decoded = decodeEntry(bytes, offset, hashing);
        if (decoded.kind === "malformed") throw new Error(decoded.reason);
        expect(decoded.entry).toEqual(entry);
        expect(decoded.end).toBe(offset + entry.bytes.length);
        expect(decoded.entry.bytes.buffer).toBe(bytes.buffer);
        expect(batchOf(decoded.entry)).toEqual(payload.batch);
        expect(guardsOf(decoded.entry)).toEqual(payload.guards);
      }),
    );
  });

  test("has these bytes", () => {
    const [entry] = chain(1, 3);
    // Pinned: these bytes are on disks and in the hash chains of running clusters.
    expect(toHex(entry!.bytes)).toMatchInlineSnapshot(
      `"85522b6640ecb101700c2dacd5d38393ad9e8491217f5870eed0497b8911f54645e2fdb5ac7616020236d868626259040101000001000000010000000000000001000000020000000300000000000000010000000000000001000000000000000068e5cf8b0100000000000000000000000000000000000004000000702aec240000000003000000010101"`,
    );
  });

  test("is refused after the change of any single bit", () => {
    const [entry] = chain(1);
    for (let index = 0; index < entry!.bytes.length; index += 1) {
      for (let bit = 0; bit < 8; bit += 1) {
        const bytes = entry!.bytes.slice();
        bytes[index]! ^= 1 << bit;
        expect(decodeEntry(bytes, 0, hashing).kind, `byte ${index} bit ${bit}`).toBe("malformed");
      }
    }
  });

  test("is refused when cut short anywhere", () => {
    const [entry] = chain(1);
    for (let length = 0; length < entry!.bytes.length; length += 1) {
      expect(decodeEntry(entry!.bytes.subarray(0, length), 0, hashing).kind, `length ${length}`).toBe("malformed");
    }
  });

  test("never makes the decoder throw, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(20), (bytes, offset) => {
        expect(decodeEntry(bytes, offset, hashing).kind).toBe("malformed");
      }),
    );
  });

  test.each<[string, (bytes: Uint8Array) => void, string]>([
    ["an unknown version", (bytes) => viewOf(bytes).setUint8(48, 2), "version 2"],
    ["an unknown kind", (bytes) => viewOf(bytes).setUint8(49, 99), "kind 99"],
    ["a used reserved field", (bytes) => viewOf(bytes).setUint16(50, 1, true), "reserved"],
    ["another log", (bytes) => viewOf(bytes).setUint32(52, 2, true), "log 2"],
    ["slot 0", (bytes) => writeU64(viewOf(bytes), 56, 0), "count from 1"],
    ["a slot of 2^53", (bytes) => viewOf(bytes).setUint32(60, 0x20_0000, true), "count from 1"],
    ["a ballot of 2^53", (bytes) => viewOf(bytes).setUint32(76, 0x20_0000, true), "2^53"],
    ["a floor above the slot", (bytes) => writeU64(viewOf(bytes), 80, 2), "floor"],
    ["position 0", (bytes) => writeU64(viewOf(bytes), 88, 0), "count from 1"],
    ["positions that pass 2^53", (bytes) => writeU64(viewOf(bytes), 88, Number.MAX_SAFE_INTEGER), "below 2^53"],
    ["a time of 2^53", (bytes) => viewOf(bytes).setUint32(100, 0x20_0000, true), "2^53"],
    ["a batch without records", (bytes) => viewOf(bytes).setUint32(120, 0, true), "cannot hold 0"],
    ["a no-op with records", (bytes) => viewOf(bytes).setUint8(49, entryKinds.noop), "cannot hold 4"],
    ["another batch checksum", (bytes) => viewOf(bytes).setUint32(124, 1, true), "batch's checksum"],
    ["guards longer than the payload", (bytes) => viewOf(bytes).setUint32(128, 21, true), "guards"],
    ["a length past the bytes", (bytes) => viewOf(bytes).setUint32(132, 21, true), "end inside"],
    ["a length past the limit", (bytes) => viewOf(bytes).setUint32(132, limits.batchBytesMax + 1, true), "limit"],
  ])("with %s is refused although its hashes hold", (_name, change, reason) => {
    const bytes = chain(1)[0]!.bytes.slice();
    change(bytes);
    expect(reasonOf(rehash(bytes))).toContain(reason);
  });
});

describe("a run of entries", () => {
  const join = (entries: readonly Entry[]) => Buffer.concat(entries.map((entry) => entry.bytes));

  test("comes back whole", () => {
    const entries = chain(5);
    expect(decodeEntries(join(entries), hashing)).toEqual({
      kind: "ok",
      entries: entries.map((entry) => ({ ...entry, bytes: Buffer.from(entry.bytes) })),
    });
    expect(decodeEntries(new Uint8Array(0), hashing)).toEqual({ kind: "ok", entries: [] });
  });

  test("is refused where a slot is left out, said twice, or its chain is another", () => {
    const [one, two, three] = chain(3) as [Entry, Entry, Entry];
    const stranger = makeEntry({ ...two, prevHash: three.hash }, { batch: batchOf(two), guards: guardsOf(two) });
    for (const [entries, reason] of [
      [[one, three], "slot 3 follows slot 1"],
      [[one, two, two], "slot 2 follows slot 2"],
      [[one, stranger], "chain"],
    ] as const) {
      const decoded = decodeEntries(join(entries), hashing);
      expect(decoded).toMatchObject({ kind: "malformed", reason: expect.stringContaining(reason) });
    }
  });

  test("names where the bad entry begins", () => {
    const [one, two] = chain(2) as [Entry, Entry];
    const bytes = join([one, two]);
    bytes[bytes.length - 1]! ^= 1;
    expect(decodeEntries(bytes, hashing)).toMatchObject({ kind: "malformed", offset: one.bytes.length });
  });
});

describe("the hash before the first entry", () => {
  test("differs by cluster and by log", () => {
    const other = "00112233445566778899aabbccddeefe" as Uid;
    const hashes = [firstHash(clusterId, hashing), firstHash(other, hashing), firstHash(clusterId, hashing, 2)];
    expect(new Set(hashes).size).toBe(3);
  });
});
