import { Duplex } from "node:stream";
import {
  Metadata,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import type { PaxlogError } from "../base/errors.ts";
import { type Call, type CallHandlers, endOf } from "../client/call.ts";

/** What a handler is called with: grpc-js' kinds of call in one. Nothing but what the services use is there. */
export type ServedCall = ServerUnaryCall<Buffer, Buffer> &
  ServerWritableStream<Buffer, Buffer> &
  ServerDuplexStream<Buffer, Buffer>;

export interface LocalMethod {
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  /** `answer` is for methods with one response. */
  serve(call: ServedCall, answer: (error: ServiceError | null, bytes?: Buffer) => void): void;
}

/** One call to a node of this process: what one side sends the other takes, without bytes being encoded again. */
export class LocalCall implements Call {
  readonly #address: string;
  readonly #method: LocalMethod;
  readonly #handlers: CallHandlers;
  readonly #served: Duplex;
  #request: Buffer | undefined;
  /** Messages that the caller asked for and that did not come yet. */
  #asked = 0;
  /** An answer that the caller did not ask for yet. The stream behind it waits. */
  #held: { readonly bytes: Buffer; readonly taken: () => void } | undefined;
  #ended = false;
  readonly #deadline: NodeJS.Timeout | undefined;

  constructor(address: string, method: LocalMethod, handlers: CallHandlers, deadlineMs: number | undefined) {
    this.#address = address;
    this.#method = method;
    this.#handlers = handlers;
    this.#served = new Duplex({
      objectMode: true,
      autoDestroy: false,
      emitClose: false,
      read: () => {},
      write: (bytes: Buffer, _encoding, taken) => this.#deliver(bytes, taken),
      final: (done) => {
        done();
        this.#finish(status.OK, "", undefined);
      },
    });
    this.#served.on("error", (cause) => this.#failed(cause as ServiceError));
    if (deadlineMs !== undefined) this.#deadline = setTimeout(() => this.#late(), deadlineMs);
    // The caller does not have the call yet, so no handler may hear of it.
    if (method.requestStream) queueMicrotask(() => this.#serve());
  }

  send(bytes: Buffer): void {
    if (this.#ended) return;
    if (this.#method.requestStream) this.#served.push(bytes);
    else this.#request = bytes;
  }

  sendEnd(): void {
    if (this.#ended) return;
    if (this.#method.requestStream) this.#served.push(null);
    else queueMicrotask(() => this.#serve());
  }

  read(): void {
    const held = this.#held;
    if (held === undefined) {
      this.#asked += 1;
      return;
    }
    this.#held = undefined;
    this.#handlers.onMessage(held.bytes);
    held.taken();
  }

  cancel(): void {
    if (this.#ended) return;
    this.#end();
    this.#served.emit("cancelled", "cancelled");
  }

  /** Ends the call with a word to the handlers. */
  close(error: PaxlogError): void {
    if (this.#ended) return;
    this.#end();
    this.#served.emit("cancelled", "cancelled");
    this.#handlers.onEnd({ error, typed: false });
  }

  #serve(): void {
    if (this.#ended) return;
    const call = Object.assign(this.#served, { request: this.#request, metadata: new Metadata() });
    this.#method.serve(call as unknown as ServedCall, (error, bytes) => {
      if (error !== null) return this.#failed(error);
      this.#served.write(bytes);
      this.#served.end();
    });
  }

  #deliver(bytes: Buffer, taken: () => void): void {
    if (this.#ended) return taken();
    if (this.#asked === 0) {
      this.#held = { bytes, taken };
      return;
    }
    this.#asked -= 1;
    this.#handlers.onMessage(bytes);
    taken();
  }

  #failed({ code, details, metadata }: ServiceError): void {
    this.#finish(code ?? status.UNKNOWN, details ?? "", metadata);
  }

  #late(): void {
    this.#served.emit("cancelled", "cancelled");
    this.#finish(status.DEADLINE_EXCEEDED, "", undefined);
  }

  #finish(code: status, details: string, metadata: Metadata | undefined): void {
    if (this.#ended) return;
    this.#end();
    this.#handlers.onEnd(endOf({ code, details, metadata: metadata ?? new Metadata() }, this.#address));
  }

  #end(): void {
    this.#ended = true;
    this.#held = undefined;
    clearTimeout(this.#deadline);
  }
}
