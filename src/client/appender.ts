import { PaxlogError, toPaxlogError, withOutcome } from "../base/errors.ts";
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import type { BatchBuilder } from "../format/batch-encode.ts";
import { pause } from "./abort.ts";
import { type AppendPurpose, AppendStream, type StreamEnd } from "./append-stream.ts";
import { LeaderSearch } from "./leader-search.ts";
import { type Nodes, noConnection } from "./nodes.ts";
import { otherLeader } from "./other-leader.ts";
import {
  batchFaults,
  closedError,
  failBatch,
  failUnknown,
  queueFull,
  sessionOver,
  sessionUnknown,
  unansweredError,
  unsentError,
} from "./outcomes.ts";
import {
  type AppendPayload,
  type AppendTerms,
  type OutgoingBatch,
  PendingAppend,
  PendingQueue,
  type Placed,
} from "./pending-append.ts";
import type { Serials } from "./serials.ts";
import type { Settings } from "./settings.ts";

/** What the appenders of one log share. */
export interface AppenderContext {
  readonly nodes: Nodes;
  readonly settings: Settings;
  readonly hashing: Hashing;
  /** Empty between two calls. */
  readonly builder: BatchBuilder;
}

/**
 * Turns calls into batches and brings them to the leader, over one stream.
 *
 * Calls wait in one queue. At the end of a turn of the event loop, and at each answer, the front of the queue becomes batches,
 * as long as there is room in flight. Without a session a batch is sent once, and only what the leader surely refused comes back
 * to the queue's front. With a session each batch has a serial, and what has no answer when a stream ends is sent again as it
 * was, before anything new: so the log sees the session's batches in their order, whatever happens to the streams.
 */
export class Appender {
  readonly #context: AppenderContext;
  readonly #search: LeaderSearch;
  readonly #serials: Serials | undefined;
  readonly #purpose: AppendPurpose;
  readonly #waiting = new PendingQueue();
  /** A session's batches without an answer and without a stream, oldest first. */
  #again: OutgoingBatch[] = [];
  #stream: AppendStream | undefined;
  #seeking = false;
  /** The other nodes are being asked who leads. */
  #asking = false;
  #scheduled = false;
  /** Why nothing more is taken. */
  #closed: PaxlogError | undefined;
  #onIdle: (() => void)[] = [];
  readonly #ended = new AbortController();

  constructor(context: AppenderContext, serials?: Serials, purpose: AppendPurpose = "append") {
    this.#context = context;
    this.#search = new LeaderSearch(context.nodes);
    this.#serials = serials;
    this.#purpose = purpose;
  }

  /** Calls that have no serial yet. */
  get waitingCount(): number {
    return this.#waiting.length;
  }

  append(payload: AppendPayload, terms: AppendTerms): Promise<Placed> {
    const { signal } = terms;
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    if (signal?.aborted) {
      return Promise.reject(
        new PaxlogError("CANCELLED", "the signal was aborted before the call", { cause: signal.reason }),
      );
    }
    const { waitingAppends } = this.#context.settings;
    if (this.#waiting.length >= waitingAppends) return Promise.reject(queueFull(waitingAppends));
    const item = new PendingAppend(payload, terms);
    this.#waiting.push(item);
    this.#schedule();
    return item.promise;
  }

  /** Resolves when nothing waits and nothing is in flight. */
  idle(): Promise<void> {
    if (this.#isIdle) return Promise.resolve();
    return new Promise((resolve) => this.#onIdle.push(resolve));
  }

  /** Takes nothing more. What was called comes to its end, but what waits is refused with this error, where one is given. */
  stop(reason: PaxlogError, waiting: "goes on" | "fails"): void {
    this.#closed ??= reason;
    if (waiting === "fails") for (const item of this.#waiting.drain()) item.fail(reason);
    this.#schedule();
  }

  /** Lets what was called come to its end for at most so long; what is left then fails with CLOSED, or with the reason. */
  async close(graceMs: number, reason?: PaxlogError): Promise<void> {
    this.stop(closedError("none", reason), "goes on");
    const timeout = new AbortController();
    if (graceMs > 0) await Promise.race([this.idle(), pause(graceMs, timeout.signal)]);
    timeout.abort();
    this.#ended.abort();
    failUnknown(this.#stream?.cancel() ?? [], closedError("unknown", reason));
    failUnknown(this.#again, closedError("unknown", reason));
    this.#again = [];
    this.#stream = undefined;
    for (const item of this.#waiting.drain()) item.fail(closedError("none", reason));
    this.#tellIdle();
  }

  get #isIdle(): boolean {
    return !this.#hasWork && (this.#stream?.inFlightCount ?? 0) === 0;
  }

  /** Whether anything is to be sent. */
  get #hasWork(): boolean {
    return this.#again.length > 0 || this.#waiting.peek() !== undefined;
  }

  #tellIdle(): void {
    const callbacks = this.#onIdle;
    this.#onIdle = [];
    for (const callback of callbacks) callback();
  }

  /** The end of the turn: whoever calls in the meantime shares the batch. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    for (let count = 0; count < limits.clientBatchesPerTurn; count += 1) {
      if (!this.#hasWork) break;
      if (this.#stream === undefined) return void this.#seek();
      if (!this.#hasRoom(this.#stream)) return;
      const batch = this.#again.shift() ?? this.#takeBatch(this.#stream);
      if (batch !== undefined) this.#stream.send(batch);
    }
    if (this.#hasWork) this.#schedule();
    else if (this.#isIdle) this.#tellIdle();
  }

  #hasRoom(stream: AppendStream): boolean {
    const { inFlightCount, inFlightBytes } = stream;
    if (inFlightCount === 0) return true;
    // A node that may not lead gets one batch to refuse, not eight megabytes.
    if (!stream.proven) return false;
    const { settings } = this.#context;
    if (inFlightCount >= settings.inFlightBatches) return false;
    const again = this.#again[0];
    if (again !== undefined) return inFlightBytes + again.bytes.length <= settings.inFlightBytes;
    const next = this.#waiting.peek()!;
    if (inFlightBytes + next.sizeHint > settings.inFlightBytes) return false;
    if (this.#serials?.hasRoom(next.serial, stream.oldest) === false) return false;
    // What a call demands of the log it demands now: gathering would not make its batch larger.
    return (
      inFlightCount < limits.clientEagerBatches || next.alone || this.#waiting.sizeHint >= limits.clientGatherBytes
    );
  }

  /** The front of the queue as one batch; undefined where all of it was illegal. */
  #takeBatch(stream: AppendStream): OutgoingBatch | undefined {
    const { settings, builder } = this.#context;
    const sizeMax = Math.min(limits.clientBatchBytes, settings.inFlightBytes - stream.inFlightBytes);
    const items: PendingAppend[] = [];
    for (let item = this.#waiting.peek(); item !== undefined; item = this.#waiting.peek()) {
      const before = items[0];
      if (before !== undefined && !(item.fits(before) && builder.encodedSize + item.sizeHint <= sizeMax)) break;
      item.offset = builder.recordCount;
      try {
        if (item.payload.kind === "records" && !builder.addAll(item.payload.records)) break;
        items.push(item);
      } catch (error) {
        item.fail(toPaxlogError(error, "INVALID_ARGUMENT"));
      }
      this.#waiting.shift();
      if (item.alone && items.length > 0) break;
    }
    return items.length === 0 ? undefined : this.#outgoing(items);
  }

  #outgoing(items: readonly PendingAppend[]): OutgoingBatch {
    const { builder, hashing, settings } = this.#context;
    const { payload, guards: demanded, serial } = items[0]!;
    const recordCount = payload.kind === "batch" ? payload.recordCount : builder.recordCount;
    const bytes =
      payload.kind === "batch"
        ? payload.bytes
        : builder.finish(this.#purpose === "execute" ? undefined : settings.compressor);
    const guards = this.#serials === undefined ? demanded : { ...demanded, session: this.#serials.take(serial) };
    const crc32c = hashing.crc32c(bytes);
    return { bytes, crc32c, recordCount, items, guards, since: performance.now(), doubtful: false, stops: 0 };
  }

  /** Looks for a node to open a stream to, until there is one or nobody waits for it any more. */
  async #seek(): Promise<void> {
    if (this.#seeking) return;
    this.#seeking = true;
    const { nodes } = this.#context;
    while (!this.#ended.signal.aborted) {
      const leftMs = this.#expire();
      if (leftMs === undefined) break;
      const { address } = this.#search;
      if (await nodes.connected(address, Math.min(leftMs, limits.clientConnectMs), this.#ended.signal)) {
        if (!this.#ended.signal.aborted) this.#open(address);
        break;
      }
      if (this.#ended.signal.aborted) break;
      this.#search.failed(noConnection(address));
      await this.#search.pause(this.#expire() ?? 0, this.#ended.signal);
    }
    this.#seeking = false;
    this.#schedule();
  }

  /** Fails whoever has waited for a leader for too long. How long the next one may still wait; undefined if there is none. */
  #expire(): number | undefined {
    const { deadlineMs } = this.#context.settings;
    const { lost } = this.#search;
    if (lost === undefined) return this.#hasWork ? deadlineMs : undefined;
    // Time spent in the queue of a leader that worked does not count.
    const leftMs = (since: number) => Math.max(since, lost.since) + deadlineMs - performance.now();
    for (let batch = this.#again[0]; batch !== undefined; batch = this.#again[0]) {
      const left = leftMs(batch.since);
      if (left > 0) return left;
      failBatch(batch, batch.doubtful ? unansweredError(lost.error, deadlineMs) : unsentError(lost.error, deadlineMs));
      this.#again.shift();
    }
    for (let item = this.#waiting.peek(); item !== undefined; item = this.#waiting.peek()) {
      const left = leftMs(item.since);
      if (left > 0) return left;
      item.fail(unsentError(lost.error, deadlineMs));
      this.#waiting.shift();
    }
    return undefined;
  }

  #open(address: string): void {
    const { nodes, settings } = this.#context;
    const stream: AppendStream = new AppendStream(nodes.link(address), this.#purpose, settings.answerMs, {
      onAcknowledged: (batch, answer) => {
        this.#search.found();
        for (const item of batch.items) item.acknowledge(answer);
      },
      onRefused: (batch, error) => this.#onRefused(batch, error),
      // Callers who wait for their answer call again in this turn, so the next batch is made at its end.
      onAnswers: () => this.#schedule(),
      onQuiet: () => void this.#leaveForOther(stream, address),
      onEnd: (end) => void this.#onStreamEnd(end),
    });
    this.#stream = stream;
  }

  /** The leader's verdict on one batch; the stream goes on. */
  #onRefused(batch: OutgoingBatch, error: PaxlogError): void {
    this.#search.found();
    switch (error.code) {
      case "SESSION_OVERFLOW": {
        // Nothing of it was taken, and one behind it must not be taken first: all of them again, in order.
        const behind = this.#stream!.cancel();
        return void this.#onStreamEnd({ error, unknown: behind, refused: [] }, batch);
      }
      case "SESSION_UNKNOWN": {
        failBatch(batch, sessionUnknown(batch, error));
        // A serial that the library counted is not too old: the session itself is no more.
        if (batch.items[0]!.serial === undefined) this.stop(sessionOver(error), "fails");
        return;
      }
      default:
        failBatch(batch, error);
    }
  }

  async #onStreamEnd({ error, unknown, refused }: StreamEnd, first?: OutgoingBatch): Promise<void> {
    this.#stream = undefined;
    const atFault = batchFaults.has(error.code) && !this.#mayTakeElsewhere(error, refused[0]) ? refused[0] : undefined;
    // It is that one's own fault; those behind it were refused for being there.
    if (atFault !== undefined) failBatch(atFault, atFault.doubtful ? withOutcome(error, "unknown") : error);
    const rest = atFault === undefined ? refused : refused.slice(1);
    if (this.#serials === undefined) {
      failUnknown(unknown, error);
      this.#waiting.returnToFront(rest.flatMap((batch) => batch.items));
    } else {
      for (const batch of unknown) batch.doubtful = true;
      const unanswered = [...(first === undefined ? [] : [first]), ...unknown, ...rest, ...this.#again];
      this.#again = unanswered.filter((batch) => batch.items.some((item) => !item.settled));
    }
    if (atFault === undefined) {
      this.#search.failed(error);
      this.#seeking = true;
      await this.#search.pause(this.#expire() ?? 0, this.#ended.signal);
      this.#seeking = false;
    }
    this.#schedule();
  }

  /**
   * A machine that stopped on one node, which need not be the leader any more, may go on at others: the leadership goes where it does.
   * As often as there are nodes; without a session nothing counts how often a batch was refused.
   */
  #mayTakeElsewhere({ code }: PaxlogError, batch: OutgoingBatch | undefined): boolean {
    if (code !== "MACHINE_STOPPED" || batch === undefined || this.#serials === undefined) return false;
    batch.stops += 1;
    return batch.stops < this.#context.nodes.addresses.length;
  }

  /** A leader that answers nothing may be frozen or cut off, and its connection will not say so: the others know. */
  async #leaveForOther(stream: AppendStream, address: string): Promise<void> {
    if (this.#asking || this.#context.nodes.addresses.length === 1) return;
    this.#asking = true;
    const leader = await otherLeader(this.#context.nodes, address, limits.clientQuietMs);
    this.#asking = false;
    if (leader === undefined || this.#stream !== stream || stream.quietMs < limits.clientQuietMs) return;
    const message = `${address} answers nothing and ${leader} leads now: what was sent may be in the log`;
    stream.abandon(new PaxlogError("LEADER_LOST", message, { outcome: "unknown", facts: { address, leader } }));
  }
}
