// Goal: nobody writes through ExecuteStream what only the log itself writes about machines. Method: the real services over a log in
// memory, called by plain gRPC with bytes, as a client in any language would.
import { type Client, type ClientDuplexStream, Metadata } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, test } from "vitest";
import { encodeBatch } from "../../src/format/batch-encode.ts";
import {
  type ExecuteStreamResponse,
  executeRequestCodec,
  executeResponseCodec,
  executeStreamRequestCodec,
  executeStreamResponseCodec,
  objectServicePaths,
} from "../../src/format/object-codec.ts";
import { MachineNode } from "../client/objects/machine-node.ts";
import { seats } from "../machine/seats.ts";
import { appendOf, type CallFailure, call, connectTo, endOf, unwrap } from "./test-client.ts";

let node: MachineNode;
let client: Client;

beforeEach(async () => {
  node = await new MachineNode([seats]).start();
  client = connectTo(Number(node.address.split(":").at(-1)));
});

afterEach(async () => {
  client.close();
  await node.stop();
});

const identity = (bytes: Buffer): Buffer => bytes;
const command = { type: `$${seats.name}`, value: JSON.stringify({ op: "take", seat: "a" }) };

const openExecuteStream = (): ClientDuplexStream<Buffer, Buffer> =>
  client.makeBidiStreamRequest(objectServicePaths.executeStream, identity, identity, new Metadata());

/** What a stream of these batches is answered, and how it ends. */
async function answersTo(
  ...batches: Uint8Array[]
): Promise<{ answers: ExecuteStreamResponse[]; failure: CallFailure | undefined }> {
  const stream = openExecuteStream();
  const answers: ExecuteStreamResponse[] = [];
  stream.on("data", (bytes: Buffer) => answers.push(unwrap(executeStreamResponseCodec.decode(bytes))));
  const ended = endOf(stream);
  for (const batch of batches) stream.write(executeStreamRequestCodec.encode(appendOf(batch)));
  stream.end();
  return { failure: await ended, answers };
}

test.each(["$session", "$machine-hash", "$activation"])(
  "ExecuteStream refuses records of the type %s",
  async (type) => {
    for (const records of [[{ type, value: "" }], [command, { type, value: "" }]]) {
      const written = node.log.batches.length;
      const { answers, failure } = await answersTo(encodeBatch([command]), encodeBatch(records));
      // What came before it is in the log, with its reply; of the batch that has it nothing is.
      expect(answers.flatMap(({ executed }) => executed).map(({ replies }) => replies.length)).toEqual([1]);
      const error = { code: "TYPE_RESERVED", outcome: "none", facts: { type } };
      expect(failure).toMatchObject({ grpcCode: 3, error });
      expect(node.log.batches.length).toBe(written + 1);
    }
  },
);

test.each(["$session", "$machine-hash", "$activation"])("Execute refuses records of the type %s", async (type) => {
  const request = appendOf(encodeBatch([command, { type, value: "" }]));
  const executed = call(client, objectServicePaths.execute, executeRequestCodec, executeResponseCodec, request);
  await expect(executed).rejects.toMatchObject({ grpcCode: 3, error: { code: "TYPE_RESERVED", outcome: "none" } });
  expect(node.log.batches).toEqual([]);
});
