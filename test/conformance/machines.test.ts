// Goal: a machine in the program works the same on every way to use the log: one history, one state, each command once.
import { expect, test } from "vitest";
import { bank } from "../machine/bank.ts";
import { seatChangesMax, seats } from "../machine/seats.ts";
import { describeEveryWay, failureOf, newTag } from "./suite.ts";

/** A bank of its own for each test: machines are told apart by their names. */
let count = 0;
function newBank() {
  count += 1;
  return { ...bank, name: `bank-${count}` };
}

describeEveryWay((subject) => {
  test("commands are executed in order, replied to, and seen by every replica", async () => {
    const own = newBank();
    await using here = subject.log.machine(own);
    await using there = subject.other.machine(own);
    expect(await here.execute({ op: "deposit", to: "ada", amount: 100 })).toEqual({ ok: true, balance: 100 });
    const transfers = Array.from({ length: 60 }, (_, index) =>
      (index % 2 === 0 ? here : there).execute({ op: "transfer", from: "ada", to: "bob", amount: 3 }),
    );
    const replies = await Promise.all(transfers);
    expect(replies.filter((reply) => reply.ok).length).toBe(33);
    for (const replica of [here, there]) {
      expect(await replica.ask({ name: "ada" })).toBe(1);
      expect(await replica.ask("total")).toBe(100);
    }
    expect(here.snapshot()).toEqual(there.snapshot());
  });

  test("an answer knows of every command acknowledged before, also behind records of others", async () => {
    const own = newBank();
    await using here = subject.log.machine(own);
    await using there = subject.other.machine(own);
    for (let round = 1; round <= 5; round += 1) {
      await here.execute({ op: "deposit", to: "ada", amount: 1 });
      const { position } = await subject.log.append({ value: "of somebody else", tags: [newTag()] });
      expect(await there.ask({ name: "ada" })).toBe(round);
      expect(await there.ask({ name: "ada" }, { freshness: { atLeast: position } })).toBe(round);
    }
    expect(await here.ask({ name: "ada" }, { freshness: "local" })).toBe(5);
  });

  test("a replica begins with a snapshot and reads what came behind it", async () => {
    const own = newBank();
    await using here = subject.log.machine(own);
    await here.execute({ op: "deposit", to: "ada", amount: 5 });
    const snapshot = here.snapshot();
    await here.execute({ op: "deposit", to: "ada", amount: 6 });
    let applied = 0;
    const counting = {
      ...own,
      apply: (...args: Parameters<typeof own.apply>) => {
        applied += 1;
        return own.apply(...args);
      },
    };
    await using later = subject.other.machine(counting, { snapshot });
    expect(await later.ask({ name: "ada" })).toBe(11);
    expect(applied).toBe(1);
  });

  test("a command that throws fails by name, leaves nothing behind, and what follows goes on", async () => {
    const own = newBank();
    const failures: string[] = [];
    await using here = subject.log.machine(own, { onFailure: ({ code }) => failures.push(code) });
    await here.execute({ op: "deposit", to: "ada", amount: 5 });
    const results = await Promise.allSettled([
      here.execute({ op: "deposit", to: "ada", amount: 1 }),
      here.execute({ op: "halfDone", name: "ada" }),
      here.execute({ op: "deposit", to: "ada", amount: 1 }),
    ]);
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(results[1]).toMatchObject({ reason: { code: "MACHINE_FAILED", outcome: "none" } });
    await subject.log.append({ type: `$${own.name}`, value: "no command" });
    await using there = subject.other.machine(own);
    for (const replica of [here, there]) expect(await replica.ask({ name: "ada" })).toBe(7);
    expect(failures).toEqual(["MACHINE_FAILED", "COMMAND_MALFORMED"]);
  });

  test("what is wrong with a call is said before anything is written", async () => {
    const own = newBank();
    await using here = subject.log.machine(own);
    const { tail } = await subject.log.tail();
    const unsendable = { op: "deposit", to: "ada", amount: Number.NaN } as const;
    expect(await failureOf(here.execute(unsendable))).toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(() => subject.log.machine({ ...own, name: "No" })).toThrow(/name/);
    expect((await subject.log.tail()).tail).toBe(tail);
  });

  test("a handle that is closed says so to who waits and to who comes later", async () => {
    const own = newBank();
    const here = subject.log.machine(own);
    await here.execute({ op: "deposit", to: "ada", amount: 5 });
    const waiting = here.execute({ op: "deposit", to: "ada", amount: 5 });
    const closed = here.close();
    const result = await waiting.then(
      () => "done",
      (error: { code: string; outcome: string }) => `${error.code} ${error.outcome}`,
    );
    expect(["done", "CLOSED unknown"]).toContain(result);
    await closed;
    await here.close();
    expect(await failureOf(here.ask("total"))).toMatchObject({ code: "CLOSED" });
    expect(await failureOf(here.execute({ op: "deposit", to: "ada", amount: 1 }))).toMatchObject({
      code: "CLOSED",
      outcome: "none",
    });
  });

  test("what a session holds goes with it, on every replica, and those who watch are told: all of it, once, in order", async () => {
    const own = { ...seats, name: `seats-${newTag().replace(" ", "-")}` };
    await using there = subject.other.machine(own);
    const here = subject.log.machine(own);
    const stop = new AbortController();
    const seen: [string, string][] = [];
    const watching = (async () => {
      for await (const { change } of there.watch("a", { signal: stop.signal })) seen.push(["live", String(change)]);
    })();
    const [holder] = [await here.execute({ op: "take", seat: "a" }), await here.execute({ op: "take", seat: "b" })];
    expect(holder).toBeGreaterThan(0);
    expect(await there.execute({ op: "take", seat: "a" })).toBe(holder);
    const failed = await failureOf(there.execute({ op: "take", seat: "broken" }));
    expect(failed.code).toBe("MACHINE_FAILED");
    // Its session ends with the handle.
    await here.close();
    await expect.poll(() => there.ask("a"), { timeout: 20_000 }).toBe(0);
    expect(await there.ask("b")).toBe(0);
    const later = await there.execute({ op: "take", seat: "a" });
    const expected = [`${holder}`, "0", `${later}`];
    await expect.poll(() => seen.map(([, change]) => change), { timeout: 20_000 }).toEqual(expected);
    stop.abort();
    await watching;
    // From the first position on, by whoever comes later.
    const again: string[] = [];
    for await (const { change } of there.watch("a", { from: 1 })) {
      again.push(String(change));
      if (again.length === expected.length) break;
    }
    expect(again).toEqual(expected);
  });

  test("a watch that begins before what is remembered ends by name, and so does one whose handle is closed", async () => {
    const own = { ...seats, name: `seats-${newTag().replace(" ", "-")}` };
    const here = subject.log.machine(own);
    for (let round = 0; round <= seatChangesMax; round += 1) {
      await Promise.all([here.execute({ op: "take", seat: "a" }), here.execute({ op: "leave", seat: "a" })]);
    }
    const first = (from?: number) => here.watch("a", { from })[Symbol.asyncIterator]().next();
    expect(await failureOf(first(1))).toMatchObject({ code: "CHANGES_GONE", facts: { machine: own.name, from: 1 } });
    const waits = failureOf(first());
    await here.close();
    expect(await waits).toMatchObject({ code: "CLOSED" });
  });
});
