import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { CompressionFilter } from "@grpc/grpc-js/build/src/compression-filter.js";
import { limits } from "../base/limits.ts";
import type { NodeId } from "../base/types.ts";
import type { Message } from "../core/message.ts";
import { sendInFrames } from "../format/grpc-frame.ts";
import type { DecodedEnvelope } from "../format/peer-message.ts";
import { peerClientOptions } from "./grpc-options.ts";
import { identity, type PeerEvents, type PeerNode, peerServicePaths } from "./peer-service.ts";
import { type Lane, PeerStream } from "./peer-stream.ts";

// Encoders lay large messages in their frames already.
sendInFrames(CompressionFilter);

export interface DialerOptions {
  readonly peer: PeerNode;
  readonly lane: Lane;
  readonly decode: (bytes: Uint8Array) => DecodedEnvelope;
  readonly nextStream: () => number;
  /** The envelope with this node's Hello, as of now. */
  readonly hello: () => Buffer;
  readonly events: PeerEvents;
  readonly log: (line: string) => void;
}

/**
 * Keeps one stream to one peer, for ever: dials, sends Hello, waits for the peer's, and begins again with a growing pause when
 * the stream ends. Each attempt is a client of its own and so a connection of its own: a connection attempt that hangs in a
 * network that drops packets must not delay the next one.
 */
export class PeerDialer {
  readonly #options: DialerOptions;
  #client: Client | undefined;
  #stream: PeerStream | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** The pause before the next attempt is drawn from up to this. */
  #backoffMs: number = limits.redialMsFirst;
  #upSince: number | undefined;
  #refused = false;
  #lastReason = "";
  #closed = false;

  constructor(options: DialerOptions) {
    this.#options = options;
    this.#dial();
  }

  /** The peer is there, as its own call shows: do not wait out a long pause. */
  hurry(): void {
    // Two nodes that refuse each other must not hurry each other.
    if (this.#stream !== undefined || this.#refused || this.#closed) return;
    this.#schedule(limits.redialMsFirst);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#stream?.cancel();
    this.#client?.close();
  }

  #dial(): void {
    const { peer, lane, decode, nextStream, hello } = this.#options;
    const client = new Client(peer.address, credentials.createInsecure(), peerClientOptions);
    const call = client.makeBidiStreamRequest(peerServicePaths[lane], identity, identity, new Metadata());
    const stream = new PeerStream({ number: nextStream(), lane }, call, decode, {
      onMessage: (from, configId, message) => this.#receive(stream, from, configId, message),
      onEnd: (reason) => this.#ended(stream, reason),
    });
    this.#client = client;
    this.#stream = stream;
    this.#refused = false;
    // Covers all of it: name look-up, connection, HTTP/2, and the peer's Hello.
    this.#timer = setTimeout(() => stream.end("no Hello in time"), limits.handshakeMs);
    stream.send(hello());
  }

  #receive(stream: PeerStream, from: NodeId, configId: number, message: Message): void {
    const { peer, events } = this.#options;
    if (message.kind === "refused") {
      this.#refused = true;
      events.onRefused(peer.nodeId, stream, message);
      return stream.end(`refused with ${message.code}: ${message.reason}`);
    }
    if (stream.hello !== undefined) return events.onMessage(peer.nodeId, stream, configId, message);
    if (message.kind !== "hello") return stream.end(`began with ${message.kind} instead of hello`);
    if (message.name !== peer.name || from !== peer.nodeId) {
      return stream.end(
        `the node there calls itself ${message.name} (number ${from}), not ${peer.name} (number ${peer.nodeId})`,
      );
    }
    clearTimeout(this.#timer);
    stream.hello = message;
    this.#upSince = performance.now();
    this.#lastReason = "";
    events.onOpen(peer.nodeId, stream, message);
  }

  #ended(stream: PeerStream, why: string): void {
    const { peer, lane, events, log } = this.#options;
    const reason = withoutTimes(why);
    clearTimeout(this.#timer);
    this.#client?.close();
    this.#stream = undefined;
    if (this.#closed) return;
    // The same reason again and again, once a second, would fill the log and tell nothing new.
    if (reason !== this.#lastReason) log(`no ${lane} stream to ${peer.name} at ${peer.address}: ${reason}`);
    this.#lastReason = reason;
    if (this.#upSince !== undefined && performance.now() - this.#upSince >= limits.redialMsMax && !this.#refused) {
      this.#backoffMs = limits.redialMsFirst;
    }
    this.#upSince = undefined;
    if (stream.hello !== undefined) events.onClose(peer.nodeId, stream);
    // Half of the pause is random: nodes that lost each other together do not come back in step.
    this.#schedule(this.#backoffMs * (0.5 + Math.random() / 2));
    this.#backoffMs = Math.min(2 * this.#backoffMs, limits.redialMsMax);
  }

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#dial(), delayMs);
  }
}

/** grpc-js puts the time of day into some errors, which would make each of them new, and an empty note at the end of others. */
function withoutTimes(reason: string): string {
  return reason.replace(/ \(\d{4}-\d{2}-\d{2}T[^)]*\)/g, "").replace(/\.? *Resolution note: *$/, "");
}
