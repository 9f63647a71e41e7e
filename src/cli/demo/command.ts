import { existsSync, readdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { Command } from "commander";
import { PaxlogError } from "../../base/errors.ts";
import { connect } from "../../client/connect.ts";
import { exitCodes } from "../exit-codes.ts";
import { LocalCluster } from "../local-cluster.ts";
import { Output } from "../output.ts";
import { untilStopped } from "../signals.ts";
import { runDemo } from "./demo.ts";
import { demoFailed } from "./writer.ts";

const demoMsMax = 85_000;
const segmentBytes = 8 * 1024 * 1024;

export function demoCommand(): Command {
  return new Command("demo")
    .description(
      "show the main job: three nodes, 220,000 records, a leader that is killed, and proof that nothing was lost",
    )
    .option("--dir <dir>", "where the nodes keep their data; removed at the end", "./.paxlog-demo")
    .addHelpText(
      "after",
      `
Needs the data of the npm package vega-datasets, which is there after npm install in a clone.

Example:
  $ paxlog demo`,
    )
    .action(async (options: { readonly dir: string }) => {
      process.exitCode = await demonstrate(options.dir, new Output(false));
    });
}

async function demonstrate(dir: string, output: Output): Promise<number> {
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
