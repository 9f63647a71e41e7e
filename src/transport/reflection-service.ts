import type { ServerDuplexStream, ServiceDefinition } from "@grpc/grpc-js";
import { assertNever } from "../base/assert.ts";
import { grpcStatuses } from "../format/error-details.ts";
import { descriptorFiles } from "../format/generated/descriptors.js";
import {
  type ReflectionAnswer,
  type ReflectionQuestion,
  reflectionPath,
  reflectionRequestCodec,
  reflectionResponseCodec,
  reflectionServices,
} from "../format/reflection-codec.ts";
import { bytesMethod } from "./log-service.ts";
import { requestOf, type ServiceContext, serviceError } from "./service-context.ts";

/** The same service under its name and under its older one, which many tools ask for first. */
export const reflectionServiceDefinitions: readonly ServiceDefinition[] = reflectionServices.map((service) => ({
  serverReflectionInfo: bytesMethod(reflectionPath(service), true, true),
}));

/** The standard reflection service over the .proto files that this release was built with. */
export function makeReflectionService(context: ServiceContext) {
  return {
    serverReflectionInfo: (call: ServerDuplexStream<Buffer, Buffer>): void => serve(context, call),
  };
}

function serve(context: ServiceContext, call: ServerDuplexStream<Buffer, Buffer>): void {
  const onClosing = () => call.end();
  const over = () => context.closing.removeEventListener("abort", onClosing);
  context.closing.addEventListener("abort", onClosing);
  call.on("cancelled", over);
  call.on("end", () => {
    over();
    call.end();
  });
  call.on("drain", () => call.resume());
  call.on("data", (bytes: Buffer) => {
    try {
      const { question, body } = requestOf(reflectionRequestCodec.decode(bytes));
      if (!call.write(reflectionResponseCodec.encode({ request: body, answer: answerTo(question) }))) call.pause();
    } catch (cause) {
      over();
      call.emit("error", serviceError(cause, context.log));
    }
  });
}

interface KnownFile {
  readonly imports: readonly string[];
  readonly bytes: Uint8Array;
}

const files: ReadonlyMap<string, KnownFile> = new Map(
  descriptorFiles.map(({ name, imports, bytes }) => [name, { imports, bytes: Buffer.from(bytes, "base64") }]),
);
/** Name of the file that declares a symbol. */
const symbols: ReadonlyMap<string, string> = new Map(
  descriptorFiles.flatMap(({ name, symbols: declared }) => declared.map((symbol) => [symbol, name] as const)),
);
const services = descriptorFiles.flatMap((file) => file.services);

function answerTo(question: ReflectionQuestion): ReflectionAnswer {
  switch (question.kind) {
    case "services":
      return { kind: "services", names: services };
    case "fileByName":
      return filesFrom(question.name) ?? notFound(`file ${question.name}`);
    case "fileOfSymbol":
      return filesFrom(symbols.get(question.symbol)) ?? notFound(`symbol ${question.symbol}`);
    case "fileOfExtension":
      return notFound(`extension ${question.number} of ${question.type}`);
    case "extensionsOfType":
      return symbols.has(question.type)
        ? { kind: "extensions", type: question.type }
        : notFound(`type ${question.type}`);
    case "other":
      return { kind: "error", code: grpcStatuses.INVALID_ARGUMENT, message: "the request asks nothing that is known" };
    default:
      return assertNever(question);
  }
}

const notFound = (what: string): ReflectionAnswer => ({
  kind: "error",
  code: grpcStatuses.NOT_FOUND,
  message: `there is no ${what}`,
});

/** The file, then all that it imports, directly or not. */
function filesFrom(first: string | undefined): ReflectionAnswer | undefined {
  if (first === undefined || !files.has(first)) return undefined;
  const names = new Set([first]);
  // A set goes on over what is added to it meanwhile.
  for (const name of names) for (const imported of files.get(name)?.imports ?? []) names.add(imported);
  return { kind: "files", files: [...names].flatMap((name) => files.get(name)?.bytes ?? []) };
}
