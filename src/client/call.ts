import { type StatusObject, status } from "@grpc/grpc-js";
import { PaxlogError } from "../base/errors.ts";
import { decodeErrorDetails, errorDetailsTrailer } from "../format/error-details.ts";
import type { Decoded } from "../format/wire-value.ts";
import { cancelled, onAbort } from "./abort.ts";

/** How a call ended. `error` is undefined where the node ended it with the status OK. */
export interface CallEnd {
  readonly error: PaxlogError | undefined;
  /** Whether the error came from a paxlog node with its details, so that its outcome can be believed. */
  readonly typed: boolean;
}

export interface CallHandlers {
  onMessage(bytes: Buffer): void;
  /** Exactly once, and nothing after it. Messages that came together with an error may be missing: gRPC drops them. */
  onEnd(end: CallEnd): void;
}

/**
 * One call of a service, message by message: gRPC's own, or one to a node of the same process. A message comes only after `read`
 * was called for it.
 */
export interface Call {
  send(bytes: Buffer): void;
  sendEnd(): void;
  /** Lets one more message come. Also needed to hear of the end of a call that has messages. */
  read(): void;
  /** Ends the call without a word to the handlers. */
  cancel(): void;
}

/** The way to one node. */
export interface Channel {
  /** The node's client address; one that has none is called by a name that is no address. */
  readonly address: string;
  /** Whether the node can be talked to within the time. */
  connected(timeoutMs: number, signal: AbortSignal | undefined): Promise<boolean>;
  /** Opens a call. No handler is called before it returned. */
  call(path: string, handlers: CallHandlers, deadlineMs?: number): Call;
  /** Ends every call: whoever waits for it hears this reason, CLOSED where none is given. */
  close(reason?: PaxlogError): void;
}

/** Why calls end where the way to their node was closed. */
export const channelClosed = (): PaxlogError => new PaxlogError("CLOSED", "the log was closed");

/** What the status of a call says, its details included. */
export function endOf(received: Pick<StatusObject, "code" | "details" | "metadata">, address: string): CallEnd {
  if (received.code === status.OK) return { error: undefined, typed: false };
  const [details] = received.metadata.get(errorDetailsTrailer);
  const error = details instanceof Uint8Array ? decodeErrorDetails(details) : undefined;
  if (error !== undefined) return { error: asSeenFromHere(error), typed: true };
  return { error: untypedError(received, address), typed: false };
}

/** CLOSED is what this library says of itself; of a node that stops, its user hears that it is not available. */
function asSeenFromHere(error: PaxlogError): PaxlogError {
  if (error.code !== "CLOSED") return error;
  const { message, outcome, facts } = error;
  return new PaxlogError("UNAVAILABLE", message, { outcome, facts, cause: error });
}

/** What gRPC itself has to say: a connection that was refused or lost, a deadline, a server that is no paxlog node. */
function untypedError(received: Pick<StatusObject, "code" | "details">, address: string): PaxlogError {
  const facts = { address };
  if (received.code === status.DEADLINE_EXCEEDED) {
    return new PaxlogError("DEADLINE_EXCEEDED", `${address} did not answer in time`, { facts });
  }
  const hint = received.code === status.UNIMPLEMENTED ? ": is this the client address of a paxlog node?" : "";
  const message = `the call to ${address} failed: ${status[received.code]} ${received.details}${hint}`;
  return new PaxlogError("UNAVAILABLE", message, { facts });
}

/** A node sent what is not the answer that was asked for. */
export function unreadable(address: string, reason: string): PaxlogError {
  const message = `${address} sent an answer that cannot be read: ${reason}`;
  return new PaxlogError("UNAVAILABLE", message, { facts: { address } });
}

export interface UnaryOptions<Answer> {
  readonly path: string;
  readonly request: Buffer;
  readonly decode: (bytes: Uint8Array) => Decoded<Answer>;
  readonly deadlineMs: number;
  readonly signal: AbortSignal | undefined;
}

/** One request, one answer. Rejects with what the node or gRPC says, or CANCELLED. */
export function unaryCall<Answer>(channel: Channel, options: UnaryOptions<Answer>): Promise<Answer> {
  const { address } = channel;
  const { path, deadlineMs, signal } = options;
  return new Promise((resolve, reject) => {
    let answer: Buffer | undefined;
    const onMessage = (bytes: Buffer) => {
      answer = bytes;
      call.read();
    };
    const onEnd = ({ error }: CallEnd) => {
      forget();
      if (error !== undefined) return reject(error);
      if (answer === undefined) return reject(unreadable(address, "it is missing"));
      const verdict = options.decode(answer);
      if (verdict.kind === "ok") resolve(verdict.value);
      else reject(unreadable(address, verdict.reason));
    };
    const call = channel.call(path, { onMessage, onEnd }, deadlineMs);
    const forget = onAbort(signal, () => {
      call.cancel();
      forget();
      reject(cancelled(signal, "none"));
    });
    call.send(options.request);
    call.sendEnd();
    call.read();
  });
}
