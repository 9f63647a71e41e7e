// Goal: what is compressed comes back as it was, in no more room than was claimed. Method: round trips through batches, and bytes
// that claim too much, too little or nothing that a codec knows. The zstd frames are of another implementation (Node 24).
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Codec } from "../../src/base/compression.ts";
import { limits } from "../../src/base/limits.ts";
import { compressorOf, decompress } from "../../src/client/compression.ts";
import { encodeBatch } from "../../src/client/encode-batch.ts";
import { LogBatch } from "../../src/client/log-batch.ts";
import { scanBatch } from "../../src/format/batch.ts";
import { foreignBatch, foreignColumns } from "../format/batch-message.ts";

const words = "the same words again, ".repeat(40);
const zstdWords = Buffer.from("KLUv/WBwAu0AALB0aGUgc2FtZSB3b3JkcyBhZ2FpbiwgAQCuZjWb", "base64");
const zstdZeros = Buffer.from("KLUv/aAAABAAVAAAEAAAAQD7/znAAgIAEAACABAAAgAQAAIAEAACABAAAgAQAAMAEAA=", "base64");
const hasZstd = compressorOf("auto")?.codec === "zstd";

const logBatch = (bytes: Uint8Array, count: number): LogBatch =>
  new LogBatch({ bytes, encodedCount: count, at: { begin: 0, count }, first: 1, time: 0, session: 0 });
const textOf = (value: Uint8Array) => Buffer.from(value).toString();

describe("a batch", () => {
  const names = ["gzip", "auto", ...(hasZstd ? (["zstd"] as const) : [])] as const;
  test.each(names)("with values by %s is smaller, legal, and reads as it was written", (compression) => {
    const records = Array.from({ length: 100 }, (_, index) => ({
      value: `${words} ${index}`,
      type: "T",
      tags: [`n:${index}`],
    }));
    const bytes = encodeBatch(records, { compression });
    expect(bytes.length).toBeLessThan(encodeBatch(records).length / 5);
    expect(scanBatch(bytes)).toEqual({ kind: "ok", recordCount: 100 });
    const read = [...logBatch(bytes, 100).records()];
    expect(read.map(({ value, type, tags }) => ({ value: textOf(value), type, tags }))).toEqual(records);
  });

  test("any records come back, compressed or not", () => {
    const value = fc.oneof(
      fc.uint8Array({ maxLength: 3000 }),
      fc.nat(3000).map((length) => new Uint8Array(length)),
    );
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 10 }), (values) => {
        const bytes = encodeBatch(
          values.map((each) => ({ value: each })),
          { compression: "gzip" },
        );
        const read = [...logBatch(bytes, values.length).records()].map((record) => Buffer.from(record.value));
        expect(read).toEqual(values.map((each) => Buffer.from(each)));
        expect(bytes.length).toBeLessThanOrEqual(encodeBatch(values.map((each) => ({ value: each }))).length);
      }),
      { numRuns: 100 },
    );
  });

  test("is left as it is where compression saves nothing", () => {
    let state = 1;
    const noise = Uint8Array.from({ length: 4096 }, () => {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      return state & 0xff;
    });
    for (const value of ["short", noise]) {
      expect(encodeBatch([{ value }], { compression: "gzip" })).toEqual(encodeBatch([{ value }]));
    }
  });

  test("of any protobuf library is read: zstd, one frame", () => {
    const bytes = foreignBatch({ valueLengths: [22, 858], compression: 2, uncompressedSize: 880, values: zstdWords });
    const read = [...logBatch(bytes, 2).records()].map((record) => textOf(record.value));
    expect(read).toEqual([words.slice(0, 22), words.slice(22)]);
  });

  test("whose values are not what they are said to be is BATCH_MALFORMED when one is asked for, and its tags are there", () => {
    const good = foreignColumns(encodeBatch([{ value: words, tags: ["a"] }], { compression: "gzip" }));
    const broken = Buffer.from(good.values!);
    broken[broken.length - 5]! ^= 1;
    const batch = logBatch(foreignBatch({ ...good, values: broken }), 1);
    expect(() => batch.record(0)).toThrow(
      expect.objectContaining({ code: "BATCH_MALFORMED", facts: { codec: "gzip", size: 880 } }),
    );
  });
});

describe("decompression", () => {
  const sound: readonly [Codec, Uint8Array][] = [
    ["gzip", compressorOf("gzip")!.compress(Buffer.from(words))],
    ["zstd", zstdWords],
  ];
  test.each(sound)("by %s gives what was claimed, and refuses more, fewer and foreign bytes", (codec, bytes) => {
    expect(textOf(decompress(codec, bytes, 880))).toBe(words);
    for (const size of [0, 1, 879, 881]) expect(() => decompress(codec, bytes, size), `${size}`).toThrow();
    expect(() => decompress(codec, Buffer.from("no frame at all"), 15)).toThrow();
    expect(() => decompress(codec, bytes.subarray(0, bytes.length - 6), 880)).toThrow();
  });

  test("of a zstd frame that asks for a large window makes no room for it", () => {
    const wide = Buffer.from(zstdWords);
    // Not one segment any more, but a window of 2^41 bytes.
    wide[4] = 0;
    wide[5] = 0xf8;
    expect(() => decompress("zstd", wide, 880)).toThrow();
  });

  test("of a bomb takes no more room than was claimed", () => {
    const bomb = compressorOf("gzip")!.compress(new Uint8Array(limits.uncompressedBytesMax * 4));
    const before = process.memoryUsage().arrayBuffers;
    for (let tries = 0; tries < 8; tries += 1) {
      expect(() => decompress("gzip", bomb, 1000)).toThrow();
      expect(() => decompress("zstd", zstdZeros, 1000)).toThrow();
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(limits.uncompressedBytesMax);
  });
});

test("an unknown compression, and zstd where there is none, are refused by name", () => {
  expect(() => compressorOf("brotli" as never)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  if (!hasZstd) expect(() => compressorOf("zstd")).toThrow(/has no zstd/);
});
