import type { Model, Operation } from "../../src/linearizability/history.ts";

/**
 * The definition, word by word: some order of all operations with an output and any of those without, in which none stands before
 * one that had returned when it was invoked, is an execution of the object. Shares no idea with the checker, and takes n! steps.
 */
export function isLinearizable<State, Input, Output>(
  model: Model<State, Input, Output>,
  history: readonly Operation<Input, Output>[],
): boolean {
  const extend = (state: State, left: readonly Operation<Input, Output>[]): boolean => {
    if (left.every(({ result }) => result.kind !== "ok")) return true;
    return left.some((operation) => {
      const { result, input, invokedAt } = operation;
      if (result.kind === "none") return false;
      const isTooEarly = left.some((other) => other.result.kind === "ok" && other.result.returnedAt < invokedAt);
      if (isTooEarly) return false;
      const next = model.step(state, input, result.kind === "ok" ? result.output : undefined);
      return (
        next !== undefined &&
        extend(
          next,
          left.filter((other) => other !== operation),
        )
      );
    });
  };
  return extend(model.initial, history);
}
