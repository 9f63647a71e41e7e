import { Command } from "commander";
import { limits } from "../base/limits.ts";
import { wholeNumber } from "./arguments.ts";
import { exitCodes } from "./exit-codes.ts";
import { LocalCluster, type LocalNode } from "./local-cluster.ts";
import { Output } from "./output.ts";
import { untilStopped } from "./signals.ts";

interface ClusterOptions {
  readonly nodes: number;
  readonly dir: string;
  readonly segmentSize?: number;
  readonly json?: true;
}

export function clusterCommand(): Command {
  return new Command("cluster")
    .description("run a cluster of node processes on this machine, until stopped")
    .requiredOption("--dir <dir>", "directory of the cluster; run again on it, it goes on with its data")
    .option("--nodes <count>", "how many nodes", wholeNumber({ min: 1, max: limits.votersMax }), 3)
    .option("--segment-size <bytes>", "size of a segment file", wholeNumber({ min: 1 }))
    .option("--json", "print one JSON object per line")
    .addHelpText(
      "after",
      `
Prints a line for each node once it listens: {"id","pid","address","dir"}, and {"id","exit"} when one ends. A node that
ends is not started again. The addresses are kept in DIR/cluster.json.

Examples:
  $ paxlog cluster --nodes 3 --dir ./data
  $ paxlog cluster --nodes 3 --dir ./data --json | jq .address`,
    )
    .action(async (options: ClusterOptions) => {
      process.exitCode = await runCluster(options, new Output(options.json === true));
    });
}

async function runCluster(options: ClusterOptions, output: Output): Promise<number> {
  let stopping = false;
  const noteExit = (node: LocalNode, exit: number | string) => {
    if (!stopping) output.result({ id: node.id, exit }, `${node.id} ended (exit ${exit})`);
  };
  let allEnded = () => {};
  const ended = new Promise<"ended">((done) => {
    allEnded = () => done("ended");
  });
  const cluster = await LocalCluster.open({
    dir: options.dir,
    nodes: options.nodes,
    ...(options.segmentSize === undefined ? {} : { segmentBytes: options.segmentSize }),
    stderr: "inherit",
    onExit: (node, exit) => {
      noteExit(node, exit);
      if (cluster.nodes.every((other) => other.process === undefined)) allEnded();
    },
  });
  const stopped = untilStopped();

  const starts = await Promise.race([
    stopped,
    Promise.allSettled(
      cluster.nodes.map(async (node) => {
        await cluster.start(node);
        const line = { id: node.id, pid: node.process?.pid, address: node.clientAddress, dir: node.dir };
        output.result(line, `${node.id} listens on ${node.clientAddress} (process ${line.pid}, ${node.dir})`);
      }),
    ),
  ]);
  if (Array.isArray(starts)) {
    for (const [index, start] of starts.entries()) {
      if (start.status === "fulfilled" || stopping) continue;
      const exit = (start.reason as { facts?: { exit?: number | string } }).facts?.exit ?? "unknown";
      noteExit(cluster.nodes[index]!, exit);
    }
    if (cluster.nodes.every((node) => node.process === undefined)) allEnded();
  }

  const reason = await Promise.race([stopped, ended]);
  stopping = true;
  if (reason === "ended") {
    output.note("paxlog: every node of the cluster has ended; run the same command again to go on with the data");
    return exitCodes.failed;
  }
  await cluster.stop();
  return exitCodes.ok;
}
