/** What transactions over accounts may answer: several keys at once, whether a procedure or a comparison of a client moves the money. */
import type { Model } from "./history.ts";

export const accountNames = ["x", "y", "z"] as const;
export type AccountName = (typeof accountNames)[number];

/** Each account of each group holds so much at first. */
export const firstBalance = 100;

export type AccountInput =
  | {
      readonly kind: "transfer";
      readonly group: string;
      readonly from: AccountName;
      readonly to: AccountName;
      readonly amount: number;
    }
  /** All accounts of the group, at one moment. */
  | { readonly kind: "audit"; readonly group: string };

export type AccountOutput =
  /** What is left where the money was. */
  | { readonly kind: "moved"; readonly left: number }
  /** There was not enough; nothing was moved. */
  | { readonly kind: "refused" }
  | { readonly kind: "balances"; readonly balances: readonly number[] };

export const accountModel: Model<readonly number[], AccountInput, AccountOutput> = {
  initial: accountNames.map(() => firstBalance),
  step(balances, input, output) {
    if (input.kind === "audit") {
      const isRight = output?.kind === "balances" && balances.every((each, index) => each === output.balances[index]);
      return output === undefined || isRight ? balances : undefined;
    }
    const { from, to, amount } = input;
    const left = balances[accountNames.indexOf(from)]! - amount;
    if (left < 0) return output === undefined || output.kind === "refused" ? balances : undefined;
    if (output !== undefined && (output.kind !== "moved" || output.left !== left)) return undefined;
    return balances.map((each, index) => {
      const out = accountNames[index] === from ? amount : 0;
      return each - out + (accountNames[index] === to ? amount : 0);
    });
  },
  stateKey: (balances) => balances.join(),
  partitionOf: ({ group }) => group,
  onlyLooks: (_, { kind }) => kind !== "moved",
  inputKey: (input) => JSON.stringify(input),
  describeState: (balances) => balances.map((each, index) => `${accountNames[index]} ${each}`).join(", "),
  describe: (input, output) => `${JSON.stringify(input)} -> ${output === undefined ? "?" : JSON.stringify(output)}`,
};
