/**
 * Goal: the model of the log says what the log promises: guards, refusals with their facts, tails, fences, sessions.
 * Method: random small histories, each judged by the checker with the model and by brute force with a plain log that is written
 * down anew; altered outputs among them; and the counter-example of protocol 13 by hand.
 */
import { describe, expect, test } from "vitest";
import type { Position } from "../../src/base/types.ts";
import type { Guards, Refusal } from "../../src/core/guards.ts";
import { checkLinearizable } from "../../src/linearizability/checker.ts";
import { explain } from "../../src/linearizability/explain.ts";
import type { Operation } from "../../src/linearizability/history.ts";
import { type LogInput, type LogOutput, makeLogModel } from "../../src/linearizability/log-model.ts";
import { Random } from "../../src/simulator/random.ts";
import { isLinearizable } from "./brute-force.ts";
import { answersOf, drawLogHistory, plainLog } from "./plain-log.ts";

type LogOperation = Operation<LogInput, LogOutput>;

const verdictOf = (history: readonly LogOperation[]): string => checkLinearizable(makeLogModel(), history).kind;

function operation(input: LogInput, invokedAt: number, output?: LogOutput, returnedAt = invokedAt + 1): LogOperation {
  const result = output === undefined ? ({ kind: "unknown" } as const) : ({ kind: "ok", output, returnedAt } as const);
  return { client: `client at ${invokedAt}`, input, invokedAt, result };
}

const append = (guards: Guards = {}, ...tags: string[]): LogInput => ({
  kind: "append",
  records: [{ type: "t", tags }],
  guards,
});
const appended = (first: number): LogOutput => ({ kind: "appended", first });
const tail = (position: number): LogOutput => ({ kind: "tail", tail: position });
const refused = (guard: Refusal["guard"], actual: number, at: number): LogOutput => ({
  kind: "refused",
  refusal: { guard, index: 0, actual, tail: at },
});
const session = (serial: number): Guards => ({ session: { id: 5, serial } });

describe("the model of the log", () => {
  test("and the checker say what brute force says with a plain log", { timeout: 120_000 }, () => {
    const random = new Random(20_253);
    const counts = { linearizable: 0, not: 0, refused: 0, refusedWrongly: 0 };
    for (let i = 0; i < 4000; i += 1) {
      const history = drawLogHistory(random, 7);
      const expected = isLinearizable(plainLog, history);
      const verdict = checkLinearizable(makeLogModel(), history);
      expect(verdict.kind, explain(makeLogModel(), verdict)).toBe(expected ? "linearizable" : "notLinearizable");
      counts[expected ? "linearizable" : "not"] += 1;
      const hasRefusal = history.some(({ result }) => result.kind === "ok" && result.output.kind === "refused");
      if (hasRefusal) counts[expected ? "refused" : "refusedWrongly"] += 1;
    }
    expect(counts.linearizable).toBeGreaterThan(1000);
    expect(counts.not).toBeGreaterThan(800);
    expect(counts.refused).toBeGreaterThan(400);
    expect(counts.refusedWrongly).toBeGreaterThan(300);
  });

  test("answers as a plain log does, append by append", () => {
    const random = new Random(20_254);
    const model = makeLogModel();
    for (let run = 0; run < 50; run += 1) {
      let state = model.initial;
      for (const { input, answers } of answersOf(random, 120)) {
        const fitting = answers.filter(({ output }) => model.step(state, input, output) !== undefined);
        expect(fitting, JSON.stringify(input)).toEqual(answers.filter(({ isRight }) => isRight));
        state = model.step(state, input, undefined)!;
      }
    }
  });

  test("rejects a refusal that speaks of slots that never were (protocol 13)", () => {
    const others = Array.from({ length: 3 }, (_, index) => operation(append(), index));
    const refusal = operation(append({ expectedTail: 1 as Position }), 10, refused("expectedTail", 4, 4));
    expect(verdictOf([...others, refusal, operation({ kind: "tail" }, 20, tail(4))])).toBe("linearizable");
    // The leader was deposed: what it had seen is gone.
    expect(verdictOf([...others, refusal, operation({ kind: "tail" }, 20, tail(1))])).toBe("notLinearizable");
    expect(verdictOf([...others, refusal, operation(append(), 20, appended(3))])).toBe("notLinearizable");
  });

  test("lets exactly one of two win that expect the same tail", () => {
    const guards = { expectedTail: 1 as Position };
    const win = operation(append(guards), 0, appended(1), 9);
    expect(verdictOf([win, operation(append(guards), 0, refused("expectedTail", 2, 2), 9)])).toBe("linearizable");
    expect(verdictOf([win, operation(append(guards), 0, appended(2), 9)])).toBe("notLinearizable");
    const lost = operation(append(guards), 0, refused("expectedTail", 2, 2), 9);
    expect(verdictOf([lost, lost])).toBe("notLinearizable");
  });

  test("gives a retry of a session the answer of the first attempt, and no second place", () => {
    const first = operation(append(session(1)), 0, appended(1));
    expect(verdictOf([first, operation(append(session(1)), 2, appended(1))])).toBe("linearizable");
    expect(verdictOf([first, operation(append(session(1)), 2, appended(2))])).toBe("notLinearizable");
    expect(verdictOf([first, operation(append(session(2)), 2, appended(2))])).toBe("linearizable");
    const lost = [operation(append(session(1)), 0), operation(append(session(1)), 1)];
    expect(verdictOf([...lost, operation({ kind: "tail" }, 9, tail(2))])).toBe("linearizable");
    expect(verdictOf([...lost, operation({ kind: "tail" }, 9, tail(3))])).toBe("notLinearizable");
  });

  test("gives a retry of a session the refusal of the first attempt", () => {
    const guards = { ...session(1), expectedTail: 2 as Position };
    const first = operation(append(guards), 0, refused("expectedTail", 1, 1));
    const other = operation(append(), 2, appended(1));
    expect(verdictOf([first, other, operation(append(guards), 4, refused("expectedTail", 1, 1))])).toBe("linearizable");
    expect(verdictOf([first, other, operation(append(guards), 4, appended(2))])).toBe("notLinearizable");
    expect(verdictOf([other, operation(append(guards), 4, appended(2))])).toBe("linearizable");
  });

  test("needs not all that the log knows of a refusal", () => {
    const guards = { streams: [{ tag: "a", expected: "noStream" as const }] };
    const seen = { kind: "refused", refusal: { guard: "stream", actual: 1 } } as const;
    const first = operation(append({}, "a"), 0, appended(1));
    expect(verdictOf([first, operation(append(guards), 2, seen)])).toBe("linearizable");
    const other = { kind: "refused", refusal: { guard: "stream", actual: 2 } } as const;
    expect(verdictOf([first, operation(append(guards), 2, other)])).toBe("notLinearizable");
  });

  test("refuses what stands behind a fence, from the fence on", () => {
    const fence = operation({ kind: "fence", token: 7 }, 0, { kind: "fenced", fence: 7, tail: 1 });
    expect(verdictOf([fence, operation(append({ fencingToken: 6 }), 2, refused("fencingToken", 7, 1))])).toBe(
      "linearizable",
    );
    expect(verdictOf([fence, operation(append({ fencingToken: 6 }), 2, appended(1))])).toBe("notLinearizable");
    expect(verdictOf([fence, operation(append({ fencingToken: 7 }), 2, appended(1))])).toBe("linearizable");
  });

  test("is quick on a long history of two hundred tags", { timeout: 60_000 }, () => {
    const random = new Random(3);
    const history: LogOperation[] = [];
    const revisions = new Map<string, number>();
    for (let position = 1; position <= 20_000; position += 1) {
      const tag = `tag ${random.below(200)}`;
      const expected = (revisions.get(tag) ?? "noStream") as Position | "noStream";
      revisions.set(tag, position);
      const invokedAt = 10 * position - random.below(40);
      const input = append({ streams: [{ tag, expected }] }, tag);
      history.push(operation(input, invokedAt, appended(position), 10 * position));
    }
    expect(checkLinearizable(makeLogModel(), history, { timeMs: 30_000 }).kind).toBe("linearizable");
  });
});
