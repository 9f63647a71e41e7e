import { existsSync, readdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { PaxlogError } from "../../base/errors.ts";
import { connect } from "../../client/connect.ts";
import { exitCodes } from "../exit-codes.ts";
import { LocalCluster } from "../local-cluster.ts";
import type { Output } from "../output.ts";
import { untilStopped } from "../signals.ts";
import { runDemo } from "./demo.ts";
import { demoFailed } from "./writer.ts";

const demoMsMax = 85_000;
const segmentBytes = 8 * 1024 * 1024;

/** Runs the demonstration in a directory of its own, and removes it whatever happens. */
export async function demonstrate(dir: string, output: Output): Promise<number> {
  removeOld(dir);
  const cluster = await LocalCluster.open({ dir, nodes: 3, segmentBytes, stderr: "keep" });
  const stopped = untilStopped();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(demoFailed(`it took longer than ${demoMsMax / 1000} seconds`)), demoMsMax);
  });
  try {
    const done = await Promise.race([runDemo(cluster, output, connect), late, stopped]);
    return done === "stopped" ? exitCodes.failed : exitCodes.ok;
  } finally {
    clearTimeout(timer);
    await cluster.stop();
    rmSync(resolve(dir), { recursive: true, force: true });
  }
}

/** What an interrupted demonstration left. Anything else is not ours to remove. */
function removeOld(dir: string): void {
  if (!existsSync(dir)) return;
  if (readdirSync(dir).length > 0 && !existsSync(join(dir, "cluster.json"))) {
    throw new PaxlogError("DIRECTORY_UNUSABLE", `${dir} holds other things than a demonstration; name another --dir`, {
      facts: { directory: resolve(dir) },
    });
  }
  rmSync(dir, { recursive: true, force: true });
}
