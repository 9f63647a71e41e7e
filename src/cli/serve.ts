import { Command, Option } from "commander";
import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import { type ClusterMember, defaultListen, type Layout, type NodeConfig } from "../node/config.ts";
import type { RunningNode } from "../node/node.ts";
import { memberList, wholeNumber } from "./arguments.ts";
import { exitCodeOf, exitCodes } from "./exit-codes.ts";
import { Output } from "./output.ts";
import { untilParentGone, untilStopped } from "./signals.ts";

interface ServeOptions {
  readonly dir: string;
  readonly node?: string;
  readonly cluster?: readonly ClusterMember[];
  readonly nonvoter?: true;
  readonly listen: string;
  readonly advertise?: string;
  readonly insecure?: true;
  readonly segmentSize?: number;
  readonly quota?: number;
  readonly retainAge?: number;
  readonly retainBytes?: number;
  readonly retainRecords?: number;
  readonly hashing?: "auto" | "native" | "portable";
  readonly layout?: Layout;
  readonly machine?: readonly string[];
  readonly procedures?: string;
  readonly withParent?: true;
  readonly json?: true;
}

export function serveCommand(): Command {
  return new Command("serve")
    .description("run one node, until stopped")
    .requiredOption("--dir <dir>", "the node's directory; formatted if it is missing or empty")
    .option("--node <name>", "the node's name, one of --cluster")
    .option(
      "--cluster <list>",
      "names and peer addresses of all nodes: NAME=HOST:PORT,...; without it the node is alone",
      memberList,
    )
    .option("--nonvoter", "follow the nodes of --cluster, which do not name this one, and serve reads; never vote")
    .option("--listen <address>", "where clients find the node; port 0 takes a free one", defaultListen)
    .option("--advertise <address>", "what clients are told instead, where a proxy or a mapped port is in front of it")
    .option("--insecure", "allow addresses that are not on loopback, although nothing is encrypted")
    .option(
      "--segment-size <bytes>",
      `size of a segment file, ${limits.segmentBytesMin} to ${limits.segmentBytesMax} (default: ${limits.segmentBytesDefault})`,
      wholeNumber({ min: 1 }),
    )
    .option(
      "--quota <bytes>",
      "what the directory may take in all: above it appends are refused (NO_SPACE) until there is room again",
      wholeNumber({ min: 1 }),
    )
    .option("--retain-age <seconds>", "trim records that are older", wholeNumber({ min: 1 }))
    .option(
      "--retain-bytes <bytes>",
      "trim the oldest records of a log that takes more on a disk",
      wholeNumber({ min: 1 }),
    )
    .option("--retain-records <count>", "trim all but so many records", wholeNumber({ min: 1 }))
    .addOption(
      new Option("--hashing <which>", "checksum code to use").choices(["auto", "native", "portable"]).default("auto"),
    )
    .addOption(
      new Option(
        "--layout <which>",
        "threads: the server for clients with the engine (compact), or on its own (spread, the default from four processors on)",
      ).choices(["compact", "spread"]),
    )
    .option(
      "--machine <file>",
      `a module that exports machines of your own (defineMachine); may be given again, at most ${limits.machinesMax} machines in all`,
      (file: string, files: readonly string[] = []) => [...files, file],
    )
    .option("--procedures <file>", "a module that exports stored procedures (defineProcedures)")
    .addOption(new Option("--with-parent", "stop when standard input ends").hideHelp())
    .option("--json", "print one JSON object per line")
    .addHelpText(
      "after",
      `
Prints one line once it listens: {"id","pid","address","dir"}. Stops cleanly at SIGTERM or SIGINT.

Without a --retain option everything is kept. The leader trims by its own, so give all nodes the same; whole segments go, so up to one
more than asked for is kept, and nothing goes that a hold keeps (paxlog hold).

All nodes need the same --machine and --procedures. Which version and code runs is written into the log; a node with other code stops that
machine, not itself.

Examples:
  $ paxlog serve --dir ./data
  $ paxlog serve --dir ./data --machine ./bank.js
  $ paxlog serve --dir ./data --retain-age 604800 --retain-bytes 100000000000
  $ paxlog serve --dir ./a --node a --cluster a=127.0.0.1:7201,b=127.0.0.1:7202,c=127.0.0.1:7203 --listen 127.0.0.1:7101
  $ paxlog serve --dir ./r --node r --nonvoter --cluster a=127.0.0.1:7201,b=127.0.0.1:7202,c=127.0.0.1:7203 --listen 127.0.0.1:7104`,
    )
    .action(async (options: ServeOptions) => {
      process.exitCode = await serve(options, new Output(options.json === true));
    });
}

async function serve(options: ServeOptions, output: Output): Promise<number> {
  const stopped = options.withParent === true ? Promise.race([untilStopped(), untilParentGone()]) : untilStopped();
  try {
    const { startNode } = await import("../node/node.ts");
    const node = await startNode(configOf(options), {
      onNote: (text) => output.note(`${options.node ?? "node"}: ${text}`),
    });
    announce(node, output);
    const end = await Promise.race([node.closed, stopped]);
    if (end === "stopped" || end === undefined) {
      await node.close();
      return exitCodes.ok;
    }
    const error = new PaxlogError(end.code, `node ${node.name} stopped: ${end.reason}`);
    output.error(error);
    return exitCodeOf(error);
  } finally {
    // An open standard input must not keep a process whose node has ended.
    if (options.withParent === true) process.stdin.destroy();
  }
}

function configOf(options: ServeOptions): NodeConfig {
  return {
    dir: options.dir,
    ...(options.node === undefined ? {} : { name: options.node }),
    ...(options.cluster === undefined ? {} : { cluster: options.cluster }),
    ...(options.nonvoter === undefined ? {} : { nonvoter: true }),
    listen: options.listen,
    ...(options.advertise === undefined ? {} : { advertise: options.advertise }),
    insecure: options.insecure === true,
    ...(options.segmentSize === undefined ? {} : { segmentBytes: options.segmentSize }),
    ...(options.quota === undefined ? {} : { quotaBytes: options.quota }),
    ...retentionOf(options),
    hashing: options.hashing ?? "auto",
    ...(options.layout === undefined ? {} : { layout: options.layout }),
    ...(options.machine === undefined ? {} : { machines: options.machine }),
    ...(options.procedures === undefined ? {} : { procedures: options.procedures }),
  };
}

function retentionOf({ retainAge, retainBytes, retainRecords }: ServeOptions): Pick<NodeConfig, "retention"> {
  if (retainAge === undefined && retainBytes === undefined && retainRecords === undefined) return {};
  return {
    retention: {
      ...(retainAge === undefined ? {} : { ageMs: retainAge * 1000 }),
      ...(retainBytes === undefined ? {} : { bytes: retainBytes }),
      ...(retainRecords === undefined ? {} : { records: retainRecords }),
    },
  };
}

function announce(node: RunningNode, output: Output): void {
  output.result(
    { id: node.name, pid: process.pid, address: node.clientAddress, dir: node.dir },
    `${node.name} listens on ${node.clientAddress} (process ${process.pid}, ${node.dir})`,
  );
}
