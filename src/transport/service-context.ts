import { setMaxListeners } from "node:events";
import { Metadata, type ServiceError } from "@grpc/grpc-js";
import type { BatchTools } from "../base/batch-tools.ts";
import { PaxlogError } from "../base/errors.ts";
import type { Hashing } from "../base/hashing.ts";
import { defaultLogId } from "../base/types.ts";
import { scanBatch } from "../format/batch.ts";
import { encodeErrorDetails, errorDetailsTrailer, grpcStatusOf } from "../format/error-details.ts";
import type { Decoded } from "../format/wire-value.ts";
import { loadBatchTools } from "../native/batch-tools.ts";
import type { LogBackend } from "./backend.ts";
import type { ObjectBackend } from "./object-backend.ts";

/** What every call is served with. */
export interface ServiceContext {
  readonly backend: LogBackend;
  /** The machines of the node; undefined where none are served. */
  readonly objects?: ObjectBackend | undefined;
  readonly hashing: Hashing;
  /** The addon's where `hashing` is. */
  readonly scanBatch: BatchTools["scanBatch"];
  /** Aborted when the server closes: calls end as soon as they can say how. */
  readonly closing: AbortSignal;
  readonly log: (line: string) => void;
}

/** The scan of batches that belongs to these checksums. */
export function scanFor(hashing: Hashing): BatchTools["scanBatch"] {
  return loadBatchTools({ hashing, scanBatch }).scanBatch;
}

/** The error as gRPC sends it. */
export function serviceError(cause: unknown, log: (line: string) => void): ServiceError {
  const error = publicError(cause, log);
  const metadata = new Metadata();
  metadata.set(errorDetailsTrailer, encodeErrorDetails(error));
  return { name: error.name, message: error.message, code: grpcStatusOf(error), details: error.message, metadata };
}

/**
 * What may be told. An error that is not a PaxlogError is a fault of this program: the client learns that it happened, the
 * node's log learns what it was.
 */
export function publicError(cause: unknown, log: (line: string) => void): PaxlogError {
  if (cause instanceof PaxlogError) return cause;
  log(`a call failed: ${cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)}`);
  // Where the program failed is not known, so whether something was written is not known either.
  return new PaxlogError("INVARIANT_BROKEN", "the node failed while it served this call; its log says more", {
    outcome: "unknown",
  });
}

/** The request, or INVALID_ARGUMENT. */
export function requestOf<T>(decoded: Decoded<T>): T {
  if (decoded.kind === "ok") return decoded.value;
  throw new PaxlogError("INVALID_ARGUMENT", `the request cannot be understood: ${decoded.reason}`);
}

export function checkLogId(logId: number): void {
  if (logId === defaultLogId) return;
  throw new PaxlogError("UNKNOWN_LOG", `there is no log ${logId}: log ${defaultLogId} is the only one`, {
    facts: { log: logId },
  });
}

/** Why a call ends when its server closes. */
export function closedError(): PaxlogError {
  return new PaxlogError("CLOSED", "the node is stopping; use another one", { retryable: true });
}

/** Aborts when the caller is gone or the server closes. `dispose` must be called when the call is over. */
export class CallSignal {
  readonly #controller = new AbortController();
  readonly #closing: AbortSignal;
  readonly #onClosing = () => this.#controller.abort(closedError());

  constructor(call: { on(event: "cancelled", listener: () => void): unknown }, closing: AbortSignal) {
    this.#closing = closing;
    // Every call of a server listens to the same signal: that is no leak.
    setMaxListeners(0, closing);
    if (closing.aborted) this.#onClosing();
    else closing.addEventListener("abort", this.#onClosing);
    call.on("cancelled", () => {
      this.#controller.abort(new PaxlogError("CANCELLED", "the caller cancelled the call, or its deadline passed"));
      this.dispose();
    });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  dispose(): void {
    this.#closing.removeEventListener("abort", this.#onClosing);
  }
}

/** The request, if it can be understood and names a log that there is. */
export function logRequestOf<T extends { readonly logId: number }>(decoded: Decoded<T>): T {
  const request = requestOf(decoded);
  checkLogId(request.logId);
  return request;
}
