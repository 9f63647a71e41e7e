import { PaxlogError } from "../base/errors.ts";
import { scanBatch } from "../format/batch.ts";
import { faultError } from "../format/batch-decode.ts";
import type { RecordInput } from "../format/batch-encode.ts";
import { guardsOf } from "./append-options.ts";
import type { Appender } from "./appender.ts";
import type { Appended, AppendedMany, SessionAppendOptions } from "./log.ts";
import type { AppendPayload, Placed } from "./pending-append.ts";

/** `append` of a log and of a session. Throws INVALID_ARGUMENT, or what the appender rejects with. */
export async function appendRecords(
  appender: Appender,
  input: RecordInput | readonly RecordInput[],
  options: SessionAppendOptions,
): Promise<Appended | AppendedMany> {
  if (!isMany(input)) {
    const { first, time } = await submit(appender, { kind: "records", records: [input] }, options);
    return { position: first, time };
  }
  if (input.length === 0) throw new PaxlogError("INVALID_ARGUMENT", "append needs at least one record");
  return manyOf(await submit(appender, { kind: "records", records: input }, options));
}

/** `appendBatch` of a log and of a session. */
export async function appendEncoded(
  appender: Appender,
  batch: Uint8Array,
  options: SessionAppendOptions,
): Promise<AppendedMany> {
  if (!(batch instanceof Uint8Array)) throw new PaxlogError("INVALID_ARGUMENT", "a batch is a Uint8Array");
  const scan = scanBatch(batch);
  if (scan.kind !== "ok") throw faultError(scan);
  return manyOf(await submit(appender, { kind: "batch", bytes: batch, recordCount: scan.recordCount }, options));
}

function submit(appender: Appender, payload: AppendPayload, options: SessionAppendOptions): Promise<Placed> {
  const { serial } = options;
  checkSerial(serial);
  return appender.append(payload, { guards: guardsOf(options), serial, signal: options.signal });
}

export function checkSerial(serial: number | undefined): void {
  if (serial === undefined || (Number.isSafeInteger(serial) && serial >= 1)) return;
  throw new PaxlogError("INVALID_ARGUMENT", "serial must be a whole number from 1");
}

/** Array.isArray does not narrow a readonly array out of the union. */
function isMany(input: RecordInput | readonly RecordInput[]): input is readonly RecordInput[] {
  return Array.isArray(input);
}

function manyOf({ first, count, time }: Placed): AppendedMany {
  return { first, last: first + count - 1, time };
}
