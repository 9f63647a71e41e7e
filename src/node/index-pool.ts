import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { limits } from "../base/limits.ts";
import type { IndexedSegment } from "../storage/index-builder.ts";
import { type IndexTask, runIndexTask } from "./build-index.ts";

/** The part of piscina that is used. It is looked for when it is needed, and not by a bundler, which cannot take its worker along. */
interface Pool {
  run(task: IndexTask): Promise<IndexedSegment>;
  destroy(): Promise<void>;
}
interface PoolModule {
  readonly Piscina: new (options: Readonly<Record<string, unknown>>) => Pool;
}
const poolPackage = "piscina";

/**
 * Builds indexes on a worker of its own, which ends when it has had nothing to do for a while. Held by the thread that owns the node:
 * what is started there is never in the way of an append. Where there can be no such worker (`threads: false`, a bundle) they are built
 * on this thread, in small pieces.
 */
export class IndexPool {
  readonly #worker: boolean;
  readonly #onNote: (text: string) => void;
  #pool: Promise<Pool | undefined> | undefined;
  #closed = false;

  constructor(options: { readonly worker: boolean; readonly onNote: (text: string) => void }) {
    this.#worker = options.worker;
    this.#onNote = options.onNote;
  }

  /** @throws Error where there can be no index of this segment, or the pool was closed. */
  async build(task: IndexTask): Promise<IndexedSegment> {
    this.#pool ??= this.#worker ? this.#start() : Promise.resolve(undefined);
    const pool = await this.#pool;
    if (this.#closed) throw new Error("the node was closed");
    if (pool !== undefined) return pool.run(task);
    return runIndexTask(task, async () => {
      // A fifth of this thread's time, and none that keeps the process alive.
      await sleep(limits.indexPauseMs, undefined, { ref: false });
      if (this.#closed) throw new Error("the node was closed");
    });
  }

  /** Ends the worker; an index that is half built is removed at the next opening. */
  async close(): Promise<void> {
    this.#closed = true;
    await (await this.#pool)?.destroy();
  }

  async #start(): Promise<Pool | undefined> {
    try {
      const { Piscina } = (await import(poolPackage)) as PoolModule;
      return new Piscina({
        filename: fileURLToPath(new URL("./index-worker.js", import.meta.url)),
        minThreads: 0,
        maxThreads: 1,
        maxQueue: 1,
        idleTimeout: limits.indexWorkerIdleMs,
        execArgv: [],
        env: {},
        resourceLimits: { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 32 },
      });
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      this.#onNote(`indexes are built on the thread that opened the node: there is no pool of workers (${reason})`);
      return undefined;
    }
  }
}
