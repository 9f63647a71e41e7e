import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { PaxlogError } from "../base/errors.ts";
import { loadHashing } from "../native/hashing.ts";
import type { NodeStatus } from "../transport/backend.ts";
import { type CheckedConfig, checkConfig, type Layout, type NodeConfig } from "./config.ts";
import { machinesOfFiles } from "./machine-files.ts";
import { type NodeEnd, NodeThreads } from "./threads.ts";

export type { ClusterMember, Layout, NodeConfig } from "./config.ts";
export type { NodeEnd } from "./threads.ts";

/** A node that runs in this process, on threads of its own. */
export interface RunningNode {
  readonly name: string;
  readonly dir: string;
  /** Where clients find it; with the port that was taken if the configuration asked for any. */
  readonly clientAddress: string;
  /** Where its peers find it; empty for a node that is alone. */
  readonly peerAddress: string;
  status(): Promise<NodeStatus>;
  /** Resolves when the node has ended: with the reason if it stopped by itself, with undefined after close(). Never rejects. */
  readonly closed: Promise<NodeEnd | undefined>;
  /** Stops it cleanly; may be called again. Bounded by limits.closeMs, after which its threads are ended. */
  close(): Promise<void>;
}

export interface NodeHooks {
  /** Remarks for the node's owner: what recovery found, which hashing runs, links that came and went. */
  readonly onNote?: (text: string) => void;
}

/**
 * Starts a node: checks the configuration, locks and recovers its directory, then listens. Resolves once clients can reach it,
 * which says nothing about a leader.
 *
 * @throws PaxlogError INVALID_ARGUMENT or INSECURE_ADDRESS for the configuration; DIRECTORY_IN_USE, DIRECTORY_UNUSABLE, DAMAGED,
 *   FORMAT_UNKNOWN or STORAGE_FAILED for the directory; ADDRESS_IN_USE or ADDRESS_UNUSABLE for the addresses.
 */
export async function startNode(config: NodeConfig, hooks: NodeHooks = {}): Promise<RunningNode> {
  const { threads, checked } = await startThreads(config, { ...hooks, embedded: false });
  const { clientAddress, peerAddress } = await threads.ready;
  return {
    name: checked.name,
    dir: checked.dir,
    clientAddress,
    peerAddress,
    status: () => threads.status(),
    closed: threads.closed,
    close: () => threads.close(),
  };
}

/** As `startNode`, for whoever takes the node into its own hands. With `embedded` there is a port to its engine. */
export async function startThreads(
  config: NodeConfig,
  { onNote = () => {}, embedded }: NodeHooks & { readonly embedded: boolean },
): Promise<{ readonly threads: NodeThreads; readonly checked: CheckedConfig }> {
  const checked = checkConfig(config, (dir) => resolve(dir));
  // The addon is loaded here first, then in the workers, which take what this thread found.
  const { implementation } = await loadHashing(checked.hashing);
  makeDirectory(checked.dir);
  if (checked.listen !== undefined) onNote(layoutNotes[checked.layout]);
  const machines = await machinesOfFiles(checked.machines, (fault) =>
    onNote(`${fault.message} (${fault.code}): the node runs without it`),
  );
  const threads = new NodeThreads({
    machines,
    config: { ...checked, hashing: implementation },
    threads: config.threads ?? true,
    workerUrl: config.workerUrl,
    onNote,
    embedded,
  });
  return { threads, checked };
}

const layoutNotes: Readonly<Record<Layout, string>> = {
  compact: "the server for clients shares the engine's thread (layout compact)",
  spread: "the server for clients has a thread of its own (layout spread)",
};

function makeDirectory(dir: string): void {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new PaxlogError(
      "DIRECTORY_UNUSABLE",
      `the directory ${dir} cannot be made (${reason}); name one that this process may write`,
      { cause, facts: { directory: dir } },
    );
  }
}
