import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** A process of a benchmark that is no node: it prints one JSON line when it is ready, and ends with its standard input. */
export class Child<Ready> {
  readonly ready: Ready;
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess, ready: Ready) {
    this.#process = process;
    this.ready = ready;
  }

  /** `script` is a file of bench/, built, without its ending. */
  static async start<Ready>(script: string, options: unknown): Promise<Child<Ready>> {
    const file = fileURLToPath(new URL(`../${script}.js`, import.meta.url));
    const child = spawn(process.execPath, [file, JSON.stringify(options)], { stdio: ["pipe", "pipe", "inherit"] });
    child.stdin.on("error", () => {});
    const { done, value } = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next();
    if (done) throw new Error(`${script} ended before it was ready`);
    return new Child(child, JSON.parse(value) as Ready);
  }

  get pid(): number {
    return this.#process.pid!;
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const gone = once(this.#process, "exit");
    this.#process.stdin?.end();
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), 5000);
    await gone;
    clearTimeout(timer);
  }
}

/** In such a process: its options. */
export function childOptions<Options>(): Options {
  return JSON.parse(process.argv[2] ?? "{}") as Options;
}

/** In such a process: says that it is ready, and ends it with its parent. */
export function announceReady(ready: unknown): void {
  process.stdout.write(`${JSON.stringify(ready)}\n`);
  process.stdin.resume().once("end", () => process.exit(0));
}
