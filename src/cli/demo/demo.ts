import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { connect } from "../../client/connect.ts";
import type { Log } from "../../client/log.ts";
import type { LocalCluster, LocalNode } from "../local-cluster.ts";
import { grouped, type Output } from "../output.ts";
import { clusterStatus } from "../status.ts";
import { Checker } from "./checker.ts";
import { flightRecords } from "./flights.ts";
import { demoFailed, Writer } from "./writer.ts";

/** Runs the demonstration on a cluster that was not started yet. Throws where the log does not keep a promise. */
export async function runDemo(cluster: LocalCluster, output: Output, open: typeof connect): Promise<"done"> {
  const records = flightRecords();
  output.write(
    `paxlog: ${grouped(records.length)} records to append; data in ${cluster.nodes.map((node) => node.dir).join(", ")}`,
  );
  await Promise.all(cluster.nodes.map((node) => cluster.start(node)));
  const log = await open(cluster.clientAddresses);
  const abort = new AbortController();
  try {
    const leader = await untilLeader(cluster, log);
    const reader = cluster.nodes.find((node) => node !== leader)!;
    output.write(
      `three nodes run: ${nodeList(cluster)}; ${leader.id} leads; reading on ${reader.id} while records arrive`,
    );

    const readerLog = await open(reader.clientAddress);
    const checker = new Checker(records);
    const reading = checker.follow(readerLog, "linearizable", abort.signal);
    // Seen below; until then it must not count as unhandled.
    reading.catch(() => {});

    const kill = new Kill(cluster, leader, records.length / 2, output);
    const writer = new Writer(log, records, { onAcknowledged: (count, sentMs) => kill.onAcknowledged(count, sentMs) });
    const began = performance.now();
    await Promise.race([writer.run(), rejected(reading)]);
    const seconds = (performance.now() - began) / 1000;
    if (kill.killedMs === undefined) throw demoFailed("the leader was not killed");
    const successor = await untilLeader(cluster, log);
    reportWriting(writer, kill, successor, seconds, output);

    await reading;
    await readerLog.close();
    checker.verify(writer.acknowledgedAt);
    output.write(
      `verified on ${reader.id}, read while it was written: ${grouped(checker.count)} records, positions 1 to ${grouped(checker.count)} without a gap, every byte as appended, ` +
        `all ${grouped(writer.acknowledged)} acknowledged records at the positions that were acknowledged`,
    );
    await verifyRestarted(cluster, leader, new Checker(records), writer, open, abort.signal, output);
    output.write(`disk used: ${grouped(diskBytes(cluster) / 1048576)} MiB; everything held; cleaning up`);
    return "done";
  } finally {
    abort.abort();
    await log.close();
  }
}

/** Kills the leader once so many records are acknowledged. */
class Kill {
  readonly #cluster: LocalCluster;
  readonly #leader: LocalNode;
  readonly #atCount: number;
  readonly #output: Output;
  killedMs: number | undefined;
  /** From the kill to the first acknowledgement by the next leader. */
  outageMs: number | undefined;
  #goneMs = Number.POSITIVE_INFINITY;

  constructor(cluster: LocalCluster, leader: LocalNode, atCount: number, output: Output) {
    this.#cluster = cluster;
    this.#leader = leader;
    this.#atCount = atCount;
    this.#output = output;
  }

  onAcknowledged(count: number, sentMs: number): void {
    if (this.killedMs === undefined) {
      if (count < this.#atCount) return;
      this.killedMs = performance.now();
      const pid = this.#leader.process?.pid;
      this.#output.write(
        `${grouped(count)} records are acknowledged: kill -9 of the leader ${this.#leader.id} (process ${pid})`,
      );
      void this.#cluster.kill(this.#leader).then(() => {
        this.#goneMs = performance.now();
      });
      return;
    }
    // Answers that were on their way when the leader died are no sign of the next one.
    if (sentMs > this.#goneMs) this.outageMs ??= performance.now() - this.killedMs;
  }
}

function reportWriting(writer: Writer, kill: Kill, successor: LocalNode, seconds: number, output: Output): void {
  const total = writer.acknowledgedAt.length;
  output.write(
    `the log went on: ${successor.id} leads, first acknowledgement ${Math.round(kill.outageMs ?? 0)} ms after the kill`,
  );
  output.write(
    `${grouped(writer.unknown)} records had no answer when the leader died, so their outcome was unknown; read back, ` +
      `${grouped(writer.unknownFound)} of them are in the log and ${grouped(writer.unknown - writer.unknownFound)} are not: those were appended again`,
  );
  const milliseconds = (percentile: number) => (writer.latency.getValueAtPercentile(percentile) / 1000).toFixed(1);
  output.write(
    `appended ${grouped(total)} records in ${seconds.toFixed(1)} s, ${grouped(total / seconds)} records/s with the outage; ` +
      `latency of a batch p50 ${milliseconds(50)} ms, p99 ${milliseconds(99)} ms; every append synced on two of three nodes before its answer`,
  );
}

/** The killed node comes back on its data, catches up, and must hold the same records at the same positions. */
async function verifyRestarted(
  cluster: LocalCluster,
  node: LocalNode,
  checker: Checker,
  writer: Writer,
  open: typeof connect,
  signal: AbortSignal,
  output: Output,
): Promise<void> {
  await cluster.start(node);
  const log = await open(node.clientAddress);
  try {
    await checker.follow(log, "local", signal);
    checker.verify(writer.acknowledgedAt);
    output.write(
      `${node.id} was started again on its data and caught up: the same ${grouped(checker.count)} records at the same positions`,
    );
  } finally {
    await log.close();
  }
}

async function untilLeader(cluster: LocalCluster, log: Log): Promise<LocalNode> {
  for (;;) {
    const running = cluster.nodes.filter((node) => node.process !== undefined);
    const { leader } = await clusterStatus(
      log,
      running.map((node) => node.clientAddress),
    );
    const found = running.find((node) => node.id === leader);
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function nodeList(cluster: LocalCluster): string {
  return cluster.nodes.map((node) => `${node.id} on ${node.clientAddress} (process ${node.process?.pid})`).join(", ");
}

/** Rejects when the promise does, and never resolves. */
function rejected(promise: Promise<unknown>): Promise<never> {
  return new Promise((_, reject) => promise.catch(reject));
}

function diskBytes(cluster: LocalCluster): number {
  const blockBytes = 512;
  return cluster.nodes
    .flatMap((node) => readdirSync(node.dir, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).blocks * blockBytes, 0);
}
