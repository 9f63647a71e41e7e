// Goal: whoever waits at the tail is told of what may concern him, and of nothing that certainly does not; what he is told to have
// been searched was. Method: entries made by hand, watchers by query, and an engine behind a port.
import { expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import { type Hash, type Position, position, type Slot, slot } from "../../src/base/types.ts";
import type { Entry } from "../../src/core/entry.ts";
import type { Query } from "../../src/core/guards.ts";
import { encodeBatch, type RecordInput } from "../../src/format/batch-encode.ts";
import { guardsOfBatch } from "../../src/format/batch-guards.ts";
import { makeEntryMaker } from "../../src/format/entry.ts";
import { TailWatchers } from "../../src/runtime/tail-watchers.ts";
import { hashing } from "./lone-node.ts";

const makeEntry = makeEntryMaker(hashing);

/** Entries that become visible one after the other. */
class Shown {
  readonly watchers = new TailWatchers(position(1));
  readonly #entries = new Map<Slot, Entry>();
  #end = slot(1);
  #tail = position(1);

  show(records: readonly RecordInput[]): void {
    const batch = encodeBatch(records);
    const guards = guardsOfBatch(batch);
    const header = {
      slot: this.#end,
      originBallot: { configId: 1, n: 1, nodeId: 1 as never },
      floor: slot(1),
      kind: "batch",
      firstPosition: this.#tail,
      recordCount: records.length,
      time: 1,
      session: 0,
      serial: 0,
      batchChecksum: hashing.crc32c(batch),
      guardLength: guards.length,
      prevHash: "0".repeat(32) as Hash,
    } as const;
    this.#entries.set(this.#end, makeEntry(header, { batch, guards }));
    const from = this.#end;
    this.#end = slot(from + 1);
    this.#tail = position(this.#tail + records.length);
    this.watchers.moved(this.#tail, { from, end: this.#end, at: (at) => this.#entries.get(at) });
  }

  /** Positions from which on there is news for this query, one for each time that it was watched for. */
  follow(query: Query | undefined): Position[] {
    const news: Position[] = [];
    const watch = (from: Position): void => {
      this.watchers.watch({ from, query }, (at) => {
        news.push(at);
        watch(this.#tail);
      });
    };
    watch(this.#tail);
    return news;
  }
}

const tagged = (...tags: string[]): Query => ({ items: [{ types: [], tags }] });

test("a new entry is told to those whose types and tags it bears, and to those who want everything", () => {
  const log = new Shown();
  const all = log.follow(undefined);
  const any = log.follow({ items: [{ types: [], tags: [] }] });
  const red = log.follow(tagged("red"));
  const both = log.follow(tagged("red", "large"));
  const typed = log.follow({ items: [{ types: ["T", "U"], tags: [] }] });
  const either = log.follow({
    items: [
      { types: ["T"], tags: [] },
      { types: [], tags: ["large"] },
    ],
  });
  log.show([{ value: "", tags: ["red"] }]);
  log.show([
    { value: "", type: "T" },
    { value: "", tags: ["large"] },
  ]);
  log.show([{ value: "" }]);
  log.show([{ value: "", tags: ["red", "large"], type: "V" }]);
  expect(all).toEqual([1, 2, 4, 5]);
  expect(any).toEqual([1, 2, 4, 5]);
  expect(red).toEqual([1, 5]);
  expect(both).toEqual([5]);
  expect(typed).toEqual([2]);
  expect(either).toEqual([2, 5]);
});

test("an entry with more types and tags than it carries hashes of is told to everybody", () => {
  const log = new Shown();
  const red = log.follow(tagged("red"));
  const many = Array.from({ length: limits.entryGuardBytesMax / 8 / 8 + 1 }, (_, index) => ({
    value: "",
    tags: Array.from({ length: 8 }, (_tag, at) => `${index} ${at}`),
  }));
  log.show(many);
  expect(red).toEqual([1]);
});

test("what was searched moves with the tail until there is news, and no further", async () => {
  const log = new Shown();
  const watch = log.watchers.watch({ from: position(1), query: tagged("red") }, () => {});
  log.show([{ value: "" }, { value: "" }]);
  expect(watch.searched).toBe(3);
  log.show([{ value: "" }, { value: "", tags: ["red"] }]);
  expect(watch.searched).toBe(3);
  log.show([{ value: "" }]);
  expect(watch.searched).toBe(3);
  const late: number[] = [];
  const behind = log.watchers.watch({ from: position(2), query: tagged("blue") }, (from) => late.push(from));
  log.show([{ value: "" }]);
  expect([behind.searched, late]).toEqual([2, []]);
  await Promise.resolve();
  expect([behind.searched, late]).toEqual([2, [2]]);
});

test("a watch that was given up is told nothing, and what went from memory is news for everybody", () => {
  const log = new Shown();
  const told: string[] = [];
  const given = log.watchers.watch({ from: position(1), query: tagged("red") }, () => told.push("given up"));
  log.watchers.watch({ from: position(1), query: tagged("blue") }, () => told.push("stood"));
  given.cancel();
  expect(log.watchers.isEmpty).toBe(false);
  log.watchers.moved(position(9), { from: slot(1), end: slot(3), at: () => undefined });
  expect(told).toEqual(["stood"]);
  expect(log.watchers.isEmpty).toBe(true);
});
