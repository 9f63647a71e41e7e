/**
 * Goal: what one side writes, every other side reads the same. Method: records at random through our encoder, ours against
 * protobufjs in both directions, and every legal spelling of one message against its plain form.
 */
import fc from "fast-check";
import protobuf from "protobufjs";
import { describe, expect, test } from "vitest";
import { batchFields, scanBatch } from "../../src/format/batch.ts";
import { type BatchRecord, decodeBatch } from "../../src/format/batch-decode.ts";
import { BatchBuilder, encodeBatch, type RecordInput } from "../../src/format/batch-encode.ts";
import { type BatchColumns, foreignBatch, foreignColumns } from "./batch-message.ts";

const text = fc.oneof(fc.constantFrom("", "a", "order:42", "ä€😀"), fc.string({ unit: "grapheme", maxLength: 20 }));
const bytes = fc.uint8Array({ maxLength: 200 });
const record: fc.Arbitrary<RecordInput> = fc.record(
  {
    value: fc.oneof(bytes, text),
    type: text,
    tags: fc.array(text, { maxLength: 5 }),
    metadata: fc.oneof(bytes, text),
  },
  { requiredKeys: ["value"] },
);
const records = fc.array(record, { minLength: 1, maxLength: 30 });

const toBytes = (value: Uint8Array | string): Uint8Array =>
  typeof value === "string" ? new TextEncoder().encode(value) : value;
const plain = (value: Uint8Array): Uint8Array => Uint8Array.from(value);

function expected(input: RecordInput): BatchRecord {
  const metadata = toBytes(input.metadata ?? "");
  return {
    value: toBytes(input.value),
    type: input.type,
    tags: input.tags ?? [],
    metadata: metadata.length === 0 ? undefined : metadata,
  };
}

function decodeAll(batch: Uint8Array): BatchRecord[] {
  return [...decodeBatch(batch)].map((each) => ({
    ...each,
    value: plain(each.value),
    metadata: each.metadata === undefined ? undefined : plain(each.metadata),
  }));
}

/** Takes so many from the front at each call. */
function taker<T>(slice: (begin: number, end: number) => T): (count: number) => T {
  let at = 0;
  return (count) => {
    at += count;
    return slice(at - count, at);
  };
}

/** The records of a message that protobufjs decoded, put together straight from the words of batch.proto. */
function recordsOf(columns: BatchColumns): BatchRecord[] {
  const { values = new Uint8Array(), metadata = new Uint8Array(), tagIndexes = [] } = columns;
  const takeValue = taker((begin, end) => plain(values.subarray(begin, end)));
  const takeMetadata = taker((begin, end) => plain(metadata.subarray(begin, end)));
  const takeTags = taker((begin, end) => tagIndexes.slice(begin, end));
  return columns.valueLengths!.map((length, index) => {
    const metadataLength = columns.metadataLengths?.[index] ?? 0;
    const type = columns.typeIndexes?.[index] ?? 0;
    return {
      value: takeValue(length),
      type: type === 0 ? undefined : columns.types![type - 1],
      tags: takeTags(columns.tagCounts?.[index] ?? 0).map((tag) => columns.tags![tag]!),
      metadata: metadataLength === 0 ? undefined : takeMetadata(metadataLength),
    };
  });
}

describe("round trips", () => {
  test("what was encoded is decoded again, record by record", () => {
    fc.assert(
      fc.property(records, (input) => {
        const batch = encodeBatch(input);
        expect(scanBatch(batch)).toEqual({ kind: "ok", recordCount: input.length });
        expect(decodeAll(batch)).toEqual(input.map(expected));
      }),
    );
  });

  test("protobufjs reads our batches, and makes the same bytes of them", () => {
    fc.assert(
      fc.property(records, (input) => {
        const batch = encodeBatch(input);
        const columns = foreignColumns(batch);
        expect(recordsOf(columns)).toEqual(input.map(expected));
        expect(plain(foreignBatch(columns))).toEqual(plain(batch));
      }),
    );
  });

  test("the accessors of one column agree with record(), and refuse an index that is none", () => {
    const view = decodeBatch(
      encodeBatch([
        { value: "a", tags: ["x"] },
        { value: "bc", type: "T", metadata: "m" },
      ]),
    );
    for (let index = 0; index < view.recordCount; index += 1) {
      const { value, type, tags, metadata } = view.record(index);
      expect([view.value(index), view.type(index), view.tags(index), view.metadata(index)]).toEqual([
        value,
        type,
        tags,
        metadata,
      ]);
    }
    for (const index of [-1, 2, 0.5, Number.NaN]) expect(() => view.record(index)).toThrow(/records 0 to 1/);
  });

  test("a decoded batch is not changed by the batches decoded after it", () => {
    const input: RecordInput[] = [
      { value: "one", type: "A", tags: ["x", "y"] },
      { value: "three", metadata: "m" },
    ];
    const first = decodeBatch(encodeBatch(input));
    decodeBatch(encodeBatch([{ value: "other and longer", type: "B", tags: ["p", "q", "r"], metadata: "mmmm" }]));
    expect([...first].map((each) => each.type)).toEqual(["A", undefined]);
    expect(first.tags(0)).toEqual(["x", "y"]);
    expect(Buffer.from(first.value(1)).toString()).toBe("three");
  });

  test("a batch in shared memory, not at its beginning, is scanned and decoded", () => {
    const batch = encodeBatch([{ value: "v", type: "ä", tags: ["€"] }]);
    const shared = new Uint8Array(new SharedArrayBuffer(batch.length + 7), 5, batch.length);
    shared.set(batch);
    expect(scanBatch(shared)).toEqual({ kind: "ok", recordCount: 1 });
    expect(decodeBatch(shared).type(0)).toBe("ä");
    expect(decodeBatch(shared).tags(0)).toEqual(["€"]);
  });
});

describe("the builder", () => {
  test("says at every step exactly how long the batch would be, and makes the same bytes as encodeBatch", () => {
    fc.assert(
      fc.property(records, (input) => {
        const builder = new BatchBuilder();
        for (let count = 1; count <= input.length; count += 1) {
          expect(builder.addAll(input.slice(count - 1, count))).toBe(true);
          expect(builder.recordCount).toBe(count);
          expect(builder.encodedSize).toBe(encodeBatch(input.slice(0, count)).length);
        }
        expect(plain(builder.finish())).toEqual(plain(encodeBatch(input)));
        expect(builder.recordCount).toBe(0);
        expect(builder.encodedSize).toBe(0);
      }),
    );
  });

  test("a call that fails half way leaves no trace", () => {
    fc.assert(
      fc.property(records, records, (before, input) => {
        const builder = new BatchBuilder();
        builder.addAll(before);
        const bad = [...input, { value: "x", type: "\ud800" }];
        expect(() => builder.addAll(bad)).toThrow(/surrogate/);
        expect(builder.encodedSize).toBe(encodeBatch(before).length);
        builder.addAll(input);
        expect(plain(builder.finish())).toEqual(plain(encodeBatch([...before, ...input])));
      }),
    );
  });

  test("bytes may be used again as soon as they were added", () => {
    const builder = new BatchBuilder();
    const value = Uint8Array.of(1, 2, 3);
    builder.addAll([{ value }]);
    value.fill(9);
    expect(plain(decodeBatch(builder.finish()).value(0))).toEqual(Uint8Array.of(1, 2, 3));
  });
});

/** Every spelling of one message that protobuf allows: pieces, unpacked elements, longer varints, any order of fields. */
const spelling = fc.record({
  piece: fc.integer({ min: 1, max: 5 }),
  unpacked: fc.boolean(),
  padding: fc.integer({ min: 0, max: 9 }),
  emptyPieces: fc.boolean(),
  defaults: fc.boolean(),
  order: fc.infiniteStream(fc.nat(1000)),
});
type Spelling = typeof spelling extends fc.Arbitrary<infer T> ? T : never;

function varint(value: number, padding: number): number[] {
  const digits: number[] = [];
  for (let rest = value; digits.length === 0 || rest > 0; rest = Math.floor(rest / 128)) digits.push(rest % 128);
  while (digits.length < Math.min(10, padding + 1)) digits.push(0);
  return digits.map((digit, index) => (index < digits.length - 1 ? digit | 0x80 : digit));
}

function spell(columns: BatchColumns, how: Spelling): Uint8Array {
  const fields: number[][][] = [];
  const key = (field: number, wireType: number) => varint(field * 8 + wireType, how.padding % 4);
  // protobufjs takes a length of at most five bytes and elements of ten.
  const bytesField = (field: number, content: readonly number[]) => [
    ...key(field, 2),
    ...varint(content.length, Math.min(4, how.padding)),
    ...content,
  ];
  const column = (field: number, numbers: readonly number[] = []) => {
    const pieces: number[][] = [];
    if (how.emptyPieces) pieces.push(bytesField(field, []));
    for (let at = 0; at < numbers.length; at += how.piece) {
      const piece = numbers.slice(at, at + how.piece);
      // Packed and unpacked by turns, so that one column mixes both.
      if (how.unpacked && at % 2 === 0)
        for (const each of piece) pieces.push([...key(field, 0), ...varint(each, how.padding)]);
      else
        pieces.push(
          bytesField(
            field,
            piece.flatMap((each) => varint(each, how.padding)),
          ),
        );
    }
    fields.push(pieces);
  };
  const strings = (field: number, values: readonly string[] = []) =>
    fields.push(values.map((each) => bytesField(field, [...toBytes(each)])));
  const singular = (field: number, content: Uint8Array | undefined) => {
    if (content !== undefined && (content.length > 0 || how.defaults)) fields.push([bytesField(field, [...content])]);
  };
  column(batchFields.valueLengths, columns.valueLengths);
  strings(batchFields.types, columns.types);
  column(batchFields.typeIndexes, columns.typeIndexes);
  strings(batchFields.tags, columns.tags);
  column(batchFields.tagCounts, columns.tagCounts);
  column(batchFields.tagIndexes, columns.tagIndexes);
  column(batchFields.metadataLengths, columns.metadataLengths);
  singular(batchFields.metadata, columns.metadata);
  singular(batchFields.values, columns.values);
  if (how.defaults)
    fields.push([[...key(10, 0), ...varint(0, how.padding)]], [[...key(11, 0), ...varint(0, how.padding)]]);

  // Fields in any order, the pieces of one field in theirs.
  const order = how.order[Symbol.iterator]();
  const rest = fields.filter((pieces) => pieces.length > 0);
  const written: number[] = [];
  while (rest.length > 0) {
    const chosen = order.next().value! % rest.length;
    written.push(...rest[chosen]!.shift()!);
    if (rest[chosen]!.length === 0) rest.splice(chosen, 1);
  }
  return Uint8Array.from(written);
}

describe("foreign batches", () => {
  test("every spelling that protobuf allows is the same batch to us and to protobufjs", () => {
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 6 }), spelling, (input, how) => {
        const foreign = spell(foreignColumns(encodeBatch(input)), how);
        expect(recordsOf(foreignColumns(foreign))).toEqual(input.map(expected));
        expect(scanBatch(foreign)).toEqual({ kind: "ok", recordCount: input.length });
        expect(decodeAll(foreign)).toEqual(input.map(expected));
      }),
      { numRuns: 300 },
    );
  });

  test("ids are accepted, 16 bytes for each record", () => {
    const columns = { valueLengths: [1, 0], values: Uint8Array.of(7), ids: new Uint8Array(32) };
    expect(scanBatch(foreignBatch(columns))).toEqual({ kind: "ok", recordCount: 2 });
    expect(scanBatch(foreignBatch({ ...columns, ids: new Uint8Array(31) }))).toMatchObject({ kind: "malformed" });
  });

  test("a dictionary may repeat a string and hold one that no record uses", () => {
    const batch = foreignBatch({
      valueLengths: [0, 0],
      types: ["T", "T", "unused"],
      typeIndexes: [1, 2],
      tags: ["x", "x"],
      tagCounts: [2, 0],
      tagIndexes: [0, 1],
    });
    expect(decodeAll(batch).map(({ type, tags }) => ({ type, tags }))).toEqual([
      { type: "T", tags: ["x", "x"] },
      { type: "T", tags: [] },
    ]);
  });

  test("a length may have ten bytes too", () => {
    const bytes = [...varint(10, 9), ...varint(1, 9), 1, ...varint(122, 9), ...varint(1, 9), 7];
    expect(decodeAll(Uint8Array.from(bytes)).map((each) => each.value)).toEqual([Uint8Array.of(7)]);
  });

  test("protobufjs' own writer, with elements unpacked, is read", () => {
    const writer = protobuf.Writer.create();
    for (const length of [1, 300, 0]) writer.uint32(batchFields.valueLengths * 8).uint32(length);
    writer.uint32(batchFields.values * 8 + 2).bytes(new Uint8Array(301));
    expect(scanBatch(writer.finish())).toEqual({ kind: "ok", recordCount: 3 });
  });
});
