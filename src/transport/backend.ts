import type { PaxlogError } from "../base/errors.ts";
import type { Position } from "../base/types.ts";
import type { NodeStatus } from "../format/api-codec.ts";

export type { NodeStatus, PeerStatus } from "../format/api-codec.ts";

/** What the gRPC services need of a node. The engine is one; tests may put another in its place. */
export interface LogBackend {
  /**
   * Takes a checked batch. `done` is called exactly once; for one caller in the order of its calls. Everything that is refused
   * without being ordered is answered with outcome "none". After a failure the same caller's later batches that it already
   * handed over must fail too: of what was sent a prefix is in the log.
   */
  append(batch: CheckedBatch, done: (result: AppendResult) => void): void;
  /** False while the queue of proposals is full: streams stop reading until `whenRoom` calls back. */
  hasRoom(): boolean;
  whenRoom(callback: () => void): void;

  /** Resolves when what is visible here includes everything that was acknowledged anywhere before the call. */
  linearize(signal?: AbortSignal): Promise<void>;
  /** Visible here: the first readable and the next position. */
  bounds(): { readonly head: Position; readonly tail: Position };
  /**
   * Visible batches in order that cover `from`, as many as fit `bytesMax`, at least one; [] at the tail. Verified bytes. At once
   * where the log is on this thread, a promise where it is on another one.
   */
  readBatches(from: Position, bytesMax: number): StoredBatch[] | Promise<StoredBatch[]>;
  /** Calls back at each move of the tail until the returned function is called. */
  onTail(listener: () => void): () => void;

  status(): NodeStatus | Promise<NodeStatus>;
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
