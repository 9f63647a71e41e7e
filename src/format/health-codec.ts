/** The messages of the standard health service (proto/grpc/health/v1/health.proto) as plain values. */

import { grpc } from "./generated/wire.js";
import type { Codec } from "./wire-value.ts";
import { asBuffer, decoding, malformed } from "./wire-value.ts";

const wire = grpc.health.v1;
const { ServingStatus } = wire.HealthCheckResponse;

export const healthPaths = {
  check: "/grpc.health.v1.Health/Check",
  list: "/grpc.health.v1.Health/List",
  watch: "/grpc.health.v1.Health/Watch",
} as const;

export type Health = "serving" | "notServing" | "serviceUnknown";

/** The name of a service; "" for the node as a whole. */
export const healthRequestCodec: Codec<string> = {
  encode: (service) => asBuffer(wire.HealthCheckRequest.encode({ service }).finish()),
  decode: (bytes) => decoding(() => wire.HealthCheckRequest.decode(bytes).service ?? ""),
};

export const healthResponseCodec: Codec<Health> = {
  encode: (health) => asBuffer(wire.HealthCheckResponse.encode({ status: numbers[health] }).finish()),
  decode: (bytes) => decoding(() => healthOf(wire.HealthCheckResponse.decode(bytes).status)),
};

/** By name of the service. */
export const healthListCodec: Codec<ReadonlyMap<string, Health>> = {
  encode: (all) => {
    const statuses: Record<string, { status: number }> = {};
    for (const [service, health] of all) statuses[service] = { status: numbers[health] };
    return asBuffer(wire.HealthListResponse.encode({ statuses }).finish());
  },
  decode: (bytes) =>
    decoding(() => {
      const statuses = Object.entries(wire.HealthListResponse.decode(bytes).statuses ?? {});
      return new Map(statuses.map(([service, { status }]) => [service, healthOf(status)]));
    }),
};

const numbers = {
  serving: ServingStatus.SERVING,
  notServing: ServingStatus.NOT_SERVING,
  serviceUnknown: ServingStatus.SERVICE_UNKNOWN,
} as const;

function healthOf(status: number | null | undefined): Health {
  if (status === ServingStatus.SERVING) return "serving";
  if (status === ServingStatus.NOT_SERVING) return "notServing";
  if (status === ServingStatus.SERVICE_UNKNOWN) return "serviceUnknown";
  return malformed(`status ${status} says nothing`);
}
