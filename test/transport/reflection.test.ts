// Goal: generic gRPC tools that know nothing of paxlog can list its services and call them. Method: such a tool in small: it asks the
// server for descriptors, builds messages from them with a foreign library, and appends.
import type { Client, ClientDuplexStream } from "@grpc/grpc-js";
import protobuf from "protobufjs";
import "protobufjs/ext/descriptor.js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { logServicePaths } from "../../src/format/api-codec.ts";
import {
  type ReflectionQuestion,
  reflectionPath,
  reflectionRequestCodec,
  reflectionResponseCodec,
  reflectionServices,
} from "../../src/format/reflection-codec.ts";
import { loadHashing } from "../../src/native/hashing.ts";
import { type ClientServer, startClientServer } from "../../src/transport/client-server.ts";
import { MemoryBackend } from "./memory-backend.ts";
import { batchOf, connectTo, endOf, unwrap } from "./test-client.ts";

let backend: MemoryBackend;
let server: ClientServer;
let client: Client;

beforeEach(async () => {
  backend = new MemoryBackend();
  const hashing = await loadHashing();
  server = await startClientServer({ listen: "127.0.0.1:0", backend, hashing, log: () => {} });
  client = connectTo(server.port);
});

afterEach(async () => {
  client.close();
  await server.close();
});

const identity = (bytes: Buffer): Buffer => bytes;

/** A tool's connection: questions, and their answers in order. */
class Tool {
  readonly stream: ClientDuplexStream<Buffer, Buffer>;
  readonly end: ReturnType<typeof endOf>;
  readonly #waiting: ((bytes: Buffer) => void)[] = [];

  constructor(service: (typeof reflectionServices)[number] = reflectionServices[0]) {
    this.stream = client.makeBidiStreamRequest(reflectionPath(service), identity, identity);
    this.end = endOf(this.stream);
    this.stream.on("data", (bytes: Buffer) => this.#waiting.shift()?.(bytes));
  }

  async ask(question: ReflectionQuestion) {
    const answered = new Promise<Buffer>((resolve) => this.#waiting.push(resolve));
    const request = reflectionRequestCodec.encode({ question, body: new Uint8Array(0) });
    this.stream.write(request);
    const response = unwrap(reflectionResponseCodec.decode(await answered));
    expect(Buffer.from(response.request)).toEqual(request);
    return response.answer;
  }

  async filesOf(symbol: string): Promise<protobuf.Message[]> {
    const answer = await this.ask({ kind: "fileOfSymbol", symbol });
    if (answer.kind !== "files") throw new Error(`no files: ${JSON.stringify(answer)}`);
    return answer.files.map((bytes) => fileDescriptor.decode(bytes));
  }
}

const { FileDescriptorProto: fileDescriptor } = (protobuf as unknown as { descriptor: Record<string, protobuf.Type> })
  .descriptor as { FileDescriptorProto: protobuf.Type };
const nameOf = (file: protobuf.Message) => file.toJSON().name as string;

describe.each(reflectionServices)("over %s", (service) => {
  test("a tool finds the services and appends through what it was told of them", async () => {
    const tool = new Tool(service);
    expect(await tool.ask({ kind: "services" })).toEqual({
      kind: "services",
      names: expect.arrayContaining([
        "paxlog.v1.LogService",
        "paxlog.v1.ClusterService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
      ]),
    });
    const files = await tool.filesOf("paxlog.v1.LogService");
    tool.stream.end();
    expect(await tool.end).toBeUndefined();

    const fromDescriptor = (protobuf.Root as unknown as { fromDescriptor(set: object): protobuf.Root }).fromDescriptor;
    const root = fromDescriptor({ file: files });
    const { requestType, responseType } = root.lookupService("paxlog.v1.LogService").methods.Append!;
    const request = root.lookupType(requestType);
    const response = root.lookupType(responseType);
    const bytes = request.encode(request.fromObject({ batch: batchOf("x"), guards: { expectedTail: 1 } })).finish();
    const answer = await new Promise<Buffer>((resolve, reject) => {
      client.makeUnaryRequest(logServicePaths.append, identity, identity, Buffer.from(bytes), (error, body?: Buffer) =>
        error === null ? resolve(body!) : reject(error),
      );
    });
    expect(response.decode(answer).toJSON()).toMatchObject({ firstPosition: "1", recordCount: 1 });
    expect(backend.guards).toEqual([{ expectedTail: 1 }]);
  });
});

test("a symbol leads to its file and all that it imports", async () => {
  const tool = new Tool();
  const imports = ["google/protobuf/any.proto", "google/rpc/status.proto", "paxlog/v1/log.proto"];
  for (const symbol of ["paxlog.v1.Guards", "paxlog.v1.LogService.Append", "paxlog.v1.Guards.expected_tail"]) {
    const names = (await tool.filesOf(symbol)).map(nameOf);
    expect(names[0]).toBe("paxlog/v1/log.proto");
    expect([...names].sort()).toEqual(imports);
  }
  // A value of an enum stands beside its enum.
  expect((await tool.filesOf("paxlog.v1.STREAM_STATE_ANY")).map(nameOf)[0]).toBe("paxlog/v1/log.proto");
  expect((await tool.filesOf("grpc.health.v1.HealthCheckResponse.ServingStatus")).map(nameOf)).toEqual([
    "grpc/health/v1/health.proto",
  ]);
  const byName = await tool.ask({ kind: "fileByName", name: "paxlog/v1/batch.proto" });
  expect(byName).toMatchObject({ kind: "files", files: [expect.anything()] });
});

test("what is not there is not found, and the conversation goes on", async () => {
  const tool = new Tool();
  const missing: ReflectionQuestion[] = [
    { kind: "fileByName", name: "paxlog/v1/peer.proto" },
    { kind: "fileOfSymbol", symbol: "paxlog.v1.PeerService" },
    { kind: "fileOfExtension", type: "paxlog.v1.Guards", number: 100 },
    { kind: "extensionsOfType", type: "paxlog.v1.Nothing" },
  ];
  for (const question of missing) expect(await tool.ask(question)).toMatchObject({ kind: "error", code: 5 });
  expect(await tool.ask({ kind: "other" })).toMatchObject({ kind: "error", code: 3 });
  const extensions = await tool.ask({ kind: "extensionsOfType", type: "paxlog.v1.Guards" });
  expect(extensions).toEqual({ kind: "extensions", type: "paxlog.v1.Guards" });
});

test("bytes that are no request end the call by name", async () => {
  const tool = new Tool();
  tool.stream.write(Buffer.from([0xff]));
  expect(await tool.end).toMatchObject({ grpcCode: 3, error: { code: "INVALID_ARGUMENT" } });
});

test("an open conversation does not hold up the end of the server", async () => {
  const tool = new Tool();
  await tool.ask({ kind: "services" });
  await server.close();
  // What the server has to cut off ends with an error.
  expect(await tool.end).toBeUndefined();
});
