import type { ClientDuplexStream, ServerDuplexStream } from "@grpc/grpc-js";
import type { NodeId } from "../base/types.ts";
import type { HelloMessage, Message } from "../core/message.ts";
import type { DecodedEnvelope } from "../format/peer-message.ts";

type DialedCall = ClientDuplexStream<Buffer, Buffer>;
type IncomingCall = ServerDuplexStream<Buffer, Buffer>;

export interface PeerStreamEvents {
  onMessage(from: NodeId, configId: number, message: Message): void;
  /** Called once, never from within a call of the stream's methods. */
  onEnd(reason: string): void;
}

export type Lane = "bulk" | "heartbeats";

/** One stream of envelopes between two nodes, seen from either end. */
export class PeerStream {
  /** Unique among all streams of this node. */
  readonly number: number;
  readonly lane: Lane;
  /** What the other end said in its Hello, once it did. */
  hello: HelloMessage | undefined;
  readonly #call: DialedCall | IncomingCall;
  readonly #events: PeerStreamEvents;
  #bufferedBytes = 0;
  #ending = false;
  #ended = false;

  constructor(
    identity: { readonly number: number; readonly lane: Lane },
    call: DialedCall | IncomingCall,
    decode: (bytes: Uint8Array) => DecodedEnvelope,
    events: PeerStreamEvents,
  ) {
    this.number = identity.number;
    this.lane = identity.lane;
    this.#call = call;
    this.#events = events;
    call.on("data", (bytes: Buffer) => this.#receive(bytes, decode));
    call.on("end", () => this.#finish("the other node ended the stream"));
    call.on("error", (error: Error) => this.#finish(error.message));
    call.on("close", () => this.#finish("the connection was closed"));
    if (isIncoming(call)) call.on("cancelled", () => this.#finish("the other node is gone"));
  }

  /** Bytes that were sent and that the socket has not yet taken. */
  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  /** Queues one envelope. Dropped where the stream is ending: messages may be lost, and the core knows. */
  send(bytes: Buffer): void {
    if (this.#ending || this.#ended) return;
    this.#bufferedBytes += bytes.length;
    this.#call.write(bytes, () => {
      this.#bufferedBytes -= bytes.length;
    });
  }

  /** Ends the stream once what was sent is out; nothing that arrives counts any more. */
  end(reason: string): void {
    if (this.#ending || this.#ended) return;
    this.#ending = true;
    // Handlers must not be called back in the middle of what they do.
    setImmediate(() => {
      this.#finish(reason);
    });
  }

  /** Ends the stream at once. */
  cancel(): void {
    this.#ending = true;
    this.#ended = true;
    if (isIncoming(this.#call)) this.#call.end();
    else this.#call.cancel();
  }

  #receive(bytes: Buffer, decode: (bytes: Uint8Array) => DecodedEnvelope): void {
    if (this.#ending || this.#ended) return;
    const decoded = decode(bytes);
    if (decoded.kind === "ok") this.#events.onMessage(decoded.from, decoded.configId, decoded.message);
    else this.#finish(`a message is malformed: ${decoded.reason}`);
  }

  #finish(reason: string): void {
    if (this.#ended) return;
    this.#ending = true;
    this.#ended = true;
    this.#call.end();
    // A listener that does not answer to the end of a stream would keep it open for ever.
    if (!isIncoming(this.#call)) lingerThenCancel(this.#call);
    this.#events.onEnd(reason);
  }
}

/** How long the other end has to take the last message of a stream, such as a refusal. */
const lingerMs = 1_000;

function lingerThenCancel(call: DialedCall): void {
  const timer = setTimeout(() => call.cancel(), lingerMs);
  timer.unref();
  call.once("status", () => clearTimeout(timer));
}

function isIncoming(call: DialedCall | IncomingCall): call is IncomingCall {
  return "sendMetadata" in call;
}
