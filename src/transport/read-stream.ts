import type { ServerWritableStream } from "@grpc/grpc-js";
import { limits } from "../base/limits.ts";
import type { Position } from "../base/types.ts";
import { type ReadResponse, readRequestCodec, readResponseCodec } from "../format/api-codec.ts";
import type { ReadPiece, ReadStep, StoredBatch, Watch } from "./backend.ts";
import { type BegunRead, beginRead } from "./read-begin.ts";
import type { Readers } from "./readers.ts";
import { CallSignal, checkLogId, requestOf, type ServiceContext, serviceError } from "./service-context.ts";

/**
 * One Read: history in either direction, then, if it follows, whatever comes. Whole batches are sent where there is no query; the
 * reader skips what it did not ask for. A reader that does not take its bytes stops the reading: what waits for it is bounded, and
 * everything else stays in the log.
 */
export class ReadStream {
  readonly #call: ServerWritableStream<Buffer, Buffer>;
  readonly #context: ServiceContext;
  readonly #readers: Readers;
  readonly #gone: CallSignal;
  #read: BegunRead | undefined;
  /** Where the read goes on: forward the next position, backward the highest that was not looked at. */
  #next = 0;
  /** Where it ends: what is there is not looked at any more. */
  #end = Number.POSITIVE_INFINITY;
  /** Records, and bytes of batches, that may still be sent. */
  #recordsLeft = Number.POSITIVE_INFINITY;
  #bytesLeft = Number.POSITIVE_INFINITY;
  #sentAny = false;
  #caughtUp = false;
  /** When something was written last. */
  #wroteMs = 0;
  /** While it waits for news. */
  #watch: Watch | undefined;
  /** Written and not yet taken by the socket, with what each message takes in memory beside its bytes. */
  #waitingBytes = 0;
  #wake: (() => void) | undefined;

  constructor(context: ServiceContext, readers: Readers, call: ServerWritableStream<Buffer, Buffer>) {
    this.#context = context;
    this.#readers = readers;
    this.#call = call;
    this.#gone = new CallSignal(call, context.closing);
    this.#gone.signal.addEventListener("abort", () => this.#wake?.());
    // What waits for a caller who is gone waits no more, whatever becomes of the callbacks of its writes.
    call.on("cancelled", () => this.#taken(this.#waitingBytes));
  }

  /** Serves the call to its end. Never rejects. */
  async serve(): Promise<void> {
    let stopBeat: (() => void) | undefined;
    try {
      const request = requestOf(readRequestCodec.decode(this.#call.request));
      checkLogId(request.logId);
      const read = await beginRead(this.#context.backend, request, this.#gone.signal);
      this.#read = read;
      this.#next = read.begin;
      this.#end = read.end;
      this.#recordsLeft = read.recordsMax;
      this.#bytesLeft = read.bytesMax;
      stopBeat = this.#readers.onBeat(() => this.#beat());
      await this.#send(read);
      this.#call.end();
    } catch (cause) {
      this.#call.emit("error", serviceError(cause, this.#context.log));
    } finally {
      stopBeat?.();
      this.#watch?.cancel();
      this.#gone.dispose();
    }
  }

  async #send(read: BegunRead): Promise<void> {
    const { backend } = this.#context;
    const { signal } = this.#gone;
    while (!this.#isOver(read)) {
      signal.throwIfAborted();
      const { bufferBytes } = this.#readers;
      if (this.#waitingBytes >= bufferBytes) {
        await this.#woken();
      } else if (read.direction === "forward" && this.#next >= backend.bounds().tail) {
        this.#tellCaughtUp();
        await this.#news(read);
      } else {
        const { turns } = this.#readers;
        if (!turns.hasTime()) await turns.turn(this.#caughtUp ? "live" : "history");
        const step = this.#step(read, bufferBytes);
        if (this.#sendLive(read, step.bytesMax)) continue;
        const found = backend.read(step);
        // Not awaited where it is here already: a turn of the microtask queue for each message adds up.
        const piece = found instanceof Promise ? await found : found;
        signal.throwIfAborted();
        this.#take(read, piece);
      }
      if (read.timeAhead !== undefined) await this.#lookForTime(read.timeAhead);
    }
    signal.throwIfAborted();
    if (!this.#sentAny || (!read.follow && this.#reaches(read.tail))) this.#tellCaughtUp();
  }

  #isOver({ direction }: BegunRead): boolean {
    if (this.#recordsLeft <= 0 || this.#bytesLeft <= 0) return true;
    return direction === "forward" ? this.#next >= this.#end : this.#next <= this.#end;
  }

  #step({ direction, query }: BegunRead, bufferBytes: number): ReadStep {
    // Small messages only where memory is short: each one has its cost.
    const room = Math.max(limits.readerBufferBytesMin / 4, Math.min(limits.messageEntryBytes, bufferBytes / 4));
    return {
      direction,
      from: this.#next as Position,
      end: Math.min(this.#end, Number.MAX_SAFE_INTEGER) as Position | 0,
      query,
      bytesMax: Math.min(room, this.#bytesLeft),
      recordsMax: this.#recordsLeft,
    };
  }

  /** Sends what another read of the same kind was sent from the same place, if that is what this one would be sent. */
  #sendLive(read: BegunRead, bytesMax: number): boolean {
    const { live } = this.#readers;
    if (live === undefined || live.from !== this.#next || live.bytes.length > bytesMax || !this.#isLive(read))
      return false;
    const { head, tail } = this.#context.backend.bounds();
    if (live.head !== head || live.tail !== tail) return false;
    this.#next = live.next;
    this.#writeBytes(live.bytes);
    return true;
  }

  /** Follows everything without an end, and is at the tail. */
  #isLive({ direction, query, timeAhead }: BegunRead): boolean {
    if (!this.#caughtUp || direction === "backward" || query !== undefined || timeAhead !== undefined) return false;
    return this.#sentAny && Math.min(this.#end, this.#recordsLeft, this.#bytesLeft) === Number.POSITIVE_INFINITY;
  }

  #take(read: BegunRead, piece: ReadPiece): void {
    const from = this.#next;
    const batches = this.#withinBytes(read, piece.batches);
    const cut = piece.batches.length - batches.length;
    for (const batch of batches) this.#recordsLeft -= this.#wantedOf(read, batch);
    this.#next = cut > 0 ? farEdge(read, batches[batches.length - 1], this.#next) : piece.next;
    const fellBehind = this.#caughtUp && piece.fromDisk && batches.length > 0;
    if (fellBehind) this.#caughtUp = false;
    const { tail } = this.#context.backend.bounds();
    const reached = read.direction === "forward" && this.#reaches(read.follow ? tail : read.tail) && !this.#caughtUp;
    if (batches.length === 0 && !reached && this.#sentAny) return;
    if (reached) this.#caughtUp = true;
    const isLive = this.#isLive(read) && !reached;
    const bytes = this.#write({ batches, tail, caughtUp: reached, fellBehind });
    if (!isLive) return;
    this.#readers.live = { from, next: this.#next, head: this.#context.backend.bounds().head, tail, bytes };
  }

  #reaches(tail: Position): boolean {
    return this.#read?.direction === "forward" && this.#next >= tail;
  }

  /** As many of the batches as the read may still send; the first one it sends in any case. */
  #withinBytes(read: BegunRead, batches: readonly StoredBatch[]): readonly StoredBatch[] {
    if (read.bytesMax === Number.POSITIVE_INFINITY) return batches;
    let count = 0;
    for (const { batch } of batches) {
      const isFirst = this.#bytesLeft === read.bytesMax;
      if (!isFirst && batch.length > this.#bytesLeft) {
        this.#bytesLeft = 0;
        break;
      }
      this.#bytesLeft -= batch.length;
      count += 1;
    }
    return batches.slice(0, count);
  }

  /** Records of the batch that the read asks for. */
  #wantedOf(read: BegunRead, { firstPosition, recordCount, ordinals }: StoredBatch): number {
    if (ordinals !== undefined) return ordinals.length;
    const end = firstPosition + recordCount;
    if (read.direction === "forward") return Math.min(end, this.#end) - Math.max(firstPosition, this.#next);
    return Math.min(end - 1, this.#next) - Math.max(firstPosition - 1, this.#end);
  }

  #tellCaughtUp(): void {
    if (this.#caughtUp) return;
    const forward = this.#read?.direction === "forward";
    this.#caughtUp = forward;
    this.#write({ batches: [], tail: this.#context.backend.bounds().tail, caughtUp: forward });
  }

  /** The end of a read that follows up to a time is known once there is a record of that time. */
  async #lookForTime(time: number): Promise<void> {
    const { backend } = this.#context;
    const found = await backend.positionOfTime(time);
    if (found < backend.bounds().tail) this.#end = Math.min(this.#end, found);
  }

  /** Heartbeats while nothing is sent, so that the reader knows that this is all there is, or that the search goes on. */
  #beat(): void {
    if (!this.#sentAny || this.#waitingBytes > 0) return;
    if (performance.now() - this.#wroteMs < limits.readHeartbeatMs / 2) return;
    if (this.#watch !== undefined) this.#next = this.#watch.searched;
    this.#write({ batches: [], tail: this.#context.backend.bounds().tail, caughtUp: this.#caughtUp });
  }

  #write(told: Omit<ReadResponse, "head" | "next" | "begin" | "freshness">): Buffer {
    const { head } = this.#context.backend.bounds();
    const next = Math.max(0, this.#next);
    let response: ReadResponse = { ...told, head, next };
    if (!this.#sentAny) response = { ...response, begin: this.#read?.begin, freshness: this.#read?.freshness };
    this.#sentAny = true;
    const bytes = readResponseCodec.encode(response);
    this.#writeBytes(bytes);
    return bytes;
  }

  #writeBytes(bytes: Buffer): void {
    this.#wroteMs = performance.now();
    const cost = bytes.length + limits.readMessageOverheadBytes;
    this.#waitingBytes += cost;
    this.#readers.wait(cost);
    this.#call.write(bytes, () => this.#taken(Math.min(cost, this.#waitingBytes)));
  }

  #taken(bytes: number): void {
    this.#waitingBytes -= bytes;
    this.#readers.wait(-bytes);
    this.#wake?.();
  }

  /** Until there may be something for this read behind what it has looked at. */
  async #news({ query }: BegunRead): Promise<void> {
    let news = false;
    this.#watch = this.#context.backend.watch({ from: this.#next as Position, query }, () => {
      news = true;
      this.#wake?.();
    });
    while (!news && !this.#gone.signal.aborted) await this.#woken();
    this.#next = this.#watch.searched;
    this.#watch.cancel();
    this.#watch = undefined;
  }

  /** Until something happened: there is news, bytes were taken, the call ended. */
  #woken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined;
        resolve();
      };
      if (this.#gone.signal.aborted) this.#wake();
    });
  }
}

/** Where a read stands behind this batch. */
function farEdge({ direction }: BegunRead, batch: StoredBatch | undefined, before: number): number {
  if (batch === undefined) return before;
  return direction === "forward" ? batch.firstPosition + batch.recordCount : batch.firstPosition - 1;
}
