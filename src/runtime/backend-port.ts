/**
 * A LogBackend from another thread: the messages between BackendServer, which stands beside the engine, and BackendProxy, which
 * is the LogBackend of whoever holds the other end of the port: a front worker with the server for clients, or the handle of a
 * program that embeds the node. A wake-up costs tens of microseconds, so one message carries all that a turn brought; the bytes
 * of all its batches are gathered in one buffer, their one copy on the way, which is handed over.
 */
import type { Position } from "../base/types.ts";
import type { Guards } from "../core/guards.ts";
import type {
  AppendResult,
  CheckedBatch,
  FenceResponse,
  FollowPace,
  KeepSessionResponse,
  NodeStatus,
  OpenSessionResponse,
  ReadPiece,
  ReadStep,
  RetainRequest,
  RetainResult,
  SessionTerms,
  StoredBatch,
  Watched,
} from "../transport/backend.ts";
import type { ErrorData } from "./channel.ts";

/** What one turn has for the engine. */
export interface ToBackend {
  /** The bytes of all batches; undefined where there is no append. */
  readonly buffer: ArrayBuffer | undefined;
  readonly appends: readonly PackedAppend[];
  readonly requests: readonly PortRequest[];
}

/** A batch without its bytes: they are [bytesBegin, bytesEnd) of the message's buffer. */
export interface PackedAppend extends Omit<CheckedBatch, "batch"> {
  readonly requestId: number;
  readonly guards: Guards | undefined;
  /** Number of the AppendCaller on the proxy's thread; 0: none. */
  readonly caller: number;
  readonly independent: boolean;
  /** How many messages with failed appends the proxy had received when this was appended. */
  readonly epoch: number;
  readonly bytesBegin: number;
  readonly bytesEnd: number;
}

/** Each but "watch", "listen", "hurry" and "cancel" has one answer under its id. */
export type PortRequest =
  | { readonly kind: "linearize"; readonly requestId: number }
  | { readonly kind: "read"; readonly requestId: number; readonly step: ReadStep }
  /** Answered with a piece, once there is one or it is hurried. */
  | { readonly kind: "follow"; readonly requestId: number; readonly step: ReadStep; readonly pace: FollowPace }
  | { readonly kind: "positionOfTime"; readonly requestId: number; readonly time: number }
  | { readonly kind: "status"; readonly requestId: number }
  | { readonly kind: "openSession"; readonly requestId: number; readonly terms: SessionTerms }
  | { readonly kind: "keepSession"; readonly requestId: number; readonly session: number }
  | { readonly kind: "closeSession"; readonly requestId: number; readonly session: number }
  | { readonly kind: "fence"; readonly requestId: number; readonly token: number }
  /** Two answers: "watching", then "news". */
  | { readonly kind: "watch"; readonly requestId: number; readonly watched: Watched }
  | { readonly kind: "retain"; readonly requestId: number; readonly request: RetainRequest }
  /** Whether anybody listens to the tail. */
  | { readonly kind: "listen"; readonly requestId: number; readonly on: boolean }
  /** Of a follow: nothing where it was answered. */
  | { readonly kind: "hurry"; readonly requestId: number }
  | { readonly kind: "cancel"; readonly requestId: number };

/** What one turn has for the proxy. Its parts are worked off in the order in which they stand here. */
export interface FromBackend {
  /** Where the log's bounds moved since the last message; always in the first one. Late where that is all, and nobody listens. */
  readonly bounds: { readonly head: Position; readonly tail: Position } | undefined;
  /** Appends that the backend took over since the last message, refused ones included: they need no credit any more. */
  readonly taken: { readonly count: number; readonly bytes: number };
  readonly results: readonly PackedResult[];
  readonly answers: readonly PortAnswer[];
  /** The bytes of all batches that were read. */
  readonly buffer: ArrayBuffer | undefined;
}

export type PackedResult = { readonly requestId: number } & (
  | Extract<AppendResult, { kind: "acknowledged" }>
  | { readonly kind: "failed"; readonly error: ErrorData }
);

export type PortAnswer = { readonly requestId: number } & (
  | { readonly kind: "ready" }
  | ({ readonly kind: "piece"; readonly batches: readonly PackedBatch[] } & Omit<ReadPiece, "batches">)
  | { readonly kind: "position"; readonly position: Position }
  | { readonly kind: "watching" }
  | { readonly kind: "news"; readonly from: Position }
  | { readonly kind: "status"; readonly status: NodeStatus }
  | { readonly kind: "openSession"; readonly opened: OpenSessionResponse }
  | { readonly kind: "keepSession"; readonly kept: KeepSessionResponse }
  | { readonly kind: "closeSession" }
  | { readonly kind: "fence"; readonly fenced: FenceResponse }
  | { readonly kind: "retain"; readonly result: RetainResult }
  | { readonly kind: "failed"; readonly error: ErrorData }
);

export type PackedBatch = Omit<StoredBatch, "batch"> & { readonly bytesBegin: number; readonly bytesEnd: number };

/** Copies `parts` one after another into a buffer of their size; undefined for nothing. */
export function gatherBytes(parts: readonly Uint8Array[]): ArrayBuffer | undefined {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  if (length === 0) return undefined;
  const bytes = new Uint8Array(length);
  let end = 0;
  for (const part of parts) {
    bytes.set(part, end);
    end += part.length;
  }
  return bytes.buffer;
}

/** The buffers that go over with a message instead of being copied. */
export function transferOf(message: { readonly buffer: ArrayBuffer | undefined }): ArrayBuffer[] {
  return message.buffer === undefined ? [] : [message.buffer];
}
