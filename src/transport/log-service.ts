import type {
  handleUnaryCall,
  ServerDuplexStream,
  ServerUnaryCall,
  ServerWritableStream,
  ServiceDefinition,
  sendUnaryData,
} from "@grpc/grpc-js";
import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import {
  appendRequestCodec,
  appendResponseCodec,
  checkTailRequestCodec,
  checkTailResponseCodec,
  logServicePaths,
} from "../format/api-codec.ts";
import {
  closeSessionRequestCodec,
  closeSessionResponseCodec,
  fenceRequestCodec,
  fenceResponseCodec,
  keepSessionRequestCodec,
  keepSessionResponseCodec,
  openSessionRequestCodec,
  openSessionResponseCodec,
} from "../format/session-codec.ts";
import { checkAppend } from "./append-check.ts";
import { AppendStream, plainAppends } from "./append-stream.ts";
import { freshen } from "./freshness.ts";
import { ReadStream } from "./read-stream.ts";
import { Readers } from "./readers.ts";
import { dropHold, putHold, trim } from "./retain-calls.ts";
import { CallSignal, closedError, logRequestOf, type ServiceContext, serviceError } from "./service-context.ts";

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
  openSession: bytesMethod(logServicePaths.openSession, false, false),
  keepSession: bytesMethod(logServicePaths.keepSession, false, false),
  closeSession: bytesMethod(logServicePaths.closeSession, false, false),
  fence: bytesMethod(logServicePaths.fence, false, false),
  trim: bytesMethod(logServicePaths.trim, false, false),
  putHold: bytesMethod(logServicePaths.putHold, false, false),
  dropHold: bytesMethod(logServicePaths.dropHold, false, false),
} satisfies ServiceDefinition;

/** LogService as proto/paxlog/v1/log.proto states it, over a backend. */
export function makeLogService(context: ServiceContext) {
  const readers = new Readers();
  const appends = plainAppends(context);
  return {
    append: unary(context, (call) => append(context, call.request)),
    appendStream: (call: ServerDuplexStream<Buffer, Buffer>): void => {
      new AppendStream(context, call, appends);
    },
    read: (call: ServerWritableStream<Buffer, Buffer>): void => {
      void new ReadStream(context, readers, call).serve();
    },
    checkTail: unary(context, (call, signal) => checkTail(context, call.request, signal)),
    openSession: unary(context, async (call) => {
      const { ttlMs, announceEnd } = logRequestOf(openSessionRequestCodec.decode(call.request));
      const terms = { ttlMs: ttlMs || limits.sessionTtlMsDefault, announceEnd };
      return openSessionResponseCodec.encode(await context.backend.openSession(terms));
    }),
    keepSession: unary(context, async (call) => {
      const { session } = logRequestOf(keepSessionRequestCodec.decode(call.request));
      return keepSessionResponseCodec.encode(await context.backend.keepSession(session));
    }),
    closeSession: unary(context, async (call) => {
      const { session } = logRequestOf(closeSessionRequestCodec.decode(call.request));
      await context.backend.closeSession(session);
      return closeSessionResponseCodec.encode({});
    }),
    fence: unary(context, async (call) => {
      const { token } = logRequestOf(fenceRequestCodec.decode(call.request));
      return fenceResponseCodec.encode(await context.backend.fence(token));
    }),
    trim: unary(context, (call) => trim(context, call.request)),
    putHold: unary(context, (call) => putHold(context, call.request)),
    dropHold: unary(context, (call) => dropHold(context, call.request)),
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
  const { backend } = context;
  const { batch, guards } = checkAppend(appendRequestCodec.decode(request), context);
  if (!backend.hasRoom()) {
    throw new PaxlogError(
      "OVERLOADED",
      "more appends wait on this node than it takes: try again later, or use AppendStream",
    );
  }
  return new Promise((resolve, reject) => {
    backend.append(batch, guards, (result) => {
      if (result.kind === "acknowledged") resolve(appendResponseCodec.encode(result));
      else reject(result.error);
    });
  });
}

async function checkTail(context: ServiceContext, bytes: Buffer, signal: AbortSignal): Promise<Buffer> {
  const request = logRequestOf(checkTailRequestCodec.decode(bytes));
  const freshness = await freshen(context.backend, request.freshness, signal);
  return checkTailResponseCodec.encode({ ...context.backend.bounds(), freshness });
}
