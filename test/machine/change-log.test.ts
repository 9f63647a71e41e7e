// Goal: whoever watches misses nothing and is told nothing twice, or hears that it is too late. Method: generated changes and bounds
// against a plain list; saved and loaded on the way.
import fc from "fast-check";
import { expect, test } from "vitest";
import { type ChangeForm, ChangeLog } from "../../src/machine/change-log.ts";
import { StateReader, StateWriter } from "../../src/machine/state-bytes.ts";

const form: ChangeForm<string> = {
  sizeOf: (change) => change.length,
  write: (writer, change) => writer.text(change),
  read: (reader) => reader.text(),
};

interface Step {
  readonly gap: number;
  readonly change: string;
  readonly restart: boolean;
}

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    gap: fc.nat({ max: 2 }),
    change: fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 5 }),
    restart: fc.boolean(),
  }),
  { maxLength: 60 },
);

function loaded(log: ChangeLog<string>, bounds: { count: number; bytes: number }): ChangeLog<string> {
  const writer = new StateWriter();
  const reader = new StateReader([...log.freeze().save(writer), ...writer.rest()]);
  const again = ChangeLog.load(reader, bounds, form);
  reader.end();
  return again;
}

test("changes from a position on are all that happened, or none where some were forgotten", () => {
  const bounds = fc.record({ count: fc.integer({ min: 1, max: 20 }), bytes: fc.integer({ min: 5, max: 60 }) });
  fc.assert(
    fc.property(steps, bounds, fc.integer({ min: 1, max: 5 }), (all, bound, max) => {
      let log = new ChangeLog(bound, form);
      const happened: { position: number; time: number; change: string }[] = [];
      let position = 1;
      for (const { gap, change, restart } of all) {
        position += gap;
        log.add(position, 2 * position, change);
        happened.push({ position, time: 2 * position, change });
        if (restart) log = loaded(log, bound);
      }
      for (let from = 0; from <= position + 1; from += 1) {
        if (from < log.reach) {
          expect(log.since(from, max, () => true)).toBeUndefined();
          continue;
        }
        // As a watch does: page by page, each behind the last change of the one before.
        const told: typeof happened = [];
        for (let next = from; ; ) {
          const page = log.since(next, max, (change) => change.includes("a"))!;
          if (page.length === 0) break;
          told.push(...page);
          next = page.at(-1)!.position + 1;
        }
        expect(told).toEqual(happened.filter((each) => each.position >= from && each.change.includes("a")));
      }
    }),
  );
});

test("the log is bounded in number and bytes, and says how far back it reaches", () => {
  const log = new ChangeLog({ count: 3000, bytes: 9000 }, form);
  for (let position = 1; position <= 20_000; position += 1) log.add(position, 0, "four");
  expect(log.reach).toBe(20_000 - 2250 + 1);
  expect(log.since(log.reach, 10_000, () => true)).toHaveLength(2250);
  expect(log.since(log.reach - 1, 1, () => true)).toBeUndefined();
});
