import type { ServerWritableStream } from "@grpc/grpc-js";
import { assert } from "../base/assert.ts";
import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import { firstPosition, type Position } from "../base/types.ts";
import { type ReadRequest, type ReadResponse, readRequestCodec, readResponseCodec } from "../format/api-codec.ts";
import type { StoredBatch } from "./backend.ts";
import { CallSignal, checkLogId, requestOf, type ServiceContext, serviceError } from "./service-context.ts";

/**
 * One Read: history from a position on, then, if it follows, whatever comes. Whole batches are sent; the reader skips what it
 * did not ask for. A reader that does not take its bytes stops the reading: at most limits.readerBufferBytes and one message
 * wait for it, everything else stays in the log.
 */
export class ReadStream {
  readonly #call: ServerWritableStream<Buffer, Buffer>;
  readonly #context: ServiceContext;
  readonly #gone: CallSignal;
  /** The next position to send. */
  #position: Position = firstPosition;
  /** Records that may still be sent. */
  #remaining = Number.POSITIVE_INFINITY;
  #saidCaughtUp = false;
  /** Written and not yet taken by the socket. */
  #waitingBytes = 0;
  #wake: (() => void) | undefined;

  constructor(context: ServiceContext, call: ServerWritableStream<Buffer, Buffer>) {
    this.#context = context;
    this.#call = call;
    this.#gone = new CallSignal(call, context.closing);
    this.#gone.signal.addEventListener("abort", () => this.#wake?.());
  }

  /** Serves the call to its end. Never rejects. */
  async serve(): Promise<void> {
    const stopListening = this.#context.backend.onTail(() => this.#wake?.());
    try {
      const request = requestOf(readRequestCodec.decode(this.#call.request));
      await this.#send(request, await this.#begin(request));
      this.#call.end();
    } catch (cause) {
      this.#call.emit("error", serviceError(cause, this.#context.log));
    } finally {
      stopListening();
      this.#gone.dispose();
    }
  }

  /** Checks the request and waits until it can be answered as fresh as it asks. The end of what a read without follow sends. */
  async #begin(request: ReadRequest): Promise<Position> {
    const { backend } = this.#context;
    checkLogId(request.logId);
    if (request.freshness === "linearizable") await backend.linearize(this.#gone.signal);
    const { head, tail } = backend.bounds();
    this.#position = Math.max(request.from, firstPosition) as Position;
    if (request.limit > 0) this.#remaining = request.limit;
    if (this.#position < head) throw belowHead(this.#position, head);
    if (this.#position > tail && !request.follow) throw pastTail(this.#position, tail);
    return tail;
  }

  async #send(request: ReadRequest, tailAtBegin: Position): Promise<void> {
    const { backend } = this.#context;
    while (this.#remaining > 0) {
      this.#gone.signal.throwIfAborted();
      if (this.#waitingBytes >= limits.readerBufferBytes) {
        await this.#waiting(undefined);
        continue;
      }
      const found = backend.readBatches(this.#position, limits.messageEntryBytes);
      // Not awaited where it is here already: a turn of the microtask queue for each message adds up.
      const batches = found instanceof Promise ? await found : found;
      this.#gone.signal.throwIfAborted();
      this.#advance(batches);
      const { tail } = backend.bounds();
      // A read without follow would never end if it ran after a tail that moves faster.
      const reached = this.#position >= (request.follow ? tail : tailAtBegin);
      if (batches.length > 0 || (reached && !this.#saidCaughtUp))
        this.#write(batches, tail, reached && !this.#saidCaughtUp);
      if (reached) this.#saidCaughtUp = true;
      if (reached && !request.follow) return;
      if (batches.length === 0) await this.#waitForTail(tail);
    }
  }

  #advance(batches: readonly StoredBatch[]): void {
    for (const batch of batches) {
      const end = batch.firstPosition + batch.recordCount;
      assert(batch.firstPosition <= this.#position && end > this.#position, "batches to read follow each other");
      this.#remaining -= end - this.#position;
      this.#position = end as Position;
    }
  }

  /** Heartbeats while nothing comes, so that the reader knows that this is all there is. */
  async #waitForTail(tail: Position): Promise<void> {
    if (this.#context.backend.bounds().tail !== tail) return;
    if ((await this.#waiting(limits.readHeartbeatMs)) === "late")
      this.#write([], this.#context.backend.bounds().tail, true);
  }

  #write(batches: readonly StoredBatch[], tail: Position, caughtUp: boolean): void {
    const response: ReadResponse = { batches, tail, caughtUp };
    const bytes = readResponseCodec.encode(response);
    this.#waitingBytes += bytes.length;
    this.#call.write(bytes, () => {
      this.#waitingBytes -= bytes.length;
      this.#wake?.();
    });
  }

  /** Until something happened: the tail moved, bytes were taken, the call ended; or until it is late. */
  #waiting(lateMs: number | undefined): Promise<"woken" | "late"> {
    return new Promise((resolve) => {
      const done = (how: "woken" | "late") => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve(how);
      };
      const timer = lateMs === undefined ? undefined : setTimeout(() => done("late"), lateMs);
      this.#wake = () => done("woken");
      if (this.#gone.signal.aborted) done("woken");
    });
  }
}

function belowHead(from: Position, head: Position): PaxlogError {
  const message = `position ${from} is below the head ${head}: those records were trimmed. Read from ${head} on`;
  return new PaxlogError("POSITION_BELOW_HEAD", message, { facts: { head } });
}

function pastTail(from: Position, tail: Position): PaxlogError {
  const message = `position ${from} is past the tail ${tail}: nothing is there yet. Read from ${tail} at most, or follow`;
  return new PaxlogError("POSITION_PAST_TAIL", message, { facts: { tail } });
}
