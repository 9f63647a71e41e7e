/** The messages of LogService's sessions and fence (proto/paxlog/v1/log.proto) as plain values. */
import { defaultLogId } from "../base/types.ts";
import { paxlog } from "./generated/wire.js";
import type { Codec } from "./wire-value.ts";
import { asBuffer, decoding, safeNumber } from "./wire-value.ts";

const wire = paxlog.v1;

export interface OpenSessionRequest {
  readonly logId: number;
  /** 0: as the log likes. */
  readonly ttlMs: number;
  /** Whether a record of type "$session" says when it ends. */
  readonly announceEnd: boolean;
}

/** What a session is to be. */
export type SessionTerms = Omit<OpenSessionRequest, "logId">;

export interface OpenSessionResponse {
  readonly session: number;
  readonly ttlMs: number;
  /** Log time from which the ttl counts, milliseconds since 1970. */
  readonly time: number;
}

/** Keeps or closes a session. */
export interface SessionIdRequest {
  readonly logId: number;
  readonly session: number;
}

export interface KeepSessionResponse {
  readonly ttlMs: number;
  readonly time: number;
}

export interface FenceRequest {
  readonly logId: number;
  readonly token: number;
}

export interface FenceResponse {
  readonly fence: number;
  readonly tail: number;
}

export const openSessionRequestCodec: Codec<OpenSessionRequest> = {
  encode: (value) => asBuffer(wire.OpenSessionRequest.encode(value).finish()),
  decode: (bytes) =>
    decoding(() => {
      const body = wire.OpenSessionRequest.decode(bytes);
      const ttlMs = safeNumber(body.ttlMs, "ttl_ms");
      return { logId: body.logId || defaultLogId, ttlMs, announceEnd: body.announceEnd ?? false };
    }),
};

export const openSessionResponseCodec: Codec<OpenSessionResponse> = {
  encode: (value) => asBuffer(wire.OpenSessionResponse.encode(value).finish()),
  decode: (bytes) =>
    decoding(() => {
      const body = wire.OpenSessionResponse.decode(bytes);
      return {
        session: safeNumber(body.session, "session"),
        ttlMs: safeNumber(body.ttlMs, "ttl_ms"),
        time: safeNumber(body.time, "time"),
      };
    }),
};

export const keepSessionRequestCodec: Codec<SessionIdRequest> = {
  encode: (value) => asBuffer(wire.KeepSessionRequest.encode(value).finish()),
  decode: (bytes) => decoding(() => sessionIdRequestOf(wire.KeepSessionRequest.decode(bytes))),
};

export const keepSessionResponseCodec: Codec<KeepSessionResponse> = {
  encode: (value) => asBuffer(wire.KeepSessionResponse.encode(value).finish()),
  decode: (bytes) =>
    decoding(() => {
      const body = wire.KeepSessionResponse.decode(bytes);
      return { ttlMs: safeNumber(body.ttlMs, "ttl_ms"), time: safeNumber(body.time, "time") };
    }),
};

export const closeSessionRequestCodec: Codec<SessionIdRequest> = {
  encode: (value) => asBuffer(wire.CloseSessionRequest.encode(value).finish()),
  decode: (bytes) => decoding(() => sessionIdRequestOf(wire.CloseSessionRequest.decode(bytes))),
};

/** CloseSessionResponse has no field, and a later version's fields are skipped. */
export const closeSessionResponseCodec: Codec<Record<string, never>> = {
  encode: () => Buffer.alloc(0),
  decode: (bytes) =>
    decoding(() => {
      wire.CloseSessionResponse.decode(bytes);
      return {};
    }),
};

export const fenceRequestCodec: Codec<FenceRequest> = {
  encode: (value) => asBuffer(wire.FenceRequest.encode(value).finish()),
  decode: (bytes) =>
    decoding(() => {
      const body = wire.FenceRequest.decode(bytes);
      return { logId: body.logId || defaultLogId, token: safeNumber(body.token, "token") };
    }),
};

export const fenceResponseCodec: Codec<FenceResponse> = {
  encode: (value) => asBuffer(wire.FenceResponse.encode(value).finish()),
  decode: (bytes) =>
    decoding(() => {
      const body = wire.FenceResponse.decode(bytes);
      return { fence: safeNumber(body.fence, "fence"), tail: safeNumber(body.tail, "tail") };
    }),
};

function sessionIdRequestOf(body: paxlog.v1.KeepSessionRequest.$Properties): SessionIdRequest {
  return { logId: body.logId || defaultLogId, session: safeNumber(body.session, "session") };
}
