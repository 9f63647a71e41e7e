import {
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import type { PaxlogError } from "../../src/base/errors.ts";
import { type AppendRequest, type Codec, logServicePaths } from "../../src/format/api-codec.ts";
import { decodeErrorDetails, errorDetailsTrailer } from "../../src/format/error-details.ts";
import { paxlog } from "../../src/format/generated/wire.js";
import type { Decoded } from "../../src/format/wire-value.ts";
import { loadHashing } from "../../src/native/hashing.ts";

const hashing = await loadHashing();

const identity = (bytes: Buffer): Buffer => bytes;

export const connectTo = (port: number, options = {}): Client =>
  new Client(`127.0.0.1:${port}`, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1, ...options });

/** How a call failed: the gRPC code, and the error in its trailer. */
export interface CallFailure {
  readonly grpcCode: number;
  readonly error: PaxlogError | undefined;
}

export function failureOf(error: ServiceError): CallFailure {
  const trailer = error.metadata?.get(errorDetailsTrailer)[0];
  return { grpcCode: error.code, error: Buffer.isBuffer(trailer) ? decodeErrorDetails(trailer) : undefined };
}

export function call<Request, Response>(
  client: Client,
  path: string,
  request: Codec<Request>,
  response: Codec<Response>,
  value: Request | Buffer,
  deadlineMs = 30_000,
): Promise<Response> {
  const deadline = Date.now() + deadlineMs;
  const bytes = Buffer.isBuffer(value) ? value : request.encode(value);
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      path,
      identity,
      identity,
      bytes,
      new Metadata(),
      { deadline },
      (error: ServiceError | null, answer?: Buffer) => {
        if (error !== null) reject(failureOf(error));
        else resolve(unwrap(response.decode(answer!)));
      },
    );
  });
}

export const openAppendStream = (client: Client): ClientDuplexStream<Buffer, Buffer> =>
  client.makeBidiStreamRequest(logServicePaths.appendStream, identity, identity, new Metadata());

export const openRead = (client: Client, request: Buffer): ClientReadableStream<Buffer> =>
  client.makeServerStreamRequest(logServicePaths.read, identity, identity, request, new Metadata());

/** Resolves with how a stream ended: undefined for OK. */
export function endOf(
  stream: ClientDuplexStream<Buffer, Buffer> | ClientReadableStream<Buffer>,
): Promise<CallFailure | undefined> {
  return new Promise((resolve) => {
    stream.on("error", (error: ServiceError) => resolve(failureOf(error)));
    stream.on("status", (status: { code: number }) => {
      if (status.code === 0) resolve(undefined);
    });
  });
}

export function unwrap<T>(decoded: Decoded<T>): T {
  if (decoded.kind === "malformed") throw new Error(decoded.reason);
  return decoded.value;
}

/** A RecordBatch made by the protobuf library, as a client in another language would make it. */
export function batchOf(...values: (string | Uint8Array)[]): Buffer {
  const bytes = values.map((value) => Buffer.from(value));
  const valueLengths = bytes.map((value) => value.length);
  return Buffer.from(paxlog.v1.RecordBatch.encode({ valueLengths, values: Buffer.concat(bytes) }).finish());
}

export const appendOf = (batch: Uint8Array): AppendRequest => ({ logId: 1, batch, crc32c: hashing.crc32c(batch) });

export async function until(what: string, condition: () => boolean, timeoutMs = 10_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
