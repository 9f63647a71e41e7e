import type { PaxlogError } from "../base/errors.ts";
import type { MachineCounts } from "../core/event.ts";
import { BusyMark } from "../objects/busy-mark.ts";
import { ObjectProxy } from "../runtime/object-proxy.ts";
import { ObjectRouter } from "../runtime/object-router.ts";
import type { LogBackend } from "../transport/backend.ts";
import type { Admission, ObjectBackend } from "../transport/object-backend.ts";
import type { ObjectPort } from "./messages.ts";

/** The machines of a node as one of its threads reaches them that serves clients. */
export class PortsToMachines {
  /** undefined where this thread serves nobody who could ask. */
  readonly objects: ObjectBackend | undefined;
  readonly #proxies: readonly ObjectProxy[];

  /** `onNeeded` is called once for each thread of machines, at the first request to one of them. */
  constructor(ports: readonly ObjectPort[], onNeeded: (thread: string) => void) {
    this.#proxies = ports.map(
      ({ port, machines, thread, busy }) =>
        new ObjectProxy({
          port,
          machines,
          busyMs: busyMsOf(busy),
          runs: runsOf(busy),
          admission: admissionOf(busy),
          onNeeded: () => onNeeded(thread),
        }),
    );
    this.objects = ports.length === 0 ? undefined : new ObjectRouter(this.#proxies);
  }

  end(reason: PaxlogError): void {
    for (const proxy of this.#proxies) proxy.end(reason);
  }
}

/**
 * Calls once when the log has a command for one of the machines, whoever sent it: behind what is visible now. What is before it was
 * seen by the node that ran then, which left a directory for its machines.
 */
export function onFirstCommand(backend: LogBackend, machines: readonly string[], onNeeded: () => void): void {
  const types = machines.map((machine) => `$${machine}`);
  backend.watch({ from: backend.bounds().tail, query: { items: [{ types, tags: [] }] } }, onNeeded);
}

/** How many machines of all these threads take no commands, as of the moment that it is called. */
export function countsOf(memories: readonly SharedArrayBuffer[]): () => MachineCounts {
  const marks = memories.map((memory) => new BusyMark(memory));
  return () => {
    let [stopped, unready] = [0, 0];
    for (const { counts } of marks) {
      stopped += counts.stopped;
      unready += counts.unready;
    }
    return { stopped, unready };
  };
}

function busyMsOf(memory: SharedArrayBuffer): () => number {
  const mark = new BusyMark(memory);
  return () => mark.busyMs;
}

function admissionOf(memory: SharedArrayBuffer): (place: number) => Admission {
  const mark = new BusyMark(memory);
  return (place) => mark.admission(place);
}

function runsOf(memory: SharedArrayBuffer): () => boolean {
  const mark = new BusyMark(memory);
  return () => mark.runs;
}
