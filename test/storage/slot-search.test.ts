// Goal: a search through posting lists finds what looking at every entry finds, in either direction and in pieces of any size. Method:
// random lists and queries, held against sets.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import { anyHash, hashOfText, type TagHash } from "../../src/base/tag-hash.ts";
import type { Slot } from "../../src/base/types.ts";
import type { Entry } from "../../src/core/entry.ts";
import type { QueryItem } from "../../src/core/guards.ts";
import { QueryHashes } from "../../src/format/batch-match.ts";
import { bucketOf, buildPostingTable } from "../../src/format/posting-table.ts";
import { MemoryPostings } from "../../src/storage/memory-postings.ts";
import { type PostingSource, searchPostings } from "../../src/storage/slot-search.ts";
import { guardsWith } from "./indexing.ts";
import { Scribe } from "./scribe.ts";

const names = ["a", "b", "c"];
const entryCount = 120;
const entries = fc
  .array(fc.nat(entryCount - 1), { maxLength: 60 })
  .map((all) => [...new Set(all)].sort((a, b) => a - b));
const lists = fc.record({ a: entries, b: entries, c: entries, any: fc.oneof(fc.constant<number[]>([]), entries) });
const item: fc.Arbitrary<QueryItem> = fc.record({ types: fc.subarray(names), tags: fc.subarray(names) });

type Lists = Record<"a" | "b" | "c" | "any", number[]>;

/** Types and tags of one name have the same entries here. */
function sourceOf(all: Lists): PostingSource {
  const key = ({ low, high }: Readonly<TagHash>) => `${low} ${high}`;
  const known = new Map<string, number[]>([[key(anyHash), all.any]]);
  for (const name of ["a", "b", "c"] as const) {
    for (const kind of ["type", "tag"] as const) known.set(key(hashOfText(name, kind)), all[name]);
  }
  return {
    list: (hash) => {
      const found = known.get(key(hash));
      return found === undefined ? undefined : { count: found.length, at: (index) => found[index]! };
    },
  };
}

function matches(all: Lists, items: readonly QueryItem[], entry: number): boolean {
  const has = (name: string) => all[name as "a"].includes(entry);
  const matchesItem = ({ types, tags }: QueryItem) => tags.every(has) && (types.length === 0 || types.some(has));
  return all.any.includes(entry) || items.some(matchesItem);
}

describe("a search through postings", () => {
  test("finds what looking at every entry finds, in pieces of any size, from either end", () => {
    fc.assert(
      fc.property(
        lists,
        fc.array(item, { minLength: 1, maxLength: 3 }),
        fc.nat(entryCount),
        fc.nat(entryCount),
        fc.record({ steps: fc.integer({ min: 1, max: 40 }), found: fc.integer({ min: 1, max: 10 }) }),
        fc.constantFrom("forward" as const, "backward" as const),
        (all, items, from, end, budget, direction) => {
          const source = sourceOf(all);
          const query = new QueryHashes({ items });
          const found: number[] = [];
          let range = { from, end, direction };
          for (let pieces = 0; range.from < range.end; pieces += 1) {
            expect(pieces).toBeLessThan(1000);
            const searchedTo = searchPostings(source, query, range, { ...budget }, (entry) => found.push(entry));
            range = direction === "forward" ? { ...range, from: searchedTo } : { ...range, end: searchedTo };
          }
          const expected = Array.from({ length: Math.max(0, end - from) }, (_, index) => from + index).filter((entry) =>
            matches(all, items, entry),
          );
          expect(found).toEqual(direction === "forward" ? expected : expected.reverse());
        },
      ),
      { numRuns: 400 },
    );
  });

  test("takes steps in proportion to the rarest tag, however common the others are", () => {
    const all = Array.from({ length: 100_000 }, (_, index) => index);
    const source = sourceOf({ a: all, b: all, c: [99_000], any: [] });
    const query = new QueryHashes({ items: [{ types: ["a"], tags: ["b", "c"] }] });
    const budget = { steps: 1000, found: 10 };
    const found: number[] = [];
    const range = { from: 0, end: 100_000, direction: "forward" } as const;
    expect(searchPostings(source, query, range, budget, (entry) => found.push(entry))).toBe(100_000);
    expect(found).toEqual([99_000]);
    expect(budget.steps).toBeGreaterThan(800);
  });
});

test("a posting table holds each hash once, in its bucket, with the entries that bear it in order", () => {
  const posting = fc.record({
    low: fc.nat(5),
    high: fc.constantFrom(0, 1, 0x7fff_ffff, 0xffff_ffff),
    entry: fc.nat(50),
  });
  fc.assert(
    fc.property(fc.array(posting, { maxLength: 600 }), (unsorted) => {
      const postings = [...unsorted].sort((a, b) => a.entry - b.entry);
      const {
        buckets,
        hashes,
        postings: lists,
      } = buildPostingTable({
        lows: Uint32Array.from(postings, ({ low }) => low),
        highs: Uint32Array.from(postings, ({ high }) => high),
        entries: Uint32Array.from(postings, ({ entry }) => entry),
      });
      const found = new Map<string, number[]>();
      for (let bucket = 0; bucket + 1 < buckets.length; bucket += 1) {
        for (let index = buckets[bucket]!; index < buckets[bucket + 1]!; index += 1) {
          const [low, high, count, first] = hashes.subarray(4 * index, 4 * index + 4) as unknown as number[];
          expect(bucketOf(high!, buckets.length - 1)).toBe(bucket);
          found.set(`${low} ${high}`, count === 1 ? [first!] : [...lists.subarray(first!, first! + count!)]);
        }
      }
      const expected = new Map<string, number[]>();
      for (const { low, high, entry } of postings) {
        const list = expected.get(`${low} ${high}`) ?? [];
        if (list[list.length - 1] !== entry) list.push(entry);
        expected.set(`${low} ${high}`, list);
      }
      expect(new Map([...found].sort())).toEqual(new Map([...expected].sort()));
    }),
    { numRuns: 100 },
  );
});

describe("the postings in memory", () => {
  const slots = (memory: MemoryPostings, tag: string, slot: number): number[] => {
    const table = memory.tableOf(slot as Slot);
    const list = table.list(hashOfText(tag, "tag"));
    return Array.from({ length: list?.count ?? 0 }, (_, index) => table.firstSlot + list!.at(index));
  };
  const write = (count: number, tagsOf: (slot: number) => string[]): Entry[] => {
    const scribe = new Scribe();
    for (let slot = 1; slot <= count; slot += 1) {
      scribe.guards = () => guardsWith([], tagsOf(slot));
      scribe.append(1, 1);
    }
    return scribe.entries;
  };

  test("find entries by hash until they are cut, or an index covers them", () => {
    const memory = new MemoryPostings(1 as Slot);
    memory.add(write(9, (slot) => [`${slot % 3}`, "all", "all"]));
    expect([memory.firstSlot, memory.endSlot]).toEqual([1, 10]);
    expect(slots(memory, "1", 1)).toEqual([1, 4, 7]);
    expect(slots(memory, "all", 9)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(slots(memory, "none", 9)).toEqual([]);
    memory.cut(5 as Slot);
    expect([memory.firstSlot, memory.endSlot]).toEqual([1, 1]);
    memory.add(write(9, () => []));
    memory.dropBelow(10 as Slot);
    expect([memory.firstSlot, memory.endSlot]).toEqual([10, 10]);
  });

  test("are bounded: the oldest table makes room", () => {
    const perEntry = limits.memoryTablePostings / 4;
    const tags = Array.from({ length: perEntry }, (_, index) => `${index}`);
    const guards = guardsWith([], tags);
    const scribe = new Scribe();
    scribe.guards = () => guards;
    const count = (limits.memoryPostings / limits.memoryTablePostings + 2) * 4;
    scribe.append(count, 1);
    const memory = new MemoryPostings(1 as Slot);
    memory.add(scribe.entries);
    expect([memory.firstSlot, memory.endSlot]).toEqual([9, count + 1]);
    expect(slots(memory, "7", 9)).toEqual([9, 10, 11, 12]);
  });
});
