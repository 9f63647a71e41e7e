/** The thread of the built-in machines: their hosts, over a port to the engine, for those who serve clients. */
import type { MessagePort } from "node:worker_threads";
import { defined } from "../base/assert.ts";
import { DirectoryQuota } from "../base/directory-quota.ts";
import { PaxlogError, toPaxlogError } from "../base/errors.ts";
import { loadHashing } from "../native/hashing.ts";
import { builtinMachines, builtinMachinesWith } from "../objects/builtins.ts";
import { BusyMark } from "../objects/busy-mark.ts";
import { type MachinesOptions, type RunningMachines, runMachines } from "../objects/run-machines.ts";
import { BackendProxy } from "../runtime/backend-proxy.ts";
import { ObjectServer } from "../runtime/object-server.ts";
import { machinesIn, proceduresIn } from "./machine-files.ts";
import type { FromThread, ObjectsStart, ToThread } from "./messages.ts";

/** Resolves when the thread is told to close, and what its machines saved is durable. */
export async function runObjects(start: ObjectsStart, owner: MessagePort): Promise<void> {
  const { config, backendPort, objectPorts, busy, quota, machine, unref } = start;
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
  const hosted = await hostedOn(start, note);
  let running: RunningMachines | undefined;
  let servers: ObjectServer[] = [];
  if (!isClosing && backend !== undefined) {
    running = runMachines({
      dir: config.dir,
      backend,
      hashing,
      ...hosted,
      holdName: machine === undefined ? "machines" : `machine ${machine.name}`,
      busy: new BusyMark(busy),
      quota: new DirectoryQuota(quota),
      note,
    });
    const { objects } = running;
    new BusyMark(busy).start();
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

/** The machines of this thread. Procedures that do not load are noted: the space runs without them, or stops where they are activated. */
async function hostedOn(
  { config, machine }: ObjectsStart,
  note: (text: string) => void,
): Promise<Pick<MachinesOptions, "machines" | "own">> {
  if (machine !== undefined) {
    const found = (await machinesIn(machine.file)).find(({ name }) => name === machine.name);
    return {
      machines: [defined(found, "the machine that the file had").machine],
      own: new Map([[machine.name, machine.own]]),
    };
  }
  if (config.procedures === undefined) return { machines: builtinMachines, own: new Map() };
  try {
    const { procedures, own } = await proceduresIn(config.procedures);
    return { machines: builtinMachinesWith(procedures), own: new Map([["space", own]]) };
  } catch (cause) {
    const { code, message } = toPaxlogError(cause);
    note(`${message} (${code}): the node runs without procedures`);
    return { machines: builtinMachines, own: new Map() };
  }
}
