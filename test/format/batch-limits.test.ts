/** Goal: each limit holds exactly. Method: a batch at the edge is taken by encoder and scan, one above is refused by both, by name. */
import { describe, expect, test } from "vitest";
import { PaxlogError } from "../../src/base/errors.ts";
import { limits } from "../../src/base/limits.ts";
import { scanBatch } from "../../src/format/batch.ts";
import { BatchBuilder, encodeBatch, type RecordInput } from "../../src/format/batch-encode.ts";
import { foreignBatch } from "./batch-message.ts";

function refusal(records: readonly RecordInput[]): PaxlogError {
  try {
    encodeBatch(records);
  } catch (error) {
    expect(error).toBeInstanceOf(PaxlogError);
    return error as PaxlogError;
  }
  throw new Error("was accepted");
}

const bytes = (length: number): Uint8Array => new Uint8Array(length);

describe("one record", () => {
  const full: RecordInput = {
    value: bytes(limits.recordBytesMax - 10),
    type: "abc",
    tags: ["de", "de"],
    metadata: "fgh",
  };

  test("value, type, tags and metadata together have at most the limit", () => {
    expect(scanBatch(encodeBatch([full]))).toEqual({ kind: "ok", recordCount: 1 });
    for (const above of [
      { type: "abcd" },
      { tags: ["de", "dex"] },
      { metadata: "fghi" },
      { value: bytes(limits.recordBytesMax - 9) },
    ]) {
      const error = refusal([{ value: "first" }, { ...full, ...above }]);
      expect(error).toMatchObject({ code: "RECORD_TOO_LARGE", outcome: "none", retryable: false });
      expect(error.facts).toEqual({ record: 1, limit: limits.recordBytesMax });
    }
  });

  test("strings are measured in bytes", () => {
    expect(scanBatch(encodeBatch([{ value: "é".repeat(limits.recordBytesMax / 2) }])).kind).toBe("ok");
    expect(refusal([{ value: `é${"é".repeat(limits.recordBytesMax / 2)}` }]).code).toBe("RECORD_TOO_LARGE");
  });

  test("the scan finds the same edge", () => {
    const columns = (length: number) => ({
      valueLengths: [length],
      values: bytes(length),
      types: ["abc"],
      typeIndexes: [1],
      tags: ["de"],
      tagCounts: [2],
      tagIndexes: [0, 0],
      metadataLengths: [3],
      metadata: bytes(3),
    });
    expect(scanBatch(foreignBatch(columns(limits.recordBytesMax - 10)))).toEqual({ kind: "ok", recordCount: 1 });
    expect(scanBatch(foreignBatch(columns(limits.recordBytesMax - 9)))).toMatchObject({
      kind: "tooLarge",
      code: "RECORD_TOO_LARGE",
    });
  });
});

describe("types and tags", () => {
  const long = "é".repeat(128);

  test("a type has at most 256 bytes", () => {
    expect(scanBatch(encodeBatch([{ value: "", type: long }])).kind).toBe("ok");
    expect(refusal([{ value: "", type: `${long}x` }])).toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(scanBatch(foreignBatch({ valueLengths: [0], types: [`${long}x`], typeIndexes: [1] })).kind).toBe(
      "malformed",
    );
  });

  test("a tag has at most 256 bytes", () => {
    expect(scanBatch(encodeBatch([{ value: "", tags: [long] }])).kind).toBe("ok");
    expect(refusal([{ value: "", tags: [`${long}x`] }])).toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(
      scanBatch(foreignBatch({ valueLengths: [0], tags: [`${long}x`], tagCounts: [1], tagIndexes: [0] })).kind,
    ).toBe("malformed");
  });

  test("a record has at most 64 tags", () => {
    const tags = Array.from({ length: 64 }, (_, index) => `t${index}`);
    expect(scanBatch(encodeBatch([{ value: "", tags }])).kind).toBe("ok");
    expect(refusal([{ value: "", tags: [...tags, "one more"] }])).toMatchObject({ code: "INVALID_ARGUMENT" });
    const foreign = (count: number) => ({
      valueLengths: [0],
      tags: ["x"],
      tagCounts: [count],
      tagIndexes: Array<number>(count).fill(0),
    });
    expect(scanBatch(foreignBatch(foreign(64))).kind).toBe("ok");
    expect(scanBatch(foreignBatch(foreign(65)))).toMatchObject({
      kind: "malformed",
      reason: expect.stringMatching(/65 tags/),
    });
  });
});

describe("one batch", () => {
  const empty: RecordInput = { value: "" };

  test("has at least one record", () => {
    expect(refusal([])).toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  test("has at most 65,536 records", () => {
    const records = Array<RecordInput>(limits.batchRecordsMax).fill(empty);
    expect(scanBatch(encodeBatch(records))).toEqual({ kind: "ok", recordCount: limits.batchRecordsMax });
    expect(refusal([...records, empty])).toMatchObject({ code: "BATCH_TOO_LARGE", outcome: "none" });
    const foreign = foreignBatch({ valueLengths: Array<number>(limits.batchRecordsMax + 1).fill(0) });
    expect(scanBatch(foreign)).toMatchObject({ kind: "tooLarge", code: "BATCH_TOO_LARGE" });
  });

  test("has at most 2 MiB, to the byte", () => {
    const half = bytes(limits.recordBytesMax);
    const records = (length: number): RecordInput[] => [{ value: half }, { value: bytes(length) }];
    const overhead = encodeBatch(records(limits.recordBytesMax - 1000)).length - (2 * limits.recordBytesMax - 1000);
    const edge = limits.recordBytesMax - overhead;
    const largest = encodeBatch(records(edge));
    expect(largest.length).toBe(limits.batchBytesMax);
    expect(scanBatch(largest)).toEqual({ kind: "ok", recordCount: 2 });
    expect(refusal(records(edge + 1))).toMatchObject({ code: "BATCH_TOO_LARGE", outcome: "none" });
    const foreign = foreignBatch({
      valueLengths: [limits.recordBytesMax, edge + 1],
      values: bytes(limits.recordBytesMax + edge + 1),
    });
    expect(foreign.length).toBe(limits.batchBytesMax + 1);
    expect(scanBatch(foreign)).toMatchObject({ kind: "tooLarge", code: "BATCH_TOO_LARGE" });
  });

  test("what does not fit beside the records of a builder stays out, and fits the next batch", () => {
    const builder = new BatchBuilder();
    const large: RecordInput = { value: bytes(900_000), type: "L", tags: ["x"] };
    expect(builder.addAll([large])).toBe(true);
    expect(builder.addAll([large])).toBe(true);
    const size = builder.encodedSize;
    expect(builder.addAll([{ value: bytes(10), type: "new" }, large])).toBe(false);
    expect(builder.encodedSize).toBe(size);
    expect(scanBatch(builder.finish())).toEqual({ kind: "ok", recordCount: 2 });
    expect(builder.addAll([large])).toBe(true);
  });
});

describe("what is not a record", () => {
  const wrong: readonly [string, unknown, RegExp][] = [
    ["undefined", undefined, /an object with a value/],
    ["no value", {}, /value that is neither/],
    ["a number as value", { value: 5 }, /value that is neither/],
    ["an ArrayBuffer as value", { value: new ArrayBuffer(4) }, /value that is neither/],
    ["a number as type", { value: "", type: 5 }, /type that is not a string/],
    ["null as type", { value: "", type: null }, /type that is not a string/],
    ["a string as tags", { value: "", tags: "order:42" }, /tags that are not an array/],
    ["a number as tag", { value: "", tags: [5] }, /tag that is not a string/],
    ["null as metadata", { value: "", metadata: null }, /metadata that is neither/],
    ["half a surrogate pair in the value", { value: "a\ud800b" }, /surrogate/],
    ["half a surrogate pair in a tag", { value: "", tags: ["\udc00"] }, /surrogate/],
  ];
  test.each(wrong)("%s", (_name, record, reason) => {
    const error = refusal([record as RecordInput]);
    expect(error).toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(reason) });
    expect(error.facts).toEqual({ record: 0 });
  });
});
