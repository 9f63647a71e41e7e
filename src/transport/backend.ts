import type { PaxlogError } from "../base/errors.ts";
import type { Position } from "../base/types.ts";
import type { Guards } from "../core/guards.ts";
import type { NodeStatus } from "../format/api-codec.ts";
import type { FenceResponse, KeepSessionResponse, OpenSessionResponse } from "../format/session-codec.ts";
import type { AppendCaller } from "./append-caller.ts";

export type { NodeStatus, PeerStatus } from "../format/api-codec.ts";
export type { FenceResponse, KeepSessionResponse, OpenSessionResponse } from "../format/session-codec.ts";

/** What the gRPC services need of a node. The engine is one; tests may put another in its place. */
export interface LogBackend {
  /**
   * Takes a checked batch. `done` is called exactly once, never within this call. What is refused without being ordered is answered
   * with outcome "none". Answers come in no order between each other: a refusal may take longer than an acknowledgement.
   */
  append(
    batch: CheckedBatch,
    guards: Guards | undefined,
    done: (result: AppendResult) => void,
    order?: AppendOrder | undefined,
  ): void;
  /** False while the queue of proposals is full: streams stop reading until `whenRoom` calls back. */
  hasRoom(): boolean;
  whenRoom(callback: () => void): void;

  /** Opens a session; `ttlMs` is brought within the limits. Resolves once it is durable on a majority, as all of these do. */
  openSession(ttlMs: number): Promise<OpenSessionResponse>;
  /** @throws PaxlogError SESSION_UNKNOWN, or what an append may be refused with; so do the next two. */
  keepSession(session: number): Promise<KeepSessionResponse>;
  closeSession(session: number): Promise<void>;
  /** Raises the fence. @throws PaxlogError FENCED where it is above the token. */
  fence(token: number): Promise<FenceResponse>;

  /** Resolves when what is visible here includes everything that was acknowledged anywhere before the call. */
  linearize(signal?: AbortSignal): Promise<void>;
  /** Visible here: the first readable and the next position. */
  bounds(): { readonly head: Position; readonly tail: Position };
  /**
   * Visible batches in order that cover `from`, as many as fit `bytesMax`, at least one; [] at the tail. Verified bytes,
   * to be copied before the turn of the loop ends that brings them. At once where the log is on this thread, a promise where it is
   * on another one.
   */
  readBatches(from: Position, bytesMax: number): StoredBatch[] | Promise<StoredBatch[]>;
  /** Calls back at each move of the tail until the returned function is called. */
  onTail(listener: () => void): () => void;

  status(): NodeStatus | Promise<NodeStatus>;
}

/** What an append has to do with other appends. Without it, nothing: it is judged alone. */
export interface AppendOrder {
  readonly caller: AppendCaller;
  /** A failed guard of it is nothing to the caller's later appends. */
  readonly independent: boolean;
}

export interface CheckedBatch {
  readonly batch: Uint8Array;
  readonly crc32c: number;
  readonly recordCount: number;
}

export type AppendResult =
  | {
      readonly kind: "acknowledged";
      readonly firstPosition: Position;
      readonly recordCount: number;
      readonly time: number;
    }
  | { readonly kind: "failed"; readonly error: PaxlogError };

export interface StoredBatch {
  readonly firstPosition: Position;
  readonly recordCount: number;
  readonly time: number;
  readonly batch: Uint8Array;
  readonly crc32c: number;
}
