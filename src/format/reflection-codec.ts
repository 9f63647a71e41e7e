/** The messages of the standard reflection service (proto/grpc/reflection/v1/reflection.proto) as plain values. */

import { grpc } from "./generated/wire.js";
import type { Codec } from "./wire-value.ts";
import { asBuffer, decoding, malformed } from "./wire-value.ts";

const wire = grpc.reflection.v1;

export const reflectionServices = [
  "grpc.reflection.v1.ServerReflection",
  "grpc.reflection.v1alpha.ServerReflection",
] as const;

export const reflectionPath = (service: (typeof reflectionServices)[number]) =>
  `/${service}/ServerReflectionInfo` as const;

export type ReflectionQuestion =
  | { readonly kind: "fileByName"; readonly name: string }
  | { readonly kind: "fileOfSymbol"; readonly symbol: string }
  | { readonly kind: "fileOfExtension"; readonly type: string; readonly number: number }
  | { readonly kind: "extensionsOfType"; readonly type: string }
  | { readonly kind: "services" }
  /** None that this version knows. */
  | { readonly kind: "other" };

export interface ReflectionRequest {
  readonly question: ReflectionQuestion;
  /** As it came: the answer repeats it. */
  readonly body: Uint8Array;
}

export type ReflectionAnswer =
  /** Each a FileDescriptorProto. */
  | { readonly kind: "files"; readonly files: readonly Uint8Array[] }
  | { readonly kind: "extensions"; readonly type: string }
  | { readonly kind: "services"; readonly names: readonly string[] }
  | { readonly kind: "error"; readonly code: number; readonly message: string };

export interface ReflectionResponse {
  /** The request's body; empty: none. */
  readonly request: Uint8Array;
  readonly answer: ReflectionAnswer;
}

export const reflectionRequestCodec: Codec<ReflectionRequest> = {
  encode: ({ question }) => asBuffer(wire.ServerReflectionRequest.encode(questionBody(question)).finish()),
  decode: (bytes) =>
    decoding(() => ({ question: questionOf(wire.ServerReflectionRequest.decode(bytes)), body: bytes })),
};

export const reflectionResponseCodec: Codec<ReflectionResponse> = {
  encode: ({ request, answer }) => {
    const originalRequest = wire.ServerReflectionRequest.decode(request);
    const validHost = originalRequest.host ?? "";
    const body = { validHost, originalRequest, ...answerBody(answer) };
    return asBuffer(wire.ServerReflectionResponse.encode(body).finish());
  },
  decode: (bytes) =>
    decoding(() => {
      const body = wire.ServerReflectionResponse.decode(bytes);
      const request = wire.ServerReflectionRequest.encode(body.originalRequest ?? {}).finish();
      return { request, answer: answerOf(body) };
    }),
};

function questionBody(question: ReflectionQuestion): grpc.reflection.v1.ServerReflectionRequest.$Properties {
  switch (question.kind) {
    case "fileByName":
      return { fileByFilename: question.name };
    case "fileOfSymbol":
      return { fileContainingSymbol: question.symbol };
    case "fileOfExtension":
      return { fileContainingExtension: { containingType: question.type, extensionNumber: question.number } };
    case "extensionsOfType":
      return { allExtensionNumbersOfType: question.type };
    case "services":
      return { listServices: "*" };
    case "other":
      return {};
  }
}

function questionOf(body: grpc.reflection.v1.ServerReflectionRequest.$Properties): ReflectionQuestion {
  const { fileByFilename, fileContainingSymbol, fileContainingExtension, allExtensionNumbersOfType, listServices } =
    body;
  if (typeof fileByFilename === "string") return { kind: "fileByName", name: fileByFilename };
  if (typeof fileContainingSymbol === "string") return { kind: "fileOfSymbol", symbol: fileContainingSymbol };
  if (fileContainingExtension) {
    const { containingType, extensionNumber } = fileContainingExtension;
    return { kind: "fileOfExtension", type: containingType ?? "", number: extensionNumber ?? 0 };
  }
  if (typeof allExtensionNumbersOfType === "string")
    return { kind: "extensionsOfType", type: allExtensionNumbersOfType };
  return typeof listServices === "string" ? { kind: "services" } : { kind: "other" };
}

function answerBody(answer: ReflectionAnswer): grpc.reflection.v1.ServerReflectionResponse.$Properties {
  switch (answer.kind) {
    case "files":
      return { fileDescriptorResponse: { fileDescriptorProto: answer.files as Uint8Array[] } };
    case "extensions":
      return { allExtensionNumbersResponse: { baseTypeName: answer.type } };
    case "services":
      return { listServicesResponse: { service: answer.names.map((name) => ({ name })) } };
    case "error":
      return { errorResponse: { errorCode: answer.code, errorMessage: answer.message } };
  }
}

function answerOf(body: grpc.reflection.v1.ServerReflectionResponse.$Properties): ReflectionAnswer {
  const { fileDescriptorResponse, allExtensionNumbersResponse, listServicesResponse, errorResponse } = body;
  if (fileDescriptorResponse) return { kind: "files", files: fileDescriptorResponse.fileDescriptorProto ?? [] };
  if (allExtensionNumbersResponse) return { kind: "extensions", type: allExtensionNumbersResponse.baseTypeName ?? "" };
  if (listServicesResponse) {
    return { kind: "services", names: (listServicesResponse.service ?? []).map(({ name }) => name ?? "") };
  }
  if (!errorResponse) return malformed("the response has no answer");
  return { kind: "error", code: errorResponse.errorCode ?? 0, message: errorResponse.errorMessage ?? "" };
}
