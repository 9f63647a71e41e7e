import { MessageChannel, type MessagePort } from "node:worker_threads";
import { assertNever } from "../base/assert.ts";
import { DirectoryQuota } from "../base/directory-quota.ts";
import { type ErrorCode, PaxlogError, toPaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import { Arena } from "../runtime/arena.ts";
import { packError, unpackError } from "../runtime/channel.ts";
import { StorageLink } from "../runtime/storage-link.ts";
import type { IndexJob } from "../storage/index-builder.ts";
import type { NodeStatus } from "../transport/backend.ts";
import { type CheckedConfig, isAlone } from "./config.ts";
import { IndexPool } from "./index-pool.ts";
import type { MachineInFile } from "./machine-files.ts";
import { MachineThreads } from "./machine-threads.ts";
import type { FromThread, ObjectPort, ThreadStart } from "./messages.ts";
import { startThread, type Thread } from "./thread.ts";
import { packageVersion } from "./version.ts";

/** Why a node ended by itself. */
export interface NodeEnd {
  readonly code: ErrorCode;
  readonly reason: string;
}

export interface NodeAddresses {
  readonly clientAddress: string;
  readonly peerAddress: string;
}

export interface NodeThreadsOptions {
  readonly config: CheckedConfig;
  /** Of the user's. */
  readonly machines: readonly MachineInFile[];
  readonly threads: boolean;
  readonly workerUrl: string | URL | undefined;
  readonly onNote: (text: string) => void;
  /** Also makes the port for a BackendProxy on the owner's thread. */
  readonly embedded: boolean;
}

/** The threads of a node, as its owner's thread sees them. */
export class NodeThreads {
  readonly ready: Promise<NodeAddresses>;
  readonly closed: Promise<NodeEnd | undefined>;
  /** For a BackendProxy; undefined unless it was asked for. */
  readonly handlePort: MessagePort | undefined;
  /** For the machines, likewise. */
  readonly handleObjectPorts: readonly ObjectPort[];
  /** Told at once when the node ends by itself; `closed` waits until it is gone. */
  onFailing: (error: PaxlogError) => void = () => {};
  readonly #options: NodeThreadsOptions;
  /** Alone and without a port for clients: nobody needs it when its owner is done. */
  readonly #background: boolean;
  /** The engine's end, until it is started. */
  readonly #storagePort: MessagePort;
  readonly #threads = new Map<ThreadStart["role"], Thread>();
  readonly #machines: MachineThreads;
  /** Its own thread in a node that has threads; a bundle has none of the files that it needs. */
  readonly #indexes: IndexPool;
  readonly #statusRequests = new Map<number, (status: NodeStatus | PaxlogError) => void>();
  #lastRequestId = 0;
  #resolveReady: (addresses: NodeAddresses) => void = () => {};
  #rejectReady: (error: PaxlogError) => void = () => {};
  #resolveClosed: (end: NodeEnd | undefined) => void = () => {};
  #startEngine: (clientAddress: string | undefined) => void = () => {};
  /** Set at the first end, whichever it is: later ones say nothing new. */
  #ending: Promise<void> | undefined;
  #ended = false;

  constructor(options: NodeThreadsOptions) {
    this.#options = options;
    const { config, embedded } = options;
    this.#indexes = new IndexPool({
      worker: options.threads && options.workerUrl === undefined,
      onNote: options.onNote,
    });
    this.#background = config.listen === undefined && isAlone(config);
    this.ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve;
      this.#rejectReady = reject;
    });
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    const backendPorts: MessagePort[] = [];
    const backendPort = (): MessagePort => {
      const { port1, port2 } = new MessageChannel();
      backendPorts.push(port1);
      return port2;
    };
    this.handlePort = embedded ? backendPort() : undefined;
    const { memory: quota } = new DirectoryQuota(config.quotaBytes);
    this.#machines = new MachineThreads({
      config,
      quota,
      machines: options.machines,
      unref: this.#background && !options.threads,
      threads: options.threads,
      workerUrl: options.workerUrl,
      onNote: options.onNote,
      giveEngine: (port) => this.#threads.get("engine")?.post({ kind: "backendPort", port }),
    });
    this.handleObjectPorts = embedded ? this.#machines.ports() : [];
    const { port1: storagePort, port2: enginePort } = new MessageChannel();
    this.#storagePort = enginePort;
    const unref = this.#background && !options.threads;
    this.#start({ role: "storage", config, unref, storagePort, quota });
    this.#startEngine = (clientAddress) =>
      this.#start({
        role: "engine",
        config,
        unref,
        storagePort: enginePort,
        backendPorts,
        objectPorts: config.layout === "compact" && config.listen !== undefined ? this.#machines.ports() : [],
        machines: this.#machines.marks,
        clientAddress,
        version: packageVersion(),
      });
    // The core tells the others where clients find this node, so whoever listens comes first.
    if (config.layout === "compact") this.#startEngine(undefined);
    else {
      this.#start({ role: "front", config, unref, backendPort: backendPort(), objectPorts: this.#machines.ports() });
    }
    this.#machines.start();
  }

  #start(start: ThreadStart): void {
    const { threads, workerUrl } = this.#options;
    const thread = startThread(start, { threads, workerUrl, onMessage: (message) => this.#onMessage(message) });
    this.#threads.set(start.role, thread);
    void thread.exited.then((cause) => this.#fail(threadFailed(start.role, cause)));
  }

  status(): Promise<NodeStatus> {
    if (this.#ending !== undefined) return Promise.reject(new PaxlogError("CLOSED", "the node is closed"));
    this.#lastRequestId += 1;
    const requestId = this.#lastRequestId;
    return new Promise((resolve, reject) => {
      this.#statusRequests.set(requestId, (answer) => {
        if (answer instanceof PaxlogError) reject(answer);
        else resolve(answer);
      });
      this.#threads.get("engine")?.post({ kind: "status", requestId });
    });
  }

  close(): Promise<void> {
    this.#ending ??= this.#stopThreads("front first").then(() =>
      this.#end(undefined, new PaxlogError("CLOSED", "the node was closed")),
    );
    return this.#ending;
  }

  /** Somebody asked a machine of this thread. */
  needObjects(thread: string): void {
    this.#machines.need(thread);
  }

  /** Keeps the process alive from now on. */
  hold(): void {
    for (const thread of this.#threads.values()) thread.hold(true);
    this.#machines.hold(true);
  }

  /**
   * Lets the threads close their sockets and then run out. A worker that is ended while bytes arrive for its HTTP/2 sessions can
   * abort the whole process (an assertion in Node), so that is only the last resort, after limits.closeMs.
   */
  async #stopThreads(order: "front first" | "at once"): Promise<void> {
    this.hold();
    const timeout = new AbortController();
    const late = new Promise<void>((done) => {
      const timer = setTimeout(done, limits.closeMs);
      timeout.signal.addEventListener("abort", () => clearTimeout(timer));
    });
    const front = this.#threads.get("front");
    front?.post({ kind: "close" });
    // Clients have their answers before the engine stops.
    if (order === "front first") await Promise.race([front?.exited, late]);
    const engine = this.#threads.get("engine");
    // Machines read the log to the last: they end before it is closed. Who waits for a reply is told that its outcome is unknown.
    await Promise.race([this.#machines.close(), late]);
    if (engine !== undefined) engine.post({ kind: "close" });
    else await Promise.race([closeStorage(this.#storagePort), late]);
    const threads = [...this.#threads.values()];
    await Promise.race([Promise.all(threads.map((thread) => thread.exited)), late]);
    await this.#indexes.close();
    timeout.abort();
    await Promise.all([this.#machines.terminate(), ...threads.map((thread) => thread.terminate())]);
  }

  #onMessage(message: FromThread): void {
    switch (message.kind) {
      case "listening":
        if (this.#ending === undefined) this.#startEngine(message.address);
        return;
      case "ready":
        if (this.#background) for (const thread of this.#threads.values()) thread.hold(false);
        this.#machines.engineRuns(this.#background);
        return this.#resolveReady(message);
      case "note":
        return this.#options.onNote(message.text);
      case "status": {
        const answer = this.#statusRequests.get(message.requestId);
        this.#statusRequests.delete(message.requestId);
        return answer?.(message.status);
      }
      case "objectsNeeded":
        return this.#machines.need(message.thread);
      case "buildIndex":
        return void this.#buildIndex(message.job);
      case "stopped":
        return this.#fail(unpackError(message.error));
      default:
        return assertNever(message);
    }
  }

  async #buildIndex(job: IndexJob): Promise<void> {
    const { dir, hashing } = this.#options.config;
    try {
      const indexed = await this.#indexes.build({ dir, hashing: hashing === "auto" ? "portable" : hashing, job });
      this.#threads.get("engine")?.post({ kind: "indexBuilt", indexed });
    } catch (cause) {
      if (this.#ending !== undefined) return;
      const reason = cause instanceof Error ? cause.message : String(cause);
      this.#threads.get("engine")?.post({ kind: "indexFailed", generation: job.generation, reason });
    }
  }

  /** The node ended by itself. */
  #fail(error: PaxlogError): void {
    if (this.#ending !== undefined) return;
    this.onFailing(error);
    this.#ending = this.#stopThreads("at once").then(() =>
      this.#end({ code: error.code, reason: error.message }, error),
    );
  }

  #end(end: NodeEnd | undefined, error: PaxlogError): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const answer of this.#statusRequests.values()) answer(new PaxlogError("CLOSED", "the node is closed"));
    this.#statusRequests.clear();
    this.handlePort?.close();
    for (const { port } of this.handleObjectPorts) port.close();
    this.#rejectReady(error);
    this.#resolveClosed(end);
  }
}

/** For an engine that never was. */
async function closeStorage(port: MessagePort): Promise<void> {
  await new StorageLink(port, new Arena()).close();
  port.close();
}

function threadFailed(role: string, cause: unknown): PaxlogError {
  const reason = cause === undefined ? "ended" : `failed: ${packError(cause).message}`;
  return toPaxlogError(new PaxlogError("INVARIANT_BROKEN", `the ${role} thread of the node ${reason}`, { cause }));
}
