/** Messages between the handle on the main thread and the node's two workers. */
import type { MessagePort } from "node:worker_threads";
import type { ErrorData } from "../runtime/channel.ts";
import type { NodeStatus } from "../transport/backend.ts";
import type { CheckedConfig } from "./config.ts";

/** What a worker is started with. `storagePort` joins the two workers directly. */
export interface WorkerStart {
  readonly config: CheckedConfig;
  readonly storagePort: MessagePort;
  readonly version: string;
}

export type ToEngine = { readonly kind: "status"; readonly requestId: number } | { readonly kind: "close" };

export type FromEngine =
  /** The node listens, with these addresses. */
  | { readonly kind: "ready"; readonly clientAddress: string; readonly peerAddress: string }
  /** Something that the node's owner should read. */
  | { readonly kind: "note"; readonly text: string }
  | { readonly kind: "status"; readonly requestId: number; readonly status: NodeStatus }
  /** The node must not go on; everything was rejected. Before "ready": it did not start. */
  | { readonly kind: "stopped"; readonly error: ErrorData }
  | { readonly kind: "closed" };
