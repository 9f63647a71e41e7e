// Goal: a replica's state is a function of the commands it was given, and a machine that throws does no harm to the next command.
import { expect, test } from "vitest";
import { faultOfMachine } from "../../src/machine/machine.ts";
import { type CommandRecord, MachineReplica } from "../../src/machine/replica.ts";
import { type BankCommand, bank } from "./bank.ts";
import { seats } from "./seats.ts";

const record = (position: number, command: BankCommand | "not JSON"): CommandRecord => ({
  position,
  time: 1000 + position,
  session: 0,
  value: Buffer.from(command === "not JSON" ? command : JSON.stringify(command)),
});
const deposit = (to: string, amount: number) => ({ op: "deposit", to, amount }) as const;

test("commands change the state in their order and are answered", () => {
  const replica = new MachineReplica(bank);
  expect(replica.apply(record(3, deposit("ada", 10)))).toEqual({ kind: "reply", reply: { ok: true, balance: 10 } });
  const transfer = { op: "transfer", from: "ada", to: "bob", amount: 4 } as const;
  expect(replica.apply(record(5, transfer))).toEqual({ kind: "reply", reply: { ok: true, balance: 6 } });
  expect(replica.apply(record(6, { ...transfer, amount: 7 }))).toEqual({ kind: "reply", reply: { ok: false } });
  expect(replica.ask({ name: "bob" })).toBe(4);
  expect(replica.position).toBe(7);
});

test("a command out of order is an assertion: nobody may have a state that is no prefix", () => {
  const replica = new MachineReplica(bank);
  replica.apply(record(3, deposit("ada", 10)));
  expect(() => replica.apply(record(3, deposit("ada", 10)))).toThrow(/comes after/);
});

test("a snapshot is the state at a position, and goes on from there", () => {
  const replica = new MachineReplica(bank);
  replica.apply(record(3, deposit("ada", 10)));
  const snapshot = replica.snapshot();
  expect(snapshot).toMatchObject({ name: "bank", version: 1, position: 4 });
  replica.apply(record(9, deposit("ada", 1)));
  const other = new MachineReplica(bank, snapshot);
  expect(other.ask({ name: "ada" })).toBe(10);
  other.apply(record(9, deposit("ada", 1)));
  expect(other.snapshot()).toEqual(replica.snapshot());
});

test("a command that throws leaves nothing behind: what came before is applied again, and it is passed over", () => {
  const replica = new MachineReplica(bank);
  replica.apply(record(1, deposit("ada", 10)));
  const failed = replica.apply(record(2, { op: "halfDone", name: "ada" }));
  expect(failed).toMatchObject({
    kind: "failed",
    resumeFrom: 0,
    error: { code: "MACHINE_FAILED", facts: { machine: "bank", position: 2 } },
  });
  expect(replica.position).toBe(0);
  replica.apply(record(1, deposit("ada", 10)));
  expect(replica.apply(record(2, { op: "halfDone", name: "ada" }))).toMatchObject({ kind: "failed", resumeFrom: 3 });
  expect(replica.ask({ name: "ada" })).toBe(10);
  // The next one goes back no further than behind the first.
  expect(replica.apply(record(3, { op: "halfDone", name: "bob" }))).toMatchObject({ kind: "failed", resumeFrom: 3 });
  expect(replica.apply(record(3, { op: "halfDone", name: "bob" }))).toMatchObject({ kind: "failed", resumeFrom: 4 });
  expect(replica.ask("total")).toBe(10);
});

test("a record that is no command is passed over by name", () => {
  const replica = new MachineReplica(bank);
  const malformed = replica.apply(record(1, "not JSON"));
  expect(malformed).toMatchObject({ kind: "malformed", error: { code: "COMMAND_MALFORMED", facts: { position: 1 } } });
  expect(replica.apply(record(2, deposit("ada", 1)))).toMatchObject({ kind: "reply" });
});

test("chance is drawn from the position: the same on every replica, another at another position", () => {
  const names = Array.from({ length: 1000 }, (_, index) => `n${index}`);
  const winnerAt = (position: number) => new MachineReplica(bank).apply(record(position, { op: "lottery", names }));
  expect(winnerAt(77)).toEqual(winnerAt(77));
  const winners = new Set(Array.from({ length: 50 }, (_, index) => JSON.stringify(winnerAt(index + 1))));
  expect(winners.size).toBeGreaterThan(40);
});

test("an apply that returns a promise, and a question to a machine without any, are MACHINE_FAILED", () => {
  const { codecs: _codecs, ...plain } = bank;
  const late = new MachineReplica({ ...plain, apply: async () => ({ ok: false }) as const });
  expect(late.apply(record(1, deposit("ada", 1)))).toMatchObject({ kind: "failed", error: { code: "MACHINE_FAILED" } });
  const { ask: _, ...mute } = bank;
  expect(() => new MachineReplica(mute).ask("total")).toThrow(expect.objectContaining({ code: "MACHINE_FAILED" }));
});

test("names and versions are checked", () => {
  expect(faultOfMachine({ name: "bank", version: 1 })).toBeUndefined();
  for (const name of ["session", "activation", "", "Bank", "a b", "$bank", "x".repeat(65)]) {
    expect(faultOfMachine({ name, version: 1 }), name).toMatch(/name/);
  }
  for (const version of [0, 1.5, Number.NaN]) expect(faultOfMachine({ name: "bank", version })).toMatch(/version/);
});

test("the end of a session takes what is bound to it, is told of as a change, and says nothing where it is no session's", () => {
  const replica = new MachineReplica(seats);
  const take = (position: number, seat: string, session: number) =>
    replica.apply({ position, time: position, session, value: Buffer.from(JSON.stringify({ op: "take", seat })) });
  expect(take(1, "a", 7)).toEqual({ kind: "reply", reply: 7 });
  expect(take(2, "b", 8)).toEqual({ kind: "reply", reply: 8 });
  expect(take(3, "a", 8)).toEqual({ kind: "reply", reply: 7 });
  replica.end({ position: 4, time: 4, session: 0 });
  replica.end({ position: 5, time: 5, session: 9 });
  expect([replica.ask("a"), replica.ask("b"), replica.position]).toEqual([7, 8, 6]);
  replica.end({ position: 6, time: 6, session: 7 });
  expect([replica.ask("a"), replica.ask("b"), replica.position]).toEqual([0, 8, 7]);
  expect(replica.changes("a", 2, 9)).toEqual([{ position: 6, time: 6, change: Buffer.from("0") }]);
  expect(() => replica.end({ position: 6, time: 6, session: 8 })).toThrow(/comes after/);
  // A machine that has nothing bound to sessions passes over it.
  const other = new MachineReplica(bank);
  expect(other.end({ position: 3, time: 3, session: 7 })).toEqual({ kind: "reply", reply: undefined });
  expect(other.position).toBe(4);
  expect(() => other.changes("total", 1, 1)).toThrow(expect.objectContaining({ code: "MACHINE_FAILED" }));
});

test("a machine that throws at the end of a session goes back to the state before, and passes it over", () => {
  const replica = new MachineReplica({
    ...seats,
    ended: (state) => {
      state.holders.clear();
      throw new Error("in the middle of it");
    },
  });
  const value = Buffer.from(JSON.stringify({ op: "take", seat: "a" }));
  replica.apply({ position: 1, time: 1, session: 7, value });
  expect(replica.end({ position: 2, time: 2, session: 7 })).toMatchObject({ kind: "failed", resumeFrom: 0 });
  replica.apply({ position: 1, time: 1, session: 7, value });
  expect(replica.end({ position: 2, time: 2, session: 7 })).toMatchObject({ kind: "failed", resumeFrom: 3 });
  expect(replica.ask("a")).toBe(7);
});
