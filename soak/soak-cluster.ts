import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { LocalCluster, type LocalClusterOptions, type LocalNode } from "#src/cli/local-cluster";
import { connect } from "#src/client/connect";
import { Network } from "./network.ts";
import { BrokenPromise } from "./recorder.ts";

export interface SoakContext {
  /** Where the nodes' directories are made; they are removed in the end. */
  readonly dir: string;
  readonly nodes: number;
  /** Everything that is drawn comes from it; what processes make of it differs from run to run. */
  readonly seed: number;
  /** Progress, for people. */
  readonly note: (line: string) => void;
}

type ClusterOptions = Pick<LocalClusterOptions, "nonvoters" | "segmentBytes" | "flags">;

/** As withCluster, with every link through a relay that can be cut. Clients have to use the network's addresses. */
export async function withNetwork<T>(
  context: Pick<SoakContext, "dir" | "nodes" | "note">,
  use: (cluster: LocalCluster, network: Network) => Promise<T>,
  options: ClusterOptions = {},
): Promise<T> {
  let network: Network | undefined;
  try {
    return await withCluster(context, (cluster) => use(cluster, network!), {
      ...options,
      beforeStart: async (nodes) => {
        network = await Network.open(nodes);
      },
      flags: (node) => [...(options.flags?.(node) ?? []), ...network!.flagsOf(node)],
    });
  } finally {
    await network?.close();
  }
}

/** Runs node processes in a directory of their own for as long as `use` takes. */
export async function withCluster<T>(
  { dir, nodes, note }: Pick<SoakContext, "dir" | "nodes" | "note">,
  use: (cluster: LocalCluster) => Promise<T>,
  { beforeStart, ...options }: ClusterOptions & { beforeStart?: (nodes: readonly LocalNode[]) => Promise<void> } = {},
): Promise<T> {
  const own = mkdtempSync(join(dir, "paxlog-soak-"));
  const ends: string[] = [];
  const onExit = (node: LocalNode, exit: number | string) => {
    if (exit === "SIGKILL" || exit === 0) return;
    ends.push(`${node.id} ended by itself (${exit}): ${node.lastWords}`);
    note(ends[ends.length - 1]!);
  };
  const cluster = await LocalCluster.open({ dir: own, nodes, stderr: "keep", onExit, ...options });
  const everyNode = [...cluster.nodes, ...cluster.nonvoters];
  try {
    await beforeStart?.(cluster.nodes);
    await Promise.all(everyNode.map((node) => cluster.start(node)));
    const log = await connect(cluster.clientAddresses);
    try {
      // A cluster that answers has chosen its leader.
      await log.tail();
    } finally {
      await log.close();
    }
    const result = await use(cluster);
    if (ends.length > 0) throw new BrokenPromise(ends.join("; "));
    return result;
  } finally {
    for (const node of everyNode) node.process?.kill("SIGCONT");
    await cluster.stop();
    rmSync(own, { recursive: true, force: true });
  }
}

export const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
