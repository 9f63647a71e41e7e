import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PaxlogError } from "../../base/errors.ts";
import { LocalCluster } from "../local-cluster.ts";
import { untilStopped } from "../signals.ts";

/** Measures the named cluster, or one that is made for it and removed afterwards. "stopped": by a signal. */
export async function withCluster<Result>(
  options: { readonly to?: string; readonly nodes?: number },
  measure: (addresses: string) => Promise<Result>,
): Promise<Result | "stopped"> {
  if (options.to !== undefined && options.nodes !== undefined) {
    throw new PaxlogError(
      "INVALID_ARGUMENT",
      "give either --to for a running cluster or --nodes for one of its own, not both",
    );
  }
  if (options.to !== undefined) return measure(options.to);
  const dir = mkdtempSync(join(tmpdir(), "paxlog-bench-"));
  const cluster = await LocalCluster.open({ dir, nodes: options.nodes ?? 3, stderr: "keep" });
  const stopped = untilStopped();
  try {
    await Promise.all(cluster.nodes.map((node) => cluster.start(node)));
    return await Promise.race([stopped, measure(cluster.clientAddresses)]);
  } finally {
    await cluster.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}
