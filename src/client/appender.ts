import { type ErrorCode, PaxlogError, toPaxlogError } from "../base/errors.ts";
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import { BatchBuilder } from "../format/batch-encode.ts";
import { pause, retryDelay } from "./abort.ts";
import { AppendStream, failUnknown, type StreamEnd } from "./append-stream.ts";
import { type Nodes, noConnection } from "./nodes.ts";
import { type AppendPayload, type OutgoingBatch, PendingAppend, PendingQueue, type Placed } from "./pending-append.ts";
import type { Settings } from "./settings.ts";

/** What is wrong with a batch wherever it is sent. Anything else that refuses it is the node's trouble. */
const batchFaults: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "INVALID_ARGUMENT",
  "RECORD_TOO_LARGE",
  "BATCH_TOO_LARGE",
  "BATCH_MALFORMED",
  "CHECKSUM_MISMATCH",
  "UNKNOWN_LOG",
]);

/**
 * Turns calls into batches and brings them to the leader.
 *
 * Calls wait in one queue. At the end of a turn of the event loop, and at each answer, the front of the queue becomes batches,
 * as long as there is room in flight. A batch is sent once; only what the leader surely refused comes back to the queue's front.
 */
export class Appender {
  readonly #nodes: Nodes;
  readonly #settings: Settings;
  readonly #hashing: Hashing;
  readonly #waiting = new PendingQueue();
  readonly #builder = new BatchBuilder();
  #stream: AppendStream | undefined;
  /** Where to look for the leader next. */
  #address: string;
  /** Attempts in a row that brought no acknowledgement. */
  #failures = 0;
  /** Attempts in a row that went where a refusal pointed to. */
  #hops = 0;
  /** Why there is no leader, and since when; undefined from an acknowledgement to the next failure. */
  #lost: { readonly error: PaxlogError; readonly since: number } | undefined;
  #seeking = false;
  #scheduled = false;
  #closed = false;
  #onIdle: (() => void) | undefined;
  readonly #ended = new AbortController();

  constructor(nodes: Nodes, settings: Settings, hashing: Hashing) {
    this.#nodes = nodes;
    this.#settings = settings;
    this.#hashing = hashing;
    this.#address = nodes.addresses[0]!;
  }

  append(payload: AppendPayload, signal: AbortSignal | undefined): Promise<Placed> {
    if (this.#closed) return Promise.reject(closedError("none"));
    if (signal?.aborted) {
      return Promise.reject(
        new PaxlogError("CANCELLED", "the signal was aborted before the call", { cause: signal.reason }),
      );
    }
    const item = new PendingAppend(payload, signal);
    this.#waiting.push(item);
    this.#schedule();
    return item.promise;
  }

  /** Lets what was called come to its end for at most so long; what is left then fails with CLOSED. */
  async close(graceMs: number): Promise<void> {
    this.#closed = true;
    if (!this.#idle) {
      const idle = new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
      const timeout = new AbortController();
      await Promise.race([idle, pause(graceMs, timeout.signal)]);
      timeout.abort();
    }
    this.#ended.abort();
    failUnknown(this.#stream?.cancel() ?? [], closedError("unknown"));
    this.#stream = undefined;
    for (const item of this.#waiting.drain()) item.fail(closedError("none"));
  }

  get #idle(): boolean {
    return this.#waiting.peek() === undefined && (this.#stream?.inFlightCount ?? 0) === 0;
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
      if (this.#waiting.peek() === undefined) break;
      if (this.#stream === undefined) return void this.#seek();
      if (!this.#hasRoom(this.#stream)) return;
      const batch = this.#takeBatch(this.#stream);
      if (batch !== undefined) this.#stream.send(batch);
    }
    if (this.#waiting.peek() !== undefined) this.#schedule();
    else if (this.#idle) this.#onIdle?.();
  }

  #hasRoom(stream: AppendStream): boolean {
    const { inFlightCount, inFlightBytes } = stream;
    if (inFlightCount === 0) return true;
    // A node that may not lead gets one batch to refuse, not eight megabytes.
    if (!stream.proven) return false;
    if (inFlightCount >= this.#settings.inFlightBatches) return false;
    if (inFlightBytes + this.#waiting.peek()!.sizeHint > this.#settings.inFlightBytes) return false;
    return inFlightCount < limits.clientEagerBatches || this.#waiting.sizeHint >= limits.clientGatherBytes;
  }

  /** The front of the queue as one batch; undefined where all of it was illegal. */
  #takeBatch(stream: AppendStream): OutgoingBatch | undefined {
    const sizeMax = Math.min(limits.clientBatchBytes, this.#settings.inFlightBytes - stream.inFlightBytes);
    const items: PendingAppend[] = [];
    for (let item = this.#waiting.peek(); item !== undefined; item = this.#waiting.peek()) {
      if (item.payload.kind === "batch") {
        if (items.length > 0) break;
        this.#waiting.shift();
        item.offset = 0;
        return this.#outgoing(item.payload.bytes, item.payload.recordCount, [item]);
      }
      if (items.length > 0 && this.#builder.encodedSize + item.sizeHint > sizeMax) break;
      item.offset = this.#builder.recordCount;
      try {
        if (!this.#builder.addAll(item.payload.records)) break;
        items.push(item);
      } catch (error) {
        item.fail(toPaxlogError(error, "INVALID_ARGUMENT"));
      }
      this.#waiting.shift();
    }
    if (items.length === 0) return undefined;
    const recordCount = this.#builder.recordCount;
    return this.#outgoing(this.#builder.finish(), recordCount, items);
  }

  #outgoing(bytes: Uint8Array, recordCount: number, items: readonly PendingAppend[]): OutgoingBatch {
    return { bytes, crc32c: this.#hashing.crc32c(bytes), recordCount, items };
  }

  /** Looks for a node to open a stream to, until there is one or nobody waits for it any more. */
  async #seek(): Promise<void> {
    if (this.#seeking) return;
    this.#seeking = true;
    while (!this.#ended.signal.aborted) {
      const leftMs = this.#expire();
      if (leftMs === undefined) break;
      const address = this.#address;
      if (await this.#nodes.connected(address, Math.min(leftMs, limits.clientConnectMs), this.#ended.signal)) {
        if (!this.#ended.signal.aborted) this.#open(address);
        break;
      }
      if (this.#ended.signal.aborted) break;
      this.#fail(noConnection(address));
      this.#address = this.#nodes.after(address);
      await this.#delay("elsewhere");
    }
    this.#seeking = false;
    this.#schedule();
  }

  #fail(error: PaxlogError): void {
    this.#failures += 1;
    this.#lost = { error, since: this.#lost?.since ?? performance.now() };
  }

  /** Fails whoever has waited for a leader for too long. How long the next one may still wait; undefined if there is none. */
  #expire(): number | undefined {
    for (let item = this.#waiting.peek(); item !== undefined; item = this.#waiting.peek()) {
      if (this.#lost === undefined) return this.#settings.deadlineMs;
      // Time spent in the queue of a leader that worked does not count.
      const leftMs = Math.max(item.since, this.#lost.since) + this.#settings.deadlineMs - performance.now();
      if (leftMs > 0) return leftMs;
      item.fail(unsentError(this.#lost.error, this.#settings.deadlineMs));
      this.#waiting.shift();
    }
    return undefined;
  }

  /** Pauses before the next attempt: not where a refusal named the leader, and not before every node was tried once. */
  async #delay(next: "pointed" | "elsewhere" | "same"): Promise<void> {
    this.#hops = next === "pointed" ? this.#hops + 1 : 0;
    if (next === "pointed" && this.#hops <= 2) return;
    const round = next === "same" ? this.#failures : Math.floor(this.#failures / this.#nodes.addresses.length);
    const leftMs = this.#expire();
    if (round === 0 || leftMs === undefined) return;
    const delayMs = retryDelay(round - 1, limits.clientRetryMsFirst, limits.clientRetryMsMax);
    await pause(Math.min(leftMs, delayMs), this.#ended.signal);
  }

  #open(address: string): void {
    this.#stream = new AppendStream(this.#nodes.link(address), this.#settings.answerMs, {
      onAcknowledged: (batch, answer) => {
        this.#failures = 0;
        this.#hops = 0;
        this.#lost = undefined;
        for (const item of batch.items) item.acknowledge(answer.firstPosition, answer.time);
      },
      // Callers who wait for their answer call again in this turn, so the next batch is made at its end.
      onAnswers: () => this.#schedule(),
      onEnd: (end) => void this.#onStreamEnd(address, end),
    });
  }

  async #onStreamEnd(address: string, { error, unknown, refused }: StreamEnd): Promise<void> {
    this.#stream = undefined;
    failUnknown(unknown, error);
    const [first, ...behind] = refused;
    if (first !== undefined && batchFaults.has(error.code)) {
      // It is the first one's own fault; those behind it were refused for being there.
      for (const item of first.items) item.fail(error);
      this.#waiting.returnToFront(behind.flatMap((batch) => batch.items));
      return this.#schedule();
    }
    this.#waiting.returnToFront(refused.flatMap((batch) => batch.items));
    this.#fail(error);
    const leader = error.facts.leader;
    const pointed = typeof leader === "string" && leader !== address && this.#nodes.learn(leader);
    const same = error.code === "OVERLOADED";
    if (pointed) this.#address = leader;
    else if (!same) this.#address = this.#nodes.after(address);
    this.#seeking = true;
    await this.#delay(pointed ? "pointed" : same ? "same" : "elsewhere");
    this.#seeking = false;
    this.#schedule();
  }
}

/** For a caller whose records were never taken by a leader. */
function unsentError(last: PaxlogError, deadlineMs: number): PaxlogError {
  const code = last.outcome === "none" ? last.code : "UNAVAILABLE";
  const message = `no leader took the records within ${deadlineMs} ms; nothing was written. At last: ${last.message}`;
  return new PaxlogError(code, message, { outcome: "none", facts: last.facts, cause: last });
}

function closedError(outcome: "none" | "unknown"): PaxlogError {
  const ending =
    outcome === "unknown" ? "before the answer came: the records may be in the log" : "nothing was written";
  return new PaxlogError("CLOSED", `the log was closed; ${ending}`, { outcome });
}
