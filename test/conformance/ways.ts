import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { connect as Connect, Log, open as Open, OpenOptions } from "../../src/index.ts";
import type { NodeConfig, RunningNode, startNode as StartNode } from "../../src/node/node.ts";
import { freePorts } from "../cluster/ports.ts";

// Workers run built files only, and classes of another copy would not be those that callers see: all of it is the built package.
const dist = new URL("../../dist/", import.meta.url);
if (!existsSync(fileURLToPath(dist))) throw new Error("these tests run the built package: npm run build");
const { connect, open } = (await import(new URL("index.js", dist).href)) as {
  connect: typeof Connect;
  open: typeof Open;
};
const { startNode } = (await import(new URL("node/node.js", dist).href)) as { startNode: typeof StartNode };

/** A log as one way of use has it. */
export interface RunningLog {
  /** Two handles to it; the same one twice where the way has only one. */
  readonly handles: readonly [Log, Log];
  /** A handle of its own, to be closed by the test. Rejects where the way has only one. */
  another(): Promise<Log>;
  stop(): Promise<void>;
}

export interface Way {
  readonly name: string;
  /** Whether there may be handles beside the first ones. */
  readonly hasMore: boolean;
  start(): Promise<RunningLog>;
}

/** Every way of use of a log that the package offers. */
export const ways: readonly Way[] = [
  { name: "remote, with the addon", hasMore: true, start: () => startRemote({ hashing: "native", layout: "compact" }) },
  { name: "remote, portable", hasMore: true, start: () => startRemote({ hashing: "portable", layout: "compact" }) },
  { name: "remote, layout spread", hasMore: true, start: () => startRemote({ layout: "spread" }) },
  { name: "embedded alone", hasMore: false, start: () => startEmbedded({}) },
  { name: "embedded alone, portable", hasMore: false, start: () => startEmbedded({ hashing: "portable" }) },
  { name: "embedded alone, without threads", hasMore: false, start: () => startEmbedded({ threads: false }) },
  { name: "embedded in a cluster", hasMore: true, start: startEmbeddedCluster },
];

async function startRemote(options: Pick<NodeConfig, "hashing" | "layout">): Promise<RunningLog> {
  const dir = makeDir();
  const node: RunningNode = await startNode({ dir, listen: "127.0.0.1:0", ...options });
  const another = () => connect(node.clientAddress);
  const handles = [await another(), await another()] as const;
  return {
    handles,
    another,
    stop: async () => {
      await Promise.all(handles.map((log) => log.close()));
      await node.close();
      rmSync(dir, { recursive: true });
    },
  };
}

async function startEmbedded(options: Pick<OpenOptions, "hashing" | "threads">): Promise<RunningLog> {
  const dir = makeDir();
  const log = await open({ dir, ...options });
  return {
    handles: [log, log],
    another: () => Promise.reject(new Error("a log that is embedded alone has one handle")),
    stop: async () => {
      await log.close();
      rmSync(dir, { recursive: true });
    },
  };
}

/** Three nodes in this process; the handles are of two of them, so at most one is at the leader. */
async function startEmbeddedCluster(): Promise<RunningLog> {
  const dir = makeDir();
  const names = ["a", "b", "c"];
  const ports = await freePorts(2 * names.length);
  const cluster = Object.fromEntries(names.map((name, index) => [name, `127.0.0.1:${ports[index]}`]));
  const openNode = (name: string, index: number) =>
    open({
      dir: join(dir, name),
      node: name,
      cluster,
      listen: `127.0.0.1:${ports[names.length + index]}`,
      deadlineMs: 30_000,
    });
  const logs = await Promise.all(names.map(openNode));
  const addresses = logs.map((log) => log.clientAddress);
  return {
    handles: [logs[0]!, logs[1]!],
    another: () => connect(addresses),
    stop: async () => {
      await Promise.all(logs.map((log) => log.close()));
      rmSync(dir, { recursive: true });
    },
  };
}

const makeDir = (): string => mkdtempSync(join(tmpdir(), "paxlog-conformance-"));
