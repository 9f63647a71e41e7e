import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { defined } from "../base/assert.ts";
import { PaxlogError, withOutcome } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Position } from "../base/types.ts";
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
import { ProxyRequests, type RequestsOwner } from "./proxy-requests.ts";
import { ProxyWatches } from "./proxy-watches.ts";

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
  /** What is asked beside appends. */
  readonly #asked: ProxyRequests;
  readonly #watches: ProxyWatches;
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
    const owner: RequestsOwner = {
      ended: () => this.#ended,
      nextRequestId: () => this.#requestId(),
      send: (request) => this.#send(request),
    };
    this.#asked = new ProxyRequests(owner);
    this.#watches = new ProxyWatches({ ...owner, onChange: () => this.#holdOrRelease() });
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
    const answer = await this.#asked.order((requestId) => ({ kind: "openSession", requestId, terms }), "openSession");
    return answer.opened;
  }

  async keepSession(session: number): Promise<KeepSessionResponse> {
    const answer = await this.#asked.order((requestId) => ({ kind: "keepSession", requestId, session }), "keepSession");
    return answer.kept;
  }

  async closeSession(session: number): Promise<void> {
    await this.#asked.order((requestId) => ({ kind: "closeSession", requestId, session }), "closeSession");
  }

  async fence(token: number): Promise<FenceResponse> {
    const answer = await this.#asked.order((requestId) => ({ kind: "fence", requestId, token }), "fence");
    return answer.fenced;
  }

  async retain<Request extends RetainRequest>(request: Request): Promise<RetainResult<Request>> {
    const answer = await this.#asked.order((requestId) => ({ kind: "retain", requestId, request }), "retain");
    return answer.result as RetainResult<Request>;
  }

  linearize(signal?: AbortSignal): Promise<void> {
    return this.#asked.linearize(signal);
  }

  bounds(): { readonly head: Position; readonly tail: Position } {
    return this.#watches.bounds;
  }

  read(step: ReadStep): Promise<ReadPiece> {
    return this.#asked.question((requestId) => ({ kind: "read", requestId, step }), "piece", unpackPiece);
  }

  follow(step: ReadStep, pace: FollowPace): Follow {
    let followId = 0;
    const follow = (requestId: number): PortRequest => {
      followId = requestId;
      return { kind: "follow", requestId, step, pace };
    };
    return {
      piece: this.#asked.question(follow, "piece", unpackPiece),
      hurry: () => {
        if (this.#asked.isWaiting(followId)) this.#send({ kind: "hurry", requestId: followId });
      },
    };
  }

  positionOfTime(time: number): Promise<Position> {
    return this.#asked.question(
      (requestId) => ({ kind: "positionOfTime", requestId, time }),
      "position",
      ({ position }) => position,
    );
  }

  watch(watched: Watched, onNews: (from: Position) => void): Watch {
    return this.#watches.watch(watched, onNews);
  }

  onTail(listener: () => void): () => void {
    return this.#watches.onTail(listener);
  }

  status(): Promise<NodeStatus> {
    return this.#asked.question(
      (requestId) => ({ kind: "status", requestId }),
      "status",
      ({ status }) => status,
    );
  }

  // ---- Out

  #requestId(): number {
    this.#lastRequestId += 1;
    return this.#lastRequestId;
  }

  #send(request: PortRequest): void {
    this.#requests.push(request);
    this.#scheduleFlush();
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
    for (const answer of answers) {
      if (answer.kind === "watching" || answer.kind === "news") this.#watches.onAnswer(answer);
      else this.#asked.onAnswer(answer, buffer);
    }
    this.#holdOrRelease();
  }

  #moveTo(bounds: { readonly head: Position; readonly tail: Position }): void {
    this.#watches.setBounds(bounds);
    if (this.#serving) this.#watches.listenIfNeeded();
    if (!this.#serving) {
      this.#serving = true;
      this.#onServing();
    }
    this.#watches.tell();
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

  /** Pending calls keep the process alive, an idle handle does not. */
  #holdOrRelease(): void {
    const waiting = this.#unanswered.size + this.#asked.size + this.#watches.remoteCount;
    const holds = this.#mayHold && this.#ended === undefined && (waiting > 0 || this.#watches.isListened);
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
    this.#asked.end(none, unknown, this.#postedRequestId);
    this.#watches.end();
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
