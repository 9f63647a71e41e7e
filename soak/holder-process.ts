import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { BrokenPromise } from "./recorder.ts";

/** What Node runs as it is. */
const file = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "./holder.mjs" : "../holder.mjs", import.meta.url),
);

/** A holder of a lease that can be stopped (SIGSTOP) as an operating system stops a process: it cannot know. */
export class HolderProcess {
  readonly token: number;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcess, lines: AsyncIterator<string>, token: number) {
    this.#child = child;
    this.#lines = lines;
    this.token = token;
  }

  /** Resolves once it holds the lease; undefined where it ended before, as faults may have it. */
  static async start(addresses: string, name: string, ttlMs: number): Promise<HolderProcess | undefined> {
    const child = spawn(process.execPath, [file, addresses, name, `${ttlMs}`], { stdio: ["ignore", "pipe", "ignore"] });
    const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
    const { value } = await lines.next();
    return value === undefined ? undefined : new HolderProcess(child, lines, (JSON.parse(value) as Held).token);
  }

  stop(): void {
    this.#child.kill("SIGSTOP");
  }

  /** It goes on where it was, another one having the lease. Resolves when its write was refused, and it knew why. */
  async goOn(): Promise<void> {
    this.#child.kill("SIGCONT");
    const { value } = await this.#lines.next();
    // It ends by itself where faults outlast what it waits: it wrote nothing more then.
    if (value === undefined) return;
    const { held } = JSON.parse(value) as Refused;
    if (held) throw new BrokenPromise(`the holder of ${this.token} was refused, and believes that it holds the lease`);
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}

interface Held {
  readonly token: number;
}

interface Refused {
  readonly refused: "FENCED";
  readonly held: boolean;
}
