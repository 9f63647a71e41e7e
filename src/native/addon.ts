/** The only loader of the addon. What it exports is said in native/src/; here stand the types alone. */
import { createRequire } from "node:module";
import { PaxlogError } from "../base/errors.ts";

/** "auto": the addon where it can be loaded, else the portable code. */
export type NativeChoice = "auto" | "native" | "portable";

export interface OpenOptions {
  readonly write: boolean;
  readonly create: boolean;
  readonly direct: boolean;
  readonly dataSync: boolean;
  readonly directory: boolean;
}

/** An open file. Errors of the system carry the name of their errno as `code`. */
export interface NativeFile {
  size(): number;
  read(offset: number, target: Uint8Array): number;
  write(offset: number, parts: readonly Uint8Array[]): void;
  syncData(): void;
  syncAll(): void;
  resize(length: number): void;
  preallocate(length: number): void;
  tryLock(): boolean;
  close(): void;
}

export interface Addon {
  crc32c(bytes: Uint8Array, seed: number): number;
  xxh3(bytes: Uint8Array): string;
  /** 8 hexadecimal digits of the CRC32C, then 32 of the XXH3-128. */
  copyAndHash(source: Uint8Array, target: Uint8Array, offset: number, seed: number): string;
  gather(target: Uint8Array, parts: readonly Uint8Array[]): number;
  scanBatch(
    bytes: Uint8Array,
    batchBytesMax: number,
    recordsMax: number,
    recordBytesMax: number,
    tagsPerRecordMax: number,
    typeBytesMax: number,
    tagBytesMax: number,
    uncompressedBytesMax: number,
  ): number | { readonly code: string; readonly reason: string };
  offsetToBoundary(bytes: Uint8Array, boundary: number): number;
  /** On Linux only. */
  readonly openFile?: (path: string, options: OpenOptions) => NativeFile;
}

/**
 * The addon, or undefined where the portable code is to be used. Where the choice is "auto", the environment's PAXLOG_HASHING
 * decides, if it is set. Throws INVALID_ARGUMENT where "native" was asked for and the addon cannot be loaded (the cause is in
 * the message), or where PAXLOG_HASHING is none of the three.
 */
export function chooseAddon(choice: NativeChoice): Addon | undefined {
  const chosen = choice === "auto" ? choiceOfEnvironment() : choice;
  if (chosen === "portable") return undefined;
  const addon = loadAddon();
  if (addon.kind === "ok") return addon.addon;
  if (chosen === "auto") return undefined;
  throw new PaxlogError(
    "INVALID_ARGUMENT",
    `the native addon cannot be loaded; build it with \`npm run build:native\` or choose portable hashing: ${reasonsOf(addon.cause)}`,
    { cause: addon.cause },
  );
}

function choiceOfEnvironment(): NativeChoice {
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
    const addon = createRequire(import.meta.url)("../../native/index.cjs") as Partial<Addon>;
    if (!isWhole(addon)) throw new Error("native/index.cjs is of another version of this package");
    return { kind: "ok", addon };
  } catch (cause) {
    return { kind: "failed", cause };
  }
}

/** An addon that an older build left behind would fail later, in the middle of its work. */
function isWhole(addon: Partial<Addon>): addon is Addon {
  const names = ["crc32c", "xxh3", "copyAndHash", "gather", "scanBatch", "offsetToBoundary"] as const;
  return names.every((name) => typeof addon[name] === "function");
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
