// Goal: a frozen view gives the entries of the moment when it was made, in order, whatever is set and deleted before they are taken, and
// keeps nothing of what it has taken. Method: generated changes between its steps, against a copy of a sorted list.
import fc from "fast-check";
import { expect, test } from "vitest";
import { type FrozenEntries, OrderedMap } from "../../../src/machine/builtin/ordered-map.ts";
import { randomOf } from "../../../src/machine/random.ts";

const keyCount = 1500;
const keyOf = (number: number): string => `key ${String(number).padStart(5, "0")}`;

interface View {
  readonly frozen: FrozenEntries<number, string>;
  readonly expected: readonly (readonly [string, number])[];
  readonly taken: (readonly [string, number])[];
}

test("views of several moments give what was there then, whatever happens between their steps", () => {
  fc.assert(
    fc.property(
      fc.nat(),
      fc.nat({ max: 400 }),
      fc.double({ min: 0.2, max: 0.8, noNaN: true }),
      (seed, between, share) => {
        const random = randomOf(seed);
        const map = new OrderedMap<number, string>();
        const model = new Map<string, number>();
        const change = (): void => {
          // Bursts in one region, too: a whole step of a view may be new or gone.
          const key = keyOf(Math.floor(keyCount * random() ** (1 + Math.floor(3 * random()))));
          if (random() < share) {
            const value = Math.floor(1000 * random());
            map.set(key, value);
            model.set(key, value);
          } else {
            map.delete(key);
            model.delete(key);
          }
        };
        const views: View[] = [];
        const freeze = (): void => {
          const expected = [...model].sort(([a], [b]) => (a < b ? -1 : 1));
          views.push({ frozen: map.freeze(), expected, taken: [] });
          expect(views.at(-1)!.frozen.size).toBe(expected.length);
        };
        for (let each = 0; each < 3000; each += 1) change();
        freeze();
        for (let left = 60; left > 0; left -= 1) {
          for (let each = 0; each < between; each += 1) change();
          if (left % 25 === 0) freeze();
          for (const { frozen, taken } of views) if (random() < 0.5) taken.push(...(frozen.next() ?? []));
        }
        for (const { frozen, expected, taken } of views) {
          for (let some = frozen.next(); some !== undefined; some = frozen.next()) taken.push(...some);
          expect(JSON.stringify(taken)).toBe(JSON.stringify(expected));
        }
        expect([...map.keys({ begin: "", end: undefined })]).toEqual([...model.keys()].sort());
      },
    ),
    { numRuns: 30 },
  );
});

test("a view that is ended gives nothing more", () => {
  const map = new OrderedMap<number, string>();
  map.set("a", 1);
  const view = map.freeze();
  view.end();
  map.set("a", 2);
  expect(view.next()).toBeUndefined();
  expect(map.get("a")).toBe(2);
});
