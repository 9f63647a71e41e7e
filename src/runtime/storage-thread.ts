import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { assertNever } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import type { Store } from "../storage/store.ts";
import { type FromStorage, packError, type ToStorage } from "./channel.ts";
import { WriteUnpacker } from "./packed-writes.ts";

export interface StorageThreadOptions {
  readonly store: Store;
  /** To the engine. */
  readonly port: MessagePort;
  /** What recovery found, for people. */
  readonly report: readonly string[];
  /** After a clean close: gives the directory's lock free. */
  readonly onClosed: () => Promise<void>;
}

/**
 * The loop of the thread that owns the store. Commits block it; while one runs the next gathers in the port, and is taken out of
 * there as soon as the sync returns, without a turn of the event loop in between: that is the group commit (STORAGE 3).
 */
export class StorageThread {
  readonly #options: StorageThreadOptions;
  readonly #unpacker = new WriteUnpacker();
  #idleTimer: NodeJS.Timeout | undefined;
  #roomTimer: NodeJS.Timeout | undefined;
  #advancedAt = 0;
  #closing = false;
  #poisoned = false;

  constructor(options: StorageThreadOptions) {
    this.#options = options;
    const { store, port, report } = options;
    port.on("message", (message: ToStorage) => this.#onMessage(message));
    const { recovered, layout, readerStart } = store;
    this.#post({ kind: "opened", recovered, layout, readerStart, counters: { ...store.counters }, report });
    this.#markWhenIdle();
  }

  #onMessage(message: ToStorage): void {
    try {
      this.#take(message);
      this.#drain();
      this.#commitAll();
      if (this.#closing) this.#close();
      else this.#markWhenIdle();
    } catch (cause) {
      this.#poison(cause);
    }
  }

  #take(message: ToStorage): void {
    switch (message.kind) {
      case "submit":
        for (const write of this.#unpacker.unpack(message)) this.#options.store.submit(write);
        return;
      case "background":
        this.#options.store.submitBackground(message.write);
        return;
      case "indexWritten":
        this.#options.store.noteIndex(message.generation);
        return;
      case "close":
        this.#closing = true;
        return;
      default:
        return assertNever(message);
    }
  }

  #drain(): void {
    const { port } = this.#options;
    for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) {
      this.#take(next.message as ToStorage);
    }
  }

  #commitAll(): void {
    const { store } = this.#options;
    for (let commit = store.commit(); commit !== undefined; commit = store.commit()) {
      this.#post({ kind: "durable", ...commit, counters: { ...store.counters } });
      this.#drain();
      // The answer is on its way; what this makes wait is at most the next group.
      store.fill("between");
      if (store.hasBackground && performance.now() - this.#advancedAt >= limits.backgroundPauseMs) this.#advance();
    }
    if (store.space !== "enough") this.#seekRoomLater();
  }

  /** One piece of what no append waits for, and word of what it brought. */
  #advance(): void {
    const { store } = this.#options;
    const commit = store.advance();
    if (commit !== undefined) this.#post({ kind: "durable", ...commit, counters: { ...store.counters } });
    this.#advancedAt = performance.now();
    if (store.space !== "enough") this.#seekRoomLater();
  }

  /** While the disk is full: looks from time to time whether somebody made room. */
  #seekRoomLater(): void {
    this.#roomTimer ??= setTimeout(() => {
      this.#roomTimer = undefined;
      try {
        const { store } = this.#options;
        store.seekRoom();
        if (store.hasBackground) this.#advance();
        else if (store.space !== "enough") this.#seekRoomLater();
      } catch (cause) {
        this.#poison(cause);
      }
    }, limits.seekRoomMs);
  }

  /** An idle moment proves the last group durable, and is the time for work ahead: slice by slice, until something comes. */
  #markWhenIdle(pauseMs: number = limits.markIdleMs): void {
    clearTimeout(this.#idleTimer);
    this.#idleTimer = setTimeout(() => {
      try {
        const { store } = this.#options;
        store.mark();
        // Somebody waits for a snapshot or a trim; nobody does for zeros.
        if (store.hasBackground) this.#advance();
        else if (!store.fill("idle")) return;
        this.#markWhenIdle(limits.fillPauseMs);
      } catch (cause) {
        this.#poison(cause);
      }
    }, pauseMs);
  }

  /** The store takes nothing any more, and says so once. The engine stops; this thread waits to be ended. */
  #poison(cause: unknown): void {
    this.#stopTimers();
    if (this.#poisoned) return;
    this.#poisoned = true;
    this.#post({ kind: "failed", error: packError(cause, "STORAGE_FAILED") });
    try {
      this.#options.store.close();
    } catch {
      // Its files are of no use any more; the reason that counts was told.
    }
  }

  #close(): void {
    this.#stopTimers();
    this.#options.store.close();
    this.#options.onClosed().then(
      () => this.#post({ kind: "closed" }),
      (cause) => this.#poison(cause),
    );
  }

  #stopTimers(): void {
    clearTimeout(this.#idleTimer);
    clearTimeout(this.#roomTimer);
  }

  #post(message: FromStorage): void {
    this.#options.port.postMessage(message);
  }
}
