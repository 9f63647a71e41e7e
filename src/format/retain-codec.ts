/** The messages of LogService's trims and holds (proto/paxlog/v1/log.proto) as plain values. */
import { defaultLogId } from "../base/types.ts";
import { paxlog } from "./generated/wire.js";
import type { Codec } from "./wire-value.ts";
import { type Absent, asBuffer, decoding, malformed, safeNumber, type WireNumber } from "./wire-value.ts";

const wire = paxlog.v1;

export interface TrimRequest {
  readonly logId: number;
  readonly position: number;
}

export interface TrimResponse {
  /** The first position that can be read now. */
  readonly head: number;
  /** The hold that stopped it in front of what was asked for. */
  readonly heldBy: HoldStatus | undefined;
}

export interface HoldStatus {
  readonly name: string;
  readonly owner: string;
  /** Everything from here on is kept. */
  readonly position: number;
  /** Log time, milliseconds since 1970. */
  readonly expiresAt: number;
}

export interface PutHoldRequest {
  readonly logId: number;
  readonly name: string;
  readonly owner: string;
  readonly position: number;
  /** 0: as the log likes. */
  readonly ttlMs: number;
}

export interface PutHoldResponse {
  readonly hold: HoldStatus;
}

export interface DropHoldRequest {
  readonly logId: number;
  readonly name: string;
}

export interface DropHoldResponse {
  readonly existed: boolean;
}

export const trimRequestCodec: Codec<TrimRequest> = {
  encode: (value) => asBuffer(wire.TrimRequest.encode(value).finish()),
  decode: (bytes) =>
    decoding(() => {
      const body = wire.TrimRequest.decode(bytes);
      return { logId: body.logId || defaultLogId, position: safeNumber(body.position, "position") };
    }),
};

export const trimResponseCodec: Codec<TrimResponse> = {
  encode: ({ head, heldBy }) => asBuffer(wire.TrimResponse.encode({ head, heldBy: heldBy ?? null }).finish()),
  decode: (bytes) =>
    decoding(() => {
      const body = wire.TrimResponse.decode(bytes);
      return { head: safeNumber(body.head, "head"), heldBy: body.heldBy ? holdOf(body.heldBy) : undefined };
    }),
};

export const putHoldRequestCodec: Codec<PutHoldRequest> = {
  encode: (value) => asBuffer(wire.PutHoldRequest.encode(value).finish()),
  decode: (bytes) =>
    decoding(() => {
      const body = wire.PutHoldRequest.decode(bytes);
      return {
        logId: body.logId || defaultLogId,
        name: body.name,
        owner: body.owner,
        position: safeNumber(body.position, "position"),
        ttlMs: safeNumber(body.ttlMs, "ttl_ms"),
      };
    }),
};

export const putHoldResponseCodec: Codec<PutHoldResponse> = {
  encode: (value) => asBuffer(wire.PutHoldResponse.encode(value).finish()),
  decode: (bytes) =>
    decoding(() => {
      const { hold } = wire.PutHoldResponse.decode(bytes);
      return { hold: hold ? holdOf(hold) : malformed("hold is missing") };
    }),
};

export const dropHoldRequestCodec: Codec<DropHoldRequest> = {
  encode: (value) => asBuffer(wire.DropHoldRequest.encode(value).finish()),
  decode: (bytes) =>
    decoding(() => {
      const body = wire.DropHoldRequest.decode(bytes);
      return { logId: body.logId || defaultLogId, name: body.name };
    }),
};

export const dropHoldResponseCodec: Codec<DropHoldResponse> = {
  encode: (value) => asBuffer(wire.DropHoldResponse.encode(value).finish()),
  decode: (bytes) => decoding(() => ({ existed: wire.DropHoldResponse.decode(bytes).existed })),
};

/** Also part of a node's status. */
/** A Hold as the generated code gives it: named here, so that the types of whoever uses this do not lead into that code. */
interface HoldBody {
  readonly name?: string | Absent;
  readonly owner?: string | Absent;
  readonly position?: WireNumber;
  readonly expiresAt?: WireNumber;
}

export const holdOf = (body: HoldBody): HoldStatus => ({
  name: body.name ?? "",
  owner: body.owner ?? "",
  position: safeNumber(body.position ?? 0, "position"),
  expiresAt: safeNumber(body.expiresAt ?? 0, "expires_at"),
});
