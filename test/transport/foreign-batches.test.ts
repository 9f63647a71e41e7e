/**
 * Goal: a batch that another protobuf library made is taken, judged by guards, and comes back byte for byte, from memory and from
 * segments; what cannot be taken is refused by name. Method: one message in every form that the protobuf encoding allows, through
 * a real node, over the wire.
 */
import { gzipSync } from "node:zlib";
import type { Client } from "@grpc/grpc-js";
import { Writer } from "protobufjs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { decompress } from "../../src/client/compression.ts";
import {
  type AppendRequest,
  appendRequestCodec,
  appendResponseCodec,
  appendStreamRequestCodec,
  appendStreamResponseCodec,
  logServicePaths,
  readRequestCodec,
  readResponseCodec,
} from "../../src/format/api-codec.ts";
import { decodeBatch } from "../../src/format/batch-decode.ts";
import { encodeBatch } from "../../src/format/batch-encode.ts";
import { type ClientServer, startClientServer } from "../../src/transport/client-server.ts";
import { type BatchColumns, foreignBatch } from "../format/batch-message.ts";
import { hashing, type LoneNode, makeTempDir, startLoneNode } from "../runtime/lone-node.ts";
import {
  appendOf,
  type CallFailure,
  call,
  connectTo,
  endOf,
  openAppendStream,
  openRead,
  unwrap,
} from "./test-client.ts";

const values = Buffer.concat([
  Buffer.from("hello"),
  Buffer.from(Array.from({ length: 300 }, (_, index) => index % 256)),
]);
const ids = Buffer.from(Array.from({ length: 48 }, (_, index) => index));
const columns: BatchColumns = {
  valueLengths: [5, 0, 300],
  types: ["OrderPlaced", "Größe"],
  typeIndexes: [1, 0, 2],
  tags: ["order:42", "ü"],
  tagCounts: [2, 0, 1],
  tagIndexes: [0, 1, 1],
  metadataLengths: [2, 0, 0],
  metadata: Buffer.from("{}"),
  ids,
  values,
};

const [varint, bytes] = [0, 2];
type Field = (writer: Writer) => void;
const blob =
  (field: number, value: Uint8Array): Field =>
  (writer) =>
    writer.uint32(field * 8 + bytes).bytes(value);
const number =
  (field: number, value: number): Field =>
  (writer) =>
    writer.uint32(field * 8 + varint).uint32(value);
const loose = (field: number, list: readonly number[]) => list.map((value) => number(field, value));
const packed =
  (field: number, list: readonly number[]): Field =>
  (writer) => {
    writer.uint32(field * 8 + bytes).fork();
    for (const value of list) writer.uint32(value);
    writer.ldelim();
  };
/** A varint of five bytes, four of which say nothing. */
const long = (value: number) => Buffer.from([value | 0x80, 0x80, 0x80, 0x80, 0x00]);
const texts = (field: number, list: readonly string[]) => list.map((text) => blob(field, Buffer.from(text)));
const written = (...fields: Field[]): Uint8Array => {
  const writer = Writer.create();
  for (const field of fields) field(writer);
  return writer.finish();
};

const { types = [], tags = [] } = columns;
const inOrder: Field[] = [
  packed(1, [5, 0, 300]),
  ...texts(2, types),
  packed(3, [1, 0, 2]),
  ...texts(4, tags),
  packed(5, [2, 0, 1]),
  packed(6, [0, 1, 1]),
  packed(7, [2, 0, 0]),
  blob(8, Buffer.from("{}")),
  blob(9, ids),
  blob(15, values),
];

const forms: Readonly<Record<string, Uint8Array>> = {
  "by protobufjs": foreignBatch(columns),
  // batch_pb2.RecordBatch(...).SerializeToString() of Python's protobuf 7.
  "by Python": Buffer.concat([
    Buffer.from(
      "0a040500ac02120b4f72646572506c6163656412074772c3b6c39f651a0301000222086f726465723a34322202c3bc2a0302000132030001013a" +
        "0302000042027b7d4a30",
      "hex",
    ),
    ids,
    Buffer.from("7ab102", "hex"),
    values,
  ]),
  "in order": written(...inOrder),
  // Elements of one list keep their order, everything else is turned round.
  backwards: written(
    blob(15, values),
    blob(9, ids),
    blob(8, Buffer.from("{}")),
    packed(7, [2, 0, 0]),
    packed(6, [0, 1, 1]),
    packed(5, [2, 0, 1]),
    ...texts(4, tags),
    packed(3, [1, 0, 2]),
    ...texts(2, types),
    packed(1, [5, 0, 300]),
  ),
  "not packed": written(
    ...loose(1, [5, 0, 300]),
    ...texts(2, types),
    ...loose(3, [1, 0, 2]),
    ...texts(4, tags),
    ...loose(5, [2, 0, 1]),
    ...loose(6, [0, 1, 1]),
    ...loose(7, [2, 0, 0]),
    blob(8, Buffer.from("{}")),
    blob(9, ids),
    blob(15, values),
  ),
  "with its values by gzip": written(
    ...inOrder.slice(0, -1),
    number(10, 1),
    number(11, values.length),
    blob(15, gzipSync(values)),
  ),
  "in pieces, mixed": written(
    packed(1, [5]),
    ...texts(4, tags.slice(0, 1)),
    number(1, 0),
    packed(3, []),
    packed(3, [1, 0]),
    ...texts(2, types.slice(0, 1)),
    packed(1, [300]),
    number(3, 2),
    blob(15, values),
    ...texts(2, types.slice(1)),
    ...loose(5, [2, 0]),
    packed(5, [1]),
    ...texts(4, tags.slice(1)),
    packed(6, [0, 1, 1]),
    packed(7, [2, 0, 0]),
    blob(8, Buffer.from("{}")),
    blob(9, ids),
  ),
  "with defaults written out": written(...inOrder, number(10, 0), number(11, 0)),
  "with varints that are longer than need be": written(
    blob(3, Buffer.concat([long(1), long(0), long(2)])),
    ...inOrder.filter((_, index) => index !== 3),
  ),
};

let temp: ReturnType<typeof makeTempDir>;
let node: LoneNode;
let server: ClientServer;
let client: Client;

async function start(): Promise<void> {
  node = await startLoneNode(temp.dir);
  await node.engine.linearize();
  server = await startClientServer({ listen: "127.0.0.1:0", backend: node.engine, hashing, log: () => {} });
  client = connectTo(server.port);
}

async function stop(): Promise<void> {
  client.close();
  await server.close();
  await node.close();
}

beforeEach(async () => {
  temp = makeTempDir();
  await start();
});

afterEach(async () => {
  await stop();
  temp.remove();
});

const append = (request: AppendRequest) =>
  call(client, logServicePaths.append, appendRequestCodec, appendResponseCodec, request);

async function readAll(): Promise<Buffer[]> {
  const request = { logId: 1, from: 1, limit: 0, follow: false, freshness: "linearizable" } as const;
  const stream = openRead(client, readRequestCodec.encode(request));
  const batches: Buffer[] = [];
  stream.on("data", (body: Buffer) => {
    for (const { batch, crc32c } of unwrap(readResponseCodec.decode(body)).batches) {
      expect(hashing.crc32c(batch)).toBe(crc32c);
      batches.push(Buffer.from(batch));
    }
  });
  expect(await endOf(stream)).toBeUndefined();
  return batches;
}

test("every form is one message, is taken on both ways, and comes back byte for byte before and after a restart", async () => {
  const all = Object.values(forms);
  const records = (form: Uint8Array) => {
    const view = decodeBatch(form, decompress);
    return Array.from({ length: view.recordCount }, (_, index) => ({
      value: Buffer.from(view.value(index)).toString("hex"),
      type: view.type(index),
      tags: view.tags(index),
      metadata: view.metadata(index) && Buffer.from(view.metadata(index)!).toString(),
    }));
  };
  for (const form of all) expect(records(form)).toEqual(records(all[0]!));

  for (const [index, form] of all.entries()) {
    expect(await append(appendOf(form))).toMatchObject({ firstPosition: 1 + 3 * index, recordCount: 3 });
  }
  const stream = openAppendStream(client);
  let answered = 0;
  stream.on("data", (body: Buffer) => {
    answered += unwrap(appendStreamResponseCodec.decode(body)).acknowledged.length;
  });
  for (const form of all) stream.write(appendStreamRequestCodec.encode(appendOf(form)));
  stream.end();
  expect(await endOf(stream)).toBeUndefined();
  expect(answered).toBe(all.length);

  const expected = [...all, ...all].map((form) => Buffer.from(form));
  expect(await readAll()).toEqual(expected);
  await stop();
  await start();
  expect(await readAll()).toEqual(expected);
});

test.each(Object.entries(forms))("guards see the types and tags of a batch made %s", async (_form, form) => {
  await append(appendOf(form));
  const next = encodeBatch([{ value: "x" }]);
  const refusalOf = (item: { types: string[]; tags: string[] }) =>
    append({ ...appendOf(next), guards: { conditions: [{ query: { items: [item] }, after: 0 }] } }).then(
      () => undefined,
      (failure: CallFailure) => failure.error?.facts.position,
    );
  expect(await refusalOf({ types: [], tags: ["order:42", "ü"] })).toBe(1);
  expect(await refusalOf({ types: ["Größe"], tags: ["ü"] })).toBe(3);
  expect(await refusalOf({ types: ["Größe"], tags: ["order:42"] })).toBeUndefined();
  const stream = { ...appendOf(next), guards: { streams: [{ tag: "ü", expected: "noStream" as const }] } };
  await expect(append(stream)).rejects.toMatchObject({
    error: { code: "STREAM_REVISION_MISMATCH", facts: { tag: "ü", actual: 3 } },
  });
});

const refused: readonly (readonly [string, Uint8Array, RegExp])[] = [
  // A column that this version cannot check could make a batch that a later reader cannot read.
  ["a field that RecordBatch does not have", written(...inOrder, number(12, 1)), /field 12 is not one/],
  ["values by a codec of tomorrow", written(...inOrder, number(10, 3)), /the compression is not one/],
  ["its values twice", written(...inOrder, blob(15, values)), /values occurs twice/],
  ["a column in a fixed width", Buffer.concat([written(...inOrder), Buffer.from([0x0d, 0, 0, 0, 0])]), /wire type 5/],
  ["a tag that is no UTF-8", written(...inOrder, blob(4, Buffer.from([0xff]))), /UTF-8/],
];
test.each(refused)("a batch with %s is refused by name", async (_what, form, message) => {
  const failure = (await append(appendOf(form)).catch((cause: unknown) => cause)) as CallFailure;
  expect(failure).toMatchObject({ grpcCode: 3, error: { code: "BATCH_MALFORMED", outcome: "none" } });
  expect(failure.error?.message).toMatch(message);
});
