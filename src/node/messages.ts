/** Messages between the handle on its owner's thread and the threads of its node. */
import type { MessagePort } from "node:worker_threads";
import type { ErrorData } from "../runtime/channel.ts";
import type { IndexedSegment, IndexJob } from "../storage/index-builder.ts";
import type { NodeStatus } from "../transport/backend.ts";
import type { CheckedConfig } from "./config.ts";
import type { MachineInFile } from "./machine-files.ts";

/** What a thread is started with. */
export type ThreadStart = EngineStart | StorageStart | FrontStart | ObjectsStart;

interface AnyStart {
  readonly config: CheckedConfig;
  /**
   * True where the thread is the owner's own and nothing in it may keep the process alive: neither ports nor timers. Never in a
   * worker, which would end.
   */
  readonly unref: boolean;
}

/** The core and the network between nodes; in the layout "compact" the server for clients too. */
export interface EngineStart extends AnyStart {
  readonly role: "engine";
  /** To the storage thread, directly. */
  readonly storagePort: MessagePort;
  /** Each has a BackendProxy at its other end: of the front thread, or of a program that embeds the node. */
  readonly backendPorts: readonly MessagePort[];
  /** Where the front thread listens; undefined where the engine is to listen itself, or no one is. */
  readonly clientAddress: string | undefined;
  /** To the machines of this node, for the clients that the engine serves. */
  readonly objectPorts: readonly ObjectPort[];
  /** Of the BusyMarks of all threads of machines. */
  readonly machines: readonly SharedArrayBuffer[];
  readonly version: string;
}

/** The open segment and the superblock. */
export interface StorageStart extends AnyStart {
  readonly role: "storage";
  readonly storagePort: MessagePort;
  /** Of the directory's DirectoryQuota, which those share who write there. */
  readonly quota: SharedArrayBuffer;
}

/** In the layout "spread": the server for clients. */
export interface FrontStart extends AnyStart {
  readonly role: "front";
  readonly backendPort: MessagePort;
  readonly objectPorts: readonly ObjectPort[];
}

/** The way to the machines of one thread. There may be none of it yet: what is asked waits in the port. */
export interface ObjectPort {
  /** The name of the thread. */
  readonly thread: string;
  readonly machines: readonly string[];
  /** With an ObjectServer at its other end. */
  readonly port: MessagePort;
  /** Of the thread's BusyMark. */
  readonly busy: SharedArrayBuffer;
}

/** Machines: the built-in ones, all on one thread, or one of the user's. */
export interface ObjectsStart extends AnyStart {
  readonly role: "objects";
  /** undefined: the built-in ones. */
  readonly machine: MachineInFile | undefined;
  readonly backendPort: MessagePort;
  /** Of those who serve clients. */
  readonly objectPorts: readonly MessagePort[];
  /** Of a BusyMark. */
  readonly busy: SharedArrayBuffer;
  /** As StorageStart's. */
  readonly quota: SharedArrayBuffer;
}

export type ToThread =
  | { readonly kind: "status"; readonly requestId: number }
  /** What became of the index that was asked for. */
  | { readonly kind: "indexBuilt"; readonly indexed: IndexedSegment }
  | { readonly kind: "indexFailed"; readonly generation: number; readonly reason: string }
  /** To the engine: another thread wants to be served. */
  | { readonly kind: "backendPort"; readonly port: MessagePort }
  | { readonly kind: "close" };

export type FromThread =
  /** The front thread listens. */
  | { readonly kind: "listening"; readonly address: string }
  /** The engine runs, with these addresses; empty ones where no port is open. */
  | { readonly kind: "ready"; readonly clientAddress: string; readonly peerAddress: string }
  /** Something that the node's owner should read. */
  | { readonly kind: "note"; readonly text: string }
  | { readonly kind: "status"; readonly requestId: number; readonly status: NodeStatus }
  /** Somebody asked a machine, or the log has a command for one: the thread is to run from now on. */
  | { readonly kind: "objectsNeeded"; readonly thread: string }
  /** The engine wants the index of a closed segment; one at a time. */
  | { readonly kind: "buildIndex"; readonly job: IndexJob }
  /** The node must not go on; everything was rejected. Before "ready": it did not start. */
  | { readonly kind: "stopped"; readonly error: ErrorData };
