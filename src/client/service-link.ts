import type { PaxlogError } from "../base/errors.ts";
import { defaultLogId } from "../base/types.ts";
import {
  type AppendStreamRequest,
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
  readRequestCodec,
  readResponseCodec,
  statusRequestCodec,
  statusResponseCodec,
} from "../format/api-codec.ts";
import {
  type AskManyRequest,
  type AskManyResponse,
  type AskRequest,
  type AskResponse,
  askManyRequestCodec,
  askManyResponseCodec,
  askRequestCodec,
  askResponseCodec,
  type ExecuteResponse,
  executeStreamRequestCodec,
  executeStreamResponseCodec,
  type ListMachinesResponse,
  listMachinesRequestCodec,
  listMachinesResponseCodec,
  objectServicePaths,
  type WatchRequest,
  watchRequestCodec,
  watchResponseCodec,
} from "../format/object-codec.ts";
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
import type { Decoded } from "../format/wire-value.ts";
import { type Channel, unaryCall, unreadable } from "./call.ts";
import type {
  AppendAnswer,
  AppendCall,
  AppendCallHandlers,
  AskBounds,
  NodeLink,
  ReadCall,
  WatchCall,
} from "./node-link.ts";
import { PulledStream } from "./read-stream.ts";

/** Answers to the next unanswered requests, and a refusal of the one behind them. */
interface AppendAnswers {
  readonly acknowledged: readonly AppendAnswer[];
  readonly refused?: PaxlogError | undefined;
}

const answerOf = ({ appended, replies }: ExecuteResponse): AppendAnswer => ({ ...appended, replies });

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
    return this.#openAppends(logServicePaths.appendStream, appendStreamRequestCodec, handlers, (bytes) =>
      appendStreamResponseCodec.decode(bytes),
    );
  }

  openExecute(handlers: AppendCallHandlers): AppendCall {
    return this.#openAppends(objectServicePaths.executeStream, executeStreamRequestCodec, handlers, (bytes) => {
      const decoded = executeStreamResponseCodec.decode(bytes);
      if (decoded.kind === "malformed") return decoded;
      const { executed, refused } = decoded.value;
      return { kind: "ok", value: { acknowledged: executed.map(answerOf), refused } };
    });
  }

  openRead(request: ReadRequest): ReadCall {
    const bytes = readRequestCodec.encode(request);
    return new PulledStream(this.#channel, logServicePaths.read, bytes, readResponseCodec);
  }

  openWatch(request: WatchRequest): WatchCall {
    const bytes = watchRequestCodec.encode(request);
    return new PulledStream(this.#channel, objectServicePaths.watch, bytes, watchResponseCodec);
  }

  ask(request: AskRequest, bounds: AskBounds): Promise<AskResponse> {
    return this.#ask(objectServicePaths.ask, askRequestCodec.encode(request), askResponseCodec, bounds);
  }

  askMany(request: AskManyRequest, bounds: AskBounds): Promise<AskManyResponse> {
    return this.#ask(objectServicePaths.askMany, askManyRequestCodec.encode(request), askManyResponseCodec, bounds);
  }

  checkTail(freshness: Freshness, bounds: AskBounds): Promise<CheckTailResponse> {
    const request = checkTailRequestCodec.encode({ logId: defaultLogId, freshness });
    return this.#ask(logServicePaths.checkTail, request, checkTailResponseCodec, bounds);
  }

  machines(bounds: AskBounds): Promise<ListMachinesResponse> {
    const request = listMachinesRequestCodec.encode({});
    return this.#ask(objectServicePaths.listMachines, request, listMachinesResponseCodec, bounds);
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

  close(reason?: PaxlogError): void {
    this.#channel.close(reason);
  }

  #openAppends(
    path: string,
    requests: Codec<AppendStreamRequest>,
    handlers: AppendCallHandlers,
    decode: (bytes: Buffer) => Decoded<AppendAnswers>,
  ): AppendCall {
    const onMessage = (bytes: Buffer) => {
      const answers = decode(bytes);
      if (answers.kind === "malformed") {
        call.cancel();
        return handlers.onEnd({ error: unreadable(this.address, answers.reason), typed: false });
      }
      // Asked for before the answers are worked off: what comes together with an error gets lost if nobody waits for it.
      call.read();
      handlers.onAnswers(answers.value.acknowledged, answers.value.refused);
    };
    const onEnd = handlers.onEnd.bind(handlers);
    const call = this.#channel.call(path, { onMessage, onEnd });
    call.read();
    return {
      send: (request) => call.send(requests.encode(request)),
      cancel: () => call.cancel(),
    };
  }

  #ask<Answer>(path: string, request: Buffer, { decode }: Codec<Answer>, bounds: AskBounds): Promise<Answer> {
    return unaryCall(this.#channel, { path, request, decode, ...bounds });
  }
}
