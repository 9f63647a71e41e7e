import { Client, connectivityState, credentials } from "@grpc/grpc-js";
import { limits } from "../base/limits.ts";
import { defaultLogId } from "../base/types.ts";
import {
  appendStreamRequestCodec,
  appendStreamResponseCodec,
  type CheckTailResponse,
  type Codec,
  checkTailRequestCodec,
  checkTailResponseCodec,
  clusterServicePaths,
  type Freshness,
  logServicePaths,
  type NodeStatus,
  type ReadRequest,
  statusRequestCodec,
  statusResponseCodec,
} from "../format/api-codec.ts";
import { onAbort } from "./abort.ts";
import { Call, unaryCall, unreadable } from "./call.ts";
import type { AppendCall, AppendCallHandlers, AskBounds, NodeLink, ReadCall } from "./node-link.ts";
import { ReadStream } from "./read-stream.ts";

/** A node over gRPC. The connection is made when it is first asked for, and made again when it breaks. */
export class GrpcLink implements NodeLink {
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

  openAppend(handlers: AppendCallHandlers): AppendCall {
    const onMessage = (bytes: Buffer) => {
      const answers = appendStreamResponseCodec.decode(bytes);
      if (answers.kind === "malformed") {
        call.cancel();
        return handlers.onEnd({ error: unreadable(this.address, answers.reason), typed: false });
      }
      // Asked for before the answers are worked off: what comes together with an error gets lost if nobody waits for it.
      call.read();
      handlers.onAnswers(answers.value.acknowledged);
    };
    const onEnd = handlers.onEnd.bind(handlers);
    const call = new Call(this.#client, this.address, logServicePaths.appendStream, { onMessage, onEnd });
    call.read();
    return {
      send: (request) => call.send(appendStreamRequestCodec.encode(request)),
      cancel: () => call.cancel(),
    };
  }

  openRead(request: ReadRequest): ReadCall {
    return new ReadStream(this.#client, this.address, request);
  }

  checkTail(freshness: Freshness, bounds: AskBounds): Promise<CheckTailResponse> {
    const request = checkTailRequestCodec.encode({ logId: defaultLogId, freshness });
    return this.#ask(logServicePaths.checkTail, request, checkTailResponseCodec, bounds);
  }

  status(bounds: AskBounds): Promise<NodeStatus> {
    return this.#ask(clusterServicePaths.status, statusRequestCodec.encode({}), statusResponseCodec, bounds);
  }

  close(): void {
    this.#closed = true;
    this.#client.close();
  }

  #ask<Answer>(path: string, request: Buffer, { decode }: Codec<Answer>, bounds: AskBounds): Promise<Answer> {
    return unaryCall(this.#client, { address: this.address, path, request, decode, ...bounds });
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
