import type { ServerUnaryCall, ServerWritableStream, ServiceDefinition, sendUnaryData } from "@grpc/grpc-js";
import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import { grpcStatuses } from "../format/error-details.ts";
import {
  type Health,
  healthListCodec,
  healthPaths,
  healthRequestCodec,
  healthResponseCodec,
} from "../format/health-codec.ts";
import { bytesMethod, unary } from "./log-service.ts";
import { requestOf, type ServiceContext, serviceError } from "./service-context.ts";

export const healthServiceDefinition = {
  check: bytesMethod(healthPaths.check, false, false),
  list: bytesMethod(healthPaths.list, false, false),
  watch: bytesMethod(healthPaths.watch, false, true),
} satisfies ServiceDefinition;

/** The standard health service, as proto/grpc/health/v1/health.proto states it for a node. */
export function makeHealthService(context: ServiceContext) {
  const watchers = new Watchers(context);
  return {
    check: (call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>): void =>
      void check(context, call, answer),
    list: unary(context, async () => healthListCodec.encode(await healthOfAll(context))),
    watch: (call: ServerWritableStream<Buffer, Buffer>): void => watchers.add(call),
  };
}

/** What each service is like now. A node that starts, or does not answer for itself, serves nothing. */
async function healthOfAll({ backend, closing }: ServiceContext): Promise<ReadonlyMap<string, Health>> {
  let node: Health = "notServing";
  let log: Health = "notServing";
  try {
    const { leader } = await backend.status();
    if (!closing.aborted) {
      node = "serving";
      log = leader === "" ? "notServing" : "serving";
    }
  } catch {
    // Not serving: the reason is told to those who call the services themselves.
  }
  return new Map([
    ["", node],
    ["paxlog.v1.ClusterService", node],
    ["paxlog.v1.LogService", log],
  ]);
}

async function check(
  context: ServiceContext,
  call: ServerUnaryCall<Buffer, Buffer>,
  answer: sendUnaryData<Buffer>,
): Promise<void> {
  try {
    const service = requestOf(healthRequestCodec.decode(call.request));
    const health = (await healthOfAll(context)).get(service);
    if (health !== undefined) return answer(null, healthResponseCodec.encode(health));
    answer({ code: grpcStatuses.NOT_FOUND, details: `no health is known of a service "${service}"` });
  } catch (cause) {
    answer(serviceError(cause, context.log));
  }
}

interface Watcher {
  readonly call: ServerWritableStream<Buffer, Buffer>;
  readonly service: string;
  /** What it was told last. */
  told: Health | undefined;
}

/** All calls that watch. The node is asked once for all of them, as long as there is one. */
class Watchers {
  readonly #context: ServiceContext;
  readonly #watchers = new Set<Watcher>();
  #timer: NodeJS.Timeout | undefined;

  constructor(context: ServiceContext) {
    this.#context = context;
    context.closing.addEventListener("abort", () => this.#close());
  }

  add(call: ServerWritableStream<Buffer, Buffer>): void {
    const request = healthRequestCodec.decode(call.request);
    if (request.kind === "malformed") {
      const error = new PaxlogError("INVALID_ARGUMENT", `the request cannot be understood: ${request.reason}`);
      call.emit("error", serviceError(error, this.#context.log));
      return;
    }
    const watcher: Watcher = { call, service: request.value, told: undefined };
    this.#watchers.add(watcher);
    call.on("cancelled", () => this.#remove(watcher));
    // A slow one is told the newest status when it can take one, not all that it missed.
    call.on("drain", () => void this.#tell());
    if (this.#context.closing.aborted) return this.#close();
    void this.#tell();
    this.#timer ??= setInterval(() => void this.#tell(), limits.healthPeriodMs).unref();
  }

  #remove(watcher: Watcher): void {
    this.#watchers.delete(watcher);
    if (this.#watchers.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  async #tell(): Promise<void> {
    const all = await healthOfAll(this.#context);
    for (const watcher of this.#watchers) {
      const health = all.get(watcher.service) ?? "serviceUnknown";
      if (health === watcher.told || watcher.call.writableNeedDrain) continue;
      watcher.told = health;
      watcher.call.write(healthResponseCodec.encode(health));
    }
  }

  /** Load balancers take the node out when they hear it; the calls must end for the server to close. */
  #close(): void {
    for (const watcher of [...this.#watchers]) {
      if (watcher.told !== "notServing" && watcher.told !== "serviceUnknown")
        watcher.call.write(healthResponseCodec.encode("notServing"));
      watcher.call.end();
      this.#remove(watcher);
    }
  }
}
