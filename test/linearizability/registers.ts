import { assertNever } from "../../src/base/assert.ts";
import type { Model, Operation, Result } from "../../src/linearizability/history.ts";
import type { Random } from "../../src/simulator/random.ts";

export type Input =
  | { readonly kind: "read"; readonly key: string }
  | { readonly kind: "write"; readonly key: string; readonly value: number }
  | { readonly kind: "add"; readonly key: string; readonly value: number }
  | { readonly kind: "compareAndSet"; readonly key: string; readonly expected: number; readonly value: number };

/** A read and an add give the value, a compareAndSet gives 1 where it set, otherwise 0, a write gives 0. */
export type Output = number;
export type Values = Readonly<Record<string, number>>;

/** Some registers that hold a number each, 0 at first. */
export const registers: Model<Values, Input, Output> = {
  initial: {},
  step(values, input, output) {
    const before = values[input.key] ?? 0;
    const { answer, value } = execute(before, input);
    if (output !== undefined && output !== answer) return undefined;
    return value === before ? values : { ...values, [input.key]: value };
  },
  stateKey: (values) => JSON.stringify(Object.entries(values).toSorted()),
  onlyLooks: (input, output) => input.kind === "read" || (input.kind === "compareAndSet" && output === 0),
  inputKey: (input) => JSON.stringify(input),
};

/** The same objects, each checked by itself. */
export const partitionedRegisters: Model<Values, Input, Output> = { ...registers, partitionOf: (input) => input.key };

function execute(value: number, input: Input): { readonly answer: number; readonly value: number } {
  switch (input.kind) {
    case "read":
      return { answer: value, value };
    case "write":
      return { answer: 0, value: input.value };
    case "add":
      return { answer: value + input.value, value: value + input.value };
    case "compareAndSet":
      return value === input.expected ? { answer: 1, value: input.value } : { answer: 0, value };
    default:
      return assertNever(input);
  }
}

/**
 * A small history of concurrent operations, with few values and few points in time so that anything may meet anything. All is done
 * at a point between invocation and return; then, in half of them, some outputs are not the right ones.
 */
export function drawHistory(random: Random, operationsMax: number): Operation<Input, Output>[] {
  const values: Record<string, number> = {};
  const plans = Array.from({ length: random.between(2, operationsMax) }, (_, index) => {
    const invokedAt = random.below(12);
    const lengthMax = random.pick([1, 3, 8]);
    return { index, input: drawInput(random), invokedAt, effectAt: invokedAt + random.unit() * lengthMax, lengthMax };
  });
  const wrongRate = random.pick([0, 0, 0.1, 0.4]);
  return plans
    .toSorted((one, other) => one.effectAt - other.effectAt)
    .map(({ index, input, invokedAt, effectAt }) => {
      const kind = random.pick(["ok", "ok", "ok", "ok", "unknown", "none"] as const);
      const client = `client ${index}`;
      const takesEffect = kind === "ok" || (kind === "unknown" && random.chance(0.5));
      const { answer, value } = execute(values[input.key] ?? 0, input);
      if (takesEffect) values[input.key] = value;
      const isWrong = random.chance(wrongRate);
      const result: Result<Output> =
        kind === "ok"
          ? { kind, output: isWrong ? random.below(4) : answer, returnedAt: Math.ceil(effectAt) + random.below(2) }
          : { kind };
      return { client, input, invokedAt, result };
    });
}

function drawInput(random: Random): Input {
  const key = random.pick(["a", "a", "b"]);
  const value = random.between(1, 2);
  switch (random.below(4)) {
    case 0:
      return { kind: "write", key, value };
    case 1:
      return { kind: "add", key, value };
    case 2:
      return { kind: "compareAndSet", key, expected: random.below(3), value };
    default:
      return { kind: "read", key };
  }
}
