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
import {
  type DropHoldResponse,
  dropHoldRequestCodec,
  dropHoldResponseCodec,
  type PutHoldRequest,
  type PutHoldResponse,
  putHoldRequestCodec,
  putHoldResponseCodec,
  type TrimResponse,
  trimRequestCodec,
  trimResponseCodec,
} from "../format/retain-codec.ts";
import {
  closeSessionRequestCodec,
  closeSessionResponseCodec,
  type FenceResponse,
  fenceRequestCodec,
  fenceResponseCodec,
  type KeepSessionResponse,
  keepSessionRequestCodec,
  keepSessionResponseCodec,
  type OpenSessionResponse,
  openSessionRequestCodec,
  openSessionResponseCodec,
  type SessionTerms,
} from "../format/session-codec.ts";
import { type Channel, unaryCall, unreadable } from "./call.ts";
import type { AppendCall, AppendCallHandlers, AskBounds, NodeLink, ReadCall } from "./node-link.ts";
import { ReadStream } from "./read-stream.ts";

/** A node by the calls of its services, as the .proto files state them, whatever carries their messages. */
export class ServiceLink implements NodeLink {
  readonly #channel: Channel;

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  get address(): string {
    return this.#channel.address;
  }

  connected(timeoutMs: number, signal: AbortSignal | undefined): Promise<boolean> {
    return this.#channel.connected(timeoutMs, signal);
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
      handlers.onAnswers(answers.value.acknowledged, answers.value.refused);
    };
    const onEnd = handlers.onEnd.bind(handlers);
    const call = this.#channel.call(logServicePaths.appendStream, { onMessage, onEnd });
    call.read();
    return {
      send: (request) => call.send(appendStreamRequestCodec.encode(request)),
      cancel: () => call.cancel(),
    };
  }

  openRead(request: ReadRequest): ReadCall {
    return new ReadStream(this.#channel, request);
  }

  checkTail(freshness: Freshness, bounds: AskBounds): Promise<CheckTailResponse> {
    const request = checkTailRequestCodec.encode({ logId: defaultLogId, freshness });
    return this.#ask(logServicePaths.checkTail, request, checkTailResponseCodec, bounds);
  }

  status(bounds: AskBounds): Promise<NodeStatus> {
    return this.#ask(clusterServicePaths.status, statusRequestCodec.encode({}), statusResponseCodec, bounds);
  }

  openSession(terms: SessionTerms, bounds: AskBounds): Promise<OpenSessionResponse> {
    const request = openSessionRequestCodec.encode({ logId: defaultLogId, ...terms });
    return this.#ask(logServicePaths.openSession, request, openSessionResponseCodec, bounds);
  }

  keepSession(session: number, bounds: AskBounds): Promise<KeepSessionResponse> {
    const request = keepSessionRequestCodec.encode({ logId: defaultLogId, session });
    return this.#ask(logServicePaths.keepSession, request, keepSessionResponseCodec, bounds);
  }

  closeSession(session: number, bounds: AskBounds): Promise<unknown> {
    const request = closeSessionRequestCodec.encode({ logId: defaultLogId, session });
    return this.#ask(logServicePaths.closeSession, request, closeSessionResponseCodec, bounds);
  }

  fence(token: number, bounds: AskBounds): Promise<FenceResponse> {
    const request = fenceRequestCodec.encode({ logId: defaultLogId, token });
    return this.#ask(logServicePaths.fence, request, fenceResponseCodec, bounds);
  }

  trim(position: number, bounds: AskBounds): Promise<TrimResponse> {
    const request = trimRequestCodec.encode({ logId: defaultLogId, position });
    return this.#ask(logServicePaths.trim, request, trimResponseCodec, bounds);
  }

  putHold(hold: Omit<PutHoldRequest, "logId">, bounds: AskBounds): Promise<PutHoldResponse> {
    const request = putHoldRequestCodec.encode({ logId: defaultLogId, ...hold });
    return this.#ask(logServicePaths.putHold, request, putHoldResponseCodec, bounds);
  }

  dropHold(name: string, bounds: AskBounds): Promise<DropHoldResponse> {
    const request = dropHoldRequestCodec.encode({ logId: defaultLogId, name });
    return this.#ask(logServicePaths.dropHold, request, dropHoldResponseCodec, bounds);
  }

  close(): void {
    this.#channel.close();
  }

  #ask<Answer>(path: string, request: Buffer, { decode }: Codec<Answer>, bounds: AskBounds): Promise<Answer> {
    return unaryCall(this.#channel, { path, request, decode, ...bounds });
  }
}
