// Goal: a walk finds every entry of its range that bears what is asked for, and says how far it came. Method: generated windows, which
// begin behind some entries, against a plain list of the entries.
import fc from "fast-check";
import { expect, test } from "vitest";
import { anyHash, type TagHash } from "../../src/base/tag-hash.ts";
import type { Position } from "../../src/base/types.ts";
import { TagWindow } from "../../src/sequencer/tag-window.ts";
import { WindowWalk } from "../../src/sequencer/window-walk.ts";

const at = (value: number): Position => value as Position;
/** 0 stands for the hash that stands for anything. */
const hashOf = (number: number): Readonly<TagHash> => (number === 0 ? anyHash : { low: number % 3, high: number });

function guardsOf(numbers: readonly number[]): Uint8Array {
  const bytes = Buffer.alloc(8 * numbers.length);
  for (const [index, { low, high }] of numbers.map(hashOf).entries()) {
    bytes.writeUInt32LE(low, 8 * index);
    bytes.writeUInt32LE(high, 8 * index + 4);
  }
  return bytes;
}

const number = fc.oneof({ weight: 12, arbitrary: fc.integer({ min: 1, max: 6 }) }, fc.constant(0));
const given = fc.record({
  entries: fc.array(
    fc.record({ count: fc.integer({ min: 1, max: 4 }), numbers: fc.uniqueArray(number, { maxLength: 4 }) }),
    { maxLength: 60, size: "max" },
  ),
  /** So many of the entries come before what the window covers. */
  uncovered: fc.nat({ max: 20 }),
  // A set may name a hash twice, as a query may name a tag.
  sets: fc.array(fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 3 }), { maxLength: 3 }),
  begin: fc.integer({ min: 1, max: 160 }),
  length: fc.nat({ max: 160 }),
  stepsMax: fc.oneof(fc.constant(10_000), fc.nat({ max: 40 })),
});

test("a walk finds what bears all hashes of a set, as far back as window and steps go", () => {
  fc.assert(
    fc.property(given, ({ entries, uncovered, sets, begin, length, stepsMax }) => {
      let next = 1;
      const all = entries.map(({ count, numbers }) => {
        const first = next;
        next += count;
        return { first, end: next, numbers };
      });
      const window = new TagWindow(at(all[uncovered]?.first ?? next));
      const added = all.slice(uncovered);
      for (const { first, end, numbers } of added) window.add(guardsOf(numbers), at(first), end - first);
      const end = begin + length;
      const walk = new WindowWalk(
        window,
        sets.map((set) => set.map(hashOf)),
        { begin: at(begin), end: at(end), stepsMax },
      );
      const expected = added.filter(
        (entry) =>
          entry.end > walk.from &&
          entry.first < end &&
          [...sets, [0]].some((set) => set.every((each) => entry.numbers.includes(each))),
      );
      const found = walk.inOrder("first");
      expect(found).toEqual(expected.map(({ first, end: behind }) => ({ first, end: behind })));
      expect(walk.inOrder("last")).toEqual(found.toReversed());
      expect(walk.from).toBeGreaterThanOrEqual(begin);
      // Ten thousand are enough for all of it.
      if (stepsMax === 10_000) expect(walk.from).toBe(Math.max(begin, window.coveredFrom));
    }),
    { numRuns: 1500 },
  );
});

test("a rare hash ends the walk over a frequent one where it has no more entries", () => {
  const window = new TagWindow(at(1));
  for (let first = 1; first <= 1000; first += 1) window.add(guardsOf(first === 900 ? [1, 2] : [2]), at(first), 1);
  const walk = new WindowWalk(window, [[hashOf(2), hashOf(1)]], { begin: at(1), end: at(1001), stepsMax: 102 });
  expect(walk.from).toBe(1);
  expect(walk.inOrder("last")).toEqual([{ first: 900, end: 901 }]);
});
