// Goal: whoever watches misses nothing and is told nothing twice, or hears that it is too late. Method: generated changes and bounds
// against a plain list; saved and loaded on the way.
import fc from "fast-check";
import { expect, test } from "vitest";
import { type ChangeForm, ChangeLog } from "../../src/machine/change-log.ts";
import { StateReader, StateWriter } from "../../src/machine/state-bytes.ts";

const form: ChangeForm<string> = {
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
  // Chunks are a 64th of the bounds: of one change, and of several.
  const bounds = fc.record({
    count: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 64, max: 640 })),
    bytes: fc.oneof(fc.integer({ min: 5, max: 60 }), fc.integer({ min: 64, max: 4000 })),
  });
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

test("the log remembers as many changes as it is to, and at most a 64th more, and says how far back it reaches", () => {
  const log = new ChangeLog({ count: 3200, bytes: 1_000_000 }, form);
  for (let position = 1; position <= 20_000; position += 1) {
    log.add(position, 0, "four");
    expect(position - log.reach + 1).toBeGreaterThanOrEqual(Math.min(position, 3200));
    expect(position - log.reach + 1).toBeLessThanOrEqual(3250);
  }
  expect(log.since(log.reach, 10_000, () => true)).toHaveLength(20_000 - log.reach + 1);
  expect(log.since(log.reach - 1, 1, () => true)).toBeUndefined();
});

test("the log takes no more bytes than it may, however large its changes are", () => {
  const bytes = 9000;
  const log = new ChangeLog({ count: 3200, bytes }, form);
  for (const [index, length] of [
    ...new Array<number>(5000).fill(4),
    ...new Array<number>(20).fill(2000),
    9001,
    4,
  ].entries()) {
    log.add(1 + index, 0, "x".repeat(length));
    if (index % 50 === 0 || length > 4) expect(savedBytes(log).length).toBeLessThanOrEqual(bytes + 64 * 16);
  }
  expect(log.since(log.reach, 10, () => true)).toHaveLength(1);
});

test("two logs of the same changes are saved as the same bytes, wherever one of them was loaded on the way", () => {
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 640 }), (all, count) => {
      const bound = { count, bytes: 1000 };
      const straight = new ChangeLog(bound, form);
      let loadedOnTheWay = new ChangeLog(bound, form);
      let position = 1;
      for (const { gap, change, restart } of all) {
        position += gap;
        for (const log of [straight, loadedOnTheWay]) log.add(position, 2 * position, change);
        if (restart) loadedOnTheWay = loaded(loadedOnTheWay, bound);
      }
      expect(savedBytes(loadedOnTheWay)).toEqual(savedBytes(straight));
    }),
  );
});

test("a saved log is that of the moment in which it was frozen", () => {
  const log = new ChangeLog({ count: 640, bytes: 10_000 }, form);
  for (let position = 1; position <= 1000; position += 1) log.add(position, position, "a");
  const before = savedBytes(log);
  const frozen = log.freeze();
  for (let position = 1001; position <= 2000; position += 1) log.add(position, position, "b");
  const writer = new StateWriter();
  expect(Buffer.concat([...frozen.save(writer), ...writer.rest()])).toEqual(before);
});

function savedBytes(log: ChangeLog<string>): Buffer {
  const writer = new StateWriter();
  return Buffer.concat([...log.freeze().save(writer), ...writer.rest()]);
}
