import type { ServerDuplexStream, ServerWritableStream, ServiceDefinition } from "@grpc/grpc-js";
import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Position } from "../base/types.ts";
import {
  askManyRequestCodec,
  askManyResponseCodec,
  askRequestCodec,
  askResponseCodec,
  fetchSnapshotRequestCodec,
  fetchSnapshotResponseCodec,
  listMachinesRequestCodec,
  listMachinesResponseCodec,
  objectServicePaths,
  watchRequestCodec,
  watchResponseCodec,
} from "../format/object-codec.ts";
import { AppendStream } from "./append-stream.ts";
import { executeOnce, executes, type ObjectContext } from "./execute-stream.ts";
import { freshen } from "./freshness.ts";
import { bytesMethod, unary } from "./log-service.ts";
import { CallSignal, requestOf, serviceError } from "./service-context.ts";

export const objectServiceDefinition = {
  execute: bytesMethod(objectServicePaths.execute, false, false),
  executeStream: bytesMethod(objectServicePaths.executeStream, true, true),
  ask: bytesMethod(objectServicePaths.ask, false, false),
  askMany: bytesMethod(objectServicePaths.askMany, false, false),
  watch: bytesMethod(objectServicePaths.watch, false, true),
  listMachines: bytesMethod(objectServicePaths.listMachines, false, false),
  fetchSnapshot: bytesMethod(objectServicePaths.fetchSnapshot, false, true),
} satisfies ServiceDefinition;

/** ObjectService as proto/paxlog/v1/objects.proto states it, over the log and the machines of a node. */
export function makeObjectService(context: ObjectContext) {
  const kind = executes(context);
  return {
    execute: unary(context, (call) => executeOnce(context, call.request)),
    executeStream: (call: ServerDuplexStream<Buffer, Buffer>): void => {
      new AppendStream(context, call, kind);
    },
    ask: unary(context, (call, signal) => ask(context, call.request, signal)),
    askMany: unary(context, (call, signal) => askMany(context, call.request, signal)),
    watch: (call: ServerWritableStream<Buffer, Buffer>): void => {
      void streamed(context, call, (signal) => watch(context, call, signal));
    },
    listMachines: unary(context, async (call) => {
      requestOf(listMachinesRequestCodec.decode(call.request));
      return listMachinesResponseCodec.encode({ machines: await context.objects.list() });
    }),
    fetchSnapshot: (call: ServerWritableStream<Buffer, Buffer>): void => {
      void streamed(context, call, (signal) => fetchSnapshot(context, call, signal));
    },
  };
}

async function ask({ backend, objects }: ObjectContext, bytes: Buffer, signal: AbortSignal): Promise<Buffer> {
  const { machine, question, freshness: wanted } = requestOf(askRequestCodec.decode(bytes));
  const freshness = await freshen(backend, wanted, signal);
  const appliedTo = appliedBy(wanted === "local" ? 0 : backend.bounds().tail, wanted);
  const { answer, position } = await objects.ask({ machine, question, appliedTo }, signal);
  return askResponseCodec.encode({ answer, position, freshness });
}

async function askMany({ backend, objects }: ObjectContext, bytes: Buffer, signal: AbortSignal): Promise<Buffer> {
  const { machine, questions, freshness: wanted } = requestOf(askManyRequestCodec.decode(bytes));
  if (questions.length > limits.askManyQuestions) {
    const message = `there are ${questions.length} questions, and ${limits.askManyQuestions} may be asked at once`;
    throw new PaxlogError("INVALID_ARGUMENT", message, { facts: { limit: limits.askManyQuestions } });
  }
  const freshness = await freshen(backend, wanted, signal);
  const appliedTo = appliedBy(wanted === "local" ? 0 : backend.bounds().tail, wanted);
  const { answers, position } = await objects.askMany({ machine, questions, appliedTo }, signal);
  return askManyResponseCodec.encode({ answers, position, freshness });
}

/** What must be applied for an answer to be as fresh as is asked, where the log here is. */
function appliedBy(tail: Position | 0, wanted: "linearizable" | "local" | { readonly atLeast: number }): Position | 0 {
  return typeof wanted === "object" ? (Math.min(tail, wanted.atLeast + 1) as Position) : tail;
}

async function watch({ objects }: ObjectContext, call: Answers, signal: AbortSignal): Promise<void> {
  const { machine, question, from } = requestOf(watchRequestCodec.decode(call.request));
  let next = from as Position | 0;
  for (;;) {
    const step = await objects.changes({ machine, question, from: next }, signal);
    signal.throwIfAborted();
    next = step.next;
    await written(call, watchResponseCodec.encode(step), signal);
  }
}

async function fetchSnapshot({ objects }: ObjectContext, call: Answers, signal: AbortSignal): Promise<void> {
  const request = requestOf(fetchSnapshotRequestCodec.decode(call.request));
  let position = request.position as Position | 0;
  let { offset } = request;
  const { machine, atLeast } = request;
  for (let isFirst = true; ; isFirst = false) {
    const { header, piece } = await objects.snapshot({ machine, position, offset, atLeast });
    signal.throwIfAborted();
    if (isFirst || piece.length > 0) {
      await written(call, fetchSnapshotResponseCodec.encode(isFirst ? { header, piece } : { piece }), signal);
    }
    position = header.position as Position;
    offset += piece.length;
    if (offset >= header.length) return;
  }
}

type Answers = ServerWritableStream<Buffer, Buffer>;

/** Serves a call with many answers to its end. Never rejects. */
async function streamed(
  context: ObjectContext,
  call: Answers,
  serve: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const gone = new CallSignal(call, context.closing);
  try {
    await serve(gone.signal);
    call.end();
  } catch (cause) {
    call.emit("error", serviceError(cause, context.log));
  } finally {
    gone.dispose();
  }
}

/** Resolves once the caller has room for more: what waits for one that takes nothing is one answer. */
function written(call: Answers, bytes: Buffer, signal: AbortSignal): Promise<void> {
  if (call.write(bytes)) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      call.off("drain", settle);
      signal.removeEventListener("abort", settle);
      if (signal.aborted) reject(signal.reason);
      else resolve();
    };
    call.on("drain", settle);
    signal.addEventListener("abort", settle);
  });
}
