import type { Hashing } from "../base/hashing.ts";
export async function loadHashing(_choice: "auto" | "native" | "portable" = "auto"): Promise<Hashing> { throw new Error("to be built"); }
