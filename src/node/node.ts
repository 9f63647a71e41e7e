import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { MessageChannel, Worker } from "node:worker_threads";
import { type ErrorCode, PaxlogError, toPaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import { loadHashing } from "../native/hashing.ts";
import { packError, unpackError } from "../runtime/channel.ts";
import type { NodeStatus } from "../transport/backend.ts";
import { type CheckedConfig, checkConfig, type NodeConfig } from "./config.ts";
import type { FromEngine, ToEngine, WorkerStart } from "./messages.ts";
import { packageVersion } from "./version.ts";

export type { ClusterMember, NodeConfig } from "./config.ts";

/** Why a node ended by itself. */
export interface NodeEnd {
  readonly code: ErrorCode;
  readonly reason: string;
}

/** A node that runs in this process, on threads of its own. */
export interface RunningNode {
  readonly name: string;
  readonly dir: string;
  /** Where clients find it; with the port that was taken if the configuration asked for any. */
  readonly clientAddress: string;
  /** Where its peers find it; empty for a node that is alone. */
  readonly peerAddress: string;
  status(): Promise<NodeStatus>;
  /** Resolves when the node has ended: with the reason if it stopped by itself, with undefined after close(). Never rejects. */
  readonly closed: Promise<NodeEnd | undefined>;
  /** Stops it cleanly; may be called again. Bounded by limits.closeMs, after which its threads are ended. */
  close(): Promise<void>;
}

export interface NodeHooks {
  /** Remarks for the node's owner: what recovery found, which hashing runs, links that came and went. */
  readonly onNote?: (text: string) => void;
}

/**
 * Starts a node: checks the configuration, locks and recovers its directory, then listens. Resolves once clients can reach it,
 * which says nothing about a leader.
 *
 * @throws PaxlogError INVALID_ARGUMENT or INSECURE_ADDRESS for the configuration; DIRECTORY_IN_USE, DIRECTORY_UNUSABLE, DAMAGED,
 *   FORMAT_UNKNOWN or STORAGE_FAILED for the directory; ADDRESS_IN_USE or ADDRESS_UNUSABLE for the addresses.
 */
export async function startNode(config: NodeConfig, hooks: NodeHooks = {}): Promise<RunningNode> {
  const checked = checkConfig(config, (dir) => resolve(dir));
  // The addon is loaded here first, then in the workers, which take what this thread found.
  const { implementation } = await loadHashing(checked.hashing);
  makeDirectory(checked.dir);
  const threads = new NodeThreads({ ...checked, hashing: implementation }, hooks.onNote ?? (() => {}));
  const { clientAddress, peerAddress } = await threads.ready;
  return {
    name: checked.name,
    dir: checked.dir,
    clientAddress,
    peerAddress,
    status: () => threads.status(),
    closed: threads.closed,
    close: () => threads.close(),
  };
}

function makeDirectory(dir: string): void {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new PaxlogError(
      "DIRECTORY_UNUSABLE",
      `the directory ${dir} cannot be made (${reason}); name one that this process may write`,
      { cause, facts: { directory: dir } },
    );
  }
}

/** The two workers of a node, as its owner's thread sees them. */
class NodeThreads {
  readonly ready: Promise<{ readonly clientAddress: string; readonly peerAddress: string }>;
  readonly closed: Promise<NodeEnd | undefined>;
  readonly #engine: Worker;
  readonly #storage: Worker;
  readonly #exits: readonly Promise<void>[];
  readonly #onNote: (text: string) => void;
  readonly #statusRequests = new Map<number, (status: NodeStatus | PaxlogError) => void>();
  #lastRequestId = 0;
  #resolveReady: (addresses: { readonly clientAddress: string; readonly peerAddress: string }) => void = () => {};
  #rejectReady: (error: PaxlogError) => void = () => {};
  #resolveClosed: (end: NodeEnd | undefined) => void = () => {};
  /** Set at the first end, whichever it is: later ones say nothing new. */
  #ending: Promise<void> | undefined;
  #ended = false;

  constructor(config: CheckedConfig, onNote: (text: string) => void) {
    this.#onNote = onNote;
    this.ready = new Promise((resolveReady, reject) => {
      this.#resolveReady = resolveReady;
      this.#rejectReady = reject;
    });
    this.closed = new Promise((resolveClosed) => {
      this.#resolveClosed = resolveClosed;
    });
    const { port1, port2 } = new MessageChannel();
    const version = packageVersion();
    this.#storage = startWorker("storage", { config, storagePort: port1, version });
    this.#engine = startWorker("engine", { config, storagePort: port2, version });
    this.#engine.on("message", (message: FromEngine) => this.#onMessage(message));
    this.#exits = [this.#watch("storage", this.#storage), this.#watch("engine", this.#engine)];
  }

  /** Resolves when the thread is gone, which is the end of the node. */
  #watch(name: string, worker: Worker): Promise<void> {
    worker.on("error", (cause) => this.#fail(threadFailed(name, cause)));
    return new Promise((done) => {
      worker.on("exit", () => {
        this.#fail(threadFailed(name, undefined));
        done();
      });
    });
  }

  status(): Promise<NodeStatus> {
    if (this.#ending !== undefined) return Promise.reject(new PaxlogError("CLOSED", "the node is closed"));
    this.#lastRequestId += 1;
    const requestId = this.#lastRequestId;
    return new Promise((resolveStatus, reject) => {
      this.#statusRequests.set(requestId, (answer) => {
        if (answer instanceof PaxlogError) reject(answer);
        else resolveStatus(answer);
      });
      this.#post({ kind: "status", requestId });
    });
  }

  close(): Promise<void> {
    this.#ending ??= this.#stopThreads().then(() =>
      this.#end(undefined, new PaxlogError("CLOSED", "the node was closed")),
    );
    return this.#ending;
  }

  /**
   * Lets the engine close its sockets and then both threads run out. A worker that is ended while bytes arrive for its HTTP/2
   * sessions can abort the whole process (an assertion in Node), so that is only the last resort, after limits.closeMs.
   */
  async #stopThreads(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((done) => {
      timer = setTimeout(done, limits.closeMs);
    });
    this.#post({ kind: "close" });
    await Promise.race([Promise.all(this.#exits), late]);
    clearTimeout(timer);
    await Promise.all([this.#engine.terminate(), this.#storage.terminate()]);
  }

  #onMessage(message: FromEngine): void {
    switch (message.kind) {
      case "ready":
        return this.#resolveReady(message);
      case "note":
        return this.#onNote(message.text);
      case "status": {
        const answer = this.#statusRequests.get(message.requestId);
        this.#statusRequests.delete(message.requestId);
        return answer?.(message.status);
      }
      case "stopped":
        return this.#fail(unpackError(message.error));
      case "closed":
        return;
    }
  }

  /** The node ended by itself. */
  #fail(error: PaxlogError): void {
    this.#ending ??= this.#stopThreads().then(() => this.#end({ code: error.code, reason: error.message }, error));
  }

  #end(end: NodeEnd | undefined, error: PaxlogError): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const answer of this.#statusRequests.values()) answer(new PaxlogError("CLOSED", "the node is closed"));
    this.#statusRequests.clear();
    this.#rejectReady(error);
    this.#resolveClosed(end);
  }

  #post(message: ToEngine): void {
    this.#engine.postMessage(message);
  }
}

/** Workers run built files only, and get nothing of the user's process: no flags, no environment. */
function startWorker(name: "engine" | "storage", start: WorkerStart): Worker {
  return new Worker(new URL(`./${name}-worker.js`, import.meta.url), {
    name: `paxlog-${name}`,
    workerData: start,
    transferList: [start.storagePort],
    execArgv: [],
    env: {},
    stdin: false,
    resourceLimits: workerLimits[name],
  });
}

/** Heaps in megabytes. Batches live outside of them, in buffers that the limits bound. */
const workerLimits = {
  engine: { maxOldGenerationSizeMb: 160, maxYoungGenerationSizeMb: 32 },
  storage: { maxOldGenerationSizeMb: 96, maxYoungGenerationSizeMb: 16 },
} as const;

function threadFailed(name: string, cause: unknown): PaxlogError {
  const reason = cause === undefined ? "ended" : `failed: ${packError(cause).message}`;
  return toPaxlogError(new PaxlogError("INVARIANT_BROKEN", `the ${name} thread of the node ${reason}`, { cause }));
}
