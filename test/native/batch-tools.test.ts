/**
 * Goal: the addon and its portable twin copy the same bytes, name them alike, and judge every batch alike, to the word.
 * Method: one suite with shared vectors for both; then batches that protobufjs made, as they are, altered and random, to both.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { BatchTools } from "../../src/base/batch-tools.ts";
import { scanBatch } from "../../src/format/batch.ts";
import { loadBatchTools } from "../../src/native/batch-tools.ts";
import { loadHashing } from "../../src/native/hashing.ts";
import { anyBatch, scanVectors } from "./batch-vectors.ts";

const loaderOfAddon = fileURLToPath(new URL("../../native/index.cjs", import.meta.url));
const addonWasBuilt = existsSync(loaderOfAddon);

const hashing = await loadHashing("portable");
const portable = loadBatchTools({ hashing, scanBatch });
const implementations: BatchTools[] = [portable];
if (addonWasBuilt) implementations.push(loadBatchTools({ hashing: await loadHashing("native"), scanBatch }));

function randomBytes(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = 12_345;
  for (let index = 0; index < length; index += 1) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[index] = state >>> 16;
  }
  return bytes;
}

describe.each(implementations.map((tools) => [tools.implementation, tools] as const))("%s", (implementation, tools) => {
  test("is the implementation that was asked for", () => {
    expect(implementations.map((each) => each.implementation)).toContain(implementation);
    expect(tools.scanBatch === scanBatch).toBe(implementation === "portable");
  });

  test.each(scanVectors)("the verdict over %s", (_name, bytes, expected) => {
    expect(tools.scanBatch(bytes)).toEqual(expected);
  });

  test("a verdict owes nothing to the batches before", () => {
    for (const [, bytes, expected] of [...scanVectors, ...[...scanVectors].reverse()]) {
      expect(tools.scanBatch(bytes)).toEqual(expected);
    }
  });

  test("a batch in shared memory, inside of a view, is judged from where it begins to where it ends", () => {
    for (const [, bytes, expected] of scanVectors) {
      const shared = new Uint8Array(new SharedArrayBuffer(bytes.length + 20)).fill(0xff);
      shared.set(bytes, 7);
      expect(tools.scanBatch(shared.subarray(7, 7 + bytes.length))).toEqual(expected);
    }
  });

  test.each([0, 1, 100, 16_383, 16_384, 16_385, 65_536, 100_001, 1_048_576])(
    "copies %i bytes to their place and nowhere else, and names them",
    (length) => {
      const source = randomBytes(length);
      const target = new Uint8Array(new SharedArrayBuffer(length + 50)).fill(0x5a);
      const copied = tools.copyAndHash(source, target.subarray(3), 10, 77);
      expect(copied).toEqual({ crc32c: hashing.crc32c(source, 77), xxh3: hashing.xxh3(source) });
      expect(Buffer.compare(target.subarray(13, 13 + length), source)).toBe(0);
      expect(target.subarray(0, 13).every((byte) => byte === 0x5a)).toBe(true);
      expect(target.subarray(13 + length).every((byte) => byte === 0x5a)).toBe(true);
    },
  );

  test("refuses a target that is too short or that shares bytes with the source, and leaves it alone", () => {
    const target = new Uint8Array(100).fill(1);
    expect(() => tools.copyAndHash(new Uint8Array(51), target, 50)).toThrow(/ends before/);
    expect(() => tools.copyAndHash(new Uint8Array(1), target, 100)).toThrow(/ends before/);
    expect(() => tools.copyAndHash(target.subarray(0, 10), target, 50)).toThrow(/share/);
    expect(target.every((byte) => byte === 1)).toBe(true);
    expect(tools.copyAndHash(new Uint8Array(0), target, 100).crc32c).toBe(0);
    // Neighbours in one arena share nothing.
    tools.copyAndHash(target.subarray(0, 50).fill(2), target.subarray(50), 0);
    expect(target.every((byte) => byte === 2)).toBe(true);
  });
});

describe.runIf(addonWasBuilt)("the addon", () => {
  const native = implementations[implementations.length - 1]!;

  test("judges batches of another encoder, sound, altered and random, as its twin does", () => {
    const seen = new Map<string, number>();
    fc.assert(
      fc.property(anyBatch, (bytes) => {
        const verdict = portable.scanBatch(bytes);
        expect(native.scanBatch(bytes)).toEqual(verdict);
        seen.set(verdict.kind, (seen.get(verdict.kind) ?? 0) + 1);
      }),
      { numRuns: 6_000 },
    );
    // A generator that made only one kind of verdict would prove nothing.
    expect(seen.get("ok")).toBeGreaterThan(1000);
    expect(seen.get("malformed")).toBeGreaterThan(1000);
  });

  test("judges every truncation and every flipped bit of a sound batch as its twin does", () => {
    const [, sound] = scanVectors[0]!;
    for (let at = 0; at < sound.length; at += 1) {
      expect(native.scanBatch(sound.subarray(0, at))).toEqual(portable.scanBatch(sound.subarray(0, at)));
      for (let bit = 0; bit < 8; bit += 1) {
        const flipped = sound.slice();
        flipped[at]! ^= 1 << bit;
        expect(native.scanBatch(flipped)).toEqual(portable.scanBatch(flipped));
      }
    }
  });

  test("copies and names any bytes as its twin does", () => {
    const seeds = fc.integer({ min: 0, max: 0xffff_ffff });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), fc.nat({ max: 90 }), seeds, (bytes, offset, seed) => {
        const targets = [new Uint8Array(3000), new Uint8Array(3000)] as const;
        const copied = native.copyAndHash(bytes, targets[0], offset, seed);
        expect(copied).toEqual(portable.copyAndHash(bytes, targets[1], offset, seed));
        expect(Buffer.compare(...targets)).toBe(0);
      }),
    );
  });

  test("answers a caller's mistake with an exception, not with the end of the process", () => {
    const addon = createRequire(import.meta.url)(loaderOfAddon);
    for (const wrong of [undefined, null, "text", 7, {}, new ArrayBuffer(8)]) {
      expect(() => addon.scanBatch(wrong, 1, 1, 1, 1, 1, 1)).toThrow();
      expect(() => addon.copyAndHash(wrong, new Uint8Array(8), 0, 0)).toThrow();
      expect(() => addon.copyAndHash(new Uint8Array(8), wrong, 0, 0)).toThrow();
      expect(() => addon.offsetToBoundary(wrong, 4096)).toThrow();
    }
    expect(() => addon.scanBatch(new Uint8Array(1))).toThrow();
    expect(() => addon.copyAndHash(new Uint8Array(8), new Uint8Array(8), 4_294_967_295, 0)).toThrow(/ends before/);
    expect(() => addon.offsetToBoundary(new Uint8Array(8), 3)).toThrow(/power of two/);
  });
});
