import { Client, connectivityState, credentials, Metadata, status } from "@grpc/grpc-js";
import { CompressionFilter } from "@grpc/grpc-js/build/src/compression-filter.js";
import { limits } from "../base/limits.ts";
import { sendInFrames } from "../format/grpc-frame.ts";
import { onAbort } from "./abort.ts";
import { type Call, type CallHandlers, type Channel, endOf } from "./call.ts";

// Encoders lay large messages in their frames already.
sendInFrames(CompressionFilter);

/** A node over gRPC. The connection is made when it is first asked for, and made again when it breaks. */
export class GrpcChannel implements Channel {
  readonly address: string;
  readonly #client: Client;
  #closed = false;

  constructor(address: string) {
    this.address = address;
    this.#client = new Client(address, credentials.createInsecure(), channelOptions);
  }

  async connected(timeoutMs: number, signal: AbortSignal | undefined): Promise<boolean> {
    if (this.#closed) return false;
    const channel = this.#client.getChannel();
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
    return new GrpcCall(this.#client, this.address, path, handlers, deadlineMs);
  }

  close(): void {
    this.#closed = true;
    this.#client.close();
  }
}

/**
 * One gRPC call, message by message. It stands on the channel and not on grpc-js' streams, because those read sixteen messages
 * ahead, and a message here may have 4 MiB: a message comes only after `read` was called for it.
 */
class GrpcCall implements Call {
  readonly #call: ReturnType<ReturnType<Client["getChannel"]>["createCall"]>;
  #ended = false;

  constructor(client: Client, address: string, path: string, handlers: CallHandlers, deadlineMs?: number) {
    const deadline = deadlineMs === undefined ? Number.POSITIVE_INFINITY : Date.now() + deadlineMs;
    this.#call = client.getChannel().createCall(path, deadline, null, null, null);
    this.#call.start(new Metadata(), {
      onReceiveMetadata: () => {},
      onReceiveMessage: (message: Buffer) => {
        if (!this.#ended) handlers.onMessage(message);
      },
      onReceiveStatus: (received) => {
        if (this.#ended) return;
        this.#ended = true;
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
    this.#ended = true;
    this.#call.cancelWithStatus(status.CANCELLED, "cancelled by the client");
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
