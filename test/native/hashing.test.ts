/**
 * Goal: the addon and its portable twin compute CRC32C and XXH3-128, and nothing else.
 * Method: one suite for both. CRC32C against the vectors of RFC 3720, appendix B.4; XXH3-128 against the sanity values that
 * the authors of xxHash publish, at lengths on either side of every branch of the algorithm; then random bytes, both at once.
 */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { Hashing } from "../../src/base/hashing.ts";
import { loadHashing } from "../../src/native/hashing.ts";

const hexBytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex.replaceAll(/\s/g, ""), "hex"));

const crcVectors: readonly (readonly [string, Uint8Array, number])[] = [
  ["nothing", new Uint8Array(0), 0],
  ["the digits 1 to 9", Buffer.from("123456789"), 0xe3069283],
  ["32 zeroes", new Uint8Array(32), 0x8a9136aa],
  ["32 ones", new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ["32 rising bytes", Uint8Array.from({ length: 32 }, (_, index) => index), 0x46dd794e],
  ["32 falling bytes", Uint8Array.from({ length: 32 }, (_, index) => 31 - index), 0x113fdb5c],
  [
    "an iSCSI read command",
    hexBytes(`01c00000 00000000 00000000 00000000 14000000 00000400
              00000014 00000018 28000000 00000000 02000000 00000000`),
    0xd9963a56,
  ],
];

/** The bytes that xxHash's own sanity check hashes prefixes of. */
function sanityBytes(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let generator = 2_654_435_761n;
  for (let index = 0; index < length; index++) {
    bytes[index] = Number(generator >> 56n);
    generator = BigInt.asUintN(64, generator * 11_400_714_785_074_694_797n);
  }
  return bytes;
}

const xxh3Vectors: readonly (readonly [number, string])[] = [
  [0, "99aa06d3014798d86001c324468d497f"],
  [1, "a6cd5e9392000f6ac44bdff4074eecdb"],
  [6, "082afe0b8162d12a3e7039bdda43cfc6"],
  [12, "6e3efd8fc7802b18061a192713f69ad9"],
  [24, "0ce966e4678d37611e7044d28b1b901d"],
  [48, "a002ac4e5478227ef942219aed80f67b"],
  [81, "4952f58181ab00425e8bafb9f95fb803"],
  [222, "337e09641b948717f1aebd597cec6b3a"],
  [403, "1b6de21e332dd73dcdeb804d65c6dea4"],
  [512, "18d2d110dcc9bca1617e49599013cb6b"],
  [2048, "f736557fd47073a5dd59e2c3a5f038e0"],
  [2240, "ccb134fbfa7ce49d6e73a90539cf2948"],
  [2367, "e89c0f6ff369b427cb37aeb9e5d361ed"],
];

const loaderOfAddon = fileURLToPath(new URL("../../native/index.cjs", import.meta.url));
const addonWasBuilt = existsSync(loaderOfAddon);

const portable = await loadHashing("portable");
const implementations: Hashing[] = [portable];
// Where there is no Rust there is no addon; where there is one, that it cannot be loaded is a failure and no reason to skip.
if (addonWasBuilt) implementations.push(await loadHashing("native"));

describe.each(implementations.map((hashing) => [hashing.implementation, hashing] as const))("%s", (_name, hashing) => {
  test.each(crcVectors)("CRC32C of %s is the one of the standard", (_what, bytes, expected) => {
    expect(hashing.crc32c(bytes)).toBe(expected);
  });

  test.each(xxh3Vectors)("XXH3-128 of %i bytes is the one its authors publish", (length, expected) => {
    expect(hashing.xxh3(sanityBytes(length))).toBe(expected);
  });

  test("a checksum goes on from the checksum of the bytes before", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat({ max: 300 }), (bytes, cut) => {
        const seed = hashing.crc32c(bytes.subarray(0, cut));
        expect(hashing.crc32c(bytes.subarray(cut), seed)).toBe(hashing.crc32c(bytes));
      }),
    );
  });

  test("a view is hashed from where it begins to where it ends, also over shared memory", () => {
    const bytes = sanityBytes(1000);
    const arena = new Uint8Array(new SharedArrayBuffer(4096)).fill(0x5a);
    arena.set(bytes, 77);
    const view = arena.subarray(77, 77 + bytes.length);
    expect(hashing.crc32c(view)).toBe(hashing.crc32c(bytes));
    expect(hashing.xxh3(view)).toBe(hashing.xxh3(bytes));
    expect(arena[76]).toBe(0x5a);
    expect(arena[77 + bytes.length]).toBe(0x5a);
  });

  test("a later call owes nothing to an earlier one", () => {
    const one = sanityBytes(5000);
    const first = [hashing.crc32c(one), hashing.xxh3(one)];
    hashing.crc32c(one.subarray(3), 12_345);
    hashing.xxh3(one.subarray(9));
    expect([hashing.crc32c(one), hashing.xxh3(one)]).toEqual(first);
  });
});

describe.runIf(addonWasBuilt)("the addon", () => {
  test("agrees with its twin on any bytes, seed and length", async () => {
    const native = await loadHashing("native");
    const seeds = fc.integer({ min: 0, max: 0xffff_ffff });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), fc.nat({ max: 40 }), seeds, (bytes, begin, seed) => {
        const view = bytes.subarray(begin);
        expect(native.crc32c(view, seed)).toBe(portable.crc32c(view, seed));
        expect(native.xxh3(view)).toBe(portable.xxh3(view));
      }),
      { numRuns: 500 },
    );
    const large = sanityBytes(3_000_001);
    expect(native.crc32c(large, 7)).toBe(portable.crc32c(large, 7));
    expect(native.xxh3(large)).toBe(portable.xxh3(large));
  });

  test("answers a caller's mistake with an exception, not with the end of the process", () => {
    const addon = createRequire(import.meta.url)(loaderOfAddon);
    for (const wrong of [undefined, null, "text", 7, {}, new ArrayBuffer(8)]) {
      expect(() => addon.crc32c(wrong, 0)).toThrow();
      expect(() => addon.xxh3(wrong)).toThrow();
    }
    expect(() => addon.crc32c(new Uint8Array(4), "seed")).toThrow();
  });

  test("works in worker threads over memory they share, and outlives them", async () => {
    const bytes = sanityBytes(100_000);
    const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
    shared.set(bytes);
    const code = `const { parentPort, workerData } = require("node:worker_threads");
      const addon = require(workerData.loader);
      parentPort.postMessage([addon.crc32c(workerData.shared, 0), addon.xxh3(workerData.shared)]);`;
    const answers = await Promise.all(
      [1, 2, 3, 4].map(async () => {
        const worker = new Worker(code, { eval: true, workerData: { loader: loaderOfAddon, shared } });
        const exited = once(worker, "exit");
        const [answer] = await once(worker, "message");
        await exited;
        return answer;
      }),
    );
    for (const answer of answers) expect(answer).toEqual([portable.crc32c(bytes), portable.xxh3(bytes)]);
  });
});

describe("the choice", () => {
  afterEach(() => void vi.unstubAllEnvs());

  test("is the environment's where the caller leaves it open, and the caller's where not", async () => {
    vi.stubEnv("PAXLOG_HASHING", "portable");
    expect((await loadHashing()).implementation).toBe("portable");
    expect((await loadHashing("auto")).implementation).toBe("portable");
    if (addonWasBuilt) expect((await loadHashing("native")).implementation).toBe("native");
  });

  test("is the addon where it was built and nobody chose", async () => {
    vi.stubEnv("PAXLOG_HASHING", "");
    expect((await loadHashing()).implementation).toBe(addonWasBuilt ? "native" : "portable");
  });

  test("is refused by name where the environment names something else", async () => {
    vi.stubEnv("PAXLOG_HASHING", "fast");
    await expect(loadHashing()).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringMatching(/auto, native or portable/),
    });
  });

  test("of an addon that cannot be loaded says why; nobody's choice falls back", async () => {
    // A copy of the built module in a package without native/ finds no addon.
    const root = await mkdtemp(join(tmpdir(), "paxlog-hashing-"));
    try {
      await mkdir(join(root, "dist"));
      await cp(distributed, join(root, "dist"), { recursive: true });
      await writeFile(join(root, "package.json"), JSON.stringify({ type: "module" }));
      await symlink(fileURLToPath(new URL("../../node_modules", import.meta.url)), join(root, "node_modules"));
      const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", probe], {
        cwd: root,
      });
      expect(JSON.parse(stdout)).toEqual({
        auto: "portable",
        code: "INVALID_ARGUMENT",
        message: expect.stringContaining("native/index.cjs"),
      });
    } finally {
      await rm(root, { recursive: true });
    }
  });
});

const distributed = fileURLToPath(new URL("../../dist", import.meta.url));
const probe = `
  import { loadHashing } from "./dist/native/hashing.js";
  const auto = (await loadHashing("auto")).implementation;
  const { code, message } = await loadHashing("native").catch((error) => error);
  console.log(JSON.stringify({ auto, code, message }));`;
