import type { ServiceDefinition } from "@grpc/grpc-js";
import { clusterServicePaths, statusRequestCodec, statusResponseCodec } from "../format/api-codec.ts";
import { bytesMethod, unary } from "./log-service.ts";
import { requestOf, type ServiceContext } from "./service-context.ts";

export const clusterServiceDefinition = {
  status: bytesMethod(clusterServicePaths.status, false, false),
} satisfies ServiceDefinition;

/** ClusterService as proto/paxlog/v1/cluster.proto states it. */
export function makeClusterService(context: ServiceContext) {
  return {
    status: unary(context, async (call) => {
      requestOf(statusRequestCodec.decode(call.request));
      return statusResponseCodec.encode(await context.backend.status());
    }),
  };
}
