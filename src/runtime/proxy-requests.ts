import { assert } from "../base/assert.ts";
import { PaxlogError } from "../base/errors.ts";
import type { PortAnswer, PortRequest } from "./backend-port.ts";
import { unpackError } from "./channel.ts";

/** The answer of a kind. */
export type AnswerOf<Kind extends PortAnswer["kind"]> = Extract<PortAnswer, { readonly kind: Kind }>;

/** What the requests of a BackendProxy need of it. */
export interface RequestsOwner {
  /** Why nothing can be asked any more; undefined while it can. */
  ended(): PaxlogError | undefined;
  nextRequestId(): number;
  send(request: PortRequest): void;
}

interface Request {
  /** What it asks for may be in the log where no answer came. */
  readonly writes: boolean;
  readonly resolve: (answer: PortAnswer, buffer: ArrayBuffer | undefined) => void;
  readonly reject: (error: PaxlogError) => void;
}

/** What a BackendProxy asks beside appends, each until it is answered, given up, or the other side has ended. */
export class ProxyRequests {
  readonly #owner: RequestsOwner;
  readonly #waiting = new Map<number, Request>();

  constructor(owner: RequestsOwner) {
    this.#owner = owner;
  }

  get size(): number {
    return this.#waiting.size;
  }

  isWaiting(requestId: number): boolean {
    return this.#waiting.has(requestId);
  }

  /** Has something ordered that is no append. */
  order<Kind extends PortAnswer["kind"]>(
    make: (requestId: number) => PortRequest,
    kind: Kind,
  ): Promise<AnswerOf<Kind>> {
    return this.#promise(make, kind, true, (answer) => answer);
  }

  /** Asks what changes nothing. */
  question<Kind extends PortAnswer["kind"], T>(
    make: (requestId: number) => PortRequest,
    kind: Kind,
    take: (answer: AnswerOf<Kind>, buffer: ArrayBuffer | undefined) => T,
  ): Promise<T> {
    return this.#promise(make, kind, false, take);
  }

  #promise<Kind extends PortAnswer["kind"], T>(
    make: (requestId: number) => PortRequest,
    kind: Kind,
    writes: boolean,
    take: (answer: AnswerOf<Kind>, buffer: ArrayBuffer | undefined) => T,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#ask(make, {
        writes,
        resolve: (answer, buffer) => {
          assert(answer.kind === kind, () => `what was asked as ${kind} was answered as ${answer.kind}`);
          resolve(take(answer as AnswerOf<Kind>, buffer));
        },
        reject,
      });
    });
  }

  /** As LogBackend's. */
  linearize(signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.reject(cancelled());
    return new Promise((resolve, reject) => {
      const requestId = this.#ask((id) => ({ kind: "linearize", requestId: id }), {
        writes: false,
        resolve: () => {
          signal?.removeEventListener("abort", onAbort);
          resolve();
        },
        reject: (error) => {
          signal?.removeEventListener("abort", onAbort);
          reject(error);
        },
      });
      const onAbort = () => {
        const request = this.#waiting.get(requestId);
        this.#waiting.delete(requestId);
        this.#owner.send({ kind: "cancel", requestId });
        request?.reject(cancelled());
      };
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** None waits for it where the caller gave it up. */
  onAnswer(answer: PortAnswer, buffer: ArrayBuffer | undefined): void {
    const request = this.#waiting.get(answer.requestId);
    this.#waiting.delete(answer.requestId);
    if (answer.kind === "failed") request?.reject(unpackError(answer.error));
    else request?.resolve(answer, buffer);
  }

  /** Rejects all: with `unknown` what may have happened, with `none` what surely has not. */
  end(none: PaxlogError, unknown: PaxlogError, postedRequestId: number): void {
    for (const [requestId, { writes, reject }] of this.#waiting) {
      reject(writes && requestId <= postedRequestId ? unknown : none);
    }
    this.#waiting.clear();
  }

  #ask(make: (requestId: number) => PortRequest, request: Request): number {
    const requestId = this.#owner.nextRequestId();
    const ended = this.#owner.ended();
    if (ended !== undefined) {
      request.reject(ended);
      return requestId;
    }
    this.#waiting.set(requestId, request);
    this.#owner.send(make(requestId));
    return requestId;
  }
}

const cancelled = () => new PaxlogError("CANCELLED", "the caller gave the call up");
