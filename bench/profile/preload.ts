/**
 * Loaded into a node process with --import: at the first SIGUSR2 it begins to profile every worker of the process, at the second
 * it writes one file for each into PAXLOG_BENCH_PROFILES and a file `<pid>.done` when all are there. The workers themselves know
 * nothing of it: their main thread, which has nothing else to do, speaks the inspector's protocol with them.
 */
import { writeFileSync } from "node:fs";
import { type InspectorNotification, type NodeWorker, Session } from "node:inspector";
import { join } from "node:path";
import { isMainThread } from "node:worker_threads";

const dir = process.env.PAXLOG_BENCH_PROFILES;
const samplingMicroseconds = 500;

interface WorkerProfiler {
  readonly name: string;
  /** Sends a command and gives its result. */
  readonly post: (method: string, params?: object) => Promise<unknown>;
}

class Profiler {
  readonly #session = new Session();
  readonly #workers = new Map<string, WorkerProfiler>();
  readonly #answers = new Map<number, (result: unknown) => void>();
  #lastId = 0;

  async start(): Promise<void> {
    this.#session.connect();
    this.#session.on("NodeWorker.attachedToWorker", ({ params }) => this.#attached(params));
    this.#session.on("NodeWorker.receivedMessageFromWorker", (event) => this.#received(event));
    await new Promise<void>((resolve) => {
      this.#session.post("NodeWorker.enable", { waitForDebuggerOnStart: false }, () => resolve());
    });
    for (const { post } of this.#workers.values()) {
      await post("Profiler.enable");
      await post("Profiler.setSamplingInterval", { interval: samplingMicroseconds });
      await post("Profiler.start");
    }
  }

  async stop(into: string): Promise<void> {
    for (const { name, post } of this.#workers.values()) {
      const { profile } = (await post("Profiler.stop")) as { readonly profile: unknown };
      writeFileSync(join(into, `${process.pid}-${name}.cpuprofile`), JSON.stringify(profile));
    }
    writeFileSync(join(into, `${process.pid}.done`), "");
    this.#session.disconnect();
  }

  #attached({ sessionId, workerInfo }: NodeWorker.AttachedToWorkerEventDataType): void {
    const post = (method: string, params: object = {}) => {
      this.#lastId += 1;
      const id = this.#lastId;
      const answer = new Promise<unknown>((resolve) => this.#answers.set(id, resolve));
      const message = JSON.stringify({ id, method, params });
      this.#session.post("NodeWorker.sendMessageToWorker", { sessionId, message });
      return answer;
    };
    this.#workers.set(sessionId, { name: nameOf(workerInfo.title), post });
  }

  #received({ params }: InspectorNotification<NodeWorker.ReceivedMessageFromWorkerEventDataType>): void {
    const { id, result } = JSON.parse(params.message) as { readonly id?: number; readonly result?: unknown };
    if (id === undefined) return;
    this.#answers.get(id)?.(result);
    this.#answers.delete(id);
  }
}

/** "engine" of "[worker 1] paxlog-engine". */
function nameOf(title: string): string {
  return /paxlog-(\w+)$/.exec(title)?.[1] ?? "worker";
}

if (isMainThread && dir !== undefined) {
  let running: Profiler | undefined;
  process.on("SIGUSR2", () => {
    if (running === undefined) {
      running = new Profiler();
      void running.start();
    } else {
      void running.stop(dir);
    }
  });
}
