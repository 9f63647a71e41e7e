import { defineMachine } from "../../src/machine/machine.ts";

/** A small machine with everything that one may have; some commands make it throw in the middle of its work. */
export type BankCommand =
  | { readonly op: "deposit"; readonly to: string; readonly amount: number }
  | { readonly op: "transfer"; readonly from: string; readonly to: string; readonly amount: number }
  | { readonly op: "lottery"; readonly names: readonly string[] }
  | { readonly op: "halfDone"; readonly name: string };

export type BankReply =
  | { readonly ok: true; readonly balance: number; readonly name?: string }
  | { readonly ok: false };

export type Balances = Map<string, number>;

export const bank = defineMachine<Balances, BankCommand, BankReply, { readonly name: string } | "total", number>({
  name: "bank",
  version: 1,
  create: () => new Map(),
  apply: (state, command, at) => {
    const balanceOf = (name: string): number => state.get(name) ?? 0;
    switch (command.op) {
      case "deposit":
        state.set(command.to, balanceOf(command.to) + command.amount);
        return { ok: true, balance: balanceOf(command.to) };
      case "transfer":
        if (balanceOf(command.from) < command.amount) return { ok: false };
        state.set(command.from, balanceOf(command.from) - command.amount);
        state.set(command.to, balanceOf(command.to) + command.amount);
        return { ok: true, balance: balanceOf(command.from) };
      case "lottery": {
        const name = command.names[Math.floor(at.random() * command.names.length)]!;
        state.set(name, balanceOf(name) + 1);
        return { ok: true, balance: balanceOf(name), name };
      }
      case "halfDone":
        state.set(command.name, 1_000_000);
        throw new Error("in the middle of it");
      default:
        throw new TypeError("no such command");
    }
  },
  ask: (state, question) => {
    if (question === "total") return [...state.values()].reduce((sum, balance) => sum + balance, 0);
    return state.get(question.name) ?? 0;
  },
  *save(state) {
    const names = [...state.keys()].sort();
    for (const name of names) yield Buffer.from(`${JSON.stringify([name, state.get(name)])}\n`);
  },
  load: (pieces, version) => {
    if (version !== 1) throw new Error(`no balances of version ${version}`);
    const text = Buffer.concat([...pieces]).toString();
    return new Map(
      text
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line) as [string, number]),
    );
  },
});
