// Goal: a counter counts every command once, never leaves its range, and hands out no number twice. Method: a plain model.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type CounterCommand, type CounterReply, counters } from "../../../src/machine/builtin/counters.ts";

const at = { position: 1, time: 0, session: 0, random: () => 0 };
const largest = Number.MAX_SAFE_INTEGER;

const name = fc.constantFrom("a", "b", "ü");
const command: fc.Arbitrary<CounterCommand> = fc.oneof(
  fc.record({
    kind: fc.constant("add" as const),
    name,
    delta: fc.oneof(fc.integer({ min: -9, max: 9 }), fc.maxSafeInteger()),
  }),
  fc.record({
    kind: fc.constant("take" as const),
    name,
    count: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constant(largest)),
  }),
);

describe("counters", () => {
  test("agree with whole numbers of any size, cut to their range", () => {
    fc.assert(
      fc.property(fc.array(command), (commands) => {
        const state = counters.create();
        const model = new Map<string, bigint>();
        for (const each of commands) {
          const before = model.get(each.name) ?? 0n;
          const after = before + BigInt(each.kind === "add" ? each.delta : each.count);
          const isInRange = after <= BigInt(largest) && after >= -BigInt(largest);
          if (isInRange) model.set(each.name, after);
          const expected: CounterReply = isInRange
            ? { kind: "done", before: Number(before), after: Number(after) }
            : { kind: "refused", reason: "OUT_OF_RANGE" };
          expect(counters.apply(state, each, at)).toEqual(expected);
          expect(counters.ask!(state, { name: each.name })).toBe(Number(model.get(each.name) ?? 0n));
        }
      }),
    );
  });

  test("hand out numbers from 1 on, each once", () => {
    const state = counters.create();
    const taken: number[] = [];
    for (const count of [1, 3, 2]) {
      const reply = counters.apply(state, { kind: "take", name: "ids", count }, at);
      if (reply.kind === "refused") throw new Error(reply.reason);
      for (let id = reply.before + 1; id <= reply.after; id += 1) taken.push(id);
    }
    expect(taken).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test("that are only looked at take no room", () => {
    const state = counters.create();
    expect(counters.apply(state, { kind: "add", name: "a", delta: 0 }, at)).toEqual({
      kind: "done",
      before: 0,
      after: 0,
    });
    expect(state.byName.size).toBe(0);
  });
});
