import type { LogBatch, LogRecord } from "../../client/log-batch.ts";
import { bytesField, type Output } from "../output.ts";

/** Prints the records of a batch in the order of the read. False: whoever reads this is slower, wait until it has drained. */
export function printBatch(batch: LogBatch, output: Output, backward: boolean): boolean {
  const records = [...batch.records()];
  if (backward) records.reverse();
  return output.json ? writeJson(records, output) : writeValues(records);
}

/** A whole batch in one write: a write per record would cost more than all the rest. */
function writeJson(records: readonly LogRecord[], output: Output): boolean {
  return output.write(records.map((record) => JSON.stringify(recordObject(record))).join("\n"));
}

function writeValues(records: readonly LogRecord[]): boolean {
  return process.stdout.write(Buffer.concat(records.flatMap(({ value }) => [value, newline])));
}

const newline = new Uint8Array([0x0a]);

function recordObject(record: LogRecord): Record<string, unknown> {
  const { position, time, session, type, tags, value, metadata } = record;
  return {
    position,
    time,
    ...(session > 0 ? { session } : {}),
    type: type ?? null,
    tags,
    ...bytesField("value", value),
    ...(metadata === undefined ? {} : bytesField("metadata", metadata)),
  };
}
