// Goal: a replica's state is a function of the commands it was given, and a machine that throws does no harm to the next command.
import { expect, test } from "vitest";
import { faultOfMachine } from "../../src/machine/machine.ts";
import { type CommandRecord, MachineReplica } from "../../src/machine/replica.ts";
import { type BankCommand, bank } from "./bank.ts";

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
  for (const name of ["", "Bank", "a b", "$bank", "x".repeat(65)]) {
    expect(faultOfMachine({ name, version: 1 }), name).toMatch(/name/);
  }
  for (const version of [0, 1.5, Number.NaN]) expect(faultOfMachine({ name: "bank", version })).toMatch(/version/);
});
