/** The messages of LogService's reads (Read and CheckTail of proto/paxlog/v1/log.proto) as plain values. */
import { defaultLogId } from "../base/types.ts";
import type { Query } from "../core/guards.ts";
import { paxlog } from "./generated/wire.js";
import { framedMessage } from "./grpc-frame.ts";
import { queryBody, queryOf } from "./guards-codec.ts";
import { FieldWriter } from "./wire-bytes.ts";
import type { Codec } from "./wire-value.ts";
import { type Absent, asBuffer, decoding, malformed, safeNumber, type WireNumber } from "./wire-value.ts";

const wire = paxlog.v1;

/** `atLeast` is a position that the answer must be able to see. */
export type Freshness = "linearizable" | "local" | { readonly atLeast: number };

/** How fresh an answer was, in one word. */
export type FreshnessKind = "linearizable" | "atLeast" | "local";

export type Direction = "forward" | "backward";

export interface ReadRequest {
  readonly logId: number;
  /** 0: where reads in this direction begin, unless one of the next two says otherwise. */
  readonly from: number;
  /** Log time in milliseconds. */
  readonly fromTime?: number | undefined;
  readonly beforeTail?: number | undefined;
  /** 0 or absent: none, as for the next three. */
  readonly to?: number | undefined;
  readonly toTime?: number | undefined;
  readonly limit: number;
  readonly maxBytes?: number | undefined;
  /** Absent: forward. */
  readonly direction?: Direction | undefined;
  /** Absent: every record. */
  readonly query?: Query | undefined;
  readonly follow: boolean;
  readonly freshness: Freshness;
}

export interface ReadBatch {
  readonly firstPosition: number;
  /** Of the batch in the log. */
  readonly recordCount: number;
  readonly time: number;
  /** In which it was appended; 0: none. */
  readonly session: number;
  readonly batch: Uint8Array;
  readonly crc32c: number;
  /** Which records match, ascending; absent: all. */
  readonly ordinals?: readonly number[] | undefined;
  /** `batch` holds the records of `ordinals` alone. */
  readonly selected?: boolean | undefined;
}

export interface ReadResponse {
  readonly batches: readonly ReadBatch[];
  readonly tail: number;
  readonly caughtUp: boolean;
  /** Where the same read goes on; 0 where that is not said. */
  readonly next?: number | undefined;
  readonly fellBehind?: boolean | undefined;
  readonly freshness?: FreshnessKind | undefined;
  readonly head?: number | undefined;
  /** Where the read begins; 0 but in the first answer. */
  readonly begin?: number | undefined;
}

export interface CheckTailRequest {
  readonly logId: number;
  readonly freshness: Freshness;
}

export interface CheckTailResponse {
  readonly head: number;
  readonly tail: number;
  readonly freshness?: FreshnessKind | undefined;
}

export const readRequestCodec: Codec<ReadRequest> = {
  encode: (value) => asBuffer(wire.ReadRequest.encode(readRequestBody(value)).finish()),
  decode: (bytes) =>
    decoding(() => {
      const body = wire.ReadRequest.decode(bytes);
      const { query } = body;
      return {
        logId: body.logId || defaultLogId,
        from: safeNumber(body.from, "from"),
        fromTime: optionalNumber(body.fromTime, "from_time"),
        beforeTail: optionalNumber(body.beforeTail, "before_tail"),
        to: safeNumber(body.to, "to") || undefined,
        toTime: optionalNumber(body.toTime, "to_time"),
        limit: safeNumber(body.limit, "limit"),
        maxBytes: safeNumber(body.maxBytes, "max_bytes") || undefined,
        direction: directionOf(body.direction),
        query: query === undefined || query === null ? undefined : queryOf(query, "query"),
        follow: body.follow ?? false,
        freshness: freshnessOf(body),
      };
    }),
};

export const readResponseCodec: Codec<ReadResponse> = {
  encode: (value) => {
    scratch.clear();
    const pieces: Uint8Array[] = [];
    for (const batch of value.batches) putReadBatch(batch, pieces);
    putResponse(value, pieces);
    return framedMessage(pieces);
  },
  decode: (bytes) =>
    decoding(() => {
      const body = wire.ReadResponse.decode(bytes);
      return {
        batches: (body.batches ?? []).map(readBatchOf),
        tail: safeNumber(body.tail, "tail"),
        caughtUp: body.caughtUp ?? false,
        next: safeNumber(body.next, "next"),
        fellBehind: body.fellBehind ?? false,
        freshness: freshnessKindOf(body.freshness),
        head: safeNumber(body.head, "head"),
        begin: safeNumber(body.begin, "begin"),
      };
    }),
};

export const checkTailRequestCodec: Codec<CheckTailRequest> = {
  encode: ({ logId, freshness }) =>
    asBuffer(wire.CheckTailRequest.encode({ logId, ...freshnessBody(freshness) }).finish()),
  decode: (bytes) =>
    decoding(() => {
      const body = wire.CheckTailRequest.decode(bytes);
      return { logId: body.logId || defaultLogId, freshness: freshnessOf(body) };
    }),
};

export const checkTailResponseCodec: Codec<CheckTailResponse> = {
  encode: ({ head, tail, freshness }) =>
    asBuffer(wire.CheckTailResponse.encode({ head, tail, freshness: freshnessNumber(freshness) }).finish()),
  decode: (bytes) =>
    decoding(() => {
      const body = wire.CheckTailResponse.decode(bytes);
      return {
        head: safeNumber(body.head, "head"),
        tail: safeNumber(body.tail, "tail"),
        freshness: freshnessKindOf(body.freshness),
      };
    }),
};

/** In one word. */
export function kindOfFreshness(freshness: Freshness): FreshnessKind {
  return typeof freshness === "string" ? freshness : "atLeast";
}

/** Numbers of the fields whose bytes are not copied by the generated code (proto/paxlog/v1/log.proto). */

function readRequestBody(value: ReadRequest): paxlog.v1.ReadRequest.$Properties {
  const { logId, limit, follow, fromTime = null, beforeTail = null, query } = value;
  return {
    logId,
    limit,
    follow,
    // Of the three the last one that is set counts, so `from` is set where it stands alone.
    from: fromTime === null && beforeTail === null ? value.from : null,
    fromTime,
    beforeTail,
    to: value.to ?? 0,
    toTime: value.toTime ?? null,
    maxBytes: value.maxBytes ?? 0,
    direction: directionNumbers[value.direction ?? "forward"],
    query: query === undefined ? null : queryBody(query),
    ...freshnessBody(value.freshness),
  };
}

/** One read has a message for each append that concerns it, and there are thousands of reads. */
const scratch = new FieldWriter();

const responseFields = {
  batches: 1,
  tail: 2,
  caughtUp: 3,
  next: 4,
  fellBehind: 5,
  freshness: 6,
  head: 7,
  begin: 8,
} as const;

function putResponse(value: Omit<ReadResponse, "batches">, pieces: Uint8Array[]): void {
  const { tail, caughtUp, next = 0, fellBehind = false, freshness, head = 0, begin = 0 } = value;
  const at = scratch.length;
  scratch.varint(responseFields.tail, tail);
  scratch.varint(responseFields.caughtUp, Number(caughtUp));
  scratch.varint(responseFields.next, next);
  scratch.varint(responseFields.fellBehind, Number(fellBehind));
  scratch.varint(responseFields.freshness, freshnessNumber(freshness));
  scratch.varint(responseFields.head, head);
  scratch.varint(responseFields.begin, begin);
  pieces.push(scratch.piece(at));
}

const batchFields = {
  ...{ firstPosition: 1, recordCount: 2, time: 3, batch: 4, crc32c: 5, ordinals: 6, selected: 7, session: 8 },
} as const;

/** The bytes of the batch come last, so that they need not be moved. */
function putReadBatch({ batch, ...value }: ReadBatch, pieces: Uint8Array[]): void {
  const at = scratch.length;
  scratch.varint(batchFields.firstPosition, value.firstPosition);
  scratch.varint(batchFields.recordCount, value.recordCount);
  scratch.varint(batchFields.time, value.time);
  scratch.fixed32(batchFields.crc32c, value.crc32c);
  if (value.ordinals !== undefined) scratch.packed(batchFields.ordinals, value.ordinals);
  scratch.varint(batchFields.selected, Number(value.selected ?? false));
  scratch.varint(batchFields.session, value.session);
  scratch.bytesHead(batchFields.batch, batch.length);
  const fields = scratch.piece(at);
  const headAt = scratch.length;
  scratch.bytesHead(responseFields.batches, fields.length + batch.length);
  pieces.push(scratch.piece(headAt), fields, batch);
}

function readBatchOf(body: paxlog.v1.ReadBatch.$Properties): ReadBatch {
  const { ordinals } = body;
  const recordCount = body.recordCount ?? 0;
  const own = {
    firstPosition: safeNumber(body.firstPosition, "first_position"),
    recordCount,
    time: safeNumber(body.time, "time"),
    session: safeNumber(body.session, "session"),
    batch: body.batch ?? noBytes,
    crc32c: body.crc32c ?? 0,
  };
  if (!ordinals?.length) return own;
  let least = 0;
  for (const ordinal of ordinals) {
    if (ordinal < least || ordinal >= recordCount) malformed("ordinals do not ascend within the batch");
    least = ordinal + 1;
  }
  return { ...own, ordinals, selected: body.selected ?? false };
}

const noBytes = new Uint8Array(0);

const optionalNumber = (value: WireNumber, what: string): number | undefined =>
  value === undefined || value === null ? undefined : safeNumber(value, what);

const directionNumbers: Readonly<Record<Direction, number>> = { forward: 0, backward: 1 };

function directionOf(value: number | Absent): Direction {
  if (value === undefined || value === null || value === directionNumbers.forward) return "forward";
  if (value === directionNumbers.backward) return "backward";
  return malformed(`direction ${value} is unknown`);
}

/** In a request 0 stands for the strongest, in an answer for "not said". */
const freshnessNumbers: Readonly<Record<FreshnessKind, number>> = { local: 1, atLeast: 2, linearizable: 3 };

interface FreshnessBody {
  readonly freshness?: number | null;
  readonly atLeast?: WireNumber;
}

export function freshnessBody(freshness: Freshness): { readonly freshness: number; readonly atLeast?: number } {
  if (freshness === "linearizable") return { freshness: 0 };
  if (freshness === "local") return { freshness: freshnessNumbers.local };
  return { freshness: freshnessNumbers.atLeast, atLeast: freshness.atLeast };
}

/** A freshness that this version does not know is refused: answering with a weaker one would be a lie. */
export function freshnessOf({ freshness, atLeast }: FreshnessBody): Freshness {
  const kind = freshnessKindOf(freshness) ?? "linearizable";
  return kind === "atLeast" ? { atLeast: safeNumber(atLeast, "at_least") } : kind;
}

export const freshnessNumber = (kind: FreshnessKind | undefined): number =>
  kind === undefined ? 0 : freshnessNumbers[kind];

export function freshnessKindOf(value: number | Absent): FreshnessKind | undefined {
  if (value === undefined || value === null || value === 0) return undefined;
  const kind = (Object.keys(freshnessNumbers) as FreshnessKind[]).find((each) => freshnessNumbers[each] === value);
  return kind ?? malformed(`freshness ${value} is unknown`);
}
