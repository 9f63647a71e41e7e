/** A process that starts a node and asks its machines, as a user's program would, and says what that took. Started by start.ts. */
import { announceReady, childOptions } from "./lib/child.ts";

export interface StartWanted {
  readonly dir: string;
  readonly name: string;
  /** What the counter and the version of the register of that name must be. */
  readonly counter: number;
  readonly register: number;
}

/** What one start took, from when the modules are loaded. */
export interface StartFigures {
  readonly openMs: number;
  /** From then to the first linearizable tail: the node leads. */
  readonly tailMs: number;
  /** From then to the first linearizable answers of both machines. */
  readonly answerMs: number;
  /** Of the processor, from the birth of the process: what is left when others want it too. */
  readonly cpuMs: number;
  /** Resident memory of the process, all threads of the node included. */
  readonly memoryMiB: number;
}

const { dir, name, counter, register } = childOptions<StartWanted>();
const { open } = await import("#src/index");
const began = performance.now();
// On a loaded machine a start may take longer than a call does by default; how long is what is measured.
const log = await open({ dir, deadlineMs: 120_000 });
const opened = performance.now();
await log.tail();
const led = performance.now();
const found = { counter: await log.counter(name).get(), register: (await log.register(name).get())?.version };
if (found.counter !== counter || found.register !== register) throw new Error(`${JSON.stringify(found)} was found`);
const answered = performance.now();
const { user, system } = process.cpuUsage();
announceReady({
  openMs: opened - began,
  tailMs: led - opened,
  answerMs: answered - led,
  cpuMs: (user + system) / 1000,
  memoryMiB: process.memoryUsage().rss / 1024 / 1024,
} satisfies StartFigures);
