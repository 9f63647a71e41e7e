// Goal: keys are in the order of their bytes, counted and listed as a sorted list has them. Method: generated changes against a sorted
// list, with so many keys that chunks are cut and go.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { OrderedKeys } from "../../../src/machine/builtin/ordered-keys.ts";
import { type ByteString, byteStringOf } from "../../../src/machine/byte-string.ts";
import { randomOf } from "../../../src/machine/random.ts";

const keyOf = (number: number): ByteString => byteStringOf(Uint8Array.of(number >>> 16, number >>> 8, number));

describe("ordered keys", () => {
  test("are those of a sorted list", () => {
    const bound = fc.nat({ max: 4000 });
    fc.assert(
      fc.property(
        fc.nat(),
        fc.array(fc.tuple(bound, fc.option(bound)), { minLength: 1, maxLength: 20 }),
        (seed, ranges) => {
          const random = randomOf(seed);
          const order = new OrderedKeys();
          const model = new Set<number>();
          for (let step = 0; step < 3000; step += 1) {
            const number = Math.floor(4000 * random());
            if (model.has(number)) order.delete(keyOf(number));
            else order.add(keyOf(number));
            if (!model.delete(number)) model.add(number);
          }
          const sorted = [...model].sort((a, b) => a - b);
          for (const [from, to] of ranges) {
            const interval = { begin: keyOf(from), end: to === null ? undefined : keyOf(to) };
            const expected = sorted.filter((each) => each >= from && (to === null || each < to)).map(keyOf);
            expect(order.count(interval)).toBe(expected.length);
            expect([...order.keys(interval)].join() === expected.join()).toBe(true);
            expect([...order.keys(interval, true)].join() === expected.toReversed().join()).toBe(true);
          }
          for (const each of sorted) order.delete(keyOf(each));
          expect(order.count({ begin: keyOf(0), end: undefined })).toBe(0);
        },
      ),
      { numRuns: 20 },
    );
  });
});
