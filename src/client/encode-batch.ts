import * as format from "../format/batch-encode.ts";
import { type Compression, compressorOf } from "./compression.ts";

/**
 * One encoded batch of these records, 1 to 65,536 of them, for `appendBatch`. Values are compressed if asked for and it saves a tenth
 * of them or more.
 *
 * @throws PaxlogError INVALID_ARGUMENT, RECORD_TOO_LARGE or BATCH_TOO_LARGE; each says which record and which limit.
 */
export function encodeBatch(
  records: readonly format.RecordInput[],
  options: { readonly compression?: Compression | undefined } = {},
): Uint8Array {
  return format.encodeBatch(records, compressorOf(options.compression ?? "none"));
}
