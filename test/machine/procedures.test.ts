// Goal: a procedure does all of what it does or nothing, in the same words on every replica; its limits have names. Method: transfers
// against a plain sum; each way to fail; the same table in the space and as a machine of its own.
import { describe, expect, test } from "vitest";
import { PaxlogError } from "../../src/base/errors.ts";
import { spaceWith } from "../../src/machine/builtin/space.ts";
import { procedureMachine } from "../../src/machine/procedure-machine.ts";
import { defineProcedures, type ProcedureTransaction } from "../../src/machine/procedures.ts";
import { checkMachine } from "../../src/testing/index.ts";

let leaked: ProcedureTransaction | undefined;

const procedures = defineProcedures({
  open: (tx, { account, cents }: { account: string; cents: number }) => {
    if (tx.get(`account/${account}`) !== undefined) tx.refuse("account exists");
    tx.put(`account/${account}`, { cents });
  },
  transfer: (tx, { from, to, cents }: { from: string; to: string; cents: number }) => {
    const take = (account: string, change: number) => {
      const found = tx.get<{ cents: number }>(`account/${account}`) ?? tx.refuse(`no account ${account}`);
      tx.put(`account/${account}`, { cents: found.cents + change });
      return found.cents + change;
    };
    // Written first and refused later: nothing of it may stay.
    take(to, cents);
    if (take(from, -cents) < 0) throw new Error("not enough money");
    return { at: tx.position };
  },
  total: (tx) => tx.range<{ cents: number }>({ prefix: "account/" }).reduce((sum, { value }) => sum + value.cents, 0),
  bind: (tx) => tx.put("bound", tx.session, { bound: true }),
  draw: (tx) => Math.floor(tx.random() * 6),
  keys: (tx, { from, to }: { from: string; to?: string }) => ({
    all: tx.range({ from, to }).map(({ key }) => key),
    last: tx.range({ from, to }, { limit: 1, reverse: true }).map(({ key }) => key),
  }),
  faulty: (tx) => {
    tx.put("left", "over");
    return (undefined as unknown as { length: number }).length;
  },
  late: (tx) => {
    leaked = tx;
    return Promise.resolve();
  },
  endless: (tx) => {
    for (;;) {
      try {
        tx.get("a");
      } catch {
        // It may not hide that it went too far.
        return "done";
      }
    }
  },
  strange: (tx) => tx.put("n", Number.NaN),
  large: () => "x".repeat(70_000),
  longKey: (tx) => tx.delete("k".repeat(1025)),
  raw: (tx) => {
    tx.putBytes("raw", Uint8Array.of(0xff));
    return tx.get("raw");
  },
});

const machine = procedureMachine({ name: "bank", version: 1, procedures });
const at = (position: number, session = 0) => ({ position, time: 0, session, random: () => 0.5 });

type Command = Parameters<typeof machine.apply>[1];

function caller() {
  const state = machine.create();
  let position = 0;
  const call = (procedure: Command["procedure"], args: unknown = {}, session = 0) => {
    position += 1;
    const reply = machine.apply(state, { procedure, args } as Command, at(position, session));
    return reply.kind === "returned" ? reply.result : `${reply.code}: ${reply.message}`;
  };
  return { state, call };
}

describe("a procedure", () => {
  test("does all of what it does, or nothing", () => {
    const { state, call } = caller();
    expect(call("open", { account: "ada", cents: 100 })).toBeNull();
    call("open", { account: "bob", cents: 0 });
    expect(call("open", { account: "bob", cents: 5 })).toBe("PROCEDURE_FAILED: open: account exists");
    expect(call("transfer", { from: "ada", to: "bob", cents: 60 })).toEqual({ at: 4 });
    const before = [...machine.save(state)];
    expect(call("transfer", { from: "ada", to: "bob", cents: 60 })).toBe(
      "PROCEDURE_FAILED: transfer: not enough money",
    );
    expect(call("transfer", { from: "eve", to: "bob", cents: 60 })).toBe("PROCEDURE_FAILED: transfer: no account eve");
    expect([...machine.save(state)]).toEqual(before);
    expect(call("total")).toBe(100);
    expect(machine.ask!(state, { prefix: "account/" })).toEqual([
      { key: "account/ada", value: { cents: 40 } },
      { key: "account/bob", value: { cents: 60 } },
    ]);
    expect(machine.ask!(state, { key: "nobody" })).toEqual([]);
  });

  test("that fails leaves nothing, and says why in words that do not depend on the engine", () => {
    const { state, call } = caller();
    expect(call("faulty")).toBe("PROCEDURE_FAILED: faulty: it threw TypeError: a fault of the procedure");
    expect(call("late")).toContain("PROCEDURE_FAILED: late: it returned a promise");
    expect(call("strange")).toBe("PROCEDURE_FAILED: strange: it is NaN, which JSON does not have");
    expect(call("longKey")).toBe("PROCEDURE_FAILED: longKey: a key must have 1 to 1024 bytes, not 1025");
    expect(call("raw")).toBe('PROCEDURE_FAILED: raw: the value of "raw" is no JSON');
    expect(call("missing" as "late")).toBe('PROCEDURE_UNKNOWN: there is no procedure "missing"');
    expect(call("toString" as "late")).toBe('PROCEDURE_UNKNOWN: there is no procedure "toString"');
    expect(() => leaked!.get("a")).toThrow("the call of the procedure is over");
    expect(state.size).toBe(0);
  });

  test("has limits, and may not hide that it passed them", () => {
    const { call } = caller();
    expect(call("endless")).toBe("TRANSACTION_TOO_LARGE: endless: it made more than 16384 steps");
    expect(call("large")).toBe("TRANSACTION_TOO_LARGE: large: its result has 70002 bytes, more than 65536");
  });

  test("reads ranges in the order of the keys' bytes, and draws by its position", () => {
    const { call } = caller();
    for (const account of ["b", "ä", "a"]) call("open", { account, cents: 1 });
    expect(call("keys", { from: "account/", to: "account0" })).toEqual({
      all: ["account/a", "account/b", "account/ä"],
      last: ["account/ä"],
    });
    expect(call("keys", { from: "account/b" })).toMatchObject({ all: ["account/b", "account/ä"] });
    expect(call("draw")).toBe(3);
  });

  test("binds keys to the session that called it", () => {
    const { state, call } = caller();
    expect(call("bind")).toContain("SESSION_REQUIRED");
    expect(call("bind", {}, 7)).toBeNull();
    expect(machine.ask!(state, { key: "bound" })).toEqual([{ key: "bound", value: 7 }]);
    machine.ended!(state, at(9, 7));
    expect(state.size).toBe(0);
  });

  test("is the same over the space that all share", () => {
    const space = spaceWith(procedures);
    const state = space.create();
    const call = (procedure: string, args: string) =>
      space.apply(state, { kind: "call", procedure, args: Buffer.from(args) }, at(1));
    const returned = (reply: ReturnType<typeof call>) =>
      reply.kind === "returned" && Buffer.from(reply.result).toString();
    expect(returned(call("open", '{"account":"ada","cents":3}'))).toBe("null");
    expect(returned(call("total", ""))).toBe("3");
    expect(call("total", "{")).toMatchObject({ code: "PROCEDURE_FAILED", message: "total: its arguments are no JSON" });
    expect(
      spaceWith(undefined).apply(state, { kind: "call", procedure: "total", args: Buffer.of() }, at(2)),
    ).toMatchObject({
      code: "PROCEDURE_UNKNOWN",
    });
  });
});

test("procedures are the same on every replica", () => {
  const accounts = ["a", "b", "c"] as const;
  checkMachine(machine, {
    command: (random): Command => {
      const account = () => accounts[Math.floor(random() * 3)]!;
      const cents = Math.floor(random() * 50);
      if (random() < 0.2) return { procedure: "open", args: { account: account(), cents } };
      if (random() < 0.2) return { procedure: "total", args: undefined };
      return { procedure: "transfer", args: { from: account(), to: account(), cents } };
    },
    question: () => ({ prefix: "" }),
    commands: 200,
    runs: 3,
  });
});

test("a table with a name that is none, or no function, is refused", () => {
  expect(() => defineProcedures({ "a b": () => 1 })).toThrow(PaxlogError);
  expect(() => defineProcedures({ a: 1 as never })).toThrow("the procedure a must be a function");
});
