// Goal: a decision is made once, by all or by one, and never changes; whoever asks later learns it. Method: generated votes in any order,
// repeated, late and by strangers; saved and loaded on the way.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type DecisionCommand,
  type DecisionState,
  decisionChanges,
  decisions,
} from "../../../src/machine/builtin/decisions.ts";

const participant = fc.constantFrom("p", "q", "r", "stranger");
const command: fc.Arbitrary<DecisionCommand> = fc.oneof(
  fc.record({
    kind: fc.constant("begin" as const),
    name: fc.constant("d"),
    participants: fc.uniqueArray(fc.constantFrom("p", "q", "r"), { minLength: 1 }),
    timeoutMs: fc.integer({ min: 1, max: 20 }),
  }),
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("vote" as const),
      name: fc.constant("d"),
      participant,
      yes: fc.nat({ max: 5 }).map((n) => n > 0),
    }),
  },
  fc.record({ kind: fc.constantFrom("timeout" as const, "forget" as const), name: fc.constant("d") }),
);

const at = (position: number, time = position) => ({ position, time, session: 0, random: () => 0 });

/** What became of one decision, found out by looking at all that was said since it was begun. */
function judged(said: readonly DecisionCommand[], begun: number): Pick<DecisionState, "outcome" | "decidedAt"> {
  const begin = said[begun]!;
  if (begin.kind !== "begin") throw new Error("it begins with a begin");
  const yes = new Set<string>();
  for (let index = begun + 1; index < said.length; index += 1) {
    const each = said[index]!;
    const position = index + 1;
    if (each.kind === "timeout" && position >= begun + 1 + begin.timeoutMs)
      return { outcome: "aborted", decidedAt: position };
    if (each.kind !== "vote" || !begin.participants.includes(each.participant) || yes.has(each.participant)) continue;
    if (!each.yes) return { outcome: "aborted", decidedAt: position };
    yes.add(each.participant);
    if (yes.size === begin.participants.length) return { outcome: "committed", decidedAt: position };
  }
  return { outcome: "pending", decidedAt: 0 };
}

describe("decisions", () => {
  test("are what the votes say, in the order of the log", () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 30 }), fc.nat({ max: 7 }), (said, period) => {
        let state = decisions.create();
        let begun: number | undefined;
        said.forEach((each, index) => {
          const before = begun === undefined ? undefined : judged(said.slice(0, index), begun);
          if (begun === undefined && each.kind === "begin") begun = index;
          if (each.kind === "forget" && before !== undefined && before.outcome !== "pending") begun = undefined;
          const reply = decisions.apply(state, each, at(index + 1));
          const expected =
            begun === undefined ? { outcome: "unknown", decidedAt: 0 } : judged(said.slice(0, index + 1), begun);
          expect(reply).toMatchObject(expected);
          if (index % 8 === period) state = decisions.load([...decisions.save(state)], 1);
          expect(decisions.ask!(state, { name: "d" })).toEqual(reply);
        });
        expect(state.byName.size).toBe(begun === undefined ? 0 : 1);
        if (begun === undefined) expect(state.bytes).toBe(0);
      }),
    );
  });

  test("tell whoever watches each vote and the outcome", () => {
    const state = decisions.create();
    decisions.apply(state, { kind: "begin", name: "d", participants: ["p", "q"], timeoutMs: 50 }, at(1));
    decisions.apply(state, { kind: "vote", name: "d", participant: "p", yes: true }, at(2));
    decisions.apply(state, { kind: "vote", name: "d", participant: "p", yes: true }, at(3));
    decisions.apply(state, { kind: "timeout", name: "d" }, at(4, 50));
    decisions.apply(state, { kind: "timeout", name: "d" }, at(5, 51));
    const told = decisionChanges(state, { name: "d" }, 1, 10)!;
    expect(told.map(({ position, change }) => [position, change.outcome, change.voted])).toEqual([
      [1, "pending", []],
      [2, "pending", ["p"]],
      [5, "aborted", ["p"]],
    ]);
  });
});
