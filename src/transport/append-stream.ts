import type { ServerDuplexStream } from "@grpc/grpc-js";
import { PaxlogError } from "../base/errors.ts";
import { type AppendResponse, appendStreamRequestCodec, appendStreamResponseCodec } from "../format/api-codec.ts";
import { checkAppend } from "./append-check.ts";
import type { AppendResult, CheckedBatch } from "./backend.ts";
import { CallSignal, closedError, publicError, type ServiceContext, serviceError } from "./service-context.ts";

/**
 * One AppendStream: many batches in order, none waits for another's answer, answers in order. Of what was sent a prefix is in
 * the log: after the first failure nothing more is handed on, and the stream ends with that failure once everything that was
 * handed on before has its answer. The failure's outcome speaks for all that was not acknowledged: it is "none" only if every
 * one of them is known to be refused. How many were acknowledged stands in its facts, since gRPC libraries drop answers that
 * arrive together with an error.
 *
 * Bounded by the backend's room: while there is none, and while the caller does not take its answers, nothing is read.
 */
export class AppendStream {
  readonly #call: ServerDuplexStream<Buffer, Buffer>;
  readonly #context: ServiceContext;
  readonly #gone: CallSignal;
  /** A checked batch for which there was no room yet. */
  #held: CheckedBatch | undefined;
  /** Handed to the backend and not answered. */
  #unanswered = 0;
  #acknowledgedCount = 0;
  /** Answers that go out together: all that the backend gives in one go. */
  #answers: AppendResponse[] = [];
  #flushScheduled = false;
  /** The first answer that was a failure. */
  #failure: PaxlogError | undefined;
  /** Why nothing more is taken: a bad request, or a server that closes. It counts unless something before it failed. */
  #refusal: PaxlogError | undefined;
  /** Something behind the failure was not simply refused. */
  #doubt = false;
  #halfClosed = false;
  #over = false;

  constructor(context: ServiceContext, call: ServerDuplexStream<Buffer, Buffer>) {
    this.#context = context;
    this.#call = call;
    this.#gone = new CallSignal(call, context.closing);
    this.#gone.signal.addEventListener("abort", () => this.#aborted());
    call.on("data", (bytes: Buffer) => this.#take(bytes));
    call.on("end", () => {
      this.#halfClosed = true;
      this.#finishIfDone();
    });
    call.on("drain", () => this.#goOn());
    if (this.#gone.signal.aborted) this.#aborted();
  }

  get #takesMore(): boolean {
    return !this.#over && this.#failure === undefined && this.#refusal === undefined;
  }

  #take(bytes: Buffer): void {
    if (!this.#takesMore) return;
    try {
      this.#held = checkAppend(appendStreamRequestCodec.decode(bytes), this.#context.hashing);
    } catch (cause) {
      return this.#refuse(publicError(cause, this.#context.log));
    }
    this.#goOn();
  }

  /** Hands on what is held when there is room, and reads on. Called again whenever something of it may have changed. */
  #goOn(): void {
    if (!this.#takesMore) return;
    const { backend } = this.#context;
    if (this.#held !== undefined && !backend.hasRoom()) {
      this.#call.pause();
      // Others may have taken the room by then, so it is asked for again.
      backend.whenRoom(() => this.#goOn());
      return;
    }
    const batch = this.#held;
    this.#held = undefined;
    if (batch !== undefined) {
      this.#unanswered += 1;
      backend.append(batch, (result) => this.#answered(result));
    }
    if (this.#call.writableNeedDrain) this.#call.pause();
    else this.#call.resume();
  }

  #answered(result: AppendResult): void {
    this.#unanswered -= 1;
    if (this.#failure === undefined && result.kind === "acknowledged") this.#acknowledge(result);
    else if (result.kind === "acknowledged") this.#doubt = true;
    else if (this.#failure === undefined) this.#failure = result.error;
    else if (result.error.outcome === "unknown") this.#doubt = true;
    this.#finishIfDone();
  }

  #acknowledge(answer: AppendResponse): void {
    if (this.#over) return;
    this.#acknowledgedCount += 1;
    this.#answers.push(answer);
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    this.#flushScheduled = false;
    if (this.#over || this.#answers.length === 0) return;
    const acknowledged = this.#answers;
    this.#answers = [];
    if (!this.#call.write(appendStreamResponseCodec.encode({ acknowledged }))) this.#call.pause();
  }

  #refuse(error: PaxlogError): void {
    this.#refusal ??= error;
    this.#held = undefined;
    // What the caller still sends is thrown away: it has to be read for the stream to end.
    this.#call.resume();
    this.#finishIfDone();
  }

  #aborted(): void {
    if (this.#context.closing.aborted) return this.#refuse(closedError());
    this.#over = true;
    this.#held = undefined;
    this.#answers = [];
  }

  #finishIfDone(): void {
    if (this.#over || this.#unanswered > 0 || this.#held !== undefined) return;
    const error = this.#failure ?? this.#refusal;
    if (error === undefined && !this.#halfClosed) return;
    this.#flush();
    this.#over = true;
    this.#gone.dispose();
    if (error === undefined) this.#call.end();
    else this.#call.emit("error", serviceError(this.#final(error), this.#context.log));
  }

  /** The error as it ends the stream. */
  #final(error: PaxlogError): PaxlogError {
    return new PaxlogError(error.code, error.message, {
      cause: error,
      outcome: this.#doubt ? "unknown" : error.outcome,
      retryable: error.retryable,
      facts: { ...error.facts, acknowledged: this.#acknowledgedCount },
    });
  }
}
