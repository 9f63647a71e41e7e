// Goal: the handle of the space says what callers mean: ranges, comparisons, transactions, bound keys, watches.
// Method: the real services over a log in memory and the real machine, which has tests of its own.
import { expect, test } from "vitest";
import type { SpaceCompare } from "../../../src/client/objects/handles.ts";
import { collect, errorOf } from "../fixture.ts";
import { log, setUpMachineLog } from "./machine-log.ts";

setUpMachineLog();

test("a key is put, read with all that is known of it, and deleted", async () => {
  const space = log.space();
  expect(await space.get("a")).toBeUndefined();
  const created = await space.put("a", "1");
  const version = await space.put("a", "2");
  expect(version).toBeGreaterThan(created);
  const entry = await space.get("a");
  expect(entry).toMatchObject({ key: "a", created, version, writes: 2, session: undefined });
  expect(entry!.text()).toBe("2");
  expect([await space.delete("a"), await space.delete("a")]).toEqual([1, 0]);
});

test("ranges: by prefix, from and to, in both directions, bounded, counted, without values", async () => {
  const space = log.space();
  const keys = ["a", "b/1", "b/2", "b/3", "b\u{ff}", "c"];
  await space.transaction({ success: keys.map((key) => ({ kind: "put", key, value: `of ${key}` })) });
  const keysOf = async (...args: Parameters<typeof space.range>) =>
    (await space.range(...args)).entries.map(({ key }) => key);
  expect(await keysOf({ prefix: "" })).toEqual(keys);
  expect(await keysOf({ prefix: "b/" })).toEqual(["b/1", "b/2", "b/3"]);
  expect(await keysOf({ prefix: Uint8Array.of(0xff) })).toEqual([]);
  expect(await keysOf({ from: "b/2" })).toEqual(keys.slice(2));
  expect(await keysOf({ from: "", to: "b/2" })).toEqual(["a", "b/1"]);
  expect(await keysOf({ prefix: "b/" }, { reverse: true, limit: 2 })).toEqual(["b/3", "b/2"]);
  expect(await space.range({ prefix: "b/" }, { limit: 1 })).toMatchObject({ more: true, count: 3 });
  expect(await space.range({ prefix: "b/" }, { countOnly: true })).toMatchObject({ entries: [], count: 3 });
  expect((await space.range("a", { keysOnly: true })).entries[0]!.value.length).toBe(0);
  expect(await space.delete({ prefix: "b/" })).toBe(3);
});

test("every comparison holds where it should and fails where it should", async () => {
  const space = log.space();
  const created = await space.put("a", "1");
  const version = await space.put("a", "2");
  const verdictOf = async (compare: SpaceCompare) => (await space.transaction({ compare: [compare] })).succeeded;
  const cases: readonly [SpaceCompare, boolean][] = [
    [{ keys: "a", exists: true }, true],
    [{ keys: "a", exists: false }, false],
    [{ keys: "none", exists: false }, true],
    [{ keys: "a", version }, true],
    [{ keys: "a", version: created }, false],
    [{ keys: "a", relation: "greater", version: created }, true],
    [{ keys: "a", created }, true],
    [{ keys: "a", writes: 2 }, true],
    [{ keys: "a", relation: "less", writes: 2 }, false],
    [{ keys: "a", value: "2" }, true],
    [{ keys: "a", relation: "notEqual", value: "2" }, false],
    [{ keys: "a", session: 0 }, true],
    [{ keys: { prefix: "a" }, relation: "less", writes: 3 }, true],
  ];
  for (const [compare, holds] of cases) expect([compare, await verdictOf(compare)]).toEqual([compare, holds]);
  for (const compare of [{ keys: "a" }, { keys: "a", version, value: "2" }, { keys: { wrong: 1 }, version }]) {
    expect(await errorOf(verdictOf(compare as SpaceCompare))).toMatchObject({ code: "INVALID_ARGUMENT" });
  }
});

test("a transaction does one of two lists and says what each operation did", async () => {
  const space = log.space();
  await space.put("from", "5");
  const move = () =>
    space.transaction({
      compare: [{ keys: "from", value: "5" }],
      success: [
        { kind: "put", key: "from", value: "0", withBefore: true },
        { kind: "put", key: "to", value: "5" },
        { kind: "delete", keys: "none" },
        { kind: "get", keys: { prefix: "" } },
      ],
      failure: [{ kind: "get", keys: "from" }],
    });
  const first = await move();
  expect(first).toMatchObject({ succeeded: true, results: [{ kind: "put" }, { before: undefined }, { count: 0 }, {}] });
  const [put, , , get] = first.results;
  expect(put?.kind === "put" && put.before!.text()).toBe("5");
  expect(get?.kind === "get" && get.entries.map((entry) => [entry.key, entry.version])).toEqual([
    ["from", first.position],
    ["to", first.position],
  ]);
  const second = await move();
  expect(second).toMatchObject({ succeeded: false, results: [{ kind: "get", count: 1 }] });
});

test("a bound key goes with its session, and nobody else's does", async () => {
  const session = await log.objectSession({ ttlMs: 30_000 });
  await session.space().put("mine", "1", { bound: true });
  await session.space().put("stays", "1");
  await log.space().put("of the log", "1", { bound: true });
  expect((await log.space().get("mine"))!.session).toBe(session.id);
  expect(session.held).toBe(true);
  await session.close();
  expect(session.held).toBe(false);
  const left = await log.space().range({ prefix: "" });
  expect(left.entries.map(({ key }) => key)).toEqual(["of the log", "stays"]);
});

test("a watch tells every change behind an answer, in order, once", async () => {
  const space = log.space();
  await space.put("a/1", "1");
  const { position } = await space.range({ prefix: "a/" });
  const watching = collect(
    space.watch({ prefix: "a/" }, { from: position }),
    ({ key, entry }) => [key, entry?.text()],
    4,
  );
  await space.put("b", "of no concern");
  await space.put("a/2", "2");
  await space.transaction({
    success: [
      { kind: "delete", keys: "a/1" },
      { kind: "put", key: "a/3", value: "3" },
    ],
  });
  await space.put("a/2", "22");
  expect(await watching).toEqual([
    ["a/2", "2"],
    ["a/1", undefined],
    ["a/3", "3"],
    ["a/2", "22"],
  ]);
});

test("what no procedure does, and what no key is, is refused by name", async () => {
  expect(await errorOf(log.call("nothing"))).toMatchObject({
    code: "PROCEDURE_UNKNOWN",
    facts: { procedure: "nothing" },
  });
  expect(await errorOf(log.space().put("", "1"))).toMatchObject({ code: "INVALID_ARGUMENT" });
  expect(await errorOf(log.space().put("k", 1 as never))).toMatchObject({ code: "INVALID_ARGUMENT" });
});
