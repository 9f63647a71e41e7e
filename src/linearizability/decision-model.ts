/** What the decision of a transaction of several participants may answer: once it is decided, it is so for everybody and for ever. */
import { assertNever } from "../base/assert.ts";
import type { Model } from "./history.ts";

export type DecisionInput =
  | { readonly kind: "begin" | "get"; readonly name: string }
  | { readonly kind: "vote"; readonly name: string; readonly participant: string; readonly yes: boolean }
  /** Waits until it is decided, and may have it aborted for that. */
  | { readonly kind: "settle"; readonly name: string };

/** After it. */
export interface DecisionOutput {
  readonly outcome: "unknown" | "pending" | "committed" | "aborted";
  /** Who voted yes, in the order of the votes. */
  readonly voted: readonly string[];
}

const none: DecisionOutput = { outcome: "unknown", voted: [] };

/** The model for decisions among these participants. A time-out may pass at any time. */
export function makeDecisionModel(
  participants: readonly string[],
): Model<DecisionOutput, DecisionInput, DecisionOutput> {
  return {
    initial: none,
    step(state, input, output) {
      const next = after(state, input, output, participants);
      if (output === undefined) return next;
      return output.outcome === next.outcome && output.voted.join() === next.voted.join() ? next : undefined;
    },
    stateKey: ({ outcome, voted }) => `${outcome} ${voted.join()}`,
    partitionOf: ({ name }) => name,
    onlyLooks: ({ kind }, { outcome }) => kind === "get" || (kind === "settle" && outcome === "committed"),
    inputKey: (input) => JSON.stringify(input),
    describeState: ({ outcome, voted }) => `${outcome}, yes from [${voted.join(", ")}]`,
    describe: (input, output) => `${JSON.stringify(input)} -> ${output === undefined ? "?" : JSON.stringify(output)}`,
  };
}

function after(
  state: DecisionOutput,
  input: DecisionInput,
  output: DecisionOutput | undefined,
  participants: readonly string[],
): DecisionOutput {
  const { outcome, voted } = state;
  switch (input.kind) {
    case "get":
      return state;
    case "begin":
      return outcome === "unknown" ? { outcome: "pending", voted } : state;
    case "settle":
      return outcome === "pending" && output?.outcome !== "committed" ? { outcome: "aborted", voted } : state;
    case "vote": {
      const { participant, yes } = input;
      if (outcome !== "pending" || voted.includes(participant)) return state;
      if (!yes) return { outcome: "aborted", voted };
      const all = [...voted, participant];
      return { outcome: all.length < participants.length ? "pending" : "committed", voted: all };
    }
    default:
      return assertNever(input);
  }
}
