// Goal: memory of entries is used again only when nobody can need it, within a bound, and reaches the storage thread uncopied.
// Method: small slabs that are overwritten when they are given back; writes packed and unpacked as the two threads do it.
import { expect, test } from "vitest";
import type { Hash, Position, Slot, Ticket } from "../../src/base/types.ts";
import { Arena } from "../../src/runtime/arena.ts";
import { packWrites, WriteUnpacker } from "../../src/runtime/packed-writes.ts";
import type { GroupWrite } from "../../src/storage/write.ts";

const slot = (number: number) => number as Slot;
const hash = "00000000000000000000000000000000" as Hash;

/** Takes, fills and holds. */
function lay(arena: Arena, length: number, lastSlot: number, byte = lastSlot): Uint8Array {
  const bytes = arena.take(length).fill(byte);
  arena.hold(bytes, slot(lastSlot));
  return bytes;
}

function group(first: number, bytes: readonly Uint8Array[]): GroupWrite {
  return {
    kind: "append",
    ticket: first as Ticket,
    ballot: undefined,
    firstSlot: slot(first),
    endSlot: slot(first + bytes.length),
    prevHash: hash,
    endHash: hash,
    positions: { first: first as Position, end: (first + bytes.length) as Position },
    endTime: 0,
    decidedEnd: slot(1),
    bytes,
  };
}

test("entries lie one behind another, in shared memory", () => {
  const arena = new Arena({ slabBytes: 1000, slabsMax: 2 });
  const [one, two] = [lay(arena, 100, 1), lay(arena, 50, 2)];
  expect(one.buffer).toBeInstanceOf(SharedArrayBuffer);
  expect(arena.placeOf(one)).toEqual({ slab: 1, offset: 0 });
  expect(arena.placeOf(two)).toEqual({ slab: 1, offset: 100 });
  expect(arena.placeOf(new Uint8Array(10))).toBeUndefined();
});

test("a full slab serves again once the log begins behind all of it, at the second tick after", () => {
  const arena = new Arena({ slabBytes: 1000, slabsMax: 2, scrub: true });
  const first = lay(arena, 600, 1);
  lay(arena, 300, 7);
  const second = lay(arena, 600, 8);
  for (let tick = 0; tick < 10; tick += 1) arena.reclaim(slot(7));
  expect(arena.counts).toEqual({ slabs: 2, free: 0, overflowBytes: 0 });
  expect(first[0]).toBe(1);

  arena.reclaim(slot(8));
  expect(first[0]).toBe(1);
  arena.reclaim(slot(8));
  expect(arena.counts.free).toBe(1);
  expect(first[0]).toBe(0xdd);
  expect(second[0]).toBe(8);
  expect(arena.placeOf(lay(arena, 900, 9))).toEqual({ slab: 1, offset: 0 });
});

test("what is laid into the open slab meanwhile counts too", () => {
  const arena = new Arena({ slabBytes: 1000, slabsMax: 2 });
  lay(arena, 500, 1);
  for (let tick = 0; tick < 5; tick += 1) arena.reclaim(slot(2));
  lay(arena, 400, 5);
  lay(arena, 500, 6);
  for (let tick = 0; tick < 5; tick += 1) arena.reclaim(slot(5));
  expect(arena.counts.free).toBe(0);
  for (let tick = 0; tick < 2; tick += 1) arena.reclaim(slot(6));
  expect(arena.counts.free).toBe(1);
});

test("beyond its bound entries have memory of their own, and that is counted", () => {
  const arena = new Arena({ slabBytes: 1000, slabsMax: 2 });
  for (let number = 1; number <= 4; number += 1) lay(arena, 800, number);
  expect(arena.counts).toEqual({ slabs: 2, free: 0, overflowBytes: 1600 });
  expect(arena.placeOf(lay(arena, 2000, 5))).toBeUndefined();
  for (let tick = 0; tick < 2; tick += 1) arena.reclaim(slot(6));
  expect(arena.placeOf(lay(arena, 800, 7))).toEqual({ slab: 1, offset: 0 });
});

test("a copy is aligned like its source, so that it goes by words, and holds the same bytes", () => {
  const arena = new Arena({ slabBytes: 1000, slabsMax: 1 });
  const source = Uint8Array.from({ length: 100 }, (_, index) => index);
  for (const begin of [0, 3, 5, 8]) {
    const copy = arena.copyOf(source.subarray(begin, begin + 50));
    expect(copy).toEqual(source.subarray(begin, begin + 50));
    expect(copy.byteOffset % 8).toBe(begin % 8);
  }
});

test("writes are what they were at the other end, and those in the arena lie where they lay", () => {
  const arena = new Arena({ slabBytes: 1000, slabsMax: 1 });
  const unpacker = new WriteUnpacker();
  const inside = [lay(arena, 100, 1), lay(arena, 200, 2)];
  const outside = [new Uint8Array(30).fill(7), new Uint8Array(10).fill(8)];
  const writes = [group(1, inside), group(3, [outside[0]!, lay(arena, 50, 4), outside[1]!])];
  const message = packWrites(writes, arena);
  expect(message.slabs.map(({ id }) => id)).toEqual([1]);
  expect(message.buffer?.byteLength).toBe(40);

  const [first, second] = unpacker.unpack(message) as GroupWrite[];
  expect(first!.bytes).toHaveLength(1);
  expect(first!.bytes[0]!.buffer).toBe(inside[0]!.buffer);
  expect({ ...first, bytes: Buffer.concat(first!.bytes) }).toEqual({ ...writes[0], bytes: Buffer.concat(inside) });
  expect(Buffer.concat(second!.bytes)).toEqual(Buffer.concat(writes[1]!.bytes));

  // The slab is known from now on.
  const later = packWrites([group(6, [lay(arena, 20, 6)])], arena);
  expect(later.slabs).toEqual([]);
  expect(later.buffer).toBeUndefined();
  expect((unpacker.unpack(later)[0] as GroupWrite).bytes[0]).toEqual(new Uint8Array(20).fill(6));
});

test("a superblock and a group without bytes pass as they are", () => {
  const arena = new Arena();
  const message = packWrites([group(1, [])], arena);
  expect(message).toMatchObject({ slabs: [], buffer: undefined });
  expect((new WriteUnpacker().unpack(message)[0] as GroupWrite).bytes).toEqual([]);
  expect(arena.counts).toEqual({ slabs: 0, free: 0, overflowBytes: 0 });
});
