/** Batches and the verdicts that every implementation must give, word for word; and where more batches come from. */
import fc from "fast-check";
import type { BatchScan } from "../../src/base/batch-tools.ts";
import { limits } from "../../src/base/limits.ts";
import { type BatchColumns, foreignBatch } from "../format/batch-message.ts";

export const raw = (...parts: (number | readonly number[] | Uint8Array)[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => (typeof part === "number" ? [part] : [...part])));

const malformed = (reason: string): BatchScan => ({ kind: "malformed", reason });
const ok = (recordCount: number): BatchScan => ({ kind: "ok", recordCount });

/** One record of no bytes. */
const value = raw(0x0a, 1, 0, 0x7a, 0);

const good: BatchColumns = {
  valueLengths: [1, 2],
  types: ["A"],
  typeIndexes: [0, 1],
  tags: ["x", "é"],
  tagCounts: [2, 1],
  tagIndexes: [0, 1, 0],
  metadataLengths: [0, 3],
  metadata: new Uint8Array(3),
  ids: new Uint8Array(32),
  values: new Uint8Array(3),
};
const changed = (change: Partial<BatchColumns>): Uint8Array => foreignBatch({ ...good, ...change });
const { batchBytesMax, batchRecordsMax, recordBytesMax, tagsPerRecordMax, typeBytesMax } = limits;

export const scanVectors: readonly (readonly [string, Uint8Array, BatchScan])[] = [
  ["a batch with every column", foreignBatch(good), ok(2)],
  ["a record of no bytes", value, ok(1)],
  ["a column in pieces and singles", raw(0x0a, 1, 1, 0x08, 1, 0x0a, 2, 0x81, 0x00, 0x7a, 3, 1, 2, 3), ok(3)],
  ["a varint of ten bytes", raw(0x08, Array(9).fill(0x80), 0, 0x7a, 0), ok(1)],
  ["nothing", raw(), malformed("the batch has no record")],
  ["a batch without values", changed({ valueLengths: [], values: raw() }), malformed("the batch has no record")],
  [
    "type_indexes for more",
    changed({ typeIndexes: [0, 1, 1] }),
    malformed("type_indexes has 3 elements for 2 records"),
  ],
  ["tag_counts for fewer", changed({ tagCounts: [3] }), malformed("tag_counts has 1 elements for 2 records")],
  [
    "metadata_lengths for more",
    changed({ metadataLengths: [0, 3, 0] }),
    malformed("metadata_lengths has 3 elements for 2 records"),
  ],
  [
    "tag_counts that ask for more",
    changed({ tagCounts: [2, 2] }),
    malformed("tag_indexes has 3 elements and tag_counts asks for another number"),
  ],
  [
    "value_lengths near 2^32",
    changed({ valueLengths: [0xffff_ffff, 0xffff_ffff] }),
    malformed("value_lengths do not add up to the length of values"),
  ],
  [
    "metadata without lengths",
    changed({ metadataLengths: [] }),
    malformed("metadata_lengths do not add up to the length of metadata"),
  ],
  ["ids of another length", changed({ ids: new Uint8Array(16) }), malformed("ids has not 16 bytes for each record")],
  [
    "a type that is not there",
    changed({ typeIndexes: [0, 2] }),
    malformed("record 1 names type 2, which the batch does not have"),
  ],
  [
    "a tag that is not there",
    changed({ tagIndexes: [0, 1, 2] }),
    malformed("record 1 names tag 2, which the batch does not have"),
  ],
  [
    "a type beyond all bounds",
    changed({ typeIndexes: [0, 0xffff_ffff] }),
    malformed("record 1 names type 4294967295, which the batch does not have"),
  ],
  ["an unknown field", raw(value, 0x60, 0), malformed("field 12 is not one of RecordBatch")],
  ["field 0", raw(value, 0), malformed("field 0 is not one of RecordBatch")],
  [
    "the largest field",
    raw(value, 0xf8, 0xff, 0xff, 0xff, 0x0f),
    malformed("field 536870911 is not one of RecordBatch"),
  ],
  ["a group", raw(value, 0x0b, 0x0c), malformed("value_lengths has wire type 3")],
  ["a number where bytes belong", raw(0x0a, 1, 0, 0x78, 0), malformed("values has wire type 0")],
  ["a number for a type", raw(value, 0x10, 0), malformed("types has wire type 0")],
  ["values by gzip", raw(0x0a, 1, 5, 0x50, 1, 0x58, 5, 0x7a, 2, 1, 2), { kind: "ok", recordCount: 1 }],
  ["values by zstd", raw(0x58, 5, 0x50, 2, 0x0a, 2, 2, 3, 0x7a, 1, 1), { kind: "ok", recordCount: 2 }],
  ["a compression of tomorrow", raw(value, 0x50, 3), malformed("the compression is not one that this version knows")],
  [
    "compression without a size",
    raw(0x0a, 1, 5, 0x50, 1, 0x7a, 1, 1),
    malformed("value_lengths do not add up to uncompressed_size"),
  ],
  [
    "a size that is not that of the values",
    raw(0x0a, 1, 5, 0x50, 1, 0x58, 6, 0x7a, 1, 1),
    malformed("value_lengths do not add up to uncompressed_size"),
  ],
  [
    "compressed values that are not there",
    raw(0x0a, 1, 5, 0x50, 1, 0x58, 5),
    malformed("values is compressed and empty"),
  ],
  ["an uncompressed size as bytes", raw(value, 0x5a, 0), malformed("uncompressed_size is cut short or out of range")],
  [
    "values that would be larger than any reader takes",
    raw(0x0a, 4, 0x81, 0x80, 0x80, 8, 0x50, 1, 0x58, 0x81, 0x80, 0x80, 8, 0x7a, 1, 1),
    {
      kind: "tooLarge",
      code: "BATCH_TOO_LARGE",
      reason: "the batch has 16777217 bytes of values before compression, the limit is 16777216",
    },
  ],
  ["compression as bytes", raw(value, 0x52, 0), malformed("the compression is not one that this version knows")],
  ["compression twice", raw(value, 0x50, 0, 0x50, 0), malformed("compression occurs twice")],
  ["an uncompressed size", raw(value, 0x58, 7), malformed("uncompressed_size is not 0 and nothing is compressed")],
  ["an uncompressed size twice", raw(value, 0x58, 0, 0x58, 0), malformed("uncompressed_size occurs twice")],
  ["values twice", raw(value, 0x7a, 0), malformed("values occurs twice")],
  ["ids twice", raw(value, 0x4a, 0, 0x4a, 0), malformed("ids occurs twice")],
  [
    "a varint of eleven bytes",
    raw(0x08, Array(10).fill(0x80), 0, 0x7a, 0),
    malformed("an element of value_lengths is cut short or out of range"),
  ],
  [
    "a varint of 2^32",
    raw(0x08, 0x80, 0x80, 0x80, 0x80, 0x10, 0x7a, 0),
    malformed("an element of value_lengths is cut short or out of range"),
  ],
  [
    "a varint across the end of its piece",
    raw(0x0a, 1, 0x80, 0x0a, 1, 0, 0x7a, 0),
    malformed("an element of value_lengths is cut short or out of range"),
  ],
  ["a piece longer than the batch", raw(0x0a, 5, 0), malformed("value_lengths is longer than the batch")],
  ["a length of 2^64 - 1", raw(0x7a, Array(9).fill(0xff), 1), malformed("values is longer than the batch")],
  ["a type longer than the batch", raw(value, 0x12, 2, 65), malformed("an element of types is longer than the batch")],
  ["a field number that is cut", raw(value, 0xff), malformed("a field's number is cut short or out of range")],
  ["a surrogate for a type", raw(value, 0x12, 3, 0xed, 0xa0, 0x80), malformed("type 0 is not valid UTF-8")],
  ["an overlong slash for a tag", raw(value, 0x22, 2, 0xc0, 0xaf), malformed("tag 0 is not valid UTF-8")],
  ["a mark of byte order for a tag", raw(value, 0x22, 3, 0xef, 0xbb, 0xbf), ok(1)],
  [
    "a type above the limit",
    changed({ types: ["A".repeat(typeBytesMax + 1)] }),
    malformed(`type 0 has ${typeBytesMax + 1} bytes, the limit is ${typeBytesMax}`),
  ],
  [
    "tags above the limit",
    changed({ tagCounts: [tagsPerRecordMax + 1, 0], tagIndexes: Array(tagsPerRecordMax + 1).fill(0) }),
    malformed(`record 0 has ${tagsPerRecordMax + 1} tags, the limit is ${tagsPerRecordMax}`),
  ],
  ["records at the limit", foreignBatch({ valueLengths: Array(batchRecordsMax).fill(0) }), ok(batchRecordsMax)],
  [
    "records above the limit",
    foreignBatch({ valueLengths: Array(batchRecordsMax + 1).fill(0) }),
    {
      kind: "tooLarge",
      code: "BATCH_TOO_LARGE",
      reason: `the batch has ${batchRecordsMax + 1} records, the limit is ${batchRecordsMax}`,
    },
  ],
  [
    "a record at the limit",
    foreignBatch({ valueLengths: [recordBytesMax], values: new Uint8Array(recordBytesMax) }),
    ok(1),
  ],
  [
    "a record above the limit by its tag",
    foreignBatch({
      valueLengths: [0, recordBytesMax],
      values: new Uint8Array(recordBytesMax),
      tags: ["x"],
      tagCounts: [0, 1],
      tagIndexes: [0],
    }),
    {
      kind: "tooLarge",
      code: "RECORD_TOO_LARGE",
      reason: `record 1 has ${recordBytesMax + 1} bytes, the limit is ${recordBytesMax}`,
    },
  ],
  [
    "a batch above the limit, whatever is in it",
    new Uint8Array(batchBytesMax + 1),
    {
      kind: "tooLarge",
      code: "BATCH_TOO_LARGE",
      reason: `the batch has ${batchBytesMax + 1} bytes, the limit is ${batchBytesMax}`,
    },
  ],
];

const element = fc.oneof({ weight: 4, arbitrary: fc.nat({ max: 3 }) }, fc.nat({ max: 0xffff_ffff }));
const column = fc.array(element, { maxLength: 4 });
const text = fc.string({ unit: "binary", maxLength: 4 });

/** Columns as protobufjs encodes them; they rarely fit each other. */
const anyColumns: fc.Arbitrary<Uint8Array> = fc
  .record({
    valueLengths: column,
    types: fc.array(text, { maxLength: 3 }),
    typeIndexes: column,
    tags: fc.array(text, { maxLength: 3 }),
    tagCounts: column,
    tagIndexes: column,
    metadataLengths: column,
    metadata: fc.uint8Array({ maxLength: 6 }),
    ids: fc.constantFrom(new Uint8Array(0), new Uint8Array(16), new Uint8Array(32)),
    compression: fc.constantFrom(0, 0, 1, 2, 3),
    uncompressedSize: fc.constantFrom(0, 0, 1, 2),
    values: fc.uint8Array({ maxLength: 6 }),
  })
  .map(foreignBatch);

/** Columns that do fit each other, as another client would send them. */
const soundColumns: fc.Arbitrary<Uint8Array> = fc
  .array(
    fc.record({
      value: fc.nat(40),
      metadata: fc.nat(5),
      type: fc.nat(2),
      tags: fc.array(fc.nat(2), { maxLength: 3 }),
    }),
    { minLength: 1, maxLength: 20 },
  )
  .map((records) => {
    const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
    const valueLengths = records.map((record) => record.value);
    const metadataLengths = records.map((record) => record.metadata);
    return foreignBatch({
      valueLengths,
      values: new Uint8Array(sum(valueLengths)).fill(7),
      metadataLengths,
      metadata: new Uint8Array(sum(metadataLengths)),
      types: ["Placed", "Paid"],
      typeIndexes: records.map((record) => record.type),
      tags: ["order:1", "é", "\u{1f600}"],
      tagCounts: records.map((record) => record.tags.length),
      tagIndexes: records.flatMap((record) => record.tags),
      ids: new Uint8Array(16 * records.length),
    });
  });

const change = fc.record({
  how: fc.constantFrom("replace", "insert", "remove", "cut"),
  at: fc.nat(),
  byte: fc.nat(255),
});

function changedBy(bytes: Uint8Array, { how, at, byte }: { how: string; at: number; byte: number }): Uint8Array {
  const place = at % (bytes.length + 1);
  const before = bytes.subarray(0, place);
  if (how === "cut") return before;
  if (how === "insert") return raw(before, byte, bytes.subarray(place));
  return raw(before, how === "replace" ? [byte] : [], bytes.subarray(place + 1));
}

/** Bytes that are a batch, nearly a batch, or nothing of the kind. */
export const anyBatch: fc.Arbitrary<Uint8Array> = fc.oneof(
  soundColumns,
  anyColumns,
  fc
    .tuple(fc.oneof(soundColumns, anyColumns), fc.array(change, { minLength: 1, maxLength: 3 }))
    .map(([bytes, changes]) => changes.reduce(changedBy, bytes)),
  fc.uint8Array({ maxLength: 60 }),
);
