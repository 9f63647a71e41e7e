/** Copy and scan of a batch by the addon, and their portable twins. test/native/ holds both to the same bytes and verdicts. */
import { defined } from "../base/assert.ts";
import type { BatchScan, BatchTools } from "../base/batch-tools.ts";
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import type { Hash } from "../base/types.ts";
import { type Addon, chooseAddon } from "./addon.ts";

/** The portable twins: whatever the formats' layer and the thread have. */
export interface PortableParts {
  readonly hashing: Hashing;
  readonly scanBatch: (bytes: Uint8Array) => BatchScan;
}

/** The tools of the kind that `hashing` is: the addon, or the portable twins. */
export function loadBatchTools(portable: PortableParts): BatchTools {
  if (portable.hashing.implementation === "portable") return portableTools(portable);
  return nativeTools(defined(chooseAddon("native"), "the addon"));
}

function nativeTools(addon: Addon): BatchTools {
  const { batchBytesMax, batchRecordsMax, recordBytesMax, tagsPerRecordMax, typeBytesMax, tagBytesMax } = limits;
  const { uncompressedBytesMax } = limits;
  return {
    implementation: "native",
    copyAndHash: (source, target, offset, seed = 0) => {
      const digits = addon.copyAndHash(source, target, offset, seed);
      return { crc32c: Number.parseInt(digits.slice(0, 8), 16), xxh3: digits.slice(8) as Hash };
    },
    scanBatch: (bytes) => {
      const verdict = addon.scanBatch(
        bytes,
        batchBytesMax,
        batchRecordsMax,
        recordBytesMax,
        tagsPerRecordMax,
        typeBytesMax,
        tagBytesMax,
        uncompressedBytesMax,
      );
      if (typeof verdict === "number") return { kind: "ok", recordCount: verdict };
      const { code, reason } = verdict;
      if (code === "RECORD_TOO_LARGE" || code === "BATCH_TOO_LARGE") return { kind: "tooLarge", code, reason };
      return { kind: "malformed", reason };
    },
  };
}

function portableTools({ hashing, scanBatch }: PortableParts): BatchTools {
  return {
    implementation: "portable",
    copyAndHash: (source, target, offset, seed = 0) => {
      if (offset + source.length > target.length) throw new RangeError("the target ends before the source does");
      if (shareBytes(source, target)) throw new RangeError("source and target share bytes");
      target.set(source, offset);
      // Of the copy: what is written and sent is what the values are of, even if the source changed on the way.
      const copy = target.subarray(offset, offset + source.length);
      return { crc32c: hashing.crc32c(copy, seed), xxh3: hashing.xxh3(copy) };
    },
    scanBatch,
  };
}

function shareBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.buffer !== b.buffer) return false;
  return a.byteOffset < b.byteOffset + b.length && b.byteOffset < a.byteOffset + a.length;
}
