import type { MessagePort } from "node:worker_threads";
import { assertNever } from "../base/assert.ts";
import type { PaxlogError } from "../base/errors.ts";
import type { Slot } from "../base/types.ts";
import { noCounts, type StoreCounters } from "../storage/counters.ts";
import type { SpaceState } from "../storage/space.ts";
import type { BackgroundWrite, StoreWrite } from "../storage/write.ts";
import type { Arena } from "./arena.ts";
import { type DurableMessage, type FromStorage, type OpenedMessage, type ToStorage, unpackError } from "./channel.ts";
import { packWrites } from "./packed-writes.ts";

/** What the engine hears of its writes. */
export interface StorageHandlers {
  /** Everything that was submitted with a ticket up to that of the commit is durable, and what else it says. */
  readonly onDurable: (commit: DurableMessage) => void;
  /** Storage takes nothing any more. */
  readonly onFailed: (error: PaxlogError) => void;
}

/** The engine's end of the port to the storage thread. */
export class StorageLink {
  readonly #port: MessagePort;
  #opened: OpenedMessage | undefined;
  #counters: StoreCounters = noCounts();
  #entriesAppended = 0;
  /** Submitted, and not yet handed over. */
  #waiting: StoreWrite[] = [];
  #handOverScheduled = false;
  readonly #arena: Arena;
  #failed: PaxlogError | undefined;

  #space: SpaceState = "enough";
  #handlers: StorageHandlers | undefined;
  #onOpened: (message: OpenedMessage) => void = () => {};
  #onOpenFailed: (error: PaxlogError) => void = () => {};
  #onClosed: () => void = () => {};

  /** Where groups lie now, for readers of segments; told before `onDurable`. */
  onCommitted: (message: DurableMessage) => void = () => {};

  /** Entries that lie in `arena` are handed over without a copy. */
  constructor(port: MessagePort, arena: Arena) {
    this.#port = port;
    this.#arena = arena;
    port.on("message", (message: FromStorage) => this.#onMessage(message));
  }

  /** What the storage thread found; rejects if it could not open the directory. */
  opened(): Promise<OpenedMessage> {
    return new Promise((resolve, reject) => {
      if (this.#opened !== undefined) return resolve(this.#opened);
      if (this.#failed !== undefined) return reject(this.#failed);
      this.#onOpened = resolve;
      this.#onOpenFailed = reject;
    });
  }

  /** From now on these are told what becomes of writes; of a failure also if it was before. */
  attach(handlers: StorageHandlers): void {
    this.#handlers = handlers;
    const failed = this.#failed;
    if (failed !== undefined) queueMicrotask(() => handlers.onFailed(failed));
  }

  /** Told when the disk is full, and when there is room again. */
  onSpace: (space: SpaceState) => void = () => {};

  /** Whether the disk has room for more appends. */
  get space(): SpaceState {
    return this.#space;
  }

  /** Of the store, as of its last commit. */
  get counters(): Readonly<StoreCounters> {
    return this.#counters;
  }

  /** Entries handed over so far, but for those that a REPLACE brought. */
  get entriesAppended(): number {
    return this.#entriesAppended;
  }

  /**
   * Hands over writes, in the order in which they must become durable: now, or `behindSends`, which is still in this iteration of
   * the loop but behind the sockets, which Node writes to at the end of it. An Accept has the longer way: where little else happens
   * the storage thread's wake-up must not come between it and its socket.
   */
  submit(writes: readonly StoreWrite[], behindSends = false): void {
    for (const write of writes) {
      this.#waiting.push(write);
      if (write.kind === "append") this.#entriesAppended += write.endSlot - write.firstSlot;
    }
    if (!behindSends) return this.#handOver();
    if (this.#handOverScheduled) return;
    this.#handOverScheduled = true;
    setImmediate(() => {
      this.#handOverScheduled = false;
      this.#handOver();
    });
  }

  /** Written when there is time: behind what was submitted before, and nothing that is submitted later waits for it. */
  submitBackground(write: BackgroundWrite): void {
    this.#handOver();
    const content = write.kind === "snapshot" ? write.content.buffer : undefined;
    this.#post({ kind: "background", write }, content instanceof ArrayBuffer ? [content] : []);
  }

  #handOver(): void {
    if (this.#waiting.length === 0) return;
    const message = packWrites(this.#waiting, this.#arena);
    this.#waiting = [];
    this.#post(message, message.buffer === undefined ? [] : [message.buffer]);
  }

  /** Once a tick: the core holds nothing below `memoryBegin` any more, so the memory of what lies there serves again. */
  reclaim(memoryBegin: Slot): void {
    this.#arena.reclaim(memoryBegin);
  }

  /** Tells the owner of the directory that the index of a segment was written there. */
  indexWritten(generation: number): void {
    this.#post({ kind: "indexWritten", generation }, []);
  }

  /** Resolves when what was submitted is written, the directory is marked as cleanly closed, and its lock is free. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#onClosed = resolve;
      if (this.#failed !== undefined) return resolve();
      this.#handOver();
      this.#post({ kind: "close" }, []);
    });
  }

  #noteSpace({ space }: DurableMessage): void {
    if (space === undefined) return;
    this.#space = space;
    this.onSpace(space);
  }

  #post(message: ToStorage, transfer: readonly ArrayBuffer[]): void {
    this.#port.postMessage(message, transfer);
  }

  #onMessage(message: FromStorage): void {
    switch (message.kind) {
      case "opened":
        this.#opened = message;
        this.#counters = message.counters;
        return this.#onOpened(message);
      case "durable":
        this.#counters = message.counters;
        this.#noteSpace(message);
        this.onCommitted(message);
        return this.#handlers?.onDurable(message);
      case "failed":
        this.#failed = unpackError(message.error);
        this.#onOpenFailed(this.#failed);
        this.#onClosed();
        return this.#handlers?.onFailed(this.#failed);
      case "closed":
        return this.#onClosed();
      default:
        return assertNever(message);
    }
  }
}
