/** What every worker of a node begins with: option `workerUrl` names the bundled copy of this file. */
import { parentPort, workerData } from "node:worker_threads";
import { defined } from "../base/assert.ts";
import type { ThreadStart } from "./messages.ts";
import { raisePriority } from "./priority.ts";
import { runThread } from "./run-thread.ts";

const start = workerData as ThreadStart;
raisePriority(start.role);
// Not awaited: a module that awaits cannot be bundled for `require`. What fails ends the thread, with its reason.
void runThread(start, defined(parentPort, "the port to the owner's thread"));
