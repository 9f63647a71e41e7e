import { Server } from "@grpc/grpc-js";
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import type { LogBackend } from "./backend.ts";
import { clusterServiceDefinition, makeClusterService } from "./cluster-service.ts";
import { clientServerOptions } from "./grpc-options.ts";
import { healthServiceDefinition, makeHealthService } from "./health-service.ts";
import { listenWith } from "./listener.ts";
import { logServiceDefinition, makeLogService } from "./log-service.ts";
import type { ObjectBackend } from "./object-backend.ts";
import { makeObjectService, objectServiceDefinition } from "./object-service.ts";
import { makeReflectionService, reflectionServiceDefinitions } from "./reflection-service.ts";
import { type ServiceContext, scanFor } from "./service-context.ts";

export interface ClientServerOptions {
  /** HOST:PORT; port 0 takes a free one. */
  readonly listen: string;
  /** Allows an address that is not on loopback, although nothing is encrypted or authenticated. */
  readonly insecure?: boolean;
  readonly backend: LogBackend;
  /** The machines of the node; without them there is no ObjectService. */
  readonly objects?: ObjectBackend | undefined;
  readonly hashing: Hashing;
  readonly log: (line: string) => void;
}

export interface ClientServer {
  /** HOST:PORT as asked for, with the port that was bound. */
  readonly address: string;
  readonly port: number;
  /**
   * Takes no more calls, ends reads, lets appends that were handed to the backend have their answers for limits.drainMs, then
   * ends every connection: what has no answer by then has outcome "unknown" for its caller.
   */
  close(): Promise<void>;
}

/**
 * Serves LogService and ClusterService to clients, and the standard services health and reflection to their tools.
 * @throws PaxlogError INVALID_ARGUMENT, INSECURE_ADDRESS, ADDRESS_IN_USE or ADDRESS_UNUSABLE.
 */
export async function startClientServer(options: ClientServerOptions): Promise<ClientServer> {
  const { listen, insecure = false, backend, objects, hashing, log } = options;
  const closing = new AbortController();
  const context: ServiceContext = { backend, hashing, scanBatch: scanFor(hashing), closing: closing.signal, log };
  const server = new Server(clientServerOptions);
  if (objects !== undefined) server.addService(objectServiceDefinition, makeObjectService({ ...context, objects }));
  server.addService(logServiceDefinition, makeLogService(context));
  server.addService(clusterServiceDefinition, makeClusterService(context));
  server.addService(healthServiceDefinition, makeHealthService(context));
  for (const definition of reflectionServiceDefinitions) server.addService(definition, makeReflectionService(context));
  const listener = await listenWith(server, { listen, insecure, log });
  let closed: Promise<void> | undefined;
  return {
    address: listener.address,
    port: listener.port,
    close: () => {
      closing.abort();
      closed ??= listener.close(limits.drainMs);
      return closed;
    },
  };
}
