import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { assert, defined } from "../base/assert.ts";
import { PaxlogError, withOutcome } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import { firstPosition, type Position, type Slot } from "../base/types.ts";
import type { Guards } from "../core/guards.ts";
import type {
  AppendOrder,
  AppendResult,
  CheckedBatch,
  FenceResponse,
  Follow,
  FollowedLog,
  FollowPace,
  KeepSessionResponse,
  NodeStatus,
  OpenSessionResponse,
  ReadPiece,
  ReadStep,
  RetainRequest,
  RetainResult,
  SessionTerms,
  Watch,
  Watched,
} from "../transport/backend.ts";
import { overloaded } from "./append-errors.ts";
import {
  type FromBackend,
  gatherBytes,
  type PackedAppend,
  type PackedResult,
  type PortAnswer,
  type PortRequest,
  type ToBackend,
  transferOf,
} from "./backend-port.ts";
import { unpackError } from "./channel.ts";
import { Credit, type CreditBounds } from "./credit.ts";
import { RemoteWatch } from "./remote-watch.ts";
import { TailWatchers } from "./tail-watchers.ts";

export interface BackendProxyOptions {
  /** The other end has a BackendServer. */
  readonly port: MessagePort;
  /** The node's name, for errors. */
  readonly name: string;
  /** Called once, when the other end serves: from then on the bounds are those of the log. */
  readonly onServing?: () => void;
  /** Appends that are under way to the backend. */
  readonly credit?: CreditBounds;
  /** False: something else keeps the process alive as long as is needed, whatever waits here. */
  readonly holdsProcess?: boolean;
}

interface Request {
  /** What it asks for may be in the log where no answer came. */
  readonly writes: boolean;
  readonly resolve: (answer: PortAnswer, buffer: ArrayBuffer | undefined) => void;
  readonly reject: (error: PaxlogError) => void;
}

/** An append without an answer. */
interface Unanswered {
  readonly order: AppendOrder | undefined;
  readonly done: (result: AppendResult) => void;
}

/**
 * The engine as a LogBackend on another thread. Everything of one turn of the event loop goes over in one message. Appends are
 * bounded by credit, which comes back as the engine takes them. While anything waits for an answer, and while anyone listens to
 * the tail, the port keeps the process alive; otherwise it does not.
 */
export class BackendProxy implements FollowedLog {
  readonly #port: MessagePort;
  readonly #name: string;
  readonly #onServing: () => void;
  readonly #credit: Credit;
  /** Appended in this turn, and what is asked in it. */
  #appends: { readonly append: Omit<PackedAppend, "bytesBegin" | "bytesEnd">; readonly batch: Uint8Array }[] = [];
  #requests: PortRequest[] = [];
  #flushScheduled = false;
  #lastRequestId = 0;
  /** The last request that was handed over. */
  #postedRequestId = 0;
  #epoch = 0;
  readonly #unanswered = new Map<number, Unanswered>();
  readonly #waiting = new Map<number, Request>();
  readonly #tailListeners = new Set<() => void>();
  /** Those who wait for any record; those with a query wait at the other side. */
  readonly #watchers = new TailWatchers(firstPosition);
  readonly #remoteWatches = new Map<number, RemoteWatch>();
  /** The other side was told that somebody listens to the tail. */
  #listens = false;
  #bounds: { readonly head: Position; readonly tail: Position } = { head: firstPosition, tail: firstPosition };
  #serving = false;
  #ended: PaxlogError | undefined;
  #isPortOpen = true;
  #holdsProcess = false;
  readonly #mayHold: boolean;

  constructor(options: BackendProxyOptions) {
    this.#port = options.port;
    this.#name = options.name;
    this.#onServing = options.onServing ?? (() => {});
    this.#mayHold = options.holdsProcess ?? true;
    this.#credit = new Credit(options.credit ?? { bytes: limits.portAppendBytes, count: limits.portAppendCount });
    this.#port.on("message", (message: FromBackend) => this.#onMessage(message));
    this.#port.on("close", () => {
      this.#isPortOpen = false;
      this.end(new PaxlogError("UNAVAILABLE", `node ${this.#name} has ended`));
    });
    this.#port.unref();
  }

  // ---- LogBackend

  append(
    batch: CheckedBatch,
    guards: Guards | undefined,
    done: (result: AppendResult) => void,
    order?: AppendOrder | undefined,
  ): void {
    const refused = this.#refusalOf(batch, order);
    if (refused !== undefined) {
      order?.caller.failed(refused, order.independent);
      return queueMicrotask(() => done({ kind: "failed", error: refused }));
    }
    const requestId = this.#requestId();
    const { batch: bytes, ...rest } = batch;
    const { caller, independent } = order ?? { caller: undefined, independent: true };
    const append = { ...rest, requestId, guards, caller: caller?.id ?? 0, independent, epoch: this.#epoch };
    this.#appends.push({ append, batch: bytes });
    this.#unanswered.set(requestId, { order, done });
    this.#scheduleFlush();
  }

  #refusalOf(batch: CheckedBatch, order: AppendOrder | undefined): PaxlogError | undefined {
    const refused = this.#ended ?? order?.caller.refusal;
    if (refused !== undefined) return refused;
    return this.#credit.use(batch.batch.length) ? undefined : overloaded(this.#name);
  }

  hasRoom(): boolean {
    return this.#credit.hasRoom || this.#ended !== undefined;
  }

  whenRoom(callback: () => void): void {
    this.#credit.whenRoom(callback);
  }

  async openSession(terms: SessionTerms): Promise<OpenSessionResponse> {
    const answer = await this.#order((requestId) => ({ kind: "openSession", requestId, terms }), "openSession");
    return answer.opened;
  }

  async keepSession(session: number): Promise<KeepSessionResponse> {
    const answer = await this.#order((requestId) => ({ kind: "keepSession", requestId, session }), "keepSession");
    return answer.kept;
  }

  async closeSession(session: number): Promise<void> {
    await this.#order((requestId) => ({ kind: "closeSession", requestId, session }), "closeSession");
  }

  async fence(token: number): Promise<FenceResponse> {
    const answer = await this.#order((requestId) => ({ kind: "fence", requestId, token }), "fence");
    return answer.fenced;
  }

  async retain<Request extends RetainRequest>(request: Request): Promise<RetainResult<Request>> {
    const answer = await this.#order((requestId) => ({ kind: "retain", requestId, request }), "retain");
    return answer.result as RetainResult<Request>;
  }

  /** Has something ordered that is no append. */
  #order<K extends PortAnswer["kind"]>(
    make: (requestId: number) => PortRequest,
    kind: K,
  ): Promise<Extract<PortAnswer, { readonly kind: K }>> {
    return new Promise((resolve, reject) => {
      this.#ask(make, {
        writes: true,
        resolve: (answer) => {
          assert(answer.kind === kind, () => `what was asked as ${kind} was answered as ${answer.kind}`);
          resolve(answer as Extract<PortAnswer, { readonly kind: K }>);
        },
        reject,
      });
    });
  }

  linearize(signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.reject(cancelled());
    return new Promise((resolve, reject) => {
      const requestId = this.#ask((id) => ({ kind: "linearize", requestId: id }), {
        writes: false,
        resolve: () => {
          signal?.removeEventListener("abort", onAbort);
          resolve();
        },
        reject: (error) => {
          signal?.removeEventListener("abort", onAbort);
          reject(error);
        },
      });
      const onAbort = () => {
        const request = this.#waiting.get(requestId);
        this.#waiting.delete(requestId);
        this.#requests.push({ kind: "cancel", requestId });
        this.#scheduleFlush();
        request?.reject(cancelled());
      };
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  bounds(): { readonly head: Position; readonly tail: Position } {
    return this.#bounds;
  }

  read(step: ReadStep): Promise<ReadPiece> {
    return this.#question((requestId) => ({ kind: "read", requestId, step }), "piece", unpackPiece);
  }

  follow(step: ReadStep, pace: FollowPace): Follow {
    let followId = 0;
    const follow = (requestId: number): PortRequest => {
      followId = requestId;
      return { kind: "follow", requestId, step, pace };
    };
    return {
      piece: this.#question(follow, "piece", unpackPiece),
      hurry: () => {
        if (this.#waiting.has(followId)) this.#send({ kind: "hurry", requestId: followId });
      },
    };
  }

  positionOfTime(time: number): Promise<Position> {
    return this.#question(
      (requestId) => ({ kind: "positionOfTime", requestId, time }),
      "position",
      ({ position }) => position,
    );
  }

  /** Asks what changes nothing. */
  #question<K extends PortAnswer["kind"], T>(
    make: (requestId: number) => PortRequest,
    kind: K,
    take: (answer: Extract<PortAnswer, { readonly kind: K }>, buffer: ArrayBuffer | undefined) => T,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#ask(make, {
        writes: false,
        resolve: (answer, buffer) => {
          assert(answer.kind === kind, () => `what was asked for a ${kind} was answered as ${answer.kind}`);
          resolve(take(answer as Extract<PortAnswer, { readonly kind: K }>, buffer));
        },
        reject,
      });
    });
  }

  watch(watched: Watched, onNews: (from: Position) => void): Watch {
    if (watched.query === undefined || this.#ended !== undefined) {
      const watch = this.#watchers.watch({ ...watched, query: undefined }, onNews);
      this.#listenIfNeeded();
      return watch;
    }
    const watch = new RemoteWatch(watched.from, onNews, {
      tail: () => this.#bounds.tail,
      cancel: () => this.#cancel(watch.requestId),
    });
    watch.requestId = this.#requestId();
    this.#remoteWatches.set(watch.requestId, watch);
    this.#send({ kind: "watch", requestId: watch.requestId, watched });
    return watch;
  }

  onTail(listener: () => void): () => void {
    this.#tailListeners.add(listener);
    this.#listenIfNeeded();
    return () => {
      this.#tailListeners.delete(listener);
      this.#holdOrRelease();
    };
  }

  get #isListened(): boolean {
    return this.#tailListeners.size > 0 || !this.#watchers.isEmpty;
  }

  /** Says so once; that nobody listens any more is said when the tail moves and nobody heard it. */
  #listenIfNeeded(): void {
    this.#holdOrRelease();
    if (this.#listens === this.#isListened) return;
    this.#listens = this.#isListened;
    this.#send({ kind: "listen", requestId: this.#requestId(), on: this.#listens });
  }

  #cancel(requestId: number): void {
    if (!this.#remoteWatches.delete(requestId)) return;
    this.#send({ kind: "cancel", requestId });
  }

  #send(request: PortRequest): void {
    this.#requests.push(request);
    this.#scheduleFlush();
  }

  status(): Promise<NodeStatus> {
    return new Promise((resolve, reject) => {
      this.#ask((requestId) => ({ kind: "status", requestId }), {
        writes: false,
        resolve: (answer) => {
          if (answer.kind === "status") resolve(answer.status);
        },
        reject,
      });
    });
  }

  // ---- Out

  #requestId(): number {
    this.#lastRequestId += 1;
    return this.#lastRequestId;
  }

  #ask(make: (requestId: number) => PortRequest, request: Request): number {
    const requestId = this.#requestId();
    if (this.#ended !== undefined) {
      request.reject(this.#ended);
      return requestId;
    }
    this.#waiting.set(requestId, request);
    this.#requests.push(make(requestId));
    this.#scheduleFlush();
    return requestId;
  }

  /** All that is read from sockets in this iteration of the event loop comes before it. */
  #scheduleFlush(): void {
    this.#holdOrRelease();
    if (this.#flushScheduled || this.#ended !== undefined) return;
    this.#flushScheduled = true;
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#flushScheduled = false;
    if (this.#ended !== undefined) return;
    const appends = this.#appends;
    const requests = this.#requests;
    this.#appends = [];
    this.#requests = [];
    let bytesEnd = 0;
    const packed = appends.map(({ append, batch }): PackedAppend => {
      const bytesBegin = bytesEnd;
      bytesEnd += batch.length;
      return { ...append, bytesBegin, bytesEnd };
    });
    const buffer = gatherBytes(appends.map(({ batch }) => batch));
    const message: ToBackend = { buffer, appends: packed, requests };
    this.#postedRequestId = this.#lastRequestId;
    this.#port.postMessage(message, transferOf(message));
  }

  // ---- In

  #onMessage(message: FromBackend): void {
    if (this.#ended !== undefined) return;
    const { bounds, taken, results, answers, buffer } = message;
    if (bounds !== undefined) this.#moveTo(bounds);
    if (taken.count > 0) this.#credit.giveBack(taken.count, taken.bytes);
    // What is appended from now on was appended by somebody who knew of these failures (see PortCallers).
    if (results.some((result) => result.kind === "failed")) this.#epoch += 1;
    for (const result of results) this.#answer(result);
    for (const answer of answers) this.#resolve(answer, buffer);
    this.#holdOrRelease();
  }

  #moveTo(bounds: { readonly head: Position; readonly tail: Position }): void {
    this.#bounds = bounds;
    if (this.#serving) this.#listenIfNeeded();
    if (!this.#serving) {
      this.#serving = true;
      this.#onServing();
    }
    this.#watchers.moved(bounds.tail, noEntries);
    for (const listener of [...this.#tailListeners]) listener();
  }

  #answer(result: PackedResult): void {
    const { order, done } = defined(this.#unanswered.get(result.requestId), `the caller of append ${result.requestId}`);
    this.#unanswered.delete(result.requestId);
    if (result.kind === "failed") {
      const error = unpackError(result.error);
      order?.caller.failed(error, order.independent);
      return done({ kind: "failed", error });
    }
    const { requestId: _, ...answer } = result;
    done(answer);
  }

  #resolve(answer: PortAnswer, buffer: ArrayBuffer | undefined): void {
    if (answer.kind === "watching") return this.#remoteWatches.get(answer.requestId)?.stand();
    if (answer.kind === "news") {
      const watch = this.#remoteWatches.get(answer.requestId);
      this.#remoteWatches.delete(answer.requestId);
      return watch?.fire(answer.from);
    }
    // None where the caller gave it up.
    const request = this.#waiting.get(answer.requestId);
    this.#waiting.delete(answer.requestId);
    if (answer.kind === "failed") request?.reject(unpackError(answer.error));
    else request?.resolve(answer, buffer);
  }

  /** Pending calls keep the process alive, an idle handle does not. */
  #holdOrRelease(): void {
    const waiting = this.#unanswered.size + this.#waiting.size + this.#remoteWatches.size;
    const holds = this.#mayHold && this.#ended === undefined && (waiting > 0 || this.#isListened);
    if (holds === this.#holdsProcess) return;
    this.#holdsProcess = holds;
    if (holds) this.#port.ref();
    else this.#port.unref();
  }

  // ---- The end

  /** Rejects everything: what was handed over may have happened, what was not has not. Later calls are refused with `reason`. */
  end(reason: PaxlogError): void {
    if (this.#ended !== undefined) return;
    this.#takeRest();
    const none = withOutcome(reason, "none");
    const unknown = withOutcome(reason, "unknown");
    this.#ended = none;
    for (const [requestId, { order, done }] of this.#unanswered) {
      const error = requestId <= this.#postedRequestId ? unknown : none;
      order?.caller.failed(error, order.independent);
      done({ kind: "failed", error });
    }
    this.#unanswered.clear();
    for (const [requestId, { writes, reject }] of this.#waiting) {
      reject(writes && requestId <= this.#postedRequestId ? unknown : none);
    }
    this.#waiting.clear();
    for (const watch of [...this.#remoteWatches.values()]) watch.fire(watch.searched);
    this.#remoteWatches.clear();
    this.#watchers.end();
    for (const listener of [...this.#tailListeners]) listener();
    this.#credit.open();
    this.#holdOrRelease();
    this.#port.close();
  }

  /**
   * What was answered before the end is an answer. Of a closed port nothing is left, and it must not be asked: Node reads through a
   * null pointer then, which ends the process (SIGSEGV) and not only this thread.
   */
  #takeRest(): void {
    if (!this.#isPortOpen) return;
    for (let next = receiveMessageOnPort(this.#port); next !== undefined; next = receiveMessageOnPort(this.#port)) {
      this.#onMessage(next.message as FromBackend);
    }
  }
}

function unpackPiece(
  { batches, next, fromDisk }: Extract<PortAnswer, { kind: "piece" }>,
  buffer: ArrayBuffer | undefined,
): ReadPiece {
  const unpacked = batches.map(({ bytesBegin, bytesEnd, ...rest }) => ({
    ...rest,
    batch: new Uint8Array(defined(buffer, "the buffer of what was read"), bytesBegin, bytesEnd - bytesBegin),
  }));
  return { batches: unpacked, next, fromDisk };
}

/** What this side watches for itself wants any record. */
const noEntries = { from: 0 as Slot, end: 0 as Slot, at: () => undefined };

const cancelled = () => new PaxlogError("CANCELLED", "the caller gave the call up");
