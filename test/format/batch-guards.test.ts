// The hashes that entries carry: fixed for ever by vectors, found in batches of any wire form, and no more of them than is allowed.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import { anyHash, hashOfText } from "../../src/base/tag-hash.ts";
import { scanBatch } from "../../src/format/batch.ts";
import { encodeBatch } from "../../src/format/batch-encode.ts";
import { guardsOfBatch } from "../../src/format/batch-guards.ts";
import { matchBatch, QueryHashes } from "../../src/format/batch-match.ts";

/** As the bytes of an entry have them. */
function hex(text: string, kind: "type" | "tag"): string {
  const { low, high } = hashOfText(text, kind);
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(low, 0);
  bytes.writeUInt32LE(high, 4);
  return bytes.toString("hex");
}

const value = new Uint8Array(1);

describe("the hash of a type or a tag", () => {
  test("is the same for ever: logs hold it", () => {
    const texts = ["", "a", "abc", "abcd", "order:42", "Bestellung für Ötzi", "x".repeat(256)];
    expect(texts.map((text) => `${hex(text, "type")} ${hex(text, "tag")}`)).toMatchInlineSnapshot(`
      [
        "c647291992dd8836 a123e9ff0064c60d",
        "5e474adfe19faca1 8f3ff2b5a58cfe64",
        "e99b11fb15406fb4 a6412432cfb74ad7",
        "ea39968c28cba501 14f6192fe158f87c",
        "1d5b4a891c512a5a b5467c20014d69de",
        "974b602b37af9a2f 3513fbc0e3cdd228",
        "b020ce756e822b22 ebe008da182b4b91",
      ]
    `);
  });

  test("differs for types and tags, and for different texts", () => {
    const hashes = new Set<string>();
    for (let index = 0; index < 50_000; index += 1) {
      hashes.add(hex(`order:${index}`, "tag"));
      hashes.add(hex(`order:${index}`, "type"));
    }
    expect(hashes.size).toBe(100_000);
  });

  test("spreads over both halves", () => {
    const [lows, highs] = [new Set<number>(), new Set<number>()];
    for (let index = 0; index < 10_000; index += 1) {
      const { low, high } = hashOfText(`${index}`, "tag");
      lows.add(low & 0xffff);
      highs.add(high >>> 16);
    }
    // Of 65,536 places 10,000 random ones are about 9,275 different ones.
    for (const places of [lows, highs]) expect(places.size).toBeGreaterThan(9_000);
  });
});

describe("the guards of a batch", () => {
  test("are the hashes of its types, then of its tags, each once", () => {
    const batch = encodeBatch([
      { value, type: "t1", tags: ["a", "b"] },
      { value, type: "t2", tags: ["b"] },
      { value, type: "t1" },
    ]);
    const expected = hex("t1", "type") + hex("t2", "type") + hex("a", "tag") + hex("b", "tag");
    expect(Buffer.from(guardsOfBatch(batch)).toString("hex")).toBe(expected);
  });

  test("are none where it has neither types nor tags", () => {
    expect(guardsOfBatch(encodeBatch([{ value, metadata: "m" }]))).toHaveLength(0);
  });

  test("are found wherever the dictionary stands, between columns that are not packed", () => {
    const tag = (text: string) => [0x22, text.length, ...Buffer.from(text)];
    const batch = Uint8Array.from([...tag("z"), 0x08, 0x01, 0x28, 0x01, ...tag("y"), 0x30, 0x01, 0x7a, 0x01, 0x07]);
    expect(scanBatch(batch)).toEqual({ kind: "ok", recordCount: 1 });
    expect(Buffer.from(guardsOfBatch(batch)).toString("hex")).toBe(hex("z", "tag") + hex("y", "tag"));
  });

  test("are the one that stands for anything where there are more than an entry may carry", () => {
    const most = limits.entryGuardBytesMax / 8;
    const records = (count: number) => Array.from({ length: count }, (_, index) => ({ value, tags: [`${index}`] }));
    expect(guardsOfBatch(encodeBatch(records(limits.batchRecordsMax)))).toHaveLength(8 * most);
    const more = encodeBatch([{ value, type: "t", tags: ["x"] }, ...records(limits.batchRecordsMax - 1)]);
    const guards = guardsOfBatch(more);
    expect(guards).toHaveLength(8);
    expect(new Uint32Array(guards.buffer)).toEqual(Uint32Array.of(anyHash.low, anyHash.high));
    expect(new QueryHashes({ items: [{ types: [], tags: ["unheard"] }] }).mayMatch(guards)).toBe(true);
  });
});

describe("matching a batch", () => {
  const words = fc.constantFrom("a", "b", "c");
  const record = fc.record({
    value: fc.constant(value),
    type: fc.option(words, { nil: undefined }),
    tags: fc.uniqueArray(words, { maxLength: 3 }),
  });
  const item = fc.record({
    types: fc.uniqueArray(words, { maxLength: 2 }),
    tags: fc.uniqueArray(words, { maxLength: 2 }),
  });

  test("finds the first and the last record that has one of the types and all of the tags, in any range", () => {
    const given = fc.record({
      records: fc.array(record, { minLength: 1, maxLength: 12 }),
      items: fc.array(item, { maxLength: 2 }),
      begin: fc.nat(12),
      end: fc.nat(14),
    });
    fc.assert(
      fc.property(given, ({ records, items, begin, end }) => {
        const batch = encodeBatch(records);
        const found = records.flatMap(({ type, tags }, ordinal) => {
          const isMatch = items.some(
            (each) =>
              (each.types.length === 0 || (type !== undefined && each.types.includes(type))) &&
              each.tags.every((tag) => tags.includes(tag)),
          );
          return isMatch && ordinal >= begin && ordinal < end ? [ordinal] : [];
        });
        expect(matchBatch(batch, { items }, { begin, end, want: "first" })).toBe(found[0]);
        expect(matchBatch(batch, { items }, { begin, end, want: "last" })).toBe(found.at(-1));
        const hasLabels = items.some(({ types, tags }) => types.length + tags.length > 0);
        if (found.length > 0 && hasLabels && items.every(({ types, tags }) => types.length + tags.length > 0)) {
          expect(new QueryHashes({ items }).mayMatch(guardsOfBatch(batch))).toBe(true);
        }
      }),
      { numRuns: 1000 },
    );
  });
});
