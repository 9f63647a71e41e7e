// The draws are the root of every run: they must be the same everywhere, and look like what they are called.
import { expect, test } from "vitest";
import { Random } from "../../src/simulator/random.ts";

const draw = (count: number, next: () => number): number[] => Array.from({ length: count }, next);

test("the same seed gives the same numbers, another seed gives others", () => {
  const numbers = (seed: number) => {
    const random = new Random(seed);
    return draw(100, () => random.u32());
  };
  expect(numbers(7)).toEqual(numbers(7));
  expect(numbers(7)).not.toEqual(numbers(8));
  expect(numbers(7)).not.toEqual(numbers(7 + 2 ** 32));
});

test("whole numbers stay in their bounds and reach both", () => {
  const random = new Random(1);
  const seen = new Set(draw(2000, () => random.between(3, 9)));
  expect([...seen].sort()).toEqual([3, 4, 5, 6, 7, 8, 9]);
});

test("fractions are even and the exponential has its mean and its tail", () => {
  const random = new Random(2);
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  expect(mean(draw(20_000, () => random.unit()))).toBeCloseTo(0.5, 1);
  const times = draw(20_000, () => random.exponential(10));
  expect(mean(times)).toBeGreaterThan(9.7);
  expect(mean(times)).toBeLessThan(10.3);
  const tail = times.filter((time) => time > 30).length / times.length;
  expect(tail).toBeGreaterThan(0.04);
  expect(tail).toBeLessThan(0.06);
});

test("a fork draws on its own", () => {
  const a = new Random(5);
  const b = new Random(5);
  const forkOfA = a.fork();
  const forkOfB = b.fork();
  draw(10, () => forkOfA.u32());
  expect(a.u32()).toBe(b.u32());
  expect(forkOfB.u32()).not.toBe(a.u32());
});

test("a shuffle keeps what it shuffles", () => {
  const random = new Random(6);
  const list = [1, 2, 3, 4, 5, 6, 7, 8];
  const shuffled = random.shuffle(list);
  expect(shuffled).not.toEqual(list);
  expect([...shuffled].sort()).toEqual(list);
});
