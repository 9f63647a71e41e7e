/**
 * A cluster of processes on this machine. Its directory holds one directory for each node and
 *
 *   cluster.json   { "version": 1, "nodes": [{ "id", "peer", "client" }, ...] }   names and addresses, so that it can go on later;
 *                  a node without "peer" is a nonvoter
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";

export interface LocalNode {
  readonly id: string;
  readonly dir: string;
  /** Undefined of a nonvoter, which nobody dials. */
  readonly peerAddress: string | undefined;
  readonly clientAddress: string;
  /** Undefined while it does not run. */
  process: ChildProcess | undefined;
  /** What it wrote to standard error last; for reports. */
  lastWords: string;
}

export interface LocalClusterOptions {
  readonly dir: string;
  /** How many vote. */
  readonly nodes: number;
  /** How many follow beside them; none unless it is given. */
  readonly nonvoters?: number;
  readonly segmentBytes?: number;
  /** Further flags of `paxlog serve` for a node, read at each start. One that is given twice counts as it is here. */
  readonly flags?: (node: LocalNode) => readonly string[];
  /** Where the nodes' standard error goes: to the user's, or nowhere but into lastWords. */
  readonly stderr: "inherit" | "keep";
  /** A node that was ready ended, for whatever reason. */
  readonly onExit?: (node: LocalNode, exit: number | string) => void;
}

interface ClusterFile {
  readonly version: 1;
  readonly nodes: readonly { readonly id: string; readonly peer?: string; readonly client: string }[];
}

/** On a machine that has much else to do the modules of a node alone take many seconds to load. */
const startMs = 120_000;
const mainFile = fileURLToPath(new URL("./main.js", import.meta.url));

export class LocalCluster {
  /** Those that vote. */
  readonly nodes: readonly LocalNode[];
  readonly nonvoters: readonly LocalNode[];
  readonly #options: LocalClusterOptions;

  private constructor(options: LocalClusterOptions, file: ClusterFile) {
    this.#options = options;
    const all = file.nodes.map((node) => ({
      id: node.id,
      dir: join(resolve(options.dir), node.id),
      peerAddress: node.peer,
      clientAddress: node.client,
      process: undefined,
      lastWords: "",
    }));
    this.nodes = all.filter(({ peerAddress }) => peerAddress !== undefined);
    this.nonvoters = all.filter(({ peerAddress }) => peerAddress === undefined);
  }

  /** Reads or makes the directory's list of nodes. Starts nothing. */
  static async open(options: LocalClusterOptions): Promise<LocalCluster> {
    const { dir, nodes, nonvoters = 0 } = options;
    const file = readClusterFile(dir) ?? (await makeClusterFile(dir, nodes, nonvoters));
    const cluster = new LocalCluster(options, file);
    const [voting, following] = [cluster.nodes.length, cluster.nonvoters.length];
    if (voting === nodes && following === nonvoters) return cluster;
    const beside = following === 0 && nonvoters === 0 ? "" : ` and ${following} nonvoters`;
    throw new PaxlogError(
      "INVALID_ARGUMENT",
      `${dir} holds a cluster of ${voting} nodes${beside}, not ${nodes}; give --nodes ${voting} or another --dir`,
    );
  }

  get clientAddresses(): string {
    return this.nodes.map((node) => node.clientAddress).join(",");
  }

  node(id: string): LocalNode {
    const node = this.nodes.find((candidate) => candidate.id === id);
    if (node === undefined) throw new PaxlogError("INVALID_ARGUMENT", `this cluster has no node ${id}`);
    return node;
  }

  /** Starts one node; resolves when it listens, rejects if it ends before. */
  start(node: LocalNode): Promise<void> {
    const members = this.nodes.map((member) => `${member.id}=${member.peerAddress}`).join(",");
    const flags = ["--dir", node.dir, "--node", node.id, "--cluster", members, "--listen", node.clientAddress];
    if (node.peerAddress === undefined) flags.push("--nonvoter");
    if (this.#options.segmentBytes !== undefined) flags.push("--segment-size", String(this.#options.segmentBytes));
    flags.push(...(this.#options.flags?.(node) ?? []));
    const child = spawn(process.execPath, [mainFile, "serve", "--json", "--with-parent", ...flags], {
      // The child stops when its standard input ends, however this process ends.
      stdio: ["pipe", "pipe", this.#options.stderr === "inherit" ? "inherit" : "pipe"],
    });
    node.process = child;
    child.stdin?.on("error", () => {});
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      node.lastWords = (node.lastWords + text).slice(-4096);
    });
    return this.#untilReady(node, child);
  }

  #untilReady(node: LocalNode, child: ChildProcess): Promise<void> {
    return new Promise((resolveReady, reject) => {
      let ready = false;
      const timer = setTimeout(() => {
        child.kill("SIGKILL");
        reject(new PaxlogError("UNAVAILABLE", `node ${node.id} did not start within ${startMs / 1000} seconds`));
      }, startMs);
      createInterface({ input: child.stdout! }).on("line", () => {
        if (ready) return;
        ready = true;
        clearTimeout(timer);
        resolveReady();
      });
      child.on("error", (cause) =>
        reject(new PaxlogError("UNAVAILABLE", `node ${node.id} cannot be started`, { cause })),
      );
      child.on("exit", (code, signal) => {
        clearTimeout(timer);
        node.process = undefined;
        const exit = code ?? signal ?? "unknown";
        if (ready) this.#options.onExit?.(node, exit);
        else reject(startError(node, exit));
      });
    });
  }

  /** Ends a node at once, as a crash would (kill -9), and waits until it is gone. */
  async kill(node: LocalNode): Promise<void> {
    const child = node.process;
    if (child === undefined) return;
    const gone = new Promise((done) => child.once("exit", done));
    child.kill("SIGKILL");
    await gone;
  }

  /** Asks all nodes to stop and waits; those that take too long are killed. */
  async stop(): Promise<void> {
    const children = [...this.nodes, ...this.nonvoters].flatMap((node) =>
      node.process === undefined ? [] : [node.process],
    );
    const gone = children.map((child) => new Promise((done) => child.once("exit", done)));
    for (const child of children) child.kill("SIGTERM");
    const timer = setTimeout(() => {
      for (const child of children) child.kill("SIGKILL");
    }, 2 * limits.closeMs);
    await Promise.all(gone);
    clearTimeout(timer);
  }
}

function startError(node: LocalNode, exit: number | string): PaxlogError {
  const words = node.lastWords.trim();
  return new PaxlogError(
    "UNAVAILABLE",
    `node ${node.id} ended at its start (exit ${exit})${words === "" ? "" : `: ${words}`}`,
    {
      facts: { id: node.id, exit },
    },
  );
}

function clusterFilePath(dir: string): string {
  return join(resolve(dir), "cluster.json");
}

function readClusterFile(dir: string): ClusterFile | undefined {
  const path = clusterFilePath(dir);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw unusable(dir, cause);
  }
  try {
    const file = JSON.parse(text) as ClusterFile;
    const sound =
      file.version === 1 &&
      file.nodes.every((node) => [node.id, node.peer ?? "", node.client].every((field) => typeof field === "string"));
    if (sound) return file;
  } catch {
    // Falls through to the error: what is not JSON is not a cluster's file.
  }
  throw new PaxlogError("FORMAT_UNKNOWN", `${path} is not a file of this version of paxlog; name another --dir`);
}

async function makeClusterFile(dir: string, count: number, nonvoters: number): Promise<ClusterFile> {
  const ports = await freePorts(2 * count + nonvoters);
  const voting = Array.from({ length: count }, (_, index) => ({
    id: `n${index + 1}`,
    peer: `127.0.0.1:${ports[2 * index]}`,
    client: `127.0.0.1:${ports[2 * index + 1]}`,
  }));
  const following = Array.from({ length: nonvoters }, (_, index) => ({
    id: `r${index + 1}`,
    client: `127.0.0.1:${ports[2 * count + index]}`,
  }));
  const file: ClusterFile = { version: 1, nodes: [...voting, ...following] };
  const path = clusterFilePath(dir);
  try {
    mkdirSync(resolve(dir), { recursive: true, mode: 0o700 });
    writeFileSync(`${path}.new`, `${JSON.stringify(file, undefined, 2)}\n`, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  } catch (cause) {
    throw unusable(dir, cause);
  }
  return file;
}

function unusable(dir: string, cause: unknown): PaxlogError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new PaxlogError(
    "DIRECTORY_UNUSABLE",
    `${dir} cannot be used (${reason}); name a directory that you may write with --dir`,
    {
      cause,
    },
  );
}

/**
 * Ports that are free on loopback. They are taken from below the range that the system hands out for outgoing connections, so that
 * such a connection does not sit on a node's port when the cluster is started again.
 */
async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  let candidate = 17_000 + Math.floor(Math.random() * 12_000);
  for (let tries = 0; ports.length < count; tries++) {
    if (tries > 4096) throw new PaxlogError("ADDRESS_IN_USE", "no free ports were found on 127.0.0.1");
    candidate = candidate >= 30_000 ? 17_000 : candidate + 1;
    if (await isFree(candidate)) ports.push(candidate);
  }
  return ports;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer();
    server.once("error", () => done(false));
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => server.close(() => done(true)));
  });
}
