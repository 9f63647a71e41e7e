import { PaxlogError } from "../base/errors.ts";
import { defaultLogId } from "../base/types.ts";
import type { AppendResponse } from "../format/api-codec.ts";
import type { CallEnd } from "./call.ts";
import type { AppendCall, NodeLink } from "./node-link.ts";
import type { OutgoingBatch } from "./pending-append.ts";

/** How a stream ended, and what became of the batches without an answer: each is in exactly one of the two lists. */
export interface StreamEnd {
  readonly error: PaxlogError;
  /** Sent, in order, and nobody knows whether they are or will be in the log. */
  readonly unknown: readonly OutgoingBatch[];
  /** In order; refused, or certain to be behind what was refused: not in the log, and they never will be by this stream. */
  readonly refused: readonly OutgoingBatch[];
}

export interface StreamHandlers {
  onAcknowledged(batch: OutgoingBatch, answer: AppendResponse): void;
  /** After the last answer of one message from the node. */
  onAnswers(): void;
  /** Exactly once; not after `cancel`. */
  onEnd(end: StreamEnd): void;
}

/**
 * One AppendStream to one node: sends batches without waiting, matches answers to them in order, and says at the end what is
 * known of the rest.
 */
export class AppendStream {
  readonly #address: string;
  readonly #call: AppendCall;
  readonly #handlers: StreamHandlers;
  readonly #answerMs: number;
  #inFlight: OutgoingBatch[] = [];
  #inFlightBytes = 0;
  #acknowledgedCount = 0;
  #ended = false;
  /** When something was last heard, or sent after everything had been answered. */
  #heardAt = 0;
  #watch: NodeJS.Timeout | undefined;

  constructor(link: NodeLink, answerMs: number, handlers: StreamHandlers) {
    this.#address = link.address;
    this.#answerMs = answerMs;
    this.#handlers = handlers;
    this.#call = link.openAppend({
      onAnswers: (answers) => this.#onAnswers(answers),
      onEnd: (end) => this.#onEnd(end),
    });
  }

  get inFlightCount(): number {
    return this.#inFlight.length;
  }

  get inFlightBytes(): number {
    return this.#inFlightBytes;
  }

  /** True once this node acknowledged something: it leads, and more than one batch may be sent at a time. */
  get proven(): boolean {
    return this.#acknowledgedCount > 0;
  }

  send(batch: OutgoingBatch): void {
    if (this.#inFlight.length === 0) this.#heardAt = performance.now();
    this.#inFlight.push(batch);
    this.#inFlightBytes += batch.bytes.length;
    for (const item of batch.items) item.sent = true;
    this.#call.send({ logId: defaultLogId, batch: batch.bytes, crc32c: batch.crc32c });
    // What is in flight keeps the process alive; what only watches it must not.
    this.#watch ??= setTimeout(() => this.#check(), this.#answerMs).unref();
  }

  /** Ends the stream; what was in flight is returned and no handler hears of it. */
  cancel(): readonly OutgoingBatch[] {
    this.#ended = true;
    this.#stop();
    this.#call.cancel();
    return this.#takeInFlight();
  }

  #onAnswers(answers: readonly AppendResponse[]): void {
    if (this.#ended) return;
    this.#heardAt = performance.now();
    let count = 0;
    for (const answer of answers) {
      const batch = this.#inFlight[count];
      if (batch === undefined || batch.recordCount !== answer.recordCount) {
        this.#inFlight.splice(0, count);
        return this.#distrust("an answer that fits nothing that was sent");
      }
      count += 1;
      this.#acknowledgedCount += 1;
      this.#inFlightBytes -= batch.bytes.length;
      this.#handlers.onAcknowledged(batch, answer);
    }
    this.#inFlight.splice(0, count);
    this.#handlers.onAnswers();
  }

  #onEnd(end: CallEnd): void {
    if (this.#ended) return;
    this.#finish(end.error ?? this.#unavailable("ended the stream"), this.#refusedFrom(end));
  }

  /**
   * From which batch on everything unanswered is known to be refused. Answers that came together with the error may have been
   * dropped by gRPC on the way, so a refusal is believed only where the node says how many it acknowledged.
   */
  #refusedFrom({ error, typed }: CallEnd): number {
    if (!typed || error?.outcome !== "none") return this.#inFlight.length;
    const acknowledged = error.facts.acknowledged;
    if (typeof acknowledged !== "number" || acknowledged < this.#acknowledgedCount) return this.#inFlight.length;
    return Math.min(this.#inFlight.length, acknowledged - this.#acknowledgedCount);
  }

  /** A connected node that answers nothing: its clients must not wait for ever. */
  #check(): void {
    this.#watch = undefined;
    if (this.#inFlight.length === 0) return;
    const silentMs = performance.now() - this.#heardAt;
    if (silentMs < this.#answerMs) {
      this.#watch = setTimeout(() => this.#check(), this.#answerMs - silentMs).unref();
      return;
    }
    this.#call.cancel();
    const message = `${this.#address} answered no append for ${this.#answerMs} ms: the cluster may have lost its majority`;
    const error = new PaxlogError("DEADLINE_EXCEEDED", message, { facts: { address: this.#address } });
    this.#finish(error, this.#inFlight.length);
  }

  #distrust(what: string): void {
    this.#call.cancel();
    this.#finish(this.#unavailable(`sent ${what}`), this.#inFlight.length);
  }

  #unavailable(what: string): PaxlogError {
    return new PaxlogError("UNAVAILABLE", `${this.#address} ${what}`, { facts: { address: this.#address } });
  }

  #finish(error: PaxlogError, refusedFrom: number): void {
    this.#ended = true;
    this.#stop();
    const rest = this.#takeInFlight();
    this.#handlers.onEnd({ error, unknown: rest.slice(0, refusedFrom), refused: rest.slice(refusedFrom) });
  }

  #takeInFlight(): readonly OutgoingBatch[] {
    const rest = this.#inFlight;
    this.#inFlight = [];
    this.#inFlightBytes = 0;
    return rest;
  }

  #stop(): void {
    clearTimeout(this.#watch);
    this.#watch = undefined;
  }
}

/** For the callers of a batch whose fate nobody knows. */
export function failUnknown(batches: readonly OutgoingBatch[], cause: PaxlogError): void {
  const error = cause.outcome === "unknown" ? cause : unknownError(cause);
  for (const batch of batches) for (const item of batch.items) item.fail(error);
}

/** What is told of a refusal is true of what was refused only; to the rest it means that their answers were lost. */
function unknownError(cause: PaxlogError): PaxlogError {
  const code = cause.code === "DEADLINE_EXCEEDED" || cause.code === "CLOSED" ? cause.code : "UNAVAILABLE";
  const message = `${cause.message}; the records were sent before and may be in the log: read it to find out`;
  return new PaxlogError(code, message, { outcome: "unknown", facts: cause.facts, cause });
}
