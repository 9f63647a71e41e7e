import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { LocalCluster, type LocalClusterOptions, type LocalNode } from "#src/cli/local-cluster";
import { connect } from "#src/client/connect";
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

/** Runs node processes in a directory of their own for as long as `use` takes. */
export async function withCluster<T>(
  { dir, nodes, note }: Pick<SoakContext, "dir" | "nodes" | "note">,
  use: (cluster: LocalCluster) => Promise<T>,
  options: Pick<LocalClusterOptions, "nonvoters" | "segmentBytes"> = {},
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
