import { existsSync } from "node:fs";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { limits } from "../base/limits.ts";
import { builtinNames } from "../objects/builtin-names.ts";
import { BusyMark } from "../objects/busy-mark.ts";
import { packError } from "../runtime/channel.ts";
import { machinesDirectory } from "../storage/paths.ts";
import type { CheckedConfig } from "./config.ts";
import type { MachineInFile } from "./machine-files.ts";
import type { FromThread, ObjectPort } from "./messages.ts";
import { startThread, type Thread } from "./thread.ts";

export interface MachineThreadsOptions {
  readonly config: CheckedConfig;
  /** Of the directory's DirectoryQuota. */
  readonly quota: SharedArrayBuffer;
  /** Of the user's. */
  readonly machines: readonly MachineInFile[];
  readonly unref: boolean;
  readonly threads: boolean;
  readonly workerUrl: string | URL | undefined;
  readonly onNote: (text: string) => void;
  /** Hands the engine a port to serve. It runs by then. */
  readonly giveEngine: (port: MessagePort) => void;
}

/** One thread of machines: to be started, running, or over. */
interface Part {
  readonly name: string;
  readonly machines: readonly string[];
  readonly machine: MachineInFile | undefined;
  /** The machines' ends of the ports of those who serve clients. */
  readonly ports: MessagePort[];
  readonly busy: BusyMark;
  isNeeded: boolean;
  thread: Thread | undefined;
  /** Of the thread's port to the engine, the engine's end, until that runs. */
  enginePort: MessagePort | undefined;
  /** A machine that is at one command for so long is reported. */
  reportMs: number;
}

/** The thread of the built-in machines. No machine has this name: a name of a machine's thread has a space. */
const builtinThread = "objects";

/**
 * The threads of a node's machines, as its owner's thread sees them: one of the built-in ones, and one of each of the user's. That of the
 * built-in ones starts when somebody asks one of them, when the log has a command for one, or when the node ran them before: a node
 * that is used as a log pays nothing. What is known to be needed loads while the engine opens the log. What ends or holds up one of these
 * threads ends and holds up nothing else.
 */
export class MachineThreads {
  readonly #options: MachineThreadsOptions;
  readonly #parts: readonly Part[];
  #watchdog: NodeJS.Timeout | undefined;
  #engineRuns = false;
  #isBackground = false;
  #isClosing = false;

  constructor(options: MachineThreadsOptions) {
    this.#options = options;
    const ranBefore = existsSync(machinesDirectory(options.config.dir));
    this.#parts = [
      partOf(builtinThread, builtinNames, undefined, ranBefore || options.config.procedures !== undefined),
      ...options.machines.map((machine) => partOf(`machine ${machine.name}`, [machine.name], machine, true)),
    ];
    // Code of the user's takes no command before the log is known to say that it is the one to apply it.
    for (const { busy, machine } of this.#parts) if (machine !== undefined) busy.admit(0, "later");
    if (options.config.procedures !== undefined) this.#parts[0]!.busy.admit(builtinNames.indexOf("space"), "later");
  }

  /** For one more thread that serves clients. Before any of the machines runs. */
  ports(): ObjectPort[] {
    return this.#parts.map(({ name, machines, ports, busy }) => {
      const { port1, port2 } = new MessageChannel();
      ports.push(port1);
      return { thread: name, machines, port: port2, busy: busy.memory };
    });
  }

  /** What other threads see of them. */
  get marks(): readonly SharedArrayBuffer[] {
    return this.#parts.map(({ busy }) => busy.memory);
  }

  /** Every thread that serves clients has its ports. */
  start(): void {
    for (const part of this.#parts) if (part.isNeeded) this.#start(part);
  }

  need(thread: string): void {
    const part = this.#parts.find(({ name }) => name === thread);
    if (part === undefined || part.isNeeded) return;
    part.isNeeded = true;
    if (!this.#engineRuns || this.#isClosing) return;
    this.#start(part);
    this.#connect(part);
  }

  engineRuns(isBackground: boolean): void {
    if (this.#isClosing) return;
    this.#engineRuns = true;
    this.#isBackground = isBackground;
    for (const part of this.#parts) {
      if (part.isNeeded && part.thread === undefined) this.#start(part);
      this.#connect(part);
    }
    this.#watchdog = setInterval(() => this.#look(), limits.machineBusyMs / 2).unref();
  }

  hold(holds: boolean): void {
    for (const { thread } of this.#parts) thread?.hold(holds);
  }

  /** Resolves when they are over. One that hangs is ended. */
  async close(): Promise<void> {
    this.#isClosing = true;
    clearInterval(this.#watchdog);
    await Promise.all(
      this.#parts.map(async ({ thread, busy, ports, enginePort }) => {
        thread?.post({ kind: "close" });
        if (busy.busyMs > limits.machineBusyMs) await thread?.terminate();
        await thread?.exited;
        for (const port of ports) port.close();
        enginePort?.close();
      }),
    );
  }

  async terminate(): Promise<void> {
    await Promise.all(this.#parts.map(({ thread }) => thread?.terminate()));
  }

  #start(part: Part): void {
    const { config, quota, unref, threads, workerUrl, onNote } = this.#options;
    const { port1, port2 } = new MessageChannel();
    part.enginePort = port1;
    const { ports: objectPorts, machine, name } = part;
    const thread = startThread(
      { role: "objects", config, unref, machine, backendPort: port2, objectPorts, busy: part.busy.memory, quota },
      { threads, workerUrl, onMessage: (message: FromThread) => message.kind === "note" && onNote(message.text) },
    );
    part.thread = thread;
    void thread.exited.then((cause) => {
      if (this.#isClosing) return;
      for (const place of part.machines.keys()) part.busy.admit(place, "stopped");
      const reason = cause === undefined ? "" : `: ${packError(cause).message}`;
      const whose = name === builtinThread ? "the built-in machines" : name;
      onNote(`the thread of ${whose} has ended${reason}. The node goes on without it until it is started again`);
    });
  }

  /** The engine serves the thread from now on. */
  #connect(part: Part): void {
    const { thread, enginePort } = part;
    if (thread === undefined || enginePort === undefined) return;
    part.enginePort = undefined;
    this.#options.giveEngine(enginePort);
    if (this.#isBackground) thread.hold(false);
  }

  /** Names machines that are at one command for too long. */
  #look(): void {
    for (const part of this.#parts) {
      const { busyMs, position } = part.busy;
      if (busyMs < part.reportMs) {
        if (busyMs < limits.machineBusyMs) part.reportMs = limits.machineBusyMs;
        continue;
      }
      part.reportMs = 2 * busyMs;
      const whose = part.machine === undefined ? "one of the built-in machines" : `the machine ${part.machine.name}`;
      this.#options.onNote(
        `${whose} has been at the command at ${position} for ${Math.round(busyMs / 1000)} s: it is slow, or loops; nothing else waits for it`,
      );
    }
  }
}

function partOf(
  name: string,
  machines: readonly string[],
  machine: MachineInFile | undefined,
  isNeeded: boolean,
): Part {
  const reportMs = limits.machineBusyMs;
  return {
    name,
    machines,
    machine,
    ports: [],
    busy: new BusyMark(),
    isNeeded,
    thread: undefined,
    enginePort: undefined,
    reportMs,
  };
}
