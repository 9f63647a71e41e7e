import { fileURLToPath } from "node:url";
import protobuf from "protobufjs";

/** RecordBatch as protobufjs reads it from batch.proto: what a client in another language would use. */
const file = fileURLToPath(new URL("../../proto/paxlog/v1/batch.proto", import.meta.url));
export const RecordBatch: protobuf.Type = protobuf.loadSync(file).lookupType("paxlog.v1.RecordBatch");

/** The message's columns, under protobufjs' names. */
export interface BatchColumns {
  valueLengths?: number[];
  types?: string[];
  typeIndexes?: number[];
  tags?: string[];
  tagCounts?: number[];
  tagIndexes?: number[];
  metadataLengths?: number[];
  metadata?: Uint8Array;
  ids?: Uint8Array;
  compression?: number;
  uncompressedSize?: number;
  values?: Uint8Array;
}

export function foreignBatch(columns: BatchColumns): Uint8Array {
  return RecordBatch.encode(RecordBatch.fromObject(columns)).finish();
}

export function foreignColumns(bytes: Uint8Array): BatchColumns {
  return RecordBatch.toObject(RecordBatch.decode(bytes), {
    arrays: true,
    bytes: Uint8Array,
    enums: Number,
  }) as BatchColumns;
}
