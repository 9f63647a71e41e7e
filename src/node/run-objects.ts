/** The thread of the built-in machines: their hosts, over a port to the engine, for those who serve clients. */
import type { MessagePort } from "node:worker_threads";
import { PaxlogError } from "../base/errors.ts";
import { loadHashing } from "../native/hashing.ts";
import { builtinMachines } from "../objects/builtins.ts";
import { BusyMark } from "../objects/busy-mark.ts";
import { type RunningMachines, runMachines } from "../objects/run-machines.ts";
import { BackendProxy } from "../runtime/backend-proxy.ts";
import { ObjectServer } from "../runtime/object-server.ts";
import type { FromThread, ObjectsStart, ToThread } from "./messages.ts";

/** Resolves when the thread is told to close, and what its machines saved is durable. */
export async function runObjects(start: ObjectsStart, owner: MessagePort): Promise<void> {
  const { config, backendPort, objectPorts, busy, unref } = start;
  let isClosing = false;
  const note = (text: string): void => {
    const message: FromThread = { kind: "note", text };
    if (!isClosing) owner.postMessage(message);
  };
  const closing = new Promise<void>((resolve) => {
    owner.on("message", ({ kind }: ToThread) => {
      if (kind !== "close") return;
      isClosing = true;
      resolve();
    });
    owner.once("close", () => resolve());
  });
  if (unref) owner.unref();
  let backend: BackendProxy | undefined;
  const serving = new Promise<void>((resolve) => {
    backend = new BackendProxy({ port: backendPort, name: config.name, onServing: resolve, holdsProcess: false });
  });
  const hashing = await loadHashing(config.hashing);
  await Promise.race([serving, closing]);
  let running: RunningMachines | undefined;
  let servers: ObjectServer[] = [];
  if (!isClosing && backend !== undefined) {
    running = runMachines({
      dir: config.dir,
      backend,
      hashing,
      machines: builtinMachines,
      own: new Map(),
      holdName: "machines",
      busy: new BusyMark(busy),
      note,
    });
    const { objects } = running;
    servers = objectPorts.map((port) => new ObjectServer(port, objects));
    if (unref) for (const port of objectPorts) port.unref();
  }
  await closing;
  await running?.close();
  for (const server of servers) server.close();
  backend?.end(new PaxlogError("CLOSED", `node ${config.name} was closed`));
  for (const port of objectPorts) port.close();
  owner.close();
}
