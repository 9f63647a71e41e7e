// Goal: a reader says the same with indexes as without, whatever the order of appends, replaces and builds; and with a damaged index
// as with none. Method: random logs in small segments, held against the plain array of their entries.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import type { Position, Slot } from "../../src/base/types.ts";
import { nextPositionOf } from "../../src/core/entry.ts";
import type { QueryItem } from "../../src/core/guards.ts";
import type { IndexedSegment } from "../../src/storage/index-builder.ts";
import { NodeDisk } from "../../src/storage/node-disk.ts";
import { indexPath } from "../../src/storage/paths.ts";
import { cutPlaces, type GroupPlace } from "../../src/storage/places.ts";
import { LogReader, type ReaderStart } from "../../src/storage/reader.ts";
import type { Store } from "../../src/storage/store.ts";
import { hashesOf, openStore, readFrom, TestDirectory } from "./directory.ts";
import { hashing } from "./hashing.ts";
import { guardsWith, indexAll, queryOf, searchAll, truth } from "./indexing.ts";
import { Scribe } from "./scribe.ts";

const tags = ["a", "b", "c", "d"];
const types = ["t", "u"];

const item: fc.Arbitrary<QueryItem> = fc.record({
  types: fc.subarray(types),
  tags: fc.subarray([...tags, "absent"], { maxLength: 3 }),
});
const query = fc.array(item, { minLength: 1, maxLength: 3 });

type Step =
  | { readonly kind: "append"; readonly count: number; readonly size: number; readonly bears: readonly string[][] }
  | { readonly kind: "replace"; readonly back: number; readonly count: number }
  | { readonly kind: "decide"; readonly back: number }
  | { readonly kind: "index" | "reopen" };

const bears = fc.tuple(fc.subarray(types), fc.subarray([...tags, "*"], { maxLength: 3 }));
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("append" as const),
      count: fc.integer({ min: 1, max: 4 }),
      size: fc.constantFrom(0, 40, 5_000, 120_000, 400_000),
      bears,
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("replace" as const), back: fc.nat(9), count: fc.nat(3) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("decide" as const), back: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.constantFrom({ kind: "index" as const }, { kind: "reopen" as const }) },
);

/** A store, the entries that it must hold, and a reader of it. */
class Bench {
  readonly disk = new NodeDisk();
  readonly scribe = new Scribe();
  readonly dir: string;
  store: Store;
  reader: LogReader;
  #ballot = 0;
  #indexed: IndexedSegment[] = [];
  #places: GroupPlace[] = [];

  constructor(dir: string) {
    this.dir = dir;
    this.store = openStore(dir, this.disk);
    this.reader = new LogReader(this.disk, dir, hashing, []);
    this.store.submit(this.scribe.genesis(this.store.recovered.identity.nodeUid));
    this.commit();
  }

  commit(): void {
    for (let commit = this.store.commit(); commit !== undefined; commit = this.store.commit()) {
      this.reader.add(commit.places, commit.voidFrom);
      if (commit.voidFrom !== undefined) cutPlaces(this.#places, commit.voidFrom);
      this.#places.push(...commit.places);
    }
  }

  append(count: number, size: number): void {
    this.store.submit(this.scribe.append(count, size));
    this.commit();
  }

  replace(from: number, count: number): void {
    this.#ballot += 1;
    this.store.submit(this.scribe.promise(this.#ballot));
    this.store.submit(this.scribe.replace(from, count, 60));
    this.commit();
  }

  index(): number[] {
    const built = indexAll(this.disk, this.dir, this.reader, this.scribe.decidedEnd);
    this.#indexed.push(...built);
    return built.map(({ generation }) => generation);
  }

  /** Closes and opens again: with the indexes that recovery finds. */
  reopen(): void {
    this.close();
    this.store = openStore(this.dir, this.disk);
    this.reader = new LogReader(this.disk, this.dir, hashing, this.store.layout, this.store.readerStart);
    this.scribe.state = this.store.recovered.state;
    // One whose end a later segment voided counts only together with that one's.
    const { indexed } = this.store.readerStart;
    for (const one of indexed) expect(this.#indexed).toContainEqual(one);
    this.#indexed = [...indexed];
    this.#places = [...this.store.layout];
  }

  /** What recovery would tell a new reader: the groups of segments without an index, and the others. */
  get unindexed(): GroupPlace[] {
    return this.#places.filter((place) => !this.#indexed.some(({ generation }) => generation === place.generation));
  }

  get start(): ReaderStart {
    const [begin] = this.#indexed;
    return { begin: begin!.begin, indexed: this.#indexed };
  }

  take(step: Step): void {
    const { scribe } = this;
    if (step.kind === "append") {
      scribe.guards = () => guardsWith(step.bears[0]!, step.bears[1]!);
      this.append(step.count, step.size);
    } else if (step.kind === "replace") {
      this.replace(Math.max(scribe.decidedEnd, scribe.end - step.back), step.count);
    } else if (step.kind === "decide") {
      scribe.decide(scribe.end - step.back);
    } else if (step.kind === "index") {
      this.index();
    } else {
      this.reopen();
    }
  }

  /** Whatever is asked, the reader says what the plain array of entries says. */
  expectTruth(items: readonly QueryItem[]): void {
    const { reader, scribe } = this;
    const { entries } = scribe;
    expect(hashesOf(readFrom(reader, 1 as Slot))).toEqual(hashesOf(entries));
    for (const entry of entries) {
      const [only] = reader.read(entry.slot, (entry.slot + 1) as Slot, 0);
      expect(only?.hash).toBe(entry.hash);
      expect(reader.slotOfTime(entry.time)).toBe(entry.slot);
      if (entry.kind !== "batch") continue;
      expect(reader.slotOfPosition(entry.firstPosition)).toBe(entry.slot);
      expect(reader.slotOfPosition((nextPositionOf(entry) - 1) as Position)).toBe(entry.slot);
    }
    const asked = queryOf(...items);
    const third = Math.floor(scribe.end / 3);
    for (const direction of ["forward", "backward"] as const) {
      for (const [from, end] of [
        // Before anything of it is in memory, and with all of it there.
        [2 * third, scribe.end],
        [1, scribe.end],
        [third, 2 * third],
      ] as [Slot, Slot][]) {
        const range = { from: Math.max(1, from) as Slot, end, direction };
        // An item that asks for nothing names entries without records too.
        const found = searchAll(reader, asked, range).slots.filter((slot) => entries[slot - 1]!.kind === "batch");
        expect(found).toEqual(truth(entries, asked, range));
      }
    }
  }

  close(): void {
    this.reader.close();
    this.store.close();
  }
}

describe("a reader with indexes", () => {
  test("says what the entries say, whatever was appended, replaced and indexed before", { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 8, maxLength: 40 }), query, (steps, items) => {
        using directory = new TestDirectory();
        const bench = new Bench(directory.data);
        for (const next of steps) bench.take(next);
        bench.expectTruth(items);
        bench.scribe.decide(bench.scribe.end);
        bench.append(1, 40);
        bench.index();
        bench.expectTruth(items);
        bench.reopen();
        bench.expectTruth(items);
        bench.close();
      }),
      { numRuns: 20, endOnFailure: true, interruptAfterTimeLimit: 20_000 },
    );
  });

  test("finds entries in every table of an index that needs several, and between them", { timeout: 60_000 }, () => {
    using directory = new TestDirectory();
    const bench = new Bench(directory.data);
    const { scribe } = bench;
    // Each entry bears a tag of its own and so many others that a table holds five of them.
    const perEntry = Math.floor(limits.indexTablePostings / 5) - 2;
    const filling = guardsWith(
      [],
      Array.from({ length: perEntry }, (_, index) => `filling ${index}`),
    );
    for (let entry = 1; entry <= 12; entry += 1) {
      scribe.guards = () => Uint8Array.from([...filling, ...guardsWith(["t"], [`own ${entry}`])]);
      bench.append(1, 100);
      scribe.guards = () => new Uint8Array(0);
      bench.append(1, 50_000);
    }
    bench.append(2, 1_000_000);
    scribe.decide(scribe.end);
    bench.append(1, 40);
    expect(bench.index().length).toBeGreaterThan(0);
    for (const items of [
      [{ types: ["t"], tags: [] }],
      [
        { types: [], tags: ["own 7"] },
        { types: ["t"], tags: ["own 11"] },
      ],
    ]) {
      for (const direction of ["forward", "backward"] as const) {
        const range = { from: 1 as Slot, end: scribe.end, direction };
        const found = searchAll(bench.reader, queryOf(...items), range);
        expect(found.slots).toEqual(truth(scribe.entries, queryOf(...items), range));
      }
    }
    bench.close();
  });

  test("looks at the last entries themselves where nothing is indexed, until bringing all to memory had cost less", () => {
    using directory = new TestDirectory();
    const bench = new Bench(directory.data);
    const { scribe } = bench;
    scribe.guards = () => guardsWith([], ["a"]);
    for (let count = 0; count < 40; count += 1) bench.append(1, 120_000);
    const range = { from: (scribe.end - 2) as Slot, end: scribe.end, direction: "forward" } as const;
    const asked = queryOf({ types: [], tags: ["a"] });
    const expected = truth(scribe.entries, asked, range);
    expect(expected).toHaveLength(2);
    const pieces: number[] = [];
    for (let search = 0; search < 40; search += 1) {
      const found = searchAll(bench.reader, asked, range);
      expect(found.slots).toEqual(expected);
      pieces.push(found.pieces);
    }
    // Two entries of 120,000 bytes are a piece; all of them are twenty, and once they are in memory none is read any more.
    expect(pieces[0]).toBeLessThanOrEqual(2);
    const through = pieces.findIndex((count) => count >= 10);
    expect(through).toBeGreaterThanOrEqual(10);
    expect(through).toBeLessThanOrEqual(25);
    expect(Math.max(...pieces.slice(through + 1))).toBe(1);
    bench.close();
  });

  test("reads on without an index that is damaged or gone, says so, and wants it built again", () => {
    using directory = new TestDirectory();
    const bench = new Bench(directory.data);
    for (let count = 0; count < 30; count += 1) {
      bench.scribe.guards = () => guardsWith([], [tags[count % 4]!]);
      bench.append(3, 50_000);
    }
    bench.scribe.decide(bench.scribe.end);
    bench.append(1, 40);
    expect(bench.index()).toEqual([1, 2, 3, 4]);
    const entry = { types: [], tags: ["b"] };
    bench.expectTruth([entry]);
    bench.reader.close();

    directory.change("log/00000002.idx", (bytes) => {
      bytes[4096 + 100]! ^= 1;
      return undefined;
    });
    directory.change("log/00000003.idx", (bytes) => bytes.subarray(0, 100));
    bench.disk.remove(indexPath(directory.data, 4));
    const again = new LogReader(bench.disk, directory.data, hashing, bench.unindexed, bench.start);
    const damaged: number[] = [];
    again.onIndexDamaged = ({ generation }) => damaged.push(generation);
    expect(hashesOf(readFrom(again, 1 as Slot))).toEqual(hashesOf(bench.scribe.entries));
    expect(damaged).toEqual([2, 3, 4]);
    const range = { from: 1 as Slot, end: bench.scribe.end, direction: "backward" as const };
    expect(searchAll(again, queryOf(entry), range).slots).toEqual(truth(bench.scribe.entries, queryOf(entry), range));
    const built = indexAll(bench.disk, directory.data, again, bench.scribe.decidedEnd);
    expect(built.map(({ generation }) => generation)).toEqual([2, 3, 4]);
    expect(searchAll(again, queryOf(entry), range).slots).toEqual(truth(bench.scribe.entries, queryOf(entry), range));
    again.close();
    bench.close();
  });
});
