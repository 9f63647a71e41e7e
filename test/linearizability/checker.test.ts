/**
 * Goal: the checker's verdict is the definition's, on any history, and it says why.
 * Method: thousands of small random histories against brute force, histories with one output altered, and cases by hand.
 */
import { describe, expect, test } from "vitest";
import { checkLinearizable } from "../../src/linearizability/checker.ts";
import { explain } from "../../src/linearizability/explain.ts";
import type { Operation } from "../../src/linearizability/history.ts";
import { Random } from "../../src/simulator/random.ts";
import { isLinearizable } from "./brute-force.ts";
import { drawHistory, type Input, type Output, partitionedRegisters, registers } from "./registers.ts";

type History = readonly Operation<Input, Output>[];

function verdictOf(history: History): boolean {
  const verdicts = [registers, partitionedRegisters].map((model) => checkLinearizable(model, history).kind);
  expect(new Set(verdicts).size, "partitions change nothing").toBe(1);
  expect(verdicts[0]).not.toBe("undecided");
  return verdicts[0] === "linearizable";
}

/** From `invokedAt` to `returnedAt`; without a return the outcome is unknown. */
function operation(input: Input, invokedAt: number, output?: Output, returnedAt?: number): Operation<Input, Output> {
  const result =
    output === undefined
      ? ({ kind: "unknown" } as const)
      : ({ kind: "ok", output, returnedAt: returnedAt ?? invokedAt + 1 } as const);
  return { client: `client at ${invokedAt}`, input, invokedAt, result };
}

const write = (value: number, key = "x"): Input => ({ kind: "write", key, value });
const read = (key = "x"): Input => ({ kind: "read", key });
const add = (value: number, key = "x"): Input => ({ kind: "add", key, value });

describe("the checker", () => {
  test("says what brute force says, on 10,000 small histories of both kinds", { timeout: 120_000 }, () => {
    const random = new Random(20_251);
    const counts = { linearizable: 0, not: 0, withUnknown: 0 };
    for (let i = 0; i < 10_000; i += 1) {
      const history = drawHistory(random, 8);
      const expected = isLinearizable(registers, history);
      expect(verdictOf(history), JSON.stringify(history)).toBe(expected);
      counts[expected ? "linearizable" : "not"] += 1;
      if (history.some(({ result }) => result.kind === "unknown")) counts.withUnknown += 1;
    }
    // A generator of one kind alone would leave nothing to tell apart.
    expect(counts.linearizable).toBeGreaterThan(3000);
    expect(counts.not).toBeGreaterThan(2000);
    expect(counts.withUnknown).toBeGreaterThan(3000);
  });

  test("rejects a history with one output altered exactly where brute force does", { timeout: 120_000 }, () => {
    const random = new Random(20_252);
    let rejected = 0;
    let still = 0;
    while (rejected < 2000) {
      const history = drawHistory(random, 7);
      if (!isLinearizable(registers, history)) continue;
      const answered = history.filter(({ result }) => result.kind === "ok");
      if (answered.length === 0) continue;
      const altered = random.pick(answered);
      const mutant = history.map((one) =>
        one === altered && one.result.kind === "ok"
          ? { ...one, result: { ...one.result, output: one.result.output + random.between(1, 2) } }
          : one,
      );
      const expected = isLinearizable(registers, mutant);
      expect(verdictOf(mutant), JSON.stringify(mutant)).toBe(expected);
      if (expected) still += 1;
      else rejected += 1;
    }
    expect(still).toBeGreaterThan(100);
  });

  test("takes overlapping operations in either order, and those that do not overlap in theirs alone", () => {
    expect(verdictOf([operation(write(1), 0, 0, 4), operation(read(), 2, 0, 3)])).toBe(true);
    expect(verdictOf([operation(write(1), 0, 0, 4), operation(read(), 2, 1, 3)])).toBe(true);
    expect(verdictOf([operation(write(1), 0, 0, 1), operation(read(), 2, 0, 3)])).toBe(false);
    // The new value was seen: the old one may not come back.
    const reads = [operation(read(), 1, 1, 2), operation(read(), 3, 0, 4)];
    expect(verdictOf([operation(write(1), 0, 0, 9), ...reads])).toBe(false);
  });

  test("lets an operation of unknown outcome take effect late, once, or never, but not before it began", () => {
    const lost = operation(add(1), 0);
    expect(verdictOf([lost, operation(read(), 5, 0), operation(read(), 100, 1)])).toBe(true);
    expect(verdictOf([lost, operation(read(), 5, 0), operation(read(), 100, 0)])).toBe(true);
    expect(verdictOf([lost, operation(read(), 5, 1), operation(read(), 100, 2)])).toBe(false);
    expect(verdictOf([operation(add(1), 7), operation(read(), 5, 1, 6)])).toBe(false);
  });

  test("holds an operation that failed for certain to have done nothing", () => {
    const failed: Operation<Input, Output> = {
      client: "one",
      input: write(1),
      invokedAt: 0,
      result: { kind: "none" },
    };
    expect(verdictOf([failed, operation(read(), 2, 0)])).toBe(true);
    expect(verdictOf([failed, operation(read(), 2, 1)])).toBe(false);
  });

  test("needs no exponential time for many equal operations of unknown outcome", () => {
    const lost = Array.from({ length: 300 }, (_, index) => operation(add(1), index / 1000));
    const reads = Array.from({ length: 300 }, (_, index) => operation(read(), 10 + 2 * index, index));
    expect(verdictOf([...lost, ...reads])).toBe(true);
    expect(verdictOf([...lost.slice(1), ...reads, operation(read(), 10_000, 300)])).toBe(false);
  });

  test("judges 20,000 operations of eight clients on five registers in seconds", { timeout: 60_000 }, () => {
    const history = longHistory(20_000, 8);
    expect(checkLinearizable(partitionedRegisters, history, { timeMs: 60_000 }).kind).toBe("linearizable");
    const last = history.length - 1;
    const { result } = history[last]!;
    const output = result.kind === "ok" ? result.output + 1 : 0;
    const wrong = [...history.slice(0, last), { ...history[last]!, result: { ...result, output } as typeof result }];
    expect(checkLinearizable(partitionedRegisters, wrong, { timeMs: 60_000 }).kind).toBe("notLinearizable");
  });

  test("gives no verdict when it runs out of time or memory", () => {
    // Writes that nobody read in between, in any of 16! orders, and a value that none of them wrote.
    const writes = Array.from({ length: 16 }, (_, index) => operation(add(2 ** index), 0, undefined));
    const history = [...writes, operation(read(), 5, -1)];
    let ms = 0;
    const late = checkLinearizable(registers, history, { timeMs: 10, now: () => (ms += 1) });
    expect(late).toMatchObject({ kind: "undecided", reason: "time" });
    expect(explain(registers, late)).toMatch(/^no verdict: out of time, which counts as a failure/);
    expect(checkLinearizable(registers, history, { configurations: 1000 })).toMatchObject({
      kind: "undecided",
      reason: "configurations",
    });
  });

  test("explains a failure by the longest order that fits and what could not follow", () => {
    const history = [
      operation(write(7), 0, 0, 1),
      operation(read(), 2, 7, 3),
      operation(read(), 4, 9, 5),
      operation(read(), 6, 7, 7),
      operation(write(1, "y"), 0, 0, 1),
    ];
    const verdict = checkLinearizable(partitionedRegisters, history);
    expect(verdict).toMatchObject({
      kind: "notLinearizable",
      partition: "x",
      evidence: { order: history.slice(0, 2), state: { x: 7 }, stuck: [history[2]] },
    });
    expect(explain(partitionedRegisters, verdict).split("\n")).toEqual([
      "not linearizable (partition x): 2 operations can be put in order, the last of them",
      '  [0, 1] client at 0: {"kind":"write","key":"x","value":7} -> 0',
      '  [2, 3] client at 2: {"kind":"read","key":"x"} -> 7',
      'which leaves [["x",7]]; then none of these can be next:',
      '  [4, 5] client at 4: {"kind":"read","key":"x"} -> 9',
    ]);
  });
});

/** Clients that each do one thing after another, all of it done at a point between invocation and return. */
function longHistory(count: number, clients: number): Operation<Input, Output>[] {
  const random = new Random(7);
  const keys = ["a", "b", "c", "d", "e"];
  const freeAt = Array.from({ length: clients }, () => 0);
  const plans = Array.from({ length: count }, () => {
    const client = random.below(clients);
    const invokedAt = freeAt[client]! + random.unit();
    const effectAt = invokedAt + random.unit() * 5;
    const returnedAt = effectAt + random.unit() * 5;
    freeAt[client] = returnedAt;
    const key = random.pick(keys);
    return { client, invokedAt, effectAt, returnedAt, input: random.chance(0.5) ? read(key) : add(1, key) };
  });
  const values = new Map<string, number>();
  return plans
    .toSorted((one, other) => one.effectAt - other.effectAt)
    .map(({ client, invokedAt, returnedAt, input }) => {
      const output = (values.get(input.key) ?? 0) + (input.kind === "add" ? 1 : 0);
      values.set(input.key, output);
      return { client: `client ${client}`, input, invokedAt, result: { kind: "ok", output, returnedAt } };
    });
}
