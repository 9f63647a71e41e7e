import { loadHashing } from "../../src/native/hashing.ts";

/** Whichever implementation this machine has. */
export const hashing = await loadHashing();
