/**
 * Goal: bytes from anywhere end in a verdict, never in an exception, and "ok" means that every reader agrees. Method: one fault
 * at a time with its reason; every truncation, every flipped bit and random bytes against protobufjs' reading of the same bytes.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PaxlogError } from "../../src/base/errors.ts";
import { limits } from "../../src/base/limits.ts";
import { scanBatch } from "../../src/format/batch.ts";
import { decodeBatch } from "../../src/format/batch-decode.ts";
import { encodeBatch } from "../../src/format/batch-encode.ts";
import { type BatchColumns, foreignBatch, foreignColumns } from "./batch-message.ts";

const small = encodeBatch([
  { value: "one", type: "Placed", tags: ["order:1", "é"], metadata: "m" },
  { value: new Uint8Array(200).fill(7), tags: ["order:1"] },
  { value: "", type: "Paid" },
]);

const raw = (...parts: (number | readonly number[] | Uint8Array)[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => (typeof part === "number" ? [part] : [...part])));

/** A verdict, and the decoder of the same mind. */
function scan(bytes: Uint8Array): ReturnType<typeof scanBatch> {
  const verdict = scanBatch(bytes);
  if (verdict.kind === "ok") {
    const records = [...decodeBatch(bytes)];
    expect(records.length).toBe(verdict.recordCount);
  } else {
    const code = verdict.kind === "malformed" ? "BATCH_MALFORMED" : verdict.code;
    let thrown: unknown;
    try {
      decodeBatch(bytes);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(PaxlogError);
    expect((thrown as PaxlogError).code).toBe(code);
  }
  return verdict;
}

/** protobufjs is more lenient: what we accept it must read as the same number of records, of the same bytes. */
function agreesWithProtobuf(bytes: Uint8Array): void {
  const verdict = scan(bytes);
  if (verdict.kind !== "ok") return;
  const columns = foreignColumns(bytes);
  expect(columns.valueLengths?.length).toBe(verdict.recordCount);
  const values = [...decodeBatch(bytes)].map((record) => record.value.length);
  expect(values).toEqual(columns.valueLengths);
  expect(verdict.recordCount).toBeLessThanOrEqual(limits.batchRecordsMax);
}

describe("anything at all", () => {
  test("a batch that was cut anywhere is malformed", () => {
    for (let length = 0; length < small.length; length += 1) {
      expect(scan(small.subarray(0, length))).toMatchObject({ kind: "malformed" });
    }
  });

  test("a batch with any one bit flipped gets a verdict, and if it is ok the number of records is what protobufjs reads", () => {
    for (let at = 0; at < small.length; at += 1) {
      for (let bit = 0; bit < 8; bit += 1) {
        const flipped = Uint8Array.from(small);
        flipped[at]! ^= 1 << bit;
        agreesWithProtobuf(flipped);
      }
    }
  });

  test("a batch with any byte replaced, inserted or removed gets a verdict", () => {
    fc.assert(
      fc.property(fc.nat(small.length - 1), fc.nat(255), fc.constantFrom(0, 1, 2), (at, byte, how) => {
        const insert = how === 2 ? [] : [byte];
        agreesWithProtobuf(raw(small.subarray(0, at), insert, small.subarray(how === 1 ? at : at + 1)));
      }),
      { numRuns: 2000 },
    );
  });

  test("random bytes get a verdict", () => {
    const key = fc.constantFrom(8, 10, 18, 26, 24, 34, 42, 50, 58, 66, 74, 80, 88, 122);
    const piece = fc.tuple(key, fc.uint8Array({ maxLength: 6 })).map(([first, rest]) => [first, rest.length, ...rest]);
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 60 }),
          fc.array(piece, { maxLength: 8 }).map((all) => raw(...all)),
        ),
        agreesWithProtobuf,
      ),
      { numRuns: 3000 },
    );
  });
});

describe("one fault at a time", () => {
  const good: BatchColumns = {
    valueLengths: [1, 2],
    types: ["A"],
    typeIndexes: [0, 1],
    tags: ["x", "y"],
    tagCounts: [2, 1],
    tagIndexes: [0, 1, 0],
    metadataLengths: [0, 3],
    metadata: new Uint8Array(3),
    ids: new Uint8Array(32),
    values: new Uint8Array(3),
  };
  const value = raw(0x0a, 1, 0, 0x7a, 0);

  test("the message they are made from is good", () => {
    expect(scan(foreignBatch(good))).toEqual({ kind: "ok", recordCount: 2 });
    expect(scan(value)).toEqual({ kind: "ok", recordCount: 1 });
  });

  const changes: readonly [string, Partial<BatchColumns>, RegExp][] = [
    ["no record", { valueLengths: [] }, /no record/],
    ["too many type_indexes", { typeIndexes: [0, 1, 1] }, /type_indexes has 3 elements for 2/],
    ["too few type_indexes", { typeIndexes: [1] }, /type_indexes has 1 elements for 2/],
    ["a type that is not there", { typeIndexes: [0, 2] }, /record 1 names type 2/],
    ["too few tag_counts", { tagCounts: [3] }, /tag_counts has 1 elements/],
    ["tag_counts that ask for more", { tagCounts: [2, 2] }, /tag_indexes has 3/],
    ["tag_counts that ask for less", { tagCounts: [1, 1] }, /tag_indexes has 3/],
    ["tag_indexes without tag_counts", { tagCounts: [] }, /tag_indexes has 3/],
    ["a tag that is not there", { tagIndexes: [0, 1, 2] }, /record 1 names tag 2/],
    ["value_lengths that add up to more", { valueLengths: [1, 3] }, /value_lengths do not add up/],
    ["value_lengths that add up to less", { valueLengths: [1, 1] }, /value_lengths do not add up/],
    ["value_lengths near 2^32", { valueLengths: [0xffff_ffff, 0xffff_ffff] }, /value_lengths do not add up/],
    ["too many metadata_lengths", { metadataLengths: [0, 3, 0] }, /metadata_lengths has 3/],
    ["metadata_lengths that add up to more", { metadataLengths: [1, 3] }, /metadata_lengths do not add up/],
    ["metadata without lengths", { metadataLengths: [] }, /metadata_lengths do not add up/],
    ["ids of another length", { ids: new Uint8Array(16) }, /ids/],
    ["compressed_size without compression", { uncompressedSize: 3 }, /uncompressed_size/],
  ];
  test.each(changes)("%s", (_name, change, reason) => {
    expect(scan(foreignBatch({ ...good, ...change }))).toEqual({
      kind: "malformed",
      reason: expect.stringMatching(reason),
    });
  });

  const spellings: readonly [string, Uint8Array, RegExp][] = [
    ["an unknown field", raw(value, 0x60, 0), /field 12 is not one/],
    ["field 0", raw(value, 0x00, 0), /field 0 is not one/],
    ["a group", raw(value, 0x0b, 0x0c), /wire type 3/],
    ["a fixed32 for a length", raw(value, 0x0d, 0, 0, 0, 0), /wire type 5/],
    ["a number where bytes belong", raw(0x0a, 1, 0, 0x78, 0), /values has wire type 0/],
    ["a number for a type", raw(value, 0x10, 0), /types has wire type 0/],
    ["compression as bytes", raw(value, 0x52, 0), /compression/],
    ["a compression of tomorrow", raw(value, 0x50, 3), /compression/],
    ["compression twice", raw(value, 0x50, 0, 0x50, 0), /compression occurs twice/],
    ["uncompressed_size twice", raw(value, 0x58, 0, 0x58, 0), /uncompressed_size occurs twice/],
    ["values twice", raw(value, 0x7a, 0), /values occurs twice/],
    ["metadata twice", raw(value, 0x42, 0, 0x42, 0), /metadata occurs twice/],
    ["ids twice", raw(value, 0x4a, 0, 0x4a, 0), /ids occurs twice/],
    ["a varint of eleven bytes", raw(0x08, Array(10).fill(0x80), 0, 0x7a, 0), /value_lengths/],
    ["a varint of 2^32", raw(0x08, 0x80, 0x80, 0x80, 0x80, 0x10, 0x7a, 0), /value_lengths/],
    ["a varint across the end of its piece", raw(0x0a, 1, 0x80, 0x0a, 1, 0x00, 0x7a, 0), /value_lengths/],
    ["a piece longer than the batch", raw(0x0a, 5, 0), /value_lengths is longer/],
    ["a length of 2^64 - 1", raw(0x7a, Array(9).fill(0xff), 1), /values is longer/],
    ["a field number that is cut", raw(value, 0xff), /number/],
  ];
  test.each(spellings)("%s", (_name, bytes, reason) => {
    expect(scan(bytes)).toEqual({ kind: "malformed", reason: expect.stringMatching(reason) });
  });

  const sequences: readonly [string, number[]][] = [
    ["a lone continuation", [0x80]],
    ["an overlong slash", [0xc0, 0xaf]],
    ["a cut sequence", [0x41, 0xe2, 0x82]],
    ["a surrogate", [0xed, 0xa0, 0x80]],
    ["above U+10FFFF", [0xf4, 0x90, 0x80, 0x80]],
  ];
  test.each(sequences)("%s is not a type and not a tag", (_name, bytes) => {
    for (const key of [0x12, 0x22]) {
      expect(scan(raw(value, key, bytes.length, bytes))).toMatchObject({
        kind: "malformed",
        reason: expect.stringMatching(/UTF-8/),
      });
    }
  });
});
