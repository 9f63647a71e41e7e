import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Answer, Order, ReadersReport } from "./messages.ts";

/** The process that holds the readers. */
export class ReaderProcess {
  readonly #process: ChildProcess;

  constructor() {
    const file = fileURLToPath(new URL("./readers.js", import.meta.url));
    this.#process = fork(file, [], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  }

  get pid(): number {
    return this.#process.pid!;
  }

  async attach(order: Omit<Extract<Order, { kind: "attach" }>, "kind">): Promise<void> {
    await this.#ask({ kind: "attach", ...order });
  }

  async measure(on: boolean): Promise<void> {
    await this.#ask({ kind: "measure", on });
  }

  async report(): Promise<ReadersReport> {
    const answer = await this.#ask({ kind: "report" });
    if (answer.kind !== "report") throw new Error(`the readers answered ${answer.kind}`);
    return answer;
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const gone = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await gone;
  }

  #ask(order: Order): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const onExit = (code: number | null) => reject(new Error(`the readers ended (${code})`));
      this.#process.once("exit", onExit);
      this.#process.once("message", (answer: Answer) => {
        this.#process.off("exit", onExit);
        resolve(answer);
      });
      this.#process.send(order);
    });
  }
}
