/**
 * The only loader of the addon, and its portable twin. test/native/ holds both to the same values.
 */
import { createRequire } from "node:module";
import { createCRC32, createXXHash128 } from "hash-wasm";
import { assert } from "../base/assert.ts";
import { PaxlogError } from "../base/errors.ts";
import type { Hashing } from "../base/hashing.ts";
import type { Hash } from "../base/types.ts";

/** "auto": the addon where it can be loaded, else the portable code. */
export type HashingChoice = "auto" | "native" | "portable";

/** What the addon exports; native/src/ says what each does. */
interface Addon {
  crc32c(bytes: Uint8Array, seed: number): number;
  xxh3(bytes: Uint8Array): string;
}

/**
 * Loads checksums and hashes. Where the choice is "auto", the environment's PAXLOG_HASHING decides, if it is set. Each thread
 * loads its own. Throws INVALID_ARGUMENT where "native" was asked for and the addon cannot be loaded (the cause is in the
 * message), or where PAXLOG_HASHING is none of the three.
 */
export async function loadHashing(choice: HashingChoice = "auto"): Promise<Hashing> {
  const chosen = choice === "auto" ? choiceOfEnvironment() : choice;
  if (chosen === "portable") return portableHashing();
  const addon = loadAddon();
  if (addon.kind === "ok") return nativeHashing(addon.addon);
  if (chosen === "auto") return portableHashing();
  throw new PaxlogError(
    "INVALID_ARGUMENT",
    `the native addon cannot be loaded; build it with \`npm run build:native\` or choose portable hashing: ${reasonsOf(addon.cause)}`,
    { cause: addon.cause },
  );
}

function choiceOfEnvironment(): HashingChoice {
  const value = process.env.PAXLOG_HASHING ?? "";
  if (value === "") return "auto";
  if (value === "auto" || value === "native" || value === "portable") return value;
  throw new PaxlogError("INVALID_ARGUMENT", `PAXLOG_HASHING must be auto, native or portable, is ${value}`);
}

type LoadedAddon =
  | { readonly kind: "ok"; readonly addon: Addon }
  | { readonly kind: "failed"; readonly cause: unknown };

/** Both src/native/ and dist/native/ are two levels below the package, so the same path leads to native/. */
function loadAddon(): LoadedAddon {
  try {
    return { kind: "ok", addon: createRequire(import.meta.url)("../../native/index.cjs") as Addon };
  } catch (cause) {
    return { kind: "failed", cause };
  }
}

/** The generated loader tries several files, and its error carries what each said as a chain of causes. */
function reasonsOf(error: unknown): string {
  const reasons: string[] = [];
  for (let cause = error; cause !== undefined && reasons.length < loadReasonsMax; ) {
    reasons.push(cause instanceof Error ? cause.message : String(cause));
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return reasons.join("; because: ");
}

const loadReasonsMax = 8;

function nativeHashing(addon: Addon): Hashing {
  return checked({
    implementation: "native",
    crc32c: (bytes, seed = 0) => addon.crc32c(bytes, seed),
    xxh3: (bytes) => addon.xxh3(bytes) as Hash,
  });
}

/** The polynomial of CRC32C with its bits reversed, as hash-wasm wants it. */
const castagnoli = 0x82f63b78;

async function portableHashing(): Promise<Hashing> {
  const crc = await createCRC32(castagnoli);
  const xxh = await createXXHash128();
  // A saved state is a mark of the library's build and then the checksum so far, little-endian. `checked` makes sure of it.
  const state = crc.init().save().slice();
  const stateView = new DataView(state.buffer);
  return checked({
    implementation: "portable",
    crc32c: (bytes, seed = 0) => {
      stateView.setUint32(state.length - 4, seed, true);
      return Number.parseInt(crc.load(state).update(bytes).digest(), 16);
    },
    xxh3: (bytes) => xxh.init().update(bytes).digest() as Hash,
  });
}

/** Wrong checksums would read as rot in good data, so a known value is computed before any is trusted. */
function checked(hashing: Hashing): Hashing {
  const text = new TextEncoder().encode("123456789");
  const begun = hashing.crc32c(text.subarray(0, 4));
  assert(hashing.crc32c(text.subarray(4), begun) === 0xe3069283, `${hashing.implementation} CRC32C is wrong`);
  const ofNothing = hashing.xxh3(text.subarray(0, 0));
  assert(ofNothing === "99aa06d3014798d86001c324468d497f", `${hashing.implementation} XXH3-128 is wrong`);
  return hashing;
}
