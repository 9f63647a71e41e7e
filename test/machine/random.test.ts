import { expect, test } from "vitest";
import { randomOf } from "../../src/machine/random.ts";

test("the same seed gives the same numbers, on every machine and for ever", () => {
  const numbers = (seed: number) => Array.from({ length: 3 }, randomOf(seed));
  expect(numbers(7)).toEqual(numbers(7));
  expect(numbers(7)).not.toEqual(numbers(8));
  expect(numbers(7)).not.toEqual(numbers(7 + 2 ** 32));
  expect(numbers(1)).toMatchInlineSnapshot(`
    [
      0.03501974118385187,
      0.16842782966700764,
      0.12123016184497737,
    ]
  `);
});

test("numbers fill the range evenly, within a seed and across seeds", () => {
  let seed = 0;
  const firstOfNext = () => {
    seed += 1;
    return randomOf(seed)();
  };
  for (const draw of [randomOf(1), firstOfNext]) {
    const buckets = new Array<number>(20).fill(0);
    for (let count = 0; count < 20_000; count += 1) {
      const number = draw();
      if (!(number >= 0 && number < 1)) throw new RangeError(`${number}`);
      buckets[Math.floor(number * 20)]! += 1;
    }
    for (const bucket of buckets) expect(Math.abs(bucket - 1000)).toBeLessThan(160);
  }
});
