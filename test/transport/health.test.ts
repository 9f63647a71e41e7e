// Goal: load balancers and orchestrators that ask in the standard way learn what they need to send calls to the right node, or to
// none. Method: a real server over a log in memory whose leader comes and goes, asked by plain gRPC with bytes.
import type { Client } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, test } from "vitest";
import { PaxlogError } from "../../src/base/errors.ts";
import {
  type Health,
  healthListCodec,
  healthPaths,
  healthRequestCodec,
  healthResponseCodec,
} from "../../src/format/health-codec.ts";
import { loadHashing } from "../../src/native/hashing.ts";
import { type ClientServer, startClientServer } from "../../src/transport/client-server.ts";
import { MemoryBackend } from "./memory-backend.ts";
import { call, connectTo, endOf, unwrap } from "./test-client.ts";

class LedBackend extends MemoryBackend {
  leader = "a";
  starting = false;

  override status() {
    if (this.starting) throw new PaxlogError("UNAVAILABLE", "the node is starting");
    return { ...super.status(), leader: this.leader };
  }
}

let backend: LedBackend;
let server: ClientServer;
let client: Client;

beforeEach(async () => {
  backend = new LedBackend();
  const hashing = await loadHashing();
  server = await startClientServer({ listen: "127.0.0.1:0", backend, hashing, log: () => {} });
  client = connectTo(server.port);
});

afterEach(async () => {
  client.close();
  await server.close();
});

const check = (service: string): Promise<Health> =>
  call(client, healthPaths.check, healthRequestCodec, healthResponseCodec, service);

function watch(service: string) {
  const identity = (bytes: Buffer): Buffer => bytes;
  const request = healthRequestCodec.encode(service);
  const stream = client.makeServerStreamRequest(healthPaths.watch, identity, identity, request);
  const heard: Health[] = [];
  stream.on("data", (bytes: Buffer) => heard.push(unwrap(healthResponseCodec.decode(bytes))));
  return { heard, end: endOf(stream), stream };
}

test("a node that knows its leader serves, one that knows none serves all but the log", async () => {
  expect(await check("")).toBe("serving");
  expect(await check("paxlog.v1.LogService")).toBe("serving");
  backend.leader = "";
  expect(await check("")).toBe("serving");
  expect(await check("paxlog.v1.ClusterService")).toBe("serving");
  expect(await check("paxlog.v1.LogService")).toBe("notServing");
});

test("a node that starts serves nothing", async () => {
  backend.starting = true;
  const all = await call(client, healthPaths.list, healthRequestCodec, healthListCodec, "");
  expect([...all].sort()).toEqual([
    ["", "notServing"],
    ["paxlog.v1.ClusterService", "notServing"],
    ["paxlog.v1.LogService", "notServing"],
  ]);
});

test("a service that is none is not found", async () => {
  await expect(check("paxlog.v1.Nothing")).rejects.toMatchObject({ grpcCode: 5 });
  await expect(
    call(client, healthPaths.check, healthRequestCodec, healthResponseCodec, Buffer.from([0xff])),
  ).rejects.toMatchObject({ grpcCode: 3 });
});

test("whoever watches hears each change, and the end when the server closes", async () => {
  const log = watch("paxlog.v1.LogService");
  const node = watch("");
  const unknown = watch("paxlog.v1.Nothing");
  await expect.poll(() => log.heard, { timeout: 10_000 }).toEqual(["serving"]);
  backend.leader = "";
  await expect.poll(() => log.heard, { timeout: 10_000 }).toEqual(["serving", "notServing"]);
  backend.leader = "b";
  await expect.poll(() => log.heard, { timeout: 10_000 }).toEqual(["serving", "notServing", "serving"]);
  expect(node.heard).toEqual(["serving"]);
  expect(unknown.heard).toEqual(["serviceUnknown"]);

  await server.close();
  // Ended by the service: what the server cuts off when the time for open calls is over ends with an error.
  expect(await log.end).toBeUndefined();
  expect(log.heard.at(-1)).toBe("notServing");
  expect(node.heard).toEqual(["serving", "notServing"]);
  expect(unknown.heard).toEqual(["serviceUnknown"]);
});

test("a watch that its caller gives up is forgotten", async () => {
  const { heard, stream, end } = watch("");
  await expect.poll(() => heard, { timeout: 10_000 }).toEqual(["serving"]);
  stream.cancel();
  expect(await end).toMatchObject({ grpcCode: 1 });
  expect(await check("")).toBe("serving");
});
