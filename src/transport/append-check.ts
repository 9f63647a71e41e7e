import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Guards } from "../core/guards.ts";
import type { AppendStreamRequest } from "../format/api-codec.ts";
import { refusedTypeOf } from "../format/batch-guards.ts";
import type { Decoded } from "../format/wire-value.ts";
import { isReservedType, typeReserved } from "../machine/machine.ts";
import type { CheckedBatch } from "./backend.ts";
import { checkGuards } from "./guards-check.ts";
import { checkLogId, requestOf, type ServiceContext } from "./service-context.ts";

/** An append that can be handed to a backend. */
export interface CheckedAppend {
  readonly batch: CheckedBatch;
  readonly guards: Guards | undefined;
  readonly independent: boolean;
}

type CheckTools = Pick<ServiceContext, "hashing" | "scanBatch">;

/**
 * Everything about an append that can be judged without the log. What passes can be decoded by every reader, and its checksum
 * is computed here, so that bytes which change later are found out.
 *
 * @throws PaxlogError INVALID_ARGUMENT, UNKNOWN_LOG, BATCH_TOO_LARGE, CHECKSUM_MISMATCH, BATCH_MALFORMED, RECORD_TOO_LARGE,
 * TYPE_RESERVED or GUARD_TOO_LARGE.
 */
export function checkAppend(decoded: Decoded<AppendStreamRequest>, tools: CheckTools): CheckedAppend {
  const { logId, batch, crc32c, guards, independent = false } = requestOf(decoded);
  checkLogId(logId);
  if (guards !== undefined) checkGuards(guards);
  return { batch: checkBatch(batch, crc32c, tools), guards, independent };
}

function checkBatch(batch: Uint8Array, crc32c: number | undefined, { hashing, scanBatch }: CheckTools): CheckedBatch {
  if (batch.length > limits.batchBytesMax) {
    throw new PaxlogError(
      "BATCH_TOO_LARGE",
      `the batch has ${batch.length} bytes, at most ${limits.batchBytesMax} are taken: send fewer records at once`,
      { facts: { limit: limits.batchBytesMax, size: batch.length } },
    );
  }
  const checksum = hashing.crc32c(batch);
  if (crc32c !== undefined && crc32c !== checksum) {
    throw new PaxlogError(
      "CHECKSUM_MISMATCH",
      "the batch is not what its checksum says: it changed on the way, or the checksum is not CRC32C (Castagnoli)",
      { facts: { given: crc32c, computed: checksum } },
    );
  }
  const scan = scanBatch(batch);
  switch (scan.kind) {
    case "ok":
      checkTypes(batch);
      return { batch, crc32c: checksum, recordCount: scan.recordCount };
    case "malformed":
      throw new PaxlogError("BATCH_MALFORMED", `the batch is no RecordBatch as batch.proto has it: ${scan.reason}`);
    case "tooLarge": {
      const limit = scan.code === "RECORD_TOO_LARGE" ? limits.recordBytesMax : limits.batchBytesMax;
      throw new PaxlogError(scan.code, scan.reason, { facts: { limit } });
    }
  }
}

/** Machines believe what the log itself writes: no client writes that. The node's own records do not come this way. */
function checkTypes(batch: Uint8Array): void {
  const type = refusedTypeOf(batch, isReservedType);
  if (type !== undefined) throw typeReserved(type);
}
