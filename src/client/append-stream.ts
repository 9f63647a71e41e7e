import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import { defaultLogId } from "../base/types.ts";
import type { CallEnd } from "./call.ts";
import type { AppendAnswer, AppendCall, AppendCallHandlers, NodeLink } from "./node-link.ts";
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
  onAcknowledged(batch: OutgoingBatch, answer: AppendAnswer): void;
  /** A guard or the session refused this batch; the stream goes on, and those behind are judged for themselves. */
  onRefused(batch: OutgoingBatch, error: PaxlogError): void;
  /** After the last answer of one message from the node. */
  onAnswers(): void;
  /** Nothing was heard for `limits.clientQuietMs` although something is in flight. Again after as long a time. */
  onQuiet(): void;
  /** Exactly once; not after `cancel`. */
  onEnd(end: StreamEnd): void;
}

/** What a stream is for: with "execute" each batch is answered once its commands are applied, with their replies. */
export type AppendPurpose = "append" | "execute";

/**
 * One AppendStream, or ExecuteStream, to one node: sends batches without waiting, matches answers to them in order, and says at the
 * end what is known of the rest.
 */
export class AppendStream {
  readonly #address: string;
  readonly #call: AppendCall;
  readonly #handlers: StreamHandlers;
  readonly #answerMs: number;
  #inFlight: OutgoingBatch[] = [];
  #inFlightBytes = 0;
  #answeredCount = 0;
  #ended = false;
  /** When something was last heard, or sent after everything had been answered. */
  #heardAt = 0;
  #watch: NodeJS.Timeout | undefined;

  constructor(link: NodeLink, purpose: AppendPurpose, answerMs: number, handlers: StreamHandlers) {
    this.#address = link.address;
    this.#answerMs = answerMs;
    this.#handlers = handlers;
    const calls: AppendCallHandlers = {
      onAnswers: (answers, refused) => this.#onAnswers(answers, refused),
      onEnd: (end) => this.#onEnd(end),
    };
    this.#call = purpose === "execute" ? link.openExecute(calls) : link.openAppend(calls);
  }

  get inFlightCount(): number {
    return this.#inFlight.length;
  }

  get inFlightBytes(): number {
    return this.#inFlightBytes;
  }

  /** How long nothing was heard although something is in flight. */
  get quietMs(): number {
    return this.#inFlight.length === 0 ? 0 : performance.now() - this.#heardAt;
  }

  /** The oldest batch without an answer. */
  get oldest(): OutgoingBatch | undefined {
    return this.#inFlight[0];
  }

  /** True once this node gave an answer that only a leader gives: from then on more than one batch may be sent at a time. */
  get proven(): boolean {
    return this.#answeredCount > 0;
  }

  send(batch: OutgoingBatch): void {
    if (this.#inFlight.length === 0) this.#heardAt = performance.now();
    this.#inFlight.push(batch);
    this.#inFlightBytes += batch.bytes.length;
    for (const item of batch.items) item.sent = true;
    const { bytes, crc32c, guards } = batch;
    // What a guard refuses is no business of the calls behind it, so the stream shall go on.
    this.#call.send({ logId: defaultLogId, batch: bytes, crc32c, guards, independent: guards !== undefined });
    // What is in flight keeps the process alive; what only watches it must not.
    this.#watch ??= setTimeout(() => this.#check(), Math.min(limits.clientQuietMs, this.#answerMs)).unref();
  }

  /** Ends the stream; what was in flight is returned and no handler hears of it. */
  cancel(): readonly OutgoingBatch[] {
    this.#ended = true;
    this.#stop();
    this.#call.cancel();
    return this.#takeInFlight();
  }

  /** Gives the stream up although the node did not end it: everything in flight has an unknown fate. */
  abandon(error: PaxlogError): void {
    if (this.#ended) return;
    this.#call.cancel();
    this.#finish(error, this.#inFlight.length);
  }

  #onAnswers(answers: readonly AppendAnswer[], refused: PaxlogError | undefined): void {
    if (this.#ended) return;
    this.#heardAt = performance.now();
    let count = 0;
    for (const answer of answers) {
      const batch = this.#inFlight[count];
      const fits = batch?.recordCount === answer.recordCount;
      if (batch === undefined || !(fits || batch.guards?.session !== undefined)) {
        this.#inFlight.splice(0, count);
        return this.#distrust("an answer that fits nothing that was sent");
      }
      count += 1;
      this.#answered(batch);
      if (fits) this.#handlers.onAcknowledged(batch, answer);
      else this.#handlers.onRefused(batch, serialReused(batch, answer));
    }
    this.#inFlight.splice(0, count);
    if (refused !== undefined) {
      const batch = this.#inFlight.shift();
      if (batch === undefined) return this.#distrust("a refusal of nothing that was sent");
      this.#answered(batch);
      this.#handlers.onRefused(batch, refused);
    }
    this.#handlers.onAnswers();
  }

  #answered(batch: OutgoingBatch): void {
    this.#answeredCount += 1;
    this.#inFlightBytes -= batch.bytes.length;
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
    const answered = error.facts.acknowledged;
    if (typeof answered !== "number" || answered < this.#answeredCount) return this.#inFlight.length;
    return Math.min(this.#inFlight.length, answered - this.#answeredCount);
  }

  /** A connected node that answers nothing: its clients must not wait for ever. */
  #check(): void {
    this.#watch = undefined;
    if (this.#inFlight.length === 0) return;
    const { quietMs } = this;
    if (quietMs >= this.#answerMs) {
      const message = `${this.#address} answered no append for ${this.#answerMs} ms: the cluster may have lost its majority`;
      return this.abandon(new PaxlogError("DEADLINE_EXCEEDED", message, { facts: { address: this.#address } }));
    }
    const untilQuiet = quietMs < limits.clientQuietMs ? limits.clientQuietMs - quietMs : limits.clientQuietMs;
    this.#watch = setTimeout(() => this.#check(), Math.min(untilQuiet, this.#answerMs - quietMs)).unref();
    if (quietMs >= limits.clientQuietMs) this.#handlers.onQuiet();
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

/** The log has the answer of another batch under this serial, so it took this one for a retry. */
function serialReused(batch: OutgoingBatch, answer: AppendAnswer): PaxlogError {
  const { serial = 0 } = batch.guards?.session ?? {};
  const position = answer.firstPosition;
  const message = `serial ${serial} stands for other records, at position ${position}: nothing was written. Use a new serial`;
  return new PaxlogError("INVALID_ARGUMENT", message, { facts: { serial, position } });
}
