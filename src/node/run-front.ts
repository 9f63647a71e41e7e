/** The front thread of a node: the server for clients, over a port to the engine. */
import type { MessagePort } from "node:worker_threads";
import { PaxlogError, toPaxlogError } from "../base/errors.ts";
import { loadHashing } from "../native/hashing.ts";
import { BackendProxy } from "../runtime/backend-proxy.ts";
import { packError } from "../runtime/channel.ts";
import { GateBackend } from "../runtime/gate-backend.ts";
import { type ClientServer, startClientServer } from "../transport/client-server.ts";
import { clientListen } from "./config.ts";
import type { FromThread, FrontStart, ToThread } from "./messages.ts";
import { PortsToMachines } from "./object-ports.ts";

/** Listens at once, and refuses clients until the engine serves. */
export async function runFront({ config, backendPort, objectPorts }: FrontStart, owner: MessagePort): Promise<void> {
  const over = new Promise<void>((resolve) => owner.once("close", () => resolve()));
  const post = (message: FromThread) => owner.postMessage(message);
  const gate = new GateBackend();
  const proxy = new BackendProxy({ port: backendPort, name: config.name, onServing: () => gate.open(proxy) });
  const machines = new PortsToMachines(objectPorts, (thread) => post({ kind: "objectsNeeded", thread }));
  let server: Promise<ClientServer> | undefined;

  const close = async () => {
    const started = await server?.catch(() => undefined);
    await started?.close();
    const closed = new PaxlogError("CLOSED", `node ${config.name} was closed`);
    proxy.end(closed);
    machines.end(closed);
    owner.close();
  };
  owner.on("message", ({ kind }: ToThread) => {
    if (kind === "close") void close();
  });

  try {
    const hashing = await loadHashing(config.hashing);
    const { insecure } = config;
    const log = (text: string) => post({ kind: "note", text });
    const { objects } = machines;
    server = startClientServer({ listen: clientListen(config), insecure, backend: gate, objects, hashing, log });
    post({ kind: "listening", address: (await server).address });
  } catch (cause) {
    post({ kind: "stopped", error: packError(toPaxlogError(cause)) });
  }
  await over;
}
