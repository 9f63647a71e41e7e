import type { PaxlogError } from "../base/errors.ts";
import type {
  AppendResponse,
  AppendStreamRequest,
  CheckTailResponse,
  Freshness,
  NodeStatus,
  ReadRequest,
  ReadResponse,
} from "../format/api-codec.ts";
import type {
  AskManyRequest,
  AskManyResponse,
  AskRequest,
  AskResponse,
  CommandReply,
  ListMachinesResponse,
  WatchRequest,
  WatchResponse,
} from "../format/object-codec.ts";
import type { DropHoldResponse, PutHoldRequest, PutHoldResponse, TrimResponse } from "../format/retain-codec.ts";
import type { FenceResponse, KeepSessionResponse, OpenSessionResponse, SessionTerms } from "../format/session-codec.ts";
import type { CallEnd } from "./call.ts";

/**
 * One node as the library speaks to it: over gRPC, or within the process where the log is embedded. Everything
 * above it (batches, order, bounds, guards, sessions, retries) is the same on every way.
 */
export interface NodeLink {
  /** The node's client address; one that has none is called by a name that is no address. */
  readonly address: string;
  /** Whether the node can be talked to within the time. Nothing is sent to it before: what was not sent is not there. */
  connected(timeoutMs: number, signal: AbortSignal | undefined): Promise<boolean>;
  /** Opens a stream of appends. No handler is called before it returned. */
  openAppend(handlers: AppendCallHandlers): AppendCall;
  /** As `openAppend`, for batches of commands: their answers have replies. */
  openExecute(handlers: AppendCallHandlers): AppendCall;
  openRead(request: ReadRequest): ReadCall;
  openWatch(request: WatchRequest): WatchCall;
  ask(request: AskRequest, bounds: AskBounds): Promise<AskResponse>;
  askMany(request: AskManyRequest, bounds: AskBounds): Promise<AskManyResponse>;
  checkTail(freshness: Freshness, bounds: AskBounds): Promise<CheckTailResponse>;
  status(bounds: AskBounds): Promise<NodeStatus>;
  machines(bounds: AskBounds): Promise<ListMachinesResponse>;
  /** All of these are taken by the leader alone; each may be asked again where its fate is not known. */
  openSession(terms: SessionTerms, bounds: AskBounds): Promise<OpenSessionResponse>;
  keepSession(session: number, bounds: AskBounds): Promise<KeepSessionResponse>;
  closeSession(session: number, bounds: AskBounds): Promise<unknown>;
  fence(token: number, bounds: AskBounds): Promise<FenceResponse>;
  trim(position: number, bounds: AskBounds): Promise<TrimResponse>;
  putHold(hold: Omit<PutHoldRequest, "logId">, bounds: AskBounds): Promise<PutHoldResponse>;
  dropHold(name: string, bounds: AskBounds): Promise<DropHoldResponse>;
  /** Ends every call. */
  /** Ends every call, with this reason where one is given. */
  close(reason?: PaxlogError): void;
}

/** How long one question may take. Rejects with DEADLINE_EXCEEDED or CANCELLED. */
export interface AskBounds {
  readonly deadlineMs: number;
  readonly signal: AbortSignal | undefined;
}

export interface AppendCall {
  /**
   * Sends without waiting for room: what is in flight is bounded by the sender. The bytes must not change until the answer. Where
   * the request is `independent` or has a session, a refusal is an answer and the stream goes on; otherwise it ends the stream.
   */
  send(request: AppendStreamRequest): void;
  /** Ends the call without a word to the handlers. What was sent may still be ordered. */
  cancel(): void;
}

/** Where a batch went, and what became of its commands where it was sent to be executed. */
export interface AppendAnswer extends AppendResponse {
  readonly replies?: readonly CommandReply[] | undefined;
}

export interface AppendCallHandlers {
  /** Answers to the next unanswered requests, in order; behind them a refusal of the next one. */
  onAnswers(answers: readonly AppendAnswer[], refused: PaxlogError | undefined): void;
  /**
   * Exactly once, and nothing after it. A refusal is believed where `typed` is true and the fact `acknowledged` says how many
   * requests of this stream were answered before it.
   */
  onEnd(end: CallEnd): void;
}

export interface PulledCall<Response> {
  /** The next message, or how the call ended once all were taken. */
  next(): Promise<PulledEvent<Response>>;
  /** Ends the call; whoever waits in `next` hears of an end without an error. */
  cancel(): void;
}

export type PulledEvent<Response> =
  | { readonly kind: "response"; readonly response: Response }
  | { readonly kind: "end"; readonly end: CallEnd };

export type ReadCall = PulledCall<ReadResponse>;
export type WatchCall = PulledCall<WatchResponse>;
