// Goal: `checkMachine` finds a machine whose replicas would part, and passes one whose would not. Method: a sound machine, and the
// same with one fault each.
import { describe, expect, test } from "vitest";
import type { Machine } from "../../src/machine/machine.ts";
import { checkMachine, type MachineCheck } from "../../src/testing/index.ts";
import { type Balances, type BankCommand, type BankReply, bank } from "./bank.ts";
import { seats } from "./seats.ts";

type Question = { readonly name: string } | "total";
type Bank = Machine<Balances, BankCommand, BankReply, Question, number>;

const names = ["ada", "bob", "eve"] as const;
const check: MachineCheck<BankCommand, Question> = {
  command: (random) => {
    const [from, to] = [names[Math.floor(random() * 3)]!, names[Math.floor(random() * 3)]!];
    const amount = Math.floor(random() * 100);
    if (random() < 0.1) return { op: "lottery", names };
    return random() < 0.5 ? { op: "deposit", to, amount } : { op: "transfer", from, to, amount };
  },
  question: (random) => (random() < 0.5 ? "total" : { name: names[Math.floor(random() * 3)]! }),
  commands: 200,
  runs: 3,
};

function errorOf(machine: Bank, own: MachineCheck<BankCommand, Question> = check): unknown {
  try {
    checkMachine(machine, own);
    return undefined;
  } catch (error) {
    return error;
  }
}

test("a sound machine passes", () => {
  expect(errorOf(bank)).toBeUndefined();
});

describe("a machine differs", () => {
  test("whose save leaves something out", () => {
    const forgetful: Bank = {
      ...bank,
      save: (state) => bank.save(new Map([...state].filter(([name]) => name !== "eve"))),
    };
    expect(errorOf(forgetful)).toMatchObject({ code: "MACHINE_DIFFERS" });
  });

  test("that counts in a variable of its own", () => {
    let count = 0;
    const counting: Bank = {
      ...bank,
      apply: (state, command, at) => {
        count += 1;
        const reply = bank.apply(state, command, at);
        return reply.ok ? { ...reply, balance: reply.balance + count } : reply;
      },
    };
    expect(errorOf(counting)).toMatchObject({ code: "MACHINE_DIFFERS", facts: { machine: "bank", seed: 1 } });
  });

  test("that saves in the order in which its state was filled, which loading changes", () => {
    const unordered: Bank = {
      ...bank,
      *save(state) {
        for (const [name, balance] of state) yield Buffer.from(`${JSON.stringify([name, balance])}\n`);
      },
      load: (pieces, version) => new Map([...bank.load(pieces, version)].reverse()),
    };
    expect(errorOf(unordered)).toMatchObject({ code: "MACHINE_DIFFERS" });
  });
});

describe("a machine is nondeterministic that looks at", () => {
  const doing = (deed: () => unknown): Bank => ({
    ...bank,
    apply: (state, command, at) => {
      deed();
      return bank.apply(state, command, at);
    },
  });
  const deeds: readonly [string, () => unknown, RegExp][] = [
    ["Date.now", () => Date.now(), /Date\.now/],
    ["new Date()", () => new Date(), /new Date\(\)/],
    ["Math.random", () => Math.random(), /Math\.random/],
    ["performance.now", () => performance.now(), /performance\.now/],
    ["randomUUID", () => crypto.randomUUID(), /randomUUID/],
    ["the environment", () => process.env.HOME, /process\.env\.HOME/],
    ["a timer", () => setTimeout(() => {}, 1), /setTimeout/],
    ["a promise", () => void (async () => {})(), /promise/],
    ["a clock whose error it catches itself", () => caught(() => Date.now()), /Date\.now/],
  ];
  test.each(deeds)("%s", (_name, deed, what) => {
    expect(errorOf(doing(deed), { ...check, runs: 1 })).toMatchObject({
      code: "NONDETERMINISTIC",
      message: expect.stringMatching(what),
    });
    // Everything is in its place again.
    expect(Date.now()).toBeGreaterThan(1_700_000_000_000);
    expect(typeof process.env.PATH).toBe("string");
  });

  function caught(work: () => unknown): unknown {
    try {
      return work();
    } catch {
      return 0;
    }
  }

  test("nothing but the time that a command has", () => {
    expect(errorOf(doing(() => new Date(1234).toISOString()))).toBeUndefined();
  });
});

test("a machine that throws is told of with the seed", () => {
  const own = { ...check, command: () => ({ op: "halfDone", name: "ada" }) as const, seed: 5 };
  expect(errorOf(bank, own)).toMatchObject({ code: "MACHINE_FAILED", facts: { seed: 5 } });
});

test("ends of sessions and what is told of changes are compared too", () => {
  const command = (random: () => number) =>
    ({ op: random() < 0.8 ? "take" : "leave", seat: random() < 0.5 ? "a" : "b" }) as const;
  const question = (random: () => number) => (random() < 0.5 ? "a" : "b");
  checkMachine(seats, { command, question, commands: 200, runs: 3 });
  // Its changes are no part of what it saves.
  const forgetful = { ...seats, load: (pieces: Iterable<Uint8Array>) => ({ ...seats.load(pieces, 1), changes: [] }) };
  expect(() => checkMachine(forgetful, { command, question, commands: 200, runs: 3 })).toThrow(
    expect.objectContaining({ code: "MACHINE_DIFFERS" }),
  );
});
