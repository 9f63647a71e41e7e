import type { ServerDuplexStream } from "@grpc/grpc-js";
import type { PaxlogError } from "../base/errors.ts";
import { appendStreamRequestCodec, appendStreamResponseCodec } from "../format/api-codec.ts";
import { type CheckedAppend, checkAppend } from "./append-check.ts";
import { AppendSequence, type OrderAppend } from "./append-sequence.ts";
import type { AcknowledgedAppend } from "./backend.ts";
import { CallSignal, closedError, publicError, type ServiceContext, serviceError } from "./service-context.ts";

/** What one kind of stream does with its messages. */
export interface AppendStreamKind<Append extends CheckedAppend, Acknowledged extends AcknowledgedAppend> {
  /** @throws PaxlogError for a request that must not be handed on. */
  check(bytes: Buffer): Append;
  readonly order: OrderAppend<Append, Acknowledged>;
  encode(acknowledged: readonly Acknowledged[], refused: PaxlogError | undefined): Buffer;
}

/** AppendStream of LogService. */
export const plainAppends = (context: ServiceContext): AppendStreamKind<CheckedAppend, AcknowledgedAppend> => ({
  check: (bytes) => checkAppend(appendStreamRequestCodec.decode(bytes), context),
  order: ({ batch, guards }, done, order) => context.backend.append(batch, guards, done, order),
  encode: (acknowledged, refused) => appendStreamResponseCodec.encode({ acknowledged, refused }),
});

/**
 * One AppendStream, or another stream of its kind: many batches in order, none waits for another's answer, answers in order. After
 * the first failure nothing more is handed on, and the stream ends with that failure once everything that was handed on before has
 * its answer.
 *
 * Bounded by the backend's room: while there is none, and while the caller does not take its answers, nothing is read.
 */
export class AppendStream<Append extends CheckedAppend, Acknowledged extends AcknowledgedAppend> {
  readonly #kind: AppendStreamKind<Append, Acknowledged>;
  readonly #call: ServerDuplexStream<Buffer, Buffer>;
  readonly #context: ServiceContext;
  readonly #gone: CallSignal;
  readonly #sequence: AppendSequence<Append, Acknowledged>;
  /** A checked append for which there was no room yet. */
  #held: Append | undefined;
  /** Answers that go out together at the end of this turn. */
  #answers: Acknowledged[] = [];
  #flushScheduled = false;
  /** Why nothing more is taken: a bad request, or a server that closes. It counts unless something before it failed. */
  #refusal: PaxlogError | undefined;
  #halfClosed = false;
  #over = false;
  readonly #settled = () => this.#finishIfDone();

  constructor(
    context: ServiceContext,
    call: ServerDuplexStream<Buffer, Buffer>,
    kind: AppendStreamKind<Append, Acknowledged>,
  ) {
    this.#context = context;
    this.#call = call;
    this.#kind = kind;
    this.#sequence = new AppendSequence(kind.order, {
      acknowledged: (answer) => this.#acknowledge(answer),
      refused: (error) => this.#flush(error),
    });
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
    return !this.#over && !this.#sequence.failed && this.#refusal === undefined;
  }

  #take(bytes: Buffer): void {
    if (!this.#takesMore) return;
    try {
      this.#held = this.#kind.check(bytes);
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
    const append = this.#held;
    this.#held = undefined;
    if (append !== undefined) this.#sequence.append(append, this.#settled);
    if (this.#call.writableNeedDrain) this.#call.pause();
    else this.#call.resume();
  }

  #acknowledge(answer: Acknowledged): void {
    if (this.#over) return;
    this.#answers.push(answer);
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    setImmediate(() => {
      this.#flushScheduled = false;
      this.#flush();
    });
  }

  /** Sends the answers that wait, and behind them a refusal. */
  #flush(refused?: PaxlogError): void {
    if (this.#over || (this.#answers.length === 0 && refused === undefined)) return;
    const acknowledged = this.#answers;
    this.#answers = [];
    if (!this.#call.write(this.#kind.encode(acknowledged, refused))) this.#call.pause();
  }

  #refuse(error: PaxlogError): void {
    this.#refusal ??= error;
    this.#takeNoMore();
    this.#finishIfDone();
  }

  /** What the caller still sends is thrown away: it has to be read for the stream to end. */
  #takeNoMore(): void {
    this.#held = undefined;
    this.#call.resume();
  }

  #aborted(): void {
    if (this.#context.closing.aborted) return this.#refuse(closedError());
    this.#over = true;
    this.#held = undefined;
    this.#answers = [];
  }

  #finishIfDone(): void {
    if (this.#over) return;
    if (this.#sequence.failed) this.#takeNoMore();
    if (this.#sequence.unansweredCount > 0 || this.#held !== undefined) return;
    const error = this.#sequence.failure(this.#refusal);
    if (error === undefined && !this.#halfClosed) return;
    this.#flush();
    this.#over = true;
    this.#gone.dispose();
    if (error === undefined) this.#call.end();
    else this.#call.emit("error", serviceError(error, this.#context.log));
  }
}
