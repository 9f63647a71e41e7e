/**
 * The messages of LogService and ClusterService (proto/paxlog/v1/log.proto, cluster.proto) as plain values, for the server's
 * side and for the client's. Numbers of 64-bit fields are below 2^53 on both sides of every codec; a decoder answers with a
 * verdict. What a field may hold beyond its type is for the services to judge.
 */
import type { PaxlogError } from "../base/errors.ts";
import { defaultLogId } from "../base/types.ts";
import type { Guards } from "../core/guards.ts";
import { errorOfStatus, errorStatusBody } from "./error-details.ts";
import { paxlog } from "./generated/wire.js";
import { framedMessage } from "./grpc-frame.ts";
import { guardsBody, guardsOf } from "./guards-codec.ts";
import type { NodeStatus, PeerStatus } from "./node-status.ts";
import { holdOf } from "./retain-codec.ts";
import { bytesFieldHead } from "./wire-bytes.ts";
import { type Absent, asBuffer, type Codec, decoding, malformed, safeNumber } from "./wire-value.ts";

export type { NodeStatus, PeerStatus } from "./node-status.ts";
export {
  type CheckTailRequest,
  type CheckTailResponse,
  checkTailRequestCodec,
  checkTailResponseCodec,
  type Direction,
  type Freshness,
  type FreshnessKind,
  kindOfFreshness,
  type ReadBatch,
  type ReadRequest,
  type ReadResponse,
  readRequestCodec,
  readResponseCodec,
} from "./read-codec.ts";
export type { Codec } from "./wire-value.ts";

const wire = paxlog.v1;

/** Paths of the calls, as gRPC names them. */
export const logServicePaths = {
  append: "/paxlog.v1.LogService/Append",
  appendStream: "/paxlog.v1.LogService/AppendStream",
  read: "/paxlog.v1.LogService/Read",
  checkTail: "/paxlog.v1.LogService/CheckTail",
  openSession: "/paxlog.v1.LogService/OpenSession",
  keepSession: "/paxlog.v1.LogService/KeepSession",
  closeSession: "/paxlog.v1.LogService/CloseSession",
  fence: "/paxlog.v1.LogService/Fence",
  trim: "/paxlog.v1.LogService/Trim",
  putHold: "/paxlog.v1.LogService/PutHold",
  dropHold: "/paxlog.v1.LogService/DropHold",
} as const;

export const clusterServicePaths = {
  status: "/paxlog.v1.ClusterService/Status",
} as const;

export interface AppendRequest {
  readonly logId: number;
  /** An encoded RecordBatch. */
  readonly batch: Uint8Array;
  /** CRC32C of `batch`, where the sender gives it. */
  readonly crc32c: number | undefined;
  /** What the log must be like; absent: nothing is demanded. */
  readonly guards?: Guards | undefined;
}

export interface AppendStreamRequest extends AppendRequest {
  /** A refusal of it is answered in the stream, which goes on. Absent: false. */
  readonly independent?: boolean | undefined;
}

export interface AppendResponse {
  readonly firstPosition: number;
  readonly recordCount: number;
  /** Milliseconds since 1970. */
  readonly time: number;
}

export interface AppendStreamResponse {
  /** Answers to the next unanswered requests of the stream, in order. */
  readonly acknowledged: readonly AppendResponse[];
  /** Answer to the request behind those. */
  readonly refused?: PaxlogError | undefined;
}

export const appendRequestCodec: Codec<AppendRequest> = {
  encode: (value) => framedMessage(appendRequestPieces(value)),
  decode: (bytes) => decoding(() => appendRequestOf(wire.AppendRequest.decode(bytes))),
};

export const appendResponseCodec: Codec<AppendResponse> = {
  encode: (value) => asBuffer(wire.AppendResponse.encode(value).finish()),
  decode: (bytes) => decoding(() => appendResponseOf(wire.AppendResponse.decode(bytes))),
};

/** One request of an AppendStream. */
export const appendStreamRequestCodec: Codec<AppendStreamRequest> = {
  encode: (value) => {
    const pieces = appendRequestPieces(value);
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
    const head = bytesFieldHead(appendField, length);
    if (value.independent !== true) return framedMessage([head, ...pieces]);
    return framedMessage([head, ...pieces, wire.AppendStreamRequest.encode({ independent: true }).finish()]);
  },
  decode: (bytes) =>
    decoding(() => {
      const body = wire.AppendStreamRequest.decode(bytes);
      const append = appendRequestOf(body.append ?? malformed("append is missing"));
      return body.independent === true ? { ...append, independent: true } : append;
    }),
};

export const appendStreamResponseCodec: Codec<AppendStreamResponse> = {
  encode: ({ acknowledged, refused }) => {
    const status = refused === undefined ? null : errorStatusBody(refused);
    return asBuffer(
      wire.AppendStreamResponse.encode({ acknowledged: acknowledged as AppendResponse[], refused: status }).finish(),
    );
  },
  decode: (bytes) =>
    decoding(() => {
      const body = wire.AppendStreamResponse.decode(bytes);
      const acknowledged = (body.acknowledged ?? []).map(appendResponseOf);
      if (body.refused === undefined || body.refused === null) return { acknowledged };
      const refused = errorOfStatus(body.refused) ?? malformed("refused is no error of paxlog");
      return { acknowledged, refused };
    }),
};

/** StatusRequest has no field, and a later version's fields are skipped. */
export const statusRequestCodec: Codec<Record<string, never>> = {
  encode: () => Buffer.alloc(0),
  decode: (bytes) =>
    decoding(() => {
      wire.StatusRequest.decode(bytes);
      return {};
    }),
};

export const statusResponseCodec: Codec<NodeStatus> = {
  encode: (value) =>
    asBuffer(wire.StatusResponse.encode({ ...value, nodes: [...value.nodes], holds: [...value.holds] }).finish()),
  decode: (bytes) => decoding(() => statusOf(wire.StatusResponse.decode(bytes))),
};

/** Numbers of the fields whose bytes are not copied by the generated code (proto/paxlog/v1/log.proto). */
const appendField = 1;
const batchField = 2;

export function appendRequestPieces({ logId, batch, crc32c, guards }: AppendRequest): Uint8Array[] {
  const fields = { logId, crc32c: crc32c ?? null, guards: guards === undefined ? null : guardsBody(guards) };
  const rest = wire.AppendRequest.encode(fields).finish();
  return [rest, bytesFieldHead(batchField, batch.length), batch];
}

export function appendRequestOf(body: paxlog.v1.AppendRequest.$Properties): AppendRequest {
  const { logId, batch, crc32c, guards } = body;
  return {
    logId: logId || defaultLogId,
    batch: batch ?? noBytes,
    crc32c: crc32c ?? undefined,
    guards: guards === undefined || guards === null ? undefined : guardsOf(guards),
  };
}

export function appendResponseOf(body: paxlog.v1.AppendResponse.$Properties): AppendResponse {
  return {
    firstPosition: safeNumber(body.firstPosition, "first_position"),
    recordCount: body.recordCount ?? 0,
    time: safeNumber(body.time, "time"),
  };
}

function statusOf(body: paxlog.v1.StatusResponse.$Properties): NodeStatus {
  return {
    id: body.id ?? "",
    leader: body.leader ?? "",
    leaderAddress: body.leaderAddress ?? "",
    clusterId: body.clusterId ?? "",
    role: oneOf(body.role, ["leader", "follower", "nonvoter"], "role"),
    phase: oneOf(body.phase, ["recover", "prepare", "sync", "accept", "follow"], "phase"),
    ballot: body.ballot ?? "",
    head: safeNumber(body.head, "head"),
    tail: safeNumber(body.tail, "tail"),
    acceptedEnd: safeNumber(body.acceptedEnd, "accepted_end"),
    flushedEnd: safeNumber(body.flushedEnd, "flushed_end"),
    decidedEnd: safeNumber(body.decidedEnd, "decided_end"),
    visibleEnd: safeNumber(body.visibleEnd, "visible_end"),
    nodes: (body.nodes ?? []).map(peerStatusOf),
    syncs: safeNumber(body.syncs, "syncs"),
    leaderChanges: safeNumber(body.leaderChanges, "leader_changes"),
    uptimeMs: safeNumber(body.uptimeMs, "uptime_ms"),
    memoryBytes: safeNumber(body.memoryBytes, "memory_bytes"),
    hashing: oneOf(body.hashing, ["native", "portable"], "hashing"),
    version: body.version ?? "",
    entriesAppended: safeNumber(body.entriesAppended, "entries_appended"),
    pid: safeNumber(body.pid, "pid"),
    holds: (body.holds ?? []).map(holdOf),
    logBegin: safeNumber(body.logBegin, "log_begin"),
    snapshotSlot: safeNumber(body.snapshotSlot, "snapshot_slot"),
    diskFull: body.diskFull ?? false,
  };
}

function peerStatusOf(body: paxlog.v1.NodeStatus.$Properties): PeerStatus {
  return {
    id: body.id ?? "",
    peerAddress: body.peerAddress ?? "",
    clientAddress: body.clientAddress ?? "",
    connected: body.connected ?? false,
    visibleEnd: safeNumber(body.visibleEnd, "visible_end"),
    voter: body.voter ?? false,
  };
}

const noBytes = new Uint8Array(0);

function oneOf<T extends string>(value: string | Absent, allowed: readonly T[], what: string): T {
  const found = allowed.find((candidate) => candidate === value);
  return found ?? malformed(`${what} "${value ?? ""}" is unknown`);
}
