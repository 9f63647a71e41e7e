import { Client, connectivityState, credentials, Metadata, status } from "@grpc/grpc-js";
import { CompressionFilter } from "@grpc/grpc-js/build/src/compression-filter.js";
import type { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import { sendInFrames } from "../format/grpc-frame.ts";
import { onAbort } from "./abort.ts";
import { type Call, type CallHandlers, type Channel, channelClosed, endOf } from "./call.ts";

// Encoders lay large messages in their frames already.
sendInFrames(CompressionFilter);

/**
 * Calls that are open on each connection of this process, by address and number of the connection: gRPC shares a connection among all
 * that ask for the same one, and lets calls above the limit of the other side wait without a word.
 */
const openCalls = new Map<string, number>();

/**
 * A node over gRPC. A connection is made when it is first asked for, and made again when it breaks; another one when it has as many
 * calls as it can carry.
 */
export class GrpcChannel implements Channel {
  readonly address: string;
  /** By number of the connection. */
  readonly #clients: Client[] = [];
  readonly #calls = new Set<GrpcCall>();
  #closed = false;

  constructor(address: string) {
    this.address = address;
  }

  async connected(timeoutMs: number, signal: AbortSignal | undefined): Promise<boolean> {
    if (this.#closed) return false;
    const channel = this.#client(this.#connectionWithRoom()).getChannel();
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const state = channel.getConnectivityState(true);
      if (state === connectivityState.READY) return true;
      if (state === connectivityState.TRANSIENT_FAILURE || state === connectivityState.SHUTDOWN) return false;
      const moved = await new Promise<boolean>((resolve) => {
        const forget = onAbort(signal, () => resolve(false));
        channel.watchConnectivityState(state, deadline, (error) => {
          forget();
          resolve(error === undefined);
        });
      });
      if (!moved || this.#closed || signal?.aborted) return false;
    }
  }

  call(path: string, handlers: CallHandlers, deadlineMs?: number): Call {
    if (this.#closed) throw channelClosed();
    const number = this.#connectionWithRoom();
    const key = `${this.address} ${number}`;
    openCalls.set(key, (openCalls.get(key) ?? 0) + 1);
    const onOver = (): void => {
      this.#calls.delete(call);
      const left = openCalls.get(key)! - 1;
      if (left === 0) openCalls.delete(key);
      else openCalls.set(key, left);
    };
    const target = { client: this.#client(number), address: this.address, onOver };
    const call: GrpcCall = new GrpcCall(target, path, handlers, deadlineMs);
    this.#calls.add(call);
    return call;
  }

  close(reason = channelClosed()): void {
    this.#closed = true;
    for (const call of [...this.#calls]) call.close(reason);
    for (const client of this.#clients) client.close();
  }

  /** The first connection that carries one more call; the last one that there may be, where none does. */
  #connectionWithRoom(): number {
    let number = 0;
    while (number + 1 < limits.clientConnectionsMax && (openCalls.get(`${this.address} ${number}`) ?? 0) >= callsMax) {
      number += 1;
    }
    return number;
  }

  #client(number: number): Client {
    for (let next = this.#clients.length; next <= number; next += 1) {
      // Options that differ make gRPC use another connection.
      const options = next === 0 ? channelOptions : { ...channelOptions, "paxlog.connection": next };
      this.#clients.push(new Client(this.address, credentials.createInsecure(), options));
    }
    return this.#clients[number]!;
  }
}

/** Fewer than a node takes on a connection: other programs count differently what is open. */
const callsMax = limits.streamsPerConnection - limits.clientStreamsSpare;

/** Where a call goes, and who must hear once that it is over. */
interface CallTarget {
  readonly client: Client;
  readonly address: string;
  onOver(): void;
}

/**
 * One gRPC call, message by message. It stands on the channel and not on grpc-js' streams, because those read sixteen messages
 * ahead, and a message here may have 4 MiB: a message comes only after `read` was called for it.
 */
class GrpcCall implements Call {
  readonly #call: ReturnType<ReturnType<Client["getChannel"]>["createCall"]>;
  readonly #onOver: () => void;
  readonly #handlers: CallHandlers;
  #ended = false;

  constructor({ client, address, onOver }: CallTarget, path: string, handlers: CallHandlers, deadlineMs?: number) {
    this.#onOver = onOver;
    this.#handlers = handlers;
    const deadline = deadlineMs === undefined ? Number.POSITIVE_INFINITY : Date.now() + deadlineMs;
    this.#call = client.getChannel().createCall(path, deadline, null, null, null);
    this.#call.start(new Metadata(), {
      onReceiveMetadata: () => {},
      onReceiveMessage: (message: Buffer) => {
        if (!this.#ended) handlers.onMessage(message);
      },
      onReceiveStatus: (received) => {
        if (!this.#end()) return;
        handlers.onEnd(endOf(received, address));
      },
    });
  }

  send(bytes: Buffer): void {
    this.#call.sendMessageWithContext({}, bytes);
  }

  sendEnd(): void {
    this.#call.halfClose();
  }

  /** Lets one more message come. Also needed to hear of the end of a call that has messages. */
  read(): void {
    this.#call.startRead();
  }

  /** Ends the call without a word to the handlers. */
  cancel(): void {
    this.#end();
    this.#call.cancelWithStatus(status.CANCELLED, "cancelled by the client");
  }

  /** Ends the call with a word to the handlers. */
  close(error: PaxlogError): void {
    if (!this.#end()) return;
    this.#call.cancelWithStatus(status.CANCELLED, "cancelled by the client");
    this.#handlers.onEnd({ error, typed: false });
  }

  /** False where it had ended before. */
  #end(): boolean {
    if (this.#ended) return false;
    this.#ended = true;
    this.#onOver();
    return true;
  }
}

/**
 * Nothing is retried by gRPC: the library knows better what may be sent twice. A proxy from the environment is not used for a
 * cluster's nodes. The window is HTTP/2's: with its default a stream carries a seventh of what it could.
 */
const channelOptions = {
  "grpc.max_send_message_length": limits.messageBytesMax,
  "grpc.max_receive_message_length": limits.messageBytesMax,
  "grpc-node.flow_control_window": limits.http2WindowBytes,
  "grpc.keepalive_time_ms": limits.clientKeepaliveMs,
  "grpc.keepalive_timeout_ms": limits.clientKeepaliveTimeoutMs,
  "grpc.initial_reconnect_backoff_ms": limits.redialMsFirst,
  "grpc.max_reconnect_backoff_ms": limits.clientRedialMsMax,
  "grpc.enable_retries": 0,
  "grpc.enable_http_proxy": 0,
  "grpc.service_config_disable_resolution": 1,
} as const;
