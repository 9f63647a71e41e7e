import { connect } from "../../client/connect.ts";
import { exitCodes } from "../exit-codes.ts";
import { grouped, type Output } from "../output.ts";
import { benchObjects, type ObjectFigures, type ObjectsBenchResult } from "./objects-bench.ts";
import { withCluster } from "./with-cluster.ts";

/** The options of `bench objects`, as they were given. */
export interface ObjectsOptions {
  readonly to?: string;
  readonly nodes?: number;
  readonly callers: number;
  readonly take: number;
  readonly duration: number;
  readonly warmup: number;
  readonly json?: true;
}

/** Measures the named cluster, or one that is made for it and removed afterwards. */
export async function runObjectsBench(options: ObjectsOptions, output: Output): Promise<number> {
  const result = await withCluster(options, (addresses) => measure(addresses, options, output));
  if (result === "stopped") return exitCodes.failed;
  report(result, output);
  return exitCodes.ok;
}

async function measure(addresses: string, options: ObjectsOptions, output: Output): Promise<ObjectsBenchResult> {
  const log = await connect(addresses);
  try {
    return await benchObjects({
      log,
      callers: options.callers,
      idsPerTake: options.take,
      times: { warmupMs: options.warmup * 1000, durationMs: options.duration * 1000 },
      nodes: addresses.split(",").length,
      note: (line) => output.note(line),
    });
  } finally {
    await log.close();
  }
}

function report(result: ObjectsBenchResult, output: Output): void {
  const { callers, nodes, machine, ids, localReads } = result;
  const line = (name: string, { operationsPerSecond, latencyMs }: ObjectFigures): string =>
    `${name.padEnd(20)} ${grouped(operationsPerSecond).padStart(10)}/s  p50 ${latencyMs.p50} ms, p99 ${latencyMs.p99} ms`;
  output.result(
    { ...result },
    [
      line("fetch-and-add", result.fetchAdd),
      line("compare-and-set", result.compareAndSet),
      line(`take ${result.idsPerTake} ids`, ids),
      `${"ids".padEnd(20)} ${grouped(ids.idsPerSecond).padStart(10)}/s`,
      line("linearizable reads", result.linearizableReads),
      `${"local reads".padEnd(20)} ${grouped(localReads.operationsPerSecond).padStart(10)}/s  of a replica in this process`,
      `${callers} callers in one process; every change was synced on a majority of ${nodes} nodes and applied before its answer; counts verified`,
      `${machine.cpus} x ${machine.cpu}, ${machine.platform}, Node ${machine.node}`,
    ].join("\n"),
  );
}
