import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import { toPaxlogError } from "../base/errors.ts";
import type { FromThread, ThreadStart, ToThread } from "./messages.ts";
import { runThread } from "./run-thread.ts";

/** One part of a node as its owner's thread sees it: a worker, or the same code on the owner's own thread. */
export interface Thread {
  /** Ports of the message are handed over. */
  post(message: ToThread): void;
  /** Resolves when it is over: with what it died of, if it did. */
  readonly exited: Promise<unknown>;
  /** Whether it keeps the process alive. */
  hold(holds: boolean): void;
  /** The last resort: a part that runs out by itself leaves nothing behind. */
  terminate(): Promise<void>;
}

export interface ThreadOptions {
  /** False: on this thread. */
  readonly threads: boolean;
  readonly workerUrl: string | URL | undefined;
  readonly onMessage: (message: FromThread) => void;
}

export function startThread(start: ThreadStart, options: ThreadOptions): Thread {
  return options.threads ? startWorker(start, options) : runHere(start, options);
}

/** Workers run built files only, and get nothing of the user's process: no flags, no environment. */
function startWorker(start: ThreadStart, { workerUrl, onMessage }: ThreadOptions): Thread {
  const worker = new Worker(workerUrl ?? new URL("./worker.js", import.meta.url), {
    name:
      start.role === "objects" && start.machine !== undefined ? `paxlog-${start.machine.name}` : `paxlog-${start.role}`,
    workerData: start,
    transferList: portsOf(start),
    execArgv: [],
    env: {},
    stdin: false,
    resourceLimits: heapLimits[start.role],
  });
  worker.on("message", onMessage);
  const exited = new Promise<unknown>((resolve) => {
    worker.on("error", resolve);
    worker.on("exit", () => resolve(undefined));
  });
  return {
    post: (message) => worker.postMessage(message, portsIn(message)),
    exited,
    hold: (holds) => (holds ? worker.ref() : worker.unref()),
    terminate: async () => {
      await worker.terminate();
    },
  };
}

/** Heaps in megabytes. Batches live outside of them, in buffers that the limits bound. The states of machines lie in theirs. */
const heapLimits = {
  engine: { maxOldGenerationSizeMb: 160, maxYoungGenerationSizeMb: 32 },
  front: { maxOldGenerationSizeMb: 160, maxYoungGenerationSizeMb: 32 },
  storage: { maxOldGenerationSizeMb: 96, maxYoungGenerationSizeMb: 16 },
  objects: { maxOldGenerationSizeMb: 2048, maxYoungGenerationSizeMb: 32 },
} as const;

/** The part talks over a port as it would from a worker, so that nothing else differs. */
function runHere(start: ThreadStart, { onMessage }: ThreadOptions): Thread {
  const { port1, port2 } = new MessageChannel();
  port1.on("message", onMessage);
  const exited = runThread(start, port2).then(
    () => undefined,
    (cause: unknown) => toPaxlogError(cause),
  );
  return {
    post: (message) => port1.postMessage(message, portsIn(message)),
    exited,
    hold: (holds) => (holds ? port1.ref() : port1.unref()),
    terminate: async () => {
      port1.close();
      for (const port of portsOf(start)) port.close();
    },
  };
}

function portsOf(start: ThreadStart): MessagePort[] {
  switch (start.role) {
    case "engine":
      return [start.storagePort, ...start.backendPorts, ...start.objectPorts.map(({ port }) => port)];
    case "storage":
      return [start.storagePort];
    case "front":
      return [start.backendPort, ...start.objectPorts.map(({ port }) => port)];
    case "objects":
      return [start.backendPort, ...start.objectPorts];
  }
}

const portsIn = (message: ToThread): MessagePort[] => (message.kind === "backendPort" ? [message.port] : []);
