/** The messages of ObjectService (proto/paxlog/v1/objects.proto) as plain values, for the server's side and for the client's. */
import type { PaxlogError } from "../base/errors.ts";
import type { MachineChange } from "../machine/machine.ts";
import {
  type AppendRequest,
  type AppendResponse,
  type AppendStreamRequest,
  appendRequestOf,
  appendRequestPieces,
  appendResponseOf,
  type Codec,
} from "./api-codec.ts";
import { encodeErrorDetails, errorOfStatus, errorStatusBody } from "./error-details.ts";
import { type google, paxlog } from "./generated/wire.js";
import { framedMessage } from "./grpc-frame.ts";
import type { MachineStatus } from "./machine-status.ts";
import {
  type Freshness,
  type FreshnessKind,
  freshnessBody,
  freshnessKindOf,
  freshnessNumber,
  freshnessOf,
} from "./read-codec.ts";
import { bytesFieldHead, FieldReader, FieldWriter } from "./wire-bytes.ts";
import { type Absent, asBuffer, decoding, malformed, safeNumber } from "./wire-value.ts";

const wire = paxlog.v1;

/** Paths of the calls, as gRPC names them. */
export const objectServicePaths = {
  execute: "/paxlog.v1.ObjectService/Execute",
  executeStream: "/paxlog.v1.ObjectService/ExecuteStream",
  ask: "/paxlog.v1.ObjectService/Ask",
  askMany: "/paxlog.v1.ObjectService/AskMany",
  watch: "/paxlog.v1.ObjectService/Watch",
  listMachines: "/paxlog.v1.ObjectService/ListMachines",
  fetchSnapshot: "/paxlog.v1.ObjectService/FetchSnapshot",
} as const;

/** An append whose records are all commands. */
export type ExecuteRequest = AppendRequest;
export type ExecuteStreamRequest = AppendStreamRequest;

/** What became of a command that is in the log. */
export type CommandReply =
  | { readonly kind: "reply"; readonly reply: Uint8Array }
  /** The machine did nothing, or its reply is not known any more (REPLY_GONE). */
  | { readonly kind: "failed"; readonly error: PaxlogError };

export interface ExecuteResponse {
  readonly appended: AppendResponse;
  /** One for each record, in order. */
  readonly replies: readonly CommandReply[];
}

export interface ExecuteStreamResponse {
  /** Answers to the next unanswered requests of the stream, in order. */
  readonly executed: readonly ExecuteResponse[];
  /** Answer to the request behind those. */
  readonly refused?: PaxlogError | undefined;
}

export interface AskRequest {
  /** Without "$". */
  readonly machine: string;
  readonly question: Uint8Array;
  readonly freshness: Freshness;
}

export interface AskResponse {
  readonly answer: Uint8Array;
  /** Every command below it is in the answer. */
  readonly position: number;
  readonly freshness: FreshnessKind | undefined;
}

/** Questions to one machine, answered from one state of it. */
export interface AskManyRequest {
  readonly machine: string;
  readonly questions: readonly Uint8Array[];
  readonly freshness: Freshness;
}

export interface AskManyResponse {
  /** One for each question; undefined: it is to be asked by itself. */
  readonly answers: readonly (Uint8Array | undefined)[];
  readonly position: number;
  readonly freshness: FreshnessKind | undefined;
}

export interface WatchRequest {
  readonly machine: string;
  readonly question: Uint8Array;
  /** 0: from now on. */
  readonly from: number;
}

export interface WatchResponse {
  readonly changes: readonly MachineChange[];
  /** Everything before it was told. */
  readonly next: number;
}

export interface ListMachinesResponse {
  readonly machines: readonly MachineStatus[];
}

export interface FetchSnapshotRequest {
  readonly machine: string;
  /** 0: the newest one. */
  readonly position: number;
  readonly offset: number;
  /** Of the newest one: its position at least. */
  readonly atLeast: number;
}

export interface SnapshotHeader {
  readonly machine: string;
  readonly version: number;
  /** Every command below it is in the state. */
  readonly position: number;
  readonly length: number;
  /** XXH3-128 of all bytes, 16 bytes. */
  readonly hash: Uint8Array;
}

export interface FetchSnapshotResponse {
  /** In the first answer. */
  readonly header?: SnapshotHeader | undefined;
  readonly piece: Uint8Array;
}

export const executeRequestCodec: Codec<ExecuteRequest> = {
  encode: (value) => framedMessage(executePieces(value)),
  decode: (bytes) => decoding(() => executeRequestOf(wire.ExecuteRequest.decode(bytes))),
};

export const executeStreamRequestCodec: Codec<ExecuteStreamRequest> = {
  encode: (value) => {
    const pieces = nested(executeField, executePieces(value));
    if (value.independent !== true) return framedMessage(pieces);
    return framedMessage([...pieces, wire.ExecuteStreamRequest.encode({ independent: true }).finish()]);
  },
  decode: (bytes) =>
    decoding(() => {
      const body = wire.ExecuteStreamRequest.decode(bytes);
      const execute = executeRequestOf(body.execute ?? malformed("execute is missing"));
      return body.independent === true ? { ...execute, independent: true } : execute;
    }),
};

export const executeResponseCodec: Codec<ExecuteResponse> = {
  encode: (value) => {
    writer.clear();
    writeExecuteResponse(value);
    return writer.finish();
  },
  decode: (bytes) => decoding(() => executeResponseOf(wire.ExecuteResponse.decode(bytes))),
};

/** Written and read by hand: it has a reply for each of tens of thousands of commands a second. */
export const executeStreamResponseCodec: Codec<ExecuteStreamResponse> = {
  encode: ({ executed, refused }) => {
    writer.clear();
    for (const each of executed) {
      const begin = writer.begin(1);
      writeExecuteResponse(each);
      writer.end(begin);
    }
    if (refused !== undefined) writer.bytesChoice(2, encodeErrorDetails(refused));
    return writer.finish();
  },
  decode: (bytes) =>
    decoding(() => {
      const quick = executedIn(bytes);
      if (quick !== undefined) return { executed: quick };
      const body = wire.ExecuteStreamResponse.decode(bytes);
      const executed = (body.executed ?? []).map(executeResponseOf);
      const refused = statusErrorOf(body.refused, "refused");
      return refused === undefined ? { executed } : { executed, refused };
    }),
};

export const askRequestCodec: Codec<AskRequest> = {
  encode: ({ machine, question, freshness }) =>
    asBuffer(wire.AskRequest.encode({ machine, question, ...freshnessBody(freshness) }).finish()),
  decode: (bytes) =>
    decoding(() => {
      const body = wire.AskRequest.decode(bytes);
      return { machine: body.machine ?? "", question: body.question ?? noBytes, freshness: freshnessOf(body) };
    }),
};

export const askResponseCodec: Codec<AskResponse> = {
  encode: ({ answer, position, freshness }) =>
    asBuffer(wire.AskResponse.encode({ answer, position, freshness: freshnessNumber(freshness) }).finish()),
  decode: (bytes) =>
    decoding(() => {
      const body = wire.AskResponse.decode(bytes);
      return {
        answer: body.answer ?? noBytes,
        position: safeNumber(body.position, "position"),
        freshness: freshnessKindOf(body.freshness),
      };
    }),
};

export const askManyRequestCodec: Codec<AskManyRequest> = {
  encode: ({ machine, questions, freshness }) =>
    asBuffer(wire.AskManyRequest.encode({ machine, questions: [...questions], ...freshnessBody(freshness) }).finish()),
  decode: (bytes) =>
    decoding(() => {
      const body = wire.AskManyRequest.decode(bytes);
      return { machine: body.machine ?? "", questions: body.questions ?? [], freshness: freshnessOf(body) };
    }),
};

export const askManyResponseCodec: Codec<AskManyResponse> = {
  encode: ({ answers, position, freshness }) => {
    const bodies = answers.map((answer) => (answer === undefined ? {} : { answer }));
    const body = { answers: bodies, position, freshness: freshnessNumber(freshness) };
    return asBuffer(wire.AskManyResponse.encode(body).finish());
  },
  decode: (bytes) =>
    decoding(() => {
      const body = wire.AskManyResponse.decode(bytes);
      return {
        answers: (body.answers ?? []).map(({ answer }) => answer ?? undefined),
        position: safeNumber(body.position, "position"),
        freshness: freshnessKindOf(body.freshness),
      };
    }),
};

export const watchRequestCodec: Codec<WatchRequest> = {
  encode: (value) => asBuffer(wire.WatchRequest.encode(value).finish()),
  decode: (bytes) =>
    decoding(() => {
      const body = wire.WatchRequest.decode(bytes);
      return {
        machine: body.machine ?? "",
        question: body.question ?? noBytes,
        from: safeNumber(body.from, "from"),
      };
    }),
};

export const watchResponseCodec: Codec<WatchResponse> = {
  encode: ({ changes, next }) => asBuffer(wire.WatchResponse.encode({ changes: [...changes], next }).finish()),
  decode: (bytes) =>
    decoding(() => {
      const body = wire.WatchResponse.decode(bytes);
      const changes = (body.changes ?? []).map(({ position, time, change }) => ({
        position: safeNumber(position, "position"),
        time: safeNumber(time, "time"),
        change: change ?? noBytes,
      }));
      return { changes, next: safeNumber(body.next, "next") };
    }),
};

/** ListMachinesRequest has no field, and a later version's fields are skipped. */
export const listMachinesRequestCodec: Codec<Record<string, never>> = {
  encode: () => Buffer.alloc(0),
  decode: (bytes) =>
    decoding(() => {
      wire.ListMachinesRequest.decode(bytes);
      return {};
    }),
};

export const listMachinesResponseCodec: Codec<ListMachinesResponse> = {
  encode: ({ machines }) =>
    asBuffer(wire.ListMachinesResponse.encode({ machines: machines.map(machineStatusBody) }).finish()),
  decode: (bytes) =>
    decoding(() => ({ machines: (wire.ListMachinesResponse.decode(bytes).machines ?? []).map(machineStatusOf) })),
};

export const fetchSnapshotRequestCodec: Codec<FetchSnapshotRequest> = {
  encode: (value) => asBuffer(wire.FetchSnapshotRequest.encode(value).finish()),
  decode: (bytes) =>
    decoding(() => {
      const body = wire.FetchSnapshotRequest.decode(bytes);
      return {
        machine: body.machine ?? "",
        position: safeNumber(body.position, "position"),
        offset: safeNumber(body.offset, "offset"),
        atLeast: safeNumber(body.atLeast, "at_least"),
      };
    }),
};

export const fetchSnapshotResponseCodec: Codec<FetchSnapshotResponse> = {
  encode: ({ header, piece }) =>
    asBuffer(wire.FetchSnapshotResponse.encode({ header: header ?? null, piece }).finish()),
  decode: (bytes) =>
    decoding(() => {
      const body = wire.FetchSnapshotResponse.decode(bytes);
      const piece = body.piece ?? noBytes;
      return body.header === undefined || body.header === null ? { piece } : { header: headerOf(body.header), piece };
    }),
};

/** Numbers of the fields around an append, whose batch the generated code does not copy (objects.proto). */
const appendField = 1;
const executeField = 1;

const executePieces = (request: ExecuteRequest): Uint8Array[] => nested(appendField, appendRequestPieces(request));

/** The pieces of a message as a field of another one. */
function nested(field: number, pieces: Uint8Array[]): Uint8Array[] {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  return [bytesFieldHead(field, length), ...pieces];
}

const executeRequestOf = ({ append }: paxlog.v1.ExecuteRequest.$Properties): ExecuteRequest =>
  appendRequestOf(append ?? malformed("append is missing"));

const writer = new FieldWriter();
const reader = new FieldReader();

function writeExecuteResponse({ appended, replies }: ExecuteResponse): void {
  const place = writer.begin(1);
  writer.varint(1, appended.firstPosition);
  writer.varint(2, appended.recordCount);
  writer.varint(3, appended.time);
  writer.end(place);
  for (const reply of replies) {
    const begin = writer.begin(2);
    if (reply.kind === "reply") writer.bytesChoice(1, reply.reply);
    else writer.bytesChoice(2, encodeErrorDetails(reply.error));
    writer.end(begin);
  }
}

/** Answers with nothing but replies; undefined: something else is among them, for the generated code to read. */
function executedIn(bytes: Uint8Array): ExecuteResponse[] | undefined {
  const fields = reader.over(bytes);
  const executed: ExecuteResponse[] = [];
  for (let outer = fields.enter(1); outer !== undefined; outer = fields.enter(1)) {
    const place = fields.enter(1);
    if (place === undefined) return undefined;
    const appended = {
      firstPosition: fields.varint(1) ?? 0,
      recordCount: fields.varint(2) ?? 0,
      time: fields.varint(3) ?? 0,
    };
    if (!fields.leave(place)) return undefined;
    const replies: CommandReply[] = [];
    for (let inner = fields.enter(2); inner !== undefined; inner = fields.enter(2)) {
      const reply = fields.bytes(1);
      if (!fields.leave(inner) || reply === undefined) return undefined;
      replies.push({ kind: "reply", reply });
    }
    if (!fields.leave(outer) || replies.length !== appended.recordCount) return undefined;
    executed.push({ appended, replies });
  }
  return fields.isDone ? executed : undefined;
}

function executeResponseOf(body: paxlog.v1.ExecuteResponse.$Properties): ExecuteResponse {
  const appended = appendResponseOf(body.appended ?? malformed("appended is missing"));
  const replies = (body.replies ?? []).map(replyOf);
  if (replies.length !== appended.recordCount) {
    malformed(`there are ${replies.length} replies to ${appended.recordCount} commands`);
  }
  return { appended, replies };
}

function replyOf({ reply, error }: paxlog.v1.CommandReply.$Properties): CommandReply {
  const failure = statusErrorOf(error, "error");
  if (failure !== undefined) return { kind: "failed", error: failure };
  return { kind: "reply", reply: reply ?? malformed("a reply is missing") };
}

function statusErrorOf(status: google.rpc.Status.$Properties | Absent, what: string): PaxlogError | undefined {
  if (status === undefined || status === null) return undefined;
  return errorOfStatus(status) ?? malformed(`${what} is no error of paxlog`);
}

function machineStatusBody({ stopped, ...rest }: MachineStatus): paxlog.v1.MachineStatus.$Properties {
  return { ...rest, stopped: stopped === undefined ? null : errorStatusBody(stopped) };
}

function machineStatusOf(body: paxlog.v1.MachineStatus.$Properties): MachineStatus {
  return {
    name: body.name ?? "",
    version: body.version ?? 0,
    code: body.code ?? "",
    applied: safeNumber(body.applied, "applied"),
    snapshot: safeNumber(body.snapshot, "snapshot"),
    stopped: statusErrorOf(body.stopped, "stopped"),
    busyMs: safeNumber(body.busyMs, "busy_ms"),
  };
}

const hashBytes = 16;

function headerOf(body: paxlog.v1.SnapshotHeader.$Properties): SnapshotHeader {
  const hash = body.hash ?? noBytes;
  if (hash.length !== hashBytes) malformed(`the hash has ${hash.length} bytes, not ${hashBytes}`);
  return {
    machine: body.machine ?? "",
    version: body.version ?? 0,
    position: safeNumber(body.position, "position"),
    length: safeNumber(body.length, "length"),
    hash,
  };
}

const noBytes = new Uint8Array(0);
