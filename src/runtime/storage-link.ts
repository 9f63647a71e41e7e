import type { MessagePort } from "node:worker_threads";
import { assertNever } from "../base/assert.ts";
import type { PaxlogError } from "../base/errors.ts";
import type { Ticket } from "../base/types.ts";
import { noCounts, type StoreCounters } from "../storage/counters.ts";
import type { StoreWrite } from "../storage/write.ts";
import { BufferPool } from "./buffer-pool.ts";
import {
  type DurableMessage,
  type FromStorage,
  type OpenedMessage,
  type PackedWrite,
  type SubmitMessage,
  type ToStorage,
  unpackError,
} from "./channel.ts";

/** What the engine hears of its writes. */
export interface StorageHandlers {
  /** Everything that was submitted with a ticket up to this one is durable. */
  readonly onDurable: (ticket: Ticket) => void;
  /** Storage takes nothing any more. */
  readonly onFailed: (error: PaxlogError) => void;
}

/** The engine's end of the port to the storage thread. */
export class StorageLink {
  readonly #port: MessagePort;
  #opened: OpenedMessage | undefined;
  #counters: StoreCounters = noCounts();
  #entriesAppended = 0;
  readonly #buffers = new BufferPool();
  #failed: PaxlogError | undefined;

  #handlers: StorageHandlers | undefined;
  #onOpened: (message: OpenedMessage) => void = () => {};
  #onOpenFailed: (error: PaxlogError) => void = () => {};
  #onClosed: () => void = () => {};

  /** Where groups lie now, for readers of segments; told before `onDurable`. */
  onCommitted: (message: DurableMessage) => void = () => {};

  constructor(port: MessagePort) {
    this.#port = port;
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

  /** Of the store, as of its last commit. */
  get counters(): Readonly<StoreCounters> {
    return this.#counters;
  }

  /** Entries handed over so far, but for those that a REPLACE brought. */
  get entriesAppended(): number {
    return this.#entriesAppended;
  }

  /** Hands over writes, in the order in which they must become durable. */
  submit(writes: readonly StoreWrite[]): void {
    const message = packWrites(writes, this.#buffers);
    for (const write of writes) if (write.kind === "append") this.#entriesAppended += write.endSlot - write.firstSlot;
    this.#post(message, message.buffer === undefined ? [] : [message.buffer]);
  }

  /** Resolves when what was submitted is written, the directory is marked as cleanly closed, and its lock is free. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#onClosed = resolve;
      if (this.#failed !== undefined) return resolve();
      this.#post({ kind: "close" }, []);
    });
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
        for (const buffer of message.buffers) this.#buffers.give(buffer);
        this.onCommitted(message);
        return this.#handlers?.onDurable(message.ticket);
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

/** The bytes of all writes in one buffer: the one copy between the engine's entries and the disk. */
export function packWrites(writes: readonly StoreWrite[], buffers: BufferPool): SubmitMessage {
  const length = writes.reduce((sum, write) => sum + lengthOf(write), 0);
  const buffer = length === 0 ? undefined : buffers.take(length);
  const bytes = buffer === undefined ? noBytes : new Uint8Array(buffer);
  let end = 0;
  const packed = writes.map((write): PackedWrite => {
    if (write.kind === "superblock") return write;
    const bytesBegin = end;
    for (const piece of write.bytes) {
      bytes.set(piece, end);
      end += piece.length;
    }
    const { bytes: _, ...group } = write;
    return { ...group, bytesBegin, bytesEnd: end };
  });
  return { kind: "submit", buffer, writes: packed };
}

/** The writes as they were before they were packed, over the message's buffer. */
export function unpackWrites(message: SubmitMessage): StoreWrite[] {
  const bytes = message.buffer === undefined ? noBytes : new Uint8Array(message.buffer);
  return message.writes.map((write): StoreWrite => {
    if (write.kind === "superblock") return write;
    const { bytesBegin, bytesEnd, ...group } = write;
    return { ...group, bytes: [bytes.subarray(bytesBegin, bytesEnd)] };
  });
}

const noBytes = new Uint8Array(0);

function lengthOf(write: StoreWrite): number {
  return write.kind === "superblock" ? 0 : write.bytes.reduce((sum, piece) => sum + piece.length, 0);
}
