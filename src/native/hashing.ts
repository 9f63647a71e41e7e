/** Checksums and hashes by the addon, and their portable twin. test/native/ holds both to the same values. */
import { assert } from "../base/assert.ts";
import type { Hashing } from "../base/hashing.ts";
import type { Hash } from "../base/types.ts";
import { type Addon, chooseAddon, type NativeChoice } from "./addon.ts";

export type HashingChoice = NativeChoice;

/**
 * Loads checksums and hashes. Where the choice is "auto", the environment's PAXLOG_HASHING decides, if it is set. Each thread
 * loads its own. Throws INVALID_ARGUMENT where "native" was asked for and the addon cannot be loaded (the cause is in the
 * message), or where PAXLOG_HASHING is none of the three.
 */
export async function loadHashing(choice: HashingChoice = "auto"): Promise<Hashing> {
  const addon = chooseAddon(choice);
  return addon === undefined ? portableHashing() : nativeHashing(addon);
}

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
  // Loaded only when needed: each thread of a node would spend a tenth of its start on it.
  const { createCRC32, createXXHash128 } = await import("hash-wasm");
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
