// Goal: every anomaly of transactions is found and called by its name, and nothing else is found. Method: one small history of each kind,
// and thousands of random ones against brute force: some order of the transactions gives the same answers, or none does.
import { describe, expect, test } from "vitest";
import {
  describeAnomaly,
  findAnomaly,
  type ListOperation,
  type ListTransaction,
} from "../../src/linearizability/list-append.ts";
import { Random } from "../../src/simulator/random.ts";

const append = (key: string, value: number): ListOperation => ({ kind: "append", key, value });
const read = (key: string): ListOperation => ({ kind: "read", key });

/** All at the same time unless said otherwise. */
function transaction(
  operations: readonly ListOperation[],
  output: readonly (readonly number[])[] | "none" | "unknown" = [],
  [invokedAt, returnedAt]: readonly [number, number] = [0, 100],
): ListTransaction {
  const result = typeof output === "string" ? { kind: output } : { kind: "ok" as const, output, returnedAt };
  return { client: "one", operations, invokedAt, result };
}

describe("a history shows", () => {
  const anomalies: [string, ListTransaction[], object][] = [
    [
      "a cycle of writes",
      [
        transaction([append("x", 1), append("y", 2)]),
        transaction([append("x", 3), append("y", 4)]),
        transaction([read("x")], [[1, 3]]),
        transaction([read("y")], [[4, 2]]),
      ],
      { kind: "G0", realTime: false },
    ],
    [
      "a write that was taken back",
      [transaction([append("x", 1)], "none"), transaction([read("x")], [[1]])],
      { kind: "G1a" },
    ],
    [
      "a transaction in the middle of its work",
      [
        transaction([append("x", 1), append("x", 2)]),
        transaction([read("x")], [[1]]),
        transaction([read("x")], [[1, 2]]),
      ],
      { kind: "G1b" },
    ],
    [
      "two that read what the other wrote",
      [transaction([append("x", 1), read("y")], [[2]]), transaction([append("y", 2), read("x")], [[1]])],
      { kind: "G1c", realTime: false },
    ],
    [
      "half of another's work",
      [
        transaction([append("x", 1), append("y", 2)]),
        transaction([read("x"), read("y")], [[1], []]),
        transaction([read("y")], [[2]]),
      ],
      { kind: "G-single", realTime: false },
    ],
    [
      "a lost update",
      [
        transaction([read("x"), append("x", 1)], [[]]),
        transaction([read("x"), append("x", 2)], [[]]),
        transaction([read("x")], [[1, 2]]),
      ],
      { kind: "lostUpdate" },
    ],
    [
      "write skew",
      [
        transaction([read("x"), append("y", 1)], [[]]),
        transaction([read("y"), append("x", 2)], [[]]),
        transaction([read("x"), read("y")], [[2], [1]]),
      ],
      { kind: "G2", realTime: false },
    ],
    [
      "an answer older than what was done before",
      [
        transaction([append("x", 1)], [], [0, 1]),
        transaction([read("x")], [[]], [2, 3]),
        transaction([read("x")], [[1]]),
      ],
      { kind: "G-single", realTime: true },
    ],
    [
      "an append that is gone",
      [transaction([append("x", 1)], [], [0, 1]), transaction([read("x")], [[]], [2, 3])],
      { kind: "G-single", realTime: true },
    ],
    [
      "writes in another order than they were done",
      [
        transaction([append("x", 1)], [], [0, 1]),
        transaction([append("x", 2)], [], [2, 3]),
        transaction([read("x")], [[2, 1]]),
      ],
      { kind: "G0", realTime: true },
    ],
    ["a value twice", [transaction([append("x", 1)]), transaction([read("x")], [[1, 1]])], { kind: "impossible" }],
    ["a value of nobody", [transaction([read("x")], [[9]])], { kind: "impossible" }],
    ["own writes unseen", [transaction([append("x", 1), read("x")], [[]])], { kind: "impossible" }],
    [
      "lists that part",
      [
        transaction([append("x", 1)]),
        transaction([append("x", 2)]),
        transaction([read("x")], [[1, 2]]),
        transaction([read("x")], [[2]]),
      ],
      { kind: "impossible" },
    ],
  ];
  test.each(anomalies)("%s", (_, history, anomaly) => {
    const found = findAnomaly(history);
    expect(found).toMatchObject(anomaly);
    expect(describeAnomaly(found!, history)).toContain(found!.kind);
  });

  test("nothing where the same was done one after the other", () => {
    const history = [
      transaction([read("x"), append("x", 1), read("x")], [[], [1]], [0, 1]),
      transaction([append("x", 2), append("y", 3)], "unknown", [2, 3]),
      transaction([append("y", 4)], "unknown", [2, 3]),
      transaction([read("x"), read("y")], [[1, 2], [3]], [4, 5]),
    ];
    expect(findAnomaly(history)).toBeUndefined();
  });
});

// ---- Against brute force

/** Whether some order that keeps to real time, of all that took effect and some that may have, gives these answers. */
function isStrictlySerializable(history: readonly ListTransaction[]): boolean {
  const place = (done: ReadonlySet<number>, lists: ReadonlyMap<string, readonly number[]>): boolean => {
    const left = history.map((each, index) => ({ each, index })).filter(({ index }) => !done.has(index));
    const waiting = left.filter(({ each }) => each.result.kind === "ok");
    if (waiting.length === 0) return true;
    const nextReturn = Math.min(
      ...waiting.map(({ each }) => (each.result.kind === "ok" ? each.result.returnedAt : Number.POSITIVE_INFINITY)),
    );
    return left.some(({ each, index }) => {
      if (each.result.kind === "none" || each.invokedAt > nextReturn) return false;
      const after = execute(each, lists);
      return after !== undefined && place(new Set([...done, index]), after);
    });
  };
  return place(new Set(), new Map());
}

function execute(
  { operations, result }: ListTransaction,
  before: ReadonlyMap<string, readonly number[]>,
): ReadonlyMap<string, readonly number[]> | undefined {
  const lists = new Map(before);
  const outputs = result.kind === "ok" ? result.output.values() : undefined;
  for (const operation of operations) {
    const list = lists.get(operation.key) ?? [];
    if (operation.kind === "append") lists.set(operation.key, [...list, operation.value]);
    else if (outputs !== undefined && JSON.stringify(outputs.next().value) !== JSON.stringify(list)) return undefined;
  }
  return lists;
}

/** Transactions that are mostly done at one moment each, at times piece by piece; the last one reads everything when all is over. */
function drawHistory(random: Random): ListTransaction[] {
  const lists = new Map<string, number[]>();
  const keys = ["x", "y"];
  const broken = random.pick([0, 0.3, 0.8]);
  let value = 0;
  const plans = Array.from({ length: random.between(2, 5) }, () => {
    const invokedAt = random.below(8);
    const returnedAt = invokedAt + random.between(1, 6);
    const operations = Array.from({ length: random.between(1, 3) }, () => {
      value += 1;
      return random.chance(0.5) ? append(random.pick(keys), value) : read(random.pick(keys));
    });
    const kind = random.pick(["ok", "ok", "ok", "ok", "unknown", "none"] as const);
    const moment = (): number => invokedAt + random.unit() * (returnedAt - invokedAt);
    const at = moment();
    const piecewise = random.chance(broken);
    const moments = operations.map(() => (piecewise ? moment() : at)).sort((a, b) => a - b);
    const outputs: number[][] = [];
    const takesEffect = kind === "ok" || (kind === "unknown" && random.chance(0.5)) || random.chance(broken / 4);
    return { operations, invokedAt, returnedAt, kind, moments, outputs, takesEffect };
  });
  const steps = plans.flatMap((plan) =>
    plan.takesEffect ? plan.operations.map((operation, index) => ({ plan, operation, at: plan.moments[index]! })) : [],
  );
  for (const { plan, operation } of steps.sort((a, b) => a.at - b.at)) {
    const list = lists.get(operation.key) ?? [];
    if (operation.kind === "append") lists.set(operation.key, [...list, operation.value]);
    else plan.outputs.push(list);
  }
  const history = plans.map(({ operations, kind, outputs, invokedAt, returnedAt }) =>
    transaction(operations, kind === "ok" ? outputs : kind, [invokedAt, returnedAt]),
  );
  const all = keys.map((key) => lists.get(key) ?? []);
  return [...history, transaction(keys.map(read), all, [100, 101])];
}

test("10,000 small histories are judged as brute force judges them", { timeout: 60_000 }, () => {
  const random = new Random(7);
  let sound = 0;
  for (let round = 0; round < 10_000; round += 1) {
    const history = drawHistory(random);
    const anomaly = findAnomaly(history);
    const isSound = isStrictlySerializable(history);
    if (isSound) sound += 1;
    expect(
      anomaly === undefined,
      `${round}: ${anomaly && describeAnomaly(anomaly, history)}\n${JSON.stringify(history)}`,
    ).toBe(isSound);
  }
  expect(Math.min(sound, 10_000 - sound)).toBeGreaterThan(500);
});
