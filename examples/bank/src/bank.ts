// The bank: a state, and what commands do to it. No clock, no chance, nothing that waits: so every replica comes to the same state.
import { defineMachine } from "paxlog";

export type Command =
  | { readonly op: "open"; readonly account: string; readonly cents: number }
  | { readonly op: "transfer"; readonly from: string; readonly to: string; readonly cents: number };

export type Reply =
  | { readonly kind: "done"; readonly cents: number }
  | { readonly kind: "refused"; readonly why: "no such account" | "not enough money" | "account exists" };

export type Question = { readonly account: string } | "total";

type Accounts = Map<string, number>;

export const bank = defineMachine<Accounts, Command, Reply, Question, number>({
  name: "bank",
  version: 1,
  create: () => new Map(),
  apply: (accounts, command) => {
    if (command.op === "open") {
      if (accounts.has(command.account)) return refused("account exists");
      accounts.set(command.account, command.cents);
      return { kind: "done", cents: command.cents };
    }
    const [from, to] = [accounts.get(command.from), accounts.get(command.to)];
    if (from === undefined || to === undefined) return refused("no such account");
    if (from < command.cents) return refused("not enough money");
    accounts.set(command.from, from - command.cents);
    // Read again: somebody may transfer to their own account.
    accounts.set(command.to, accounts.get(command.to)! + command.cents);
    return { kind: "done", cents: accounts.get(command.from)! };
  },
  ask: (accounts, question) => {
    if (question !== "total") return accounts.get(question.account) ?? 0;
    return [...accounts.values()].reduce((sum, cents) => sum + cents, 0);
  },
  *save(accounts) {
    yield Buffer.from(JSON.stringify([...accounts]));
  },
  load: (pieces) => new Map(JSON.parse(Buffer.concat([...pieces]).toString()) as [string, number][]),
});

const refused = (why: Extract<Reply, { kind: "refused" }>["why"]): Reply => ({ kind: "refused", why });
