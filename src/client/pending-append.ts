import type { PaxlogError } from "../base/errors.ts";
import type { Guards } from "../core/guards.ts";
import type { RecordInput } from "../format/batch-encode.ts";
import type { CommandReply } from "../format/object-codec.ts";
import { cancelled, onAbort } from "./abort.ts";
import type { DemandedGuards } from "./append-options.ts";
import type { AppendAnswer } from "./node-link.ts";

/** What one call of append asked for: records that may share a batch with others, or a batch that was made already. */
export type AppendPayload =
  | { readonly kind: "records"; readonly records: readonly RecordInput[] }
  | { readonly kind: "batch"; readonly bytes: Uint8Array; readonly recordCount: number };

/** Where the records of one call went. */
export interface Placed {
  readonly first: number;
  readonly count: number;
  readonly time: number;
  /** What became of its commands, one for each record; of an append that was not to be executed undefined. */
  readonly replies: readonly CommandReply[] | undefined;
}

/** How one call of append travels. */
export interface AppendTerms {
  readonly guards?: DemandedGuards | undefined;
  /** Given by the caller, in a session. */
  readonly serial?: number | undefined;
  /** It shares a batch only with calls of the same kin: what a node refuses of it, it must not refuse of others. */
  readonly kin?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * One call of append from its beginning to its end. It goes from "waiting" to "sent", back again if it was refused without being
 * written, and settles once. It keeps its records until then, since what was refused is encoded anew (but not in a session, where
 * a batch keeps its serial and so its bytes).
 */
export class PendingAppend {
  readonly promise: Promise<Placed>;
  readonly payload: AppendPayload;
  readonly guards: DemandedGuards | undefined;
  /** Given by the caller, in a session. */
  readonly serial: number | undefined;
  /** Whether it travels as a batch of its own: most guards speak of one call, and so does a serial that its caller gave. */
  readonly alone: boolean;
  /** Roughly what it adds to a batch, in bytes. */
  readonly sizeHint: number;
  /** When it was called, by the monotonic clock in milliseconds. */
  readonly since = performance.now();
  /** Index of its first record in the batch it was sent with. */
  offset = 0;
  sent = false;
  readonly #kin: string | undefined;
  #settled = false;
  #resolve!: (placed: Placed) => void;
  #reject!: (error: PaxlogError) => void;
  readonly #forget: () => void;

  constructor(payload: AppendPayload, { guards, serial, kin, signal }: AppendTerms) {
    this.payload = payload;
    this.guards = guards;
    this.serial = serial;
    this.#kin = kin;
    this.alone = serial !== undefined || payload.kind === "batch" || !isShared(guards);
    this.sizeHint = sizeHintOf(payload);
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#forget = onAbort(signal, () => this.fail(cancelled(signal, this.sent ? "unknown" : "none")));
  }

  /** Whether it may stand in one batch with a call before it: what is demanded of the one is demanded of both. */
  fits(before: PendingAppend): boolean {
    return !this.alone && this.guards?.fencingToken === before.guards?.fencingToken && this.#kin === before.#kin;
  }

  /** True once its caller has an answer. Then it is not sent any more, and what comes for it is not its caller's concern. */
  get settled(): boolean {
    return this.#settled;
  }

  /** Where the batch went with which it was sent. */
  acknowledge({ firstPosition, time, replies }: AppendAnswer): void {
    if (!this.#settle()) return;
    const count = countOf(this.payload);
    const own = replies?.slice(this.offset, this.offset + count);
    this.#resolve({ first: firstPosition + this.offset, count, time, replies: own });
  }

  fail(error: PaxlogError): void {
    if (this.#settle()) this.#reject(error);
  }

  #settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    this.#forget();
    return true;
  }
}

/** Whether the verdict is the same for all calls of a turn: that on a token is, those on the log's state are each its own. */
function isShared(guards: DemandedGuards | undefined): boolean {
  return guards === undefined || Object.keys(guards).every((name) => name === "fencingToken");
}

function countOf(payload: AppendPayload): number {
  return payload.kind === "batch" ? payload.recordCount : payload.records.length;
}

function sizeHintOf(payload: AppendPayload): number {
  if (payload.kind === "batch") return payload.bytes.length;
  let size = 0;
  // What is no record has no size yet; encoding says what is wrong with it.
  for (const record of payload.records) size += 4 + (record?.value?.length ?? 0) + (record?.metadata?.length ?? 0);
  return size;
}

/** First in, first out; what was refused goes back to the front. */
export class PendingQueue {
  #items: (PendingAppend | undefined)[] = [];
  /** Items before this index are gone: a call's records may be megabytes, and nobody is to keep them longer than it lasts. */
  #begin = 0;
  /** Sum of the hints of all that wait. */
  #sizeHint = 0;

  get length(): number {
    return this.#items.length - this.#begin;
  }

  get sizeHint(): number {
    return this.#sizeHint;
  }

  push(item: PendingAppend): void {
    this.#items.push(item);
    this.#sizeHint += item.sizeHint;
  }

  /** The first one whose caller still waits. */
  peek(): PendingAppend | undefined {
    while (this.length > 0) {
      const item = this.#items[this.#begin]!;
      if (!item.settled) return item;
      this.shift();
    }
    return undefined;
  }

  shift(): void {
    this.#sizeHint -= this.#items[this.#begin]!.sizeHint;
    this.#items[this.#begin] = undefined;
    this.#begin += 1;
    // Moving the rest now and then costs less than moving it each time.
    if (this.#begin > 1024 && this.#begin * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#begin);
      this.#begin = 0;
    }
  }

  returnToFront(items: readonly PendingAppend[]): void {
    const waiting = items.filter((item) => !item.settled);
    for (const item of waiting) {
      item.sent = false;
      this.#sizeHint += item.sizeHint;
    }
    this.#items = [...waiting, ...this.#items.slice(this.#begin)];
    this.#begin = 0;
  }

  /** Takes out everything. */
  drain(): PendingAppend[] {
    const items = this.#items.slice(this.#begin).map((item) => item!);
    this.#items = [];
    this.#begin = 0;
    this.#sizeHint = 0;
    return items;
  }
}

/** Several calls' records as they travel. */
export interface OutgoingBatch {
  readonly bytes: Uint8Array;
  readonly crc32c: number;
  readonly recordCount: number;
  readonly items: readonly PendingAppend[];
  /** Of its only call, and the session's. */
  readonly guards: Guards | undefined;
  /** When it was made, by the monotonic clock in milliseconds. */
  readonly since: number;
  /** True once a copy of it was sent whose fate is not known. Only a session's batches are sent again then. */
  doubtful: boolean;
  /** How often a node refused it because a machine stopped there. */
  stops: number;
}
