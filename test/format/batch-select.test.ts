// Goal: a query finds the records of a batch that a look at each of them would find, and a batch made of some of them holds exactly
// those. Method: generated batches and queries, with dictionaries that repeat strings, against the plain records.
import fc from "fast-check";
import { expect, test } from "vitest";
import { scanBatch } from "../../src/format/batch.ts";
import { decodeBatch } from "../../src/format/batch-decode.ts";
import { encodeBatch } from "../../src/format/batch-encode.ts";
import { SelectableBatch } from "../../src/format/batch-select.ts";
import { paxlog } from "../../src/format/generated/wire.js";

const word = fc.constantFrom("a", "b", "c", "ä", "");
const records = fc.array(
  fc.record({
    value: fc.uint8Array({ maxLength: 5 }),
    type: fc.option(word, { nil: undefined }),
    tags: fc.array(word, { maxLength: 4 }),
    metadata: fc.option(fc.uint8Array({ maxLength: 3 }), { nil: undefined }),
  }),
  { minLength: 1, maxLength: 30 },
);
const words = fc.subarray(["a", "b", "c", "ä", "", "none"], { maxLength: 3 });
const query = fc.record({ items: fc.array(fc.record({ types: words, tags: words }), { minLength: 1, maxLength: 3 }) });
const selection = fc.record({
  begin: fc.nat({ max: 10 }),
  end: fc.nat({ max: 35 }),
  max: fc.constantFrom(1, 3, Number.POSITIVE_INFINITY),
  want: fc.constantFrom("first" as const, "last" as const),
});

const plain = (bytes: Uint8Array) =>
  [...decodeBatch(bytes)].map(({ value, metadata, ...rest }) => ({
    ...rest,
    value: [...value],
    metadata: metadata === undefined ? undefined : [...metadata],
  }));

test("a selection is what a look at every record finds, and the batch made of it holds those records alone", () => {
  fc.assert(
    fc.property(records, query, selection, (given, asked, { begin, end, max, want }) => {
      const bytes = encodeBatch(given);
      const all = plain(bytes);
      const matching = all.flatMap(({ type, tags }, ordinal) => {
        const found = asked.items.some(
          (item) =>
            (item.types.length === 0 || (type !== undefined && item.types.includes(type))) &&
            item.tags.every((tag) => tags.includes(tag)),
        );
        return found && ordinal >= begin && ordinal < end ? [ordinal] : [];
      });
      const expected = want === "first" ? matching.slice(0, max) : matching.slice(Math.max(0, matching.length - max));
      const batch = new SelectableBatch(bytes);
      const ordinals = batch.select(asked, { begin, end, max, want });
      expect(ordinals).toEqual(expected);
      if (ordinals.length === 0) return;
      const selected = batch.encode(ordinals);
      expect(scanBatch(selected)).toEqual({ kind: "ok", recordCount: ordinals.length });
      expect(plain(selected)).toEqual(ordinals.map((ordinal) => all[ordinal]));
    }),
  );
});

test("a dictionary that repeats a string, and a record that bears a tag twice, hide nothing and give nothing twice", () => {
  const bytes = paxlog.v1.RecordBatch.encode({
    valueLengths: [1, 1, 1],
    types: ["T", "T"],
    typeIndexes: [2, 1, 0],
    tags: ["x", "unused", "x"],
    tagCounts: [2, 1, 0],
    tagIndexes: [0, 2, 2],
    ids: Buffer.from(Array.from({ length: 48 }, (_, index) => index)),
    values: Buffer.from("abc"),
  }).finish();
  const batch = new SelectableBatch(bytes);
  const everything = { begin: 0, end: 3, max: 9, want: "first" } as const;
  expect(batch.select({ items: [{ types: [], tags: ["x"] }] }, everything)).toEqual([0, 1]);
  expect(batch.select({ items: [{ types: ["T"], tags: [] }] }, everything)).toEqual([0, 1]);
  const selected = paxlog.v1.RecordBatch.decode(batch.encode([1, 2]));
  expect(Buffer.from(selected.ids)).toEqual(Buffer.from(Array.from({ length: 32 }, (_, index) => 16 + index)));
  expect(Buffer.from(selected.values).toString()).toBe("bc");
});
