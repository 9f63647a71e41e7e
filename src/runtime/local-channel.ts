import { assert } from "../base/assert.ts";
import { type Call, type CallHandlers, type Channel, channelClosed } from "../client/call.ts";
import { clusterServiceDefinition, makeClusterService } from "../transport/cluster-service.ts";
import { logServiceDefinition, makeLogService } from "../transport/log-service.ts";
import { makeObjectService, objectServiceDefinition } from "../transport/object-service.ts";
import type { ServiceContext } from "../transport/service-context.ts";
import { LocalCall, type LocalMethod } from "./local-call.ts";

export interface LocalChannelOptions extends ServiceContext {
  /** What the node is called, in the library and in errors. */
  readonly address: string;
  /** Resolves once the backend serves. */
  readonly serving: Promise<void>;
}

/**
 * A node of this process as the client library speaks to it: the services that a server for clients would offer, over a backend,
 * by calls that leave neither the process nor the thread. So an embedded log keeps the same rules as one over gRPC.
 */
export class LocalChannel implements Channel {
  readonly address: string;
  readonly #methods: ReadonlyMap<string, LocalMethod>;
  readonly #serving: Promise<void>;
  readonly #calls = new Set<LocalCall>();
  #closed = false;

  constructor(options: LocalChannelOptions) {
    this.address = options.address;
    this.#serving = options.serving;
    const { objects } = options;
    this.#methods = new Map([
      ...methodsOf(logServiceDefinition, makeLogService(options)),
      ...methodsOf(clusterServiceDefinition, makeClusterService(options)),
      ...(objects === undefined ? [] : methodsOf(objectServiceDefinition, makeObjectService({ ...options, objects }))),
    ]);
  }

  async connected(timeoutMs: number, signal: AbortSignal | undefined): Promise<boolean> {
    if (this.#closed || signal?.aborted) return false;
    let end: () => void = () => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    const timer = setTimeout(end, timeoutMs);
    signal?.addEventListener("abort", end, { once: true });
    const connected = await Promise.race([this.#serving.then(() => true), ended.then(() => false)]);
    clearTimeout(timer);
    signal?.removeEventListener("abort", end);
    return connected && !this.#closed;
  }

  call(path: string, handlers: CallHandlers, deadlineMs?: number): Call {
    if (this.#closed) throw channelClosed();
    const method = this.#methods.get(path);
    assert(method !== undefined, `the node offers ${path}`);
    const forget = () => this.#calls.delete(call);
    const call: LocalCall = new LocalCall(
      this.address,
      method,
      {
        onMessage: (bytes) => handlers.onMessage(bytes),
        onEnd: (end) => {
          forget();
          handlers.onEnd(end);
        },
      },
      deadlineMs,
    );
    this.#calls.add(call);
    return {
      send: (bytes) => call.send(bytes),
      sendEnd: () => call.sendEnd(),
      read: () => call.read(),
      cancel: () => {
        forget();
        call.cancel();
      },
    };
  }

  close(reason = channelClosed()): void {
    this.#closed = true;
    for (const call of [...this.#calls]) call.close(reason);
  }
}

type Definition = Readonly<
  Record<string, { readonly path: string; readonly requestStream: boolean; readonly responseStream: boolean }>
>;

/** A service's methods by their paths. Its handlers know grpc-js' types only, of which a served call has what they use. */
function methodsOf(definition: Definition, handlers: object): [string, LocalMethod][] {
  const serves = handlers as Readonly<Record<string, LocalMethod["serve"]>>;
  return Object.entries(definition).map(([name, { path, requestStream, responseStream }]) => {
    const serve = serves[name];
    assert(serve !== undefined, `the service has a handler for ${path}`);
    return [path, { requestStream, responseStream, serve }];
  });
}
