import type { Verdict } from "./checker.ts";
import type { Model, Operation } from "./history.ts";

/** Operations before the place where it got stuck; the whole order of a long history says no more. */
const lastShown = 12;

/** A verdict in words: for one that is not linearizable, how far it came, the state there, and what did not fit. */
export function explain<State, Input, Output>(
  model: Model<State, Input, Output>,
  verdict: Verdict<State, Input, Output>,
): string {
  if (verdict.kind === "linearizable") return "linearizable";
  const { order, state, stuck } = verdict.evidence;
  const show = (operation: Operation<Input, Output>): string => `  ${describe(model, operation)}`;
  const head =
    verdict.kind === "notLinearizable"
      ? "not linearizable"
      : `no verdict: out of ${verdict.reason === "time" ? "time" : "memory"}, which counts as a failure`;
  const partition = verdict.partition === "" ? "" : ` (partition ${verdict.partition})`;
  return [
    `${head}${partition}: ${order.length} operations can be put in order, the last of them`,
    ...order.slice(-lastShown).map(show),
    `which leaves ${model.describeState?.(state) ?? model.stateKey(state)}; then none of these can be next:`,
    ...stuck.map(show),
  ].join("\n");
}

function describe<State, Input, Output>(
  model: Model<State, Input, Output>,
  { client, input, invokedAt, result }: Operation<Input, Output>,
): string {
  const output = result.kind === "ok" ? result.output : undefined;
  const returned = result.kind === "ok" ? String(result.returnedAt) : result.kind;
  const text = model.describe?.(input, output) ?? `${JSON.stringify(input)} -> ${JSON.stringify(output) ?? "?"}`;
  return `[${invokedAt}, ${returned}] ${client}: ${text}`;
}
