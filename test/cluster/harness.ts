import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
if (!existsSync(main)) throw new Error("these tests run the built command line: npm run build");

export interface TempDir {
  readonly path: string;
  remove(): void;
}

export function makeTempDir(): TempDir {
  const path = mkdtempSync(join(tmpdir(), "paxlog-cluster-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Standard output, line by line, each a JSON object. */
  json(): Record<string, unknown>[];
  /** The error object that --json puts last on standard error. */
  error(): Record<string, unknown>;
}

/** Runs a command to its end. */
export function runCli(args: readonly string[], input: string | Buffer = ""): Promise<CliResult> {
  const child = spawn(process.execPath, [main, ...args], { stdio: "pipe" });
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on("data", (bytes: Buffer) => stdout.push(bytes));
  child.stderr.on("data", (bytes: Buffer) => stderr.push(bytes));
  const timer = setTimeout(() => child.kill("SIGKILL"), 25_000);
  return new Promise((resolve) => {
    child.on("close", (code) => {
      clearTimeout(timer);
      const [out, err] = [Buffer.concat(stdout).toString(), Buffer.concat(stderr).toString()];
      resolve({
        code,
        stdout: out,
        stderr: err,
        json: () => linesOf(out).map(parse),
        error: () => parse(linesOf(err).at(-1) ?? ""),
      });
    });
  });
}

const linesOf = (text: string) => text.split("\n").filter((line) => line !== "");
const parse = (line: string) => JSON.parse(line) as Record<string, unknown>;

/** A long-running command whose standard output is JSON lines. */
export class Running {
  readonly child: ChildProcess;
  readonly exited: Promise<number | string>;
  /** Everything it wrote to standard error. */
  stderr = "";
  readonly #lines: Record<string, unknown>[] = [];
  #onLine: (() => void)[] = [];

  constructor(args: readonly string[]) {
    const child = spawn(process.execPath, [main, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    this.child = child;
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
    this.exited = new Promise((resolve) => child.on("exit", (code, signal) => resolve(code ?? signal ?? "unknown")));
    createInterface({ input: child.stdout }).on("line", (line) => {
      this.#lines.push(parse(line));
      for (const wake of this.#onLine.splice(0)) wake();
    });
  }

  /** The line at `index`, once it was written. */
  async line(index: number): Promise<Record<string, unknown>> {
    const ended = this.exited.then((exit) => {
      throw new Error(`the process ended (${exit}) before line ${index}: ${this.stderr}`);
    });
    while (this.#lines.length <= index) {
      await Promise.race([ended, new Promise<void>((resolve) => this.#onLine.push(resolve))]);
    }
    ended.catch(() => {});
    return this.#lines[index]!;
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | string> {
    this.child.kill(signal);
    return await this.exited;
  }
}

export interface ClusterNode {
  readonly id: string;
  readonly address: string;
  readonly peerAddress: string;
  readonly dir: string;
  pid: number;
}

/** Three nodes as `paxlog cluster` runs them, with a hand on each process. */
export class TestCluster {
  readonly temp: TempDir;
  readonly dir: string;
  nodes: ClusterNode[] = [];
  #cluster: Running | undefined;
  /** Nodes that were started again, one by one. */
  readonly #served = new Map<string, Running>();

  constructor() {
    this.temp = makeTempDir();
    this.dir = join(this.temp.path, "cluster");
  }

  static async start(): Promise<TestCluster> {
    const cluster = new TestCluster();
    await cluster.startAll();
    return cluster;
  }

  async startAll(): Promise<void> {
    const running = new Running(["cluster", "--nodes", "3", "--dir", this.dir, "--segment-size", "1048576", "--json"]);
    this.#cluster = running;
    const lines = [await running.line(0), await running.line(1), await running.line(2)];
    const file = JSON.parse(readFileSync(join(this.dir, "cluster.json"), "utf8")) as {
      nodes: { id: string; peer: string; client: string }[];
    };
    this.nodes = file.nodes.map(({ id, peer, client }) => {
      const line = lines.find((candidate) => candidate.id === id)!;
      return { id, address: client, peerAddress: peer, dir: line.dir as string, pid: line.pid as number };
    });
  }

  get running(): Running {
    return this.#cluster!;
  }

  get addresses(): string {
    return this.nodes.map((node) => node.address).join(",");
  }

  node(id: string): ClusterNode {
    return this.nodes.find((node) => node.id === id)!;
  }

  others(id: string): ClusterNode[] {
    return this.nodes.filter((node) => node.id !== id);
  }

  async leader(): Promise<ClusterNode> {
    // What `paxlog status` prints, without a process for each look; loaded here, since most users of this file need neither.
    const { connect } = await import("../../src/client/connect.ts");
    const { clusterStatus } = await import("../../src/cli/status.ts");
    const log = await connect(this.addresses, { deadlineMs: 5_000 });
    try {
      for (let tries = 0; tries < 600; tries++) {
        const { leader } = await clusterStatus(log, this.addresses.split(",")).catch(() => ({ leader: null }));
        if (leader !== null) return this.node(leader);
        await pause(50);
      }
      throw new Error("no leader was found");
    } finally {
      await log.close();
    }
  }

  /** kill -9, and wait until the process is gone. */
  async kill(...nodes: ClusterNode[]): Promise<void> {
    for (const node of nodes) process.kill(node.pid, "SIGKILL");
    for (const node of nodes) while (isAlive(node.pid)) await pause(5);
    for (const node of nodes) this.#served.delete(node.id);
  }

  serveArguments(node: ClusterNode): string[] {
    const members = this.nodes.map((member) => `${member.id}=${member.peerAddress}`).join(",");
    return ["serve", "--dir", node.dir, "--node", node.id, "--cluster", members, "--listen", node.address, "--json"];
  }

  /** Starts a dead node again; does not wait. */
  restart(node: ClusterNode): Running {
    const running = new Running(this.serveArguments(node));
    this.#served.set(node.id, running);
    void running
      .line(0)
      .then((line) => {
        node.pid = line.pid as number;
      })
      .catch(() => {});
    return running;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#served.values()].map((running) => running.stop("SIGKILL")));
    await this.#cluster?.stop();
    this.temp.remove();
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A zombie is gone too: its parent has not looked yet. But one that has threads left has files and locks as well.
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [state, threads] = [fields[0], Number(fields[17])];
    return state !== "Z" || threads > 1;
  } catch {
    return false;
  }
}

export const pause = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

/**
 * Measures how long this machine held its processes up: bounds in time are about the cluster, and a timer of this process that
 * fires late shows how much of an interval no process could do anything about.
 */
export class StallMeter {
  stalledMs = 0;
  readonly #timer: NodeJS.Timeout;

  constructor() {
    let before = performance.now();
    this.#timer = setInterval(() => {
      const now = performance.now();
      this.stalledMs += Math.max(0, now - before - 20);
      before = now;
    }, 10);
  }

  stop(): number {
    clearInterval(this.#timer);
    return this.stalledMs;
  }
}
