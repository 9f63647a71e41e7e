// Goal: with the leader killed under `paxlog append`, every line is acknowledged once, in order, and no record is twice in the log.
// Method: three real nodes, the built command fed line by line, kill -9 of whoever leads, several times.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { connect } from "../../src/client/connect.ts";
import { pause, TestCluster } from "./harness.ts";
import { readAll } from "./load.ts";

const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const killCount = 2;

let cluster: TestCluster;

beforeEach(async () => {
  cluster = await TestCluster.start();
  await cluster.leader();
});

afterEach(() => cluster.stop());

/** `paxlog append` with a steady input until `end`, and what it said of each line. */
class Appending {
  readonly sent: string[] = [];
  readonly answers: Record<string, unknown>[] = [];
  readonly exited: Promise<number | null>;
  stderr = "";
  readonly #child;
  readonly #timer: NodeJS.Timeout;

  constructor(addresses: string) {
    // A machine that has much else to do may take its time to elect.
    const args = ["append", "--to", addresses, "--deadline", "60", "--json"];
    this.#child = spawn(process.execPath, [main, ...args], { stdio: "pipe" });
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
    createInterface({ input: this.#child.stdout }).on("line", (line) => this.answers.push(JSON.parse(line)));
    this.exited = new Promise((resolve) => this.#child.on("close", resolve));
    this.#timer = setInterval(() => this.#send(20), 10);
  }

  async answered(count: number): Promise<void> {
    while (this.answers.length < count) {
      if (this.#child.exitCode !== null) throw new Error(`it ended: ${this.stderr}`);
      await pause(10);
    }
  }

  async end(): Promise<number | null> {
    clearInterval(this.#timer);
    this.#child.stdin.end();
    return await this.exited;
  }

  #send(count: number): void {
    const lines = Array.from({ length: count }, (_, index) => `line ${this.sent.length + index}`);
    this.sent.push(...lines);
    this.#child.stdin.write(`${lines.join("\n")}\n`);
  }
}

test("leaders are killed while lines come in: each line once, in order", { timeout: 180_000 }, async () => {
  const appending = new Appending(cluster.addresses);
  for (let kills = 0; kills < killCount; kills++) {
    await appending.answered(appending.answers.length + 300);
    const leader = await cluster.leader();
    await cluster.kill(leader);
    await appending.answered(appending.sent.length + 100);
    await cluster.restart(leader).line(0);
  }
  expect(await appending.end(), appending.stderr).toBe(0);

  await using log = await connect(cluster.addresses);
  expect(await readAll(log)).toEqual(appending.sent);
  expect(appending.answers).toEqual(appending.sent.map((_, index) => ({ line: index + 1, position: index + 1 })));
});
