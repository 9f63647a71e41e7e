import type {
  handleUnaryCall,
  ServerDuplexStream,
  ServerUnaryCall,
  ServerWritableStream,
  ServiceDefinition,
  sendUnaryData,
} from "@grpc/grpc-js";
import { PaxlogError } from "../base/errors.ts";
import {
  appendRequestCodec,
  appendResponseCodec,
  checkTailRequestCodec,
  checkTailResponseCodec,
  logServicePaths,
} from "../format/api-codec.ts";
import { checkAppend } from "./append-check.ts";
import { AppendStream } from "./append-stream.ts";
import { ReadStream } from "./read-stream.ts";
import {
  CallSignal,
  checkLogId,
  closedError,
  requestOf,
  type ServiceContext,
  serviceError,
} from "./service-context.ts";

/** A method whose bytes grpc-js passes on as they are: encoding is done in format/, once. */
export const bytesMethod = (path: string, requestStream: boolean, responseStream: boolean) => ({
  path,
  requestStream,
  responseStream,
  requestSerialize: identity,
  requestDeserialize: identity,
  responseSerialize: identity,
  responseDeserialize: identity,
});

const identity = (bytes: Buffer): Buffer => bytes;

export const logServiceDefinition = {
  append: bytesMethod(logServicePaths.append, false, false),
  appendStream: bytesMethod(logServicePaths.appendStream, true, true),
  read: bytesMethod(logServicePaths.read, false, true),
  checkTail: bytesMethod(logServicePaths.checkTail, false, false),
} satisfies ServiceDefinition;

/** LogService as proto/paxlog/v1/log.proto states it, over a backend. */
export function makeLogService(context: ServiceContext) {
  return {
    append: unary(context, (call) => append(context, call.request)),
    appendStream: (call: ServerDuplexStream<Buffer, Buffer>): void => {
      new AppendStream(context, call);
    },
    read: (call: ServerWritableStream<Buffer, Buffer>): void => {
      void new ReadStream(context, call).serve();
    },
    checkTail: unary(context, (call, signal) => checkTail(context, call.request, signal)),
  };
}

type UnaryCall = ServerUnaryCall<Buffer, Buffer>;

/** A unary call from a function that returns the answer's bytes or throws. */
export function unary(
  context: ServiceContext,
  serve: (call: UnaryCall, signal: AbortSignal) => Promise<Buffer> | Buffer,
): handleUnaryCall<Buffer, Buffer> {
  return async (call: UnaryCall, answer: sendUnaryData<Buffer>) => {
    const gone = new CallSignal(call, context.closing);
    try {
      if (context.closing.aborted) throw closedError();
      answer(null, await serve(call, gone.signal));
    } catch (cause) {
      answer(serviceError(cause, context.log));
    } finally {
      gone.dispose();
    }
  };
}

/** Not waiting where there is no room: a unary caller holds nothing back, so it must be told. */
function append(context: ServiceContext, request: Buffer): Promise<Buffer> {
  const { backend, hashing } = context;
  const batch = checkAppend(appendRequestCodec.decode(request), hashing);
  if (!backend.hasRoom()) {
    throw new PaxlogError(
      "OVERLOADED",
      "more appends wait on this node than it takes: try again later, or use AppendStream",
    );
  }
  return new Promise((resolve, reject) => {
    backend.append(batch, (result) => {
      if (result.kind === "acknowledged") resolve(appendResponseCodec.encode(result));
      else reject(result.error);
    });
  });
}

async function checkTail(context: ServiceContext, bytes: Buffer, signal: AbortSignal): Promise<Buffer> {
  const request = requestOf(checkTailRequestCodec.decode(bytes));
  checkLogId(request.logId);
  if (request.freshness === "linearizable") await context.backend.linearize(signal);
  return checkTailResponseCodec.encode(context.backend.bounds());
}
