import { existsSync } from "node:fs";
import { join } from "node:path";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { builtinNames } from "../objects/builtin-names.ts";
import { BusyMark } from "../objects/busy-mark.ts";
import { packError } from "../runtime/channel.ts";
import type { CheckedConfig } from "./config.ts";
import type { FromThread, ObjectPort } from "./messages.ts";
import { startThread, type Thread } from "./thread.ts";

export interface MachineThreadsOptions {
  readonly config: CheckedConfig;
  readonly unref: boolean;
  readonly threads: boolean;
  readonly workerUrl: string | URL | undefined;
  readonly onNote: (text: string) => void;
  /** Hands the engine a port to serve. It runs by then. */
  readonly giveEngine: (port: MessagePort) => void;
}

/** The thread of the built-in machines. */
const builtinThread = "objects";

/**
 * The threads of a node's machines, as its owner's thread sees them. That of the built-in ones starts when somebody asks one of them, when the
 * log has a command for one, or when the node ran them before: a node that is used as a log pays nothing. What ends one of these
 * threads ends nothing else.
 */
export class MachineThreads {
  readonly #options: MachineThreadsOptions;
  /** The machines' ends of the ports of those who serve clients. */
  readonly #objectPorts: MessagePort[] = [];
  readonly #busy = new BusyMark();
  #thread: Thread | undefined;
  #isNeeded: boolean;
  #engineRuns = false;
  #isBackground = false;
  #isClosing = false;

  constructor(options: MachineThreadsOptions) {
    this.#options = options;
    this.#isNeeded = existsSync(join(options.config.dir, "machines"));
  }

  /** For one more thread that serves clients. Before any of the machines runs. */
  ports(): ObjectPort[] {
    const { port1, port2 } = new MessageChannel();
    this.#objectPorts.push(port1);
    return [{ thread: builtinThread, machines: builtinNames, port: port2 }];
  }

  need(_thread: string): void {
    this.#isNeeded = true;
    this.#startIfNeeded();
  }

  engineRuns(isBackground: boolean): void {
    this.#engineRuns = true;
    this.#isBackground = isBackground;
    this.#startIfNeeded();
  }

  hold(holds: boolean): void {
    this.#thread?.hold(holds);
  }

  /** Resolves when they are over. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#thread?.post({ kind: "close" });
    await this.#thread?.exited;
    for (const port of this.#objectPorts) port.close();
  }

  async terminate(): Promise<void> {
    await this.#thread?.terminate();
  }

  #startIfNeeded(): void {
    if (!this.#isNeeded || !this.#engineRuns || this.#isClosing || this.#thread !== undefined) return;
    const { config, unref, threads, workerUrl, giveEngine, onNote } = this.#options;
    const { port1, port2 } = new MessageChannel();
    giveEngine(port1);
    const objectPorts = this.#objectPorts;
    const busy = this.#busy.memory;
    const thread = startThread(
      { role: "objects", config, unref, backendPort: port2, objectPorts, busy },
      { threads, workerUrl, onMessage: (message: FromThread) => message.kind === "note" && onNote(message.text) },
    );
    this.#thread = thread;
    if (this.#isBackground) thread.hold(false);
    void thread.exited.then((cause) => {
      if (this.#isClosing) return;
      const reason = cause === undefined ? "" : `: ${packError(cause).message}`;
      onNote(
        `the thread of the built-in machines has ended${reason}. The log goes on without them until the node is started again`,
      );
    });
  }
}
