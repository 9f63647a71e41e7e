import type { MessagePort } from "node:worker_threads";
import { assertNever } from "../base/assert.ts";
import type { ThreadStart } from "./messages.ts";

/** Runs one part of a node on the thread it is called on. Resolves when that part is over; says why through `owner`. */
export async function runThread(start: ThreadStart, owner: MessagePort): Promise<void> {
  // Each part loads what it needs: the storage thread is there sooner without gRPC.
  switch (start.role) {
    case "engine":
      return (await import("./run-engine.ts")).runEngine(start, owner);
    case "storage":
      return (await import("./run-storage.ts")).runStorage(start);
    case "front":
      return (await import("./run-front.ts")).runFront(start, owner);
    case "objects":
      return (await import("./run-objects.ts")).runObjects(start, owner);
    default:
      return assertNever(start);
  }
}
