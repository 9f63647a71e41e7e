import type { MessagePort } from "node:worker_threads";
import { assertNever } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import type { Position } from "../base/types.ts";
import type {
  AppendOrder,
  AppendResult,
  CheckedBatch,
  LogBackend,
  ReadPiece,
  ReadStep,
  StoredBatch,
  Watch,
} from "../transport/backend.ts";
import {
  type FromBackend,
  gatherBytes,
  type PackedAppend,
  type PackedBatch,
  type PackedResult,
  type PortAnswer,
  type PortRequest,
  type ToBackend,
  transferOf,
} from "./backend-port.ts";
import { packError } from "./channel.ts";
import { PortCallers } from "./port-callers.ts";

export interface BackendServerOptions {
  /** The other end has a BackendProxy. */
  readonly port: MessagePort;
  readonly backend: LogBackend;
}

/** An append that waits for room in the backend. */
interface HeldAppend {
  readonly append: PackedAppend;
  readonly batch: CheckedBatch;
}

type ReadRequest = Pick<Extract<PortRequest, { kind: "read" }>, "requestId" | "step">;
type FollowRequest = Extract<PortRequest, { kind: "follow" }>;

/**
 * Serves a backend to one proxy on another thread. What a turn of the backend brings goes over in one message.
 *
 * Order: once an append of a caller failed, its later ones must fail too, those included that are under way in the port at that
 * moment. So callers have their counterparts on this side (PortCallers).
 */
export class BackendServer {
  readonly #port: MessagePort;
  readonly #backend: LogBackend;
  #held: HeldAppend[] = [];
  #waitsForRoom = false;
  readonly #callers = new PortCallers();
  /** Messages with failed appends that were posted. */
  #failingPosted = 0;

  #results: PackedResult[] = [];
  #answers: PortAnswer[] = [];
  /** Bytes of the batches in `#answers`. */
  #read: Uint8Array[] = [];
  #readBytes = 0;
  #taken = { count: 0, bytes: 0 };
  #posted: { readonly head: Position; readonly tail: Position } | undefined;
  #flushScheduled = false;
  /** Somebody listens to the tail at the other end. */
  #listening = false;
  #lateFlush: NodeJS.Timeout | undefined;
  #reads: ReadRequest[] = [];
  #readScheduled = false;
  readonly #cancels = new Map<number, AbortController>();
  readonly #watches = new Map<number, Watch>();
  /** Those that found nothing yet, or have time. */
  readonly #follows = new Map<number, { readonly watch: Watch; readonly step: ReadStep }>();
  /** Runs while a lazy one has something to read. */
  #lazyReads: NodeJS.Timeout | undefined;
  /** Lazy follows with something to read. */
  #lazy: number[] = [];
  readonly #stopListening: () => void;

  constructor(options: BackendServerOptions) {
    this.#port = options.port;
    this.#backend = options.backend;
    this.#port.on("message", (message: ToBackend) => this.#onMessage(message));
    this.#port.on("close", () => this.#onClose());
    this.#stopListening = this.#backend.onTail(() => this.#onTail());
    this.#scheduleFlush();
  }

  /** Takes nothing more. What has its answer by now is delivered. */
  close(): void {
    this.flush();
    this.#onClose();
    this.#port.close();
  }

  /** Without a listener it is enough that the other thread knows the tail before long: a wake-up for each move would be wasted. */
  #onTail(): void {
    if (this.#listening) return this.#scheduleFlush();
    this.#lateFlush ??= setTimeout(() => this.flush(), limits.portTailMs).unref();
  }

  #onClose(): void {
    clearTimeout(this.#lateFlush);
    clearTimeout(this.#lazyReads);
    this.#stopListening();
    this.#held = [];
    this.#reads = [];
    for (const cancel of this.#cancels.values()) cancel.abort();
    for (const watch of this.#watches.values()) watch.cancel();
    this.#watches.clear();
    for (const { watch } of this.#follows.values()) watch.cancel();
    this.#follows.clear();
  }

  #onMessage({ buffer, appends, requests }: ToBackend): void {
    for (const append of appends) {
      const { crc32c, recordCount, bytesBegin, bytesEnd } = append;
      const bytes = new Uint8Array(buffer ?? noBytes, bytesBegin, bytesEnd - bytesBegin);
      this.#held.push({ append, batch: { batch: bytes, crc32c, recordCount } });
    }
    if (appends.length > 0) this.#handOver();
    for (const request of requests) this.#serve(request);
  }

  // ---- Appends

  /** In order, while there is room. */
  #handOver(): void {
    let count = 0;
    for (const held of this.#held) {
      const { append, batch } = held;
      if (!this.#backend.hasRoom()) {
        this.#waitForRoom();
        break;
      }
      this.#callers.heard(append.epoch);
      this.#backend.append(batch, append.guards, (result) => this.#answered(append, result), this.#orderOf(append));
      this.#taken.count += 1;
      this.#taken.bytes += batch.batch.length;
      count += 1;
    }
    if (count === 0) return;
    this.#held = this.#held.slice(count);
    this.#scheduleFlush();
  }

  #waitForRoom(): void {
    if (this.#waitsForRoom) return;
    this.#waitsForRoom = true;
    this.#backend.whenRoom(() => {
      this.#waitsForRoom = false;
      this.#handOver();
    });
  }

  #orderOf({ caller, independent }: PackedAppend): AppendOrder | undefined {
    return caller === 0 ? undefined : { caller: this.#callers.begin(caller), independent };
  }

  #answered({ requestId, caller }: PackedAppend, result: AppendResult): void {
    // A failure goes out with the next message, which is then one with failures.
    if (caller !== 0) this.#callers.end(caller, this.#failingPosted + 1);
    if (result.kind === "failed") {
      this.#results.push({ requestId, kind: "failed", error: packError(result.error) });
    } else {
      this.#results.push({ requestId, ...result });
    }
    this.#scheduleFlush();
  }

  // ---- Questions

  #serve(request: PortRequest): void {
    const { requestId } = request;
    switch (request.kind) {
      case "linearize": {
        const cancel = new AbortController();
        this.#cancels.set(requestId, cancel);
        const ready = this.#backend.linearize(cancel.signal).finally(() => this.#cancels.delete(requestId));
        return this.#answerWith(
          requestId,
          ready.then(() => ({ kind: "ready", requestId })),
        );
      }
      case "status":
        return this.#answerWith(
          requestId,
          Promise.resolve()
            .then(() => this.#backend.status())
            .then((status) => ({ kind: "status", requestId, status })),
        );
      case "openSession":
        return this.#answerWith(
          requestId,
          this.#backend.openSession(request.terms).then((opened) => ({ kind: "openSession", requestId, opened })),
        );
      case "keepSession":
        return this.#answerWith(
          requestId,
          this.#backend.keepSession(request.session).then((kept) => ({ kind: "keepSession", requestId, kept })),
        );
      case "closeSession":
        return this.#answerWith(
          requestId,
          this.#backend.closeSession(request.session).then(() => ({ kind: "closeSession", requestId })),
        );
      case "fence":
        return this.#answerWith(
          requestId,
          this.#backend.fence(request.token).then((fenced) => ({ kind: "fence", requestId, fenced })),
        );
      case "retain":
        return this.#answerWith(
          requestId,
          this.#backend.retain(request.request).then((result) => ({ kind: "retain", requestId, result })),
        );
      case "read":
        this.#reads.push(request);
        return this.#scheduleReads();
      case "follow":
        return this.#follow(request);
      case "hurry":
        return this.#readFollowed(requestId);
      case "positionOfTime":
        return this.#answerWith(
          requestId,
          Promise.resolve()
            .then(() => this.#backend.positionOfTime(request.time))
            .then((position) => ({ kind: "position", requestId, position })),
        );
      case "watch":
        return this.#watch(request);
      case "listen":
        this.#listening = request.on;
        return this.#scheduleFlush();
      case "cancel":
        this.#cancels.get(requestId)?.abort();
        this.#watches.get(requestId)?.cancel();
        this.#watches.delete(requestId);
        return;
      default:
        return assertNever(request);
    }
  }

  /** What the other side is told of the tail behind this answer was looked at for it. */
  #watch({ requestId, watched }: Extract<PortRequest, { kind: "watch" }>): void {
    const watch = this.#backend.watch(watched, (from) => {
      this.#watches.delete(requestId);
      this.#answers.push({ kind: "news", requestId, from });
      this.#scheduleFlush();
    });
    this.#watches.set(requestId, watch);
    // Where the tail has moved on already the news is on its way, and nothing else must be believed.
    if (watched.from < this.#backend.bounds().tail) return;
    this.#answers.push({ kind: "watching", requestId });
    this.#scheduleFlush();
  }

  /** It is read when there is something to find: at once where it is behind the tail, else once a watch says so. */
  #follow({ requestId, step, pace }: FollowRequest): void {
    const watch = this.#backend.watch(step, () => {
      if (pace === "prompt") return this.#readFollowed(requestId);
      this.#lazy.push(requestId);
      this.#lazyReads ??= setTimeout(() => this.#readLazy(), limits.followLazyMs).unref();
    });
    this.#follows.set(requestId, { watch, step });
  }

  #readLazy(): void {
    this.#lazyReads = undefined;
    const lazy = this.#lazy;
    this.#lazy = [];
    for (const requestId of lazy) this.#readFollowed(requestId);
  }

  #readFollowed(requestId: number): void {
    const follow = this.#follows.get(requestId);
    if (follow === undefined) return;
    this.#follows.delete(requestId);
    follow.watch.cancel();
    this.#reads.push({ requestId, step: follow.step });
    if (this.#readScheduled) return;
    // Right behind the turn that showed the records: whoever is prompt has somebody waiting.
    this.#readScheduled = true;
    queueMicrotask(() => void this.#readSome());
  }

  #answerWith(requestId: number, answer: Promise<PortAnswer>): void {
    answer
      .catch((cause: unknown): PortAnswer => ({ kind: "failed", requestId, error: packError(cause) }))
      .then((settled) => {
        this.#answers.push(settled);
        this.#scheduleFlush();
      });
  }

  #scheduleReads(): void {
    if (this.#readScheduled) return;
    this.#readScheduled = true;
    setImmediate(() => this.#readSome());
  }

  /** Carries out steps until one turn has done enough: the engine's own work waits for the end of it. */
  #readSome(): void {
    let work = 0;
    while (this.#reads.length > 0 && work < limits.turnReadBytes) {
      const request = this.#reads.shift()!;
      const { step } = request;
      const begun = this.#readBytes;
      try {
        const found = this.#backend.read(step);
        // It waits for something: nobody else waits for it.
        if (found instanceof Promise) this.#readLater(request, found);
        else this.#answerRead(request, found);
      } catch (cause) {
        this.#answers.push({ kind: "failed", requestId: request.requestId, error: packError(cause) });
      }
      // A search may have read much and found nothing.
      work += this.#readBytes - begun + (step.query === undefined ? 0 : limits.messageEntryBytes);
    }
    this.flush();
    this.#readScheduled = false;
    if (this.#reads.length > 0) this.#scheduleReads();
  }

  #readLater({ requestId }: ReadRequest, found: Promise<ReadPiece>): void {
    found
      .then(
        (piece) => this.#answerRead({ requestId }, piece),
        (cause: unknown) => this.#answers.push({ kind: "failed", requestId, error: packError(cause) }),
      )
      .then(() => this.#scheduleFlush());
  }

  #answerRead({ requestId }: Pick<ReadRequest, "requestId">, { batches, ...rest }: ReadPiece): void {
    this.#answers.push({ kind: "piece", requestId, ...rest, batches: batches.map((batch) => this.#pack(batch)) });
  }

  #pack({ batch, ...rest }: StoredBatch): PackedBatch {
    const bytesBegin = this.#readBytes;
    this.#read.push(batch);
    this.#readBytes += batch.length;
    return { ...rest, bytesBegin, bytesEnd: this.#readBytes };
  }

  // ---- Out

  /** After the turn of the backend, before the loop goes on: the other thread works in the meantime. */
  #scheduleFlush(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    queueMicrotask(() => this.flush());
  }

  /** Hands over what there is now: before a word about the node's end, which goes another way. */
  flush(): void {
    this.#flushScheduled = false;
    clearTimeout(this.#lateFlush);
    this.#lateFlush = undefined;
    const { head, tail } = this.#backend.bounds();
    const moved = tail !== this.#posted?.tail || head !== this.#posted.head;
    const { length } = this.#results;
    if (!moved && length === 0 && this.#answers.length === 0 && this.#taken.count === 0) return;
    const message: FromBackend = {
      bounds: moved ? { head, tail } : undefined,
      taken: this.#taken,
      results: this.#results,
      answers: this.#answers,
      buffer: gatherBytes(this.#read),
    };
    if (this.#results.some(({ kind }) => kind === "failed")) this.#failingPosted += 1;
    this.#posted = { head, tail };
    this.#taken = { count: 0, bytes: 0 };
    this.#results = [];
    this.#answers = [];
    this.#read = [];
    this.#readBytes = 0;
    this.#port.postMessage(message, transferOf(message));
  }
}

const noBytes = new ArrayBuffer(0);
