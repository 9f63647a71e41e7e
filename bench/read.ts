import { makeBatches } from "#src/cli/bench/records";
import type { Log } from "#src/client/log";
import type { RecordInput } from "#src/format/batch-encode";
import { BenchCluster, workBetween } from "./lib/bench-cluster.ts";
import type { BenchContext, Benchmark, Size } from "./lib/report.ts";
import { figure } from "./lib/table.ts";
import { pipelined } from "./measure-append.ts";

export interface ReadFigures {
  /** "batches": whole batches, records left encoded. "records": every record made into an object and its value looked at. */
  readonly how: "batches" | "records";
  readonly recordBytes: number;
  readonly records: number;
  readonly seconds: number;
  readonly recordsPerSecond: number;
  readonly megabytesPerSecond: number;
  readonly nodeCpu: number;
  readonly readerCpu: number;
  /** Records whose bytes were compared with what was appended at their position, in a pass that is not timed: all of them. */
  readonly comparedRecords: number;
}

const recordsOf: Readonly<Record<Size, number>> = { smoke: 20_000, default: 3_000_000, full: 10_000_000 };

/** A reader that begins at position 1 of a log that is mostly no longer in memory, and reads to its tail over gRPC. */
export const readBenchmark: Benchmark<readonly ReadFigures[]> = {
  name: "read",
  probes: "around",
  run: async (context) => {
    const figures = await measureReads(context, 100, recordsOf[context.size]);
    return {
      figures,
      tables: [
        {
          title: `catch-up read over gRPC, ${figure(figures[0]!.records)} records of 100 bytes`,
          columns: ["how", "records/s", "MB/s of values", "seconds", "CPU node", "CPU reader"],
          rows: figures.map((row) => [
            row.how,
            figure(row.recordsPerSecond),
            figure(row.megabytesPerSecond),
            figure(row.seconds),
            figure(row.nodeCpu),
            figure(row.readerCpu),
          ]),
        },
      ],
      remarks: ["verified: in a pass of its own every record is compared with what was appended at its position"],
    };
  },
};

export async function measureReads(
  context: BenchContext,
  recordBytes: number,
  recordCount: number,
): Promise<readonly ReadFigures[]> {
  const cluster = await BenchCluster.start(context.dir, 1);
  const log = await cluster.connect();
  try {
    const plan = pipelined(recordBytes);
    const batches = makeBatches(plan, recordBytes, 64);
    const records = Math.ceil(recordCount / plan.records) * plan.records;
    context.note(`appending ${records} records of ${recordBytes} bytes`);
    await fill(log, batches, records / plan.records, plan.inFlight);
    context.note("comparing all of it");
    const comparedRecords = await compareAll(log, batches, records);
    const figures: ReadFigures[] = [];
    for (const [how, read] of [["batches", readBatches] as const, ["records", readRecords] as const]) {
      context.note(`reading ${how}`);
      const reader = await cluster.connect();
      const before = await cluster.sample();
      const began = performance.now();
      const count = await read(reader);
      const seconds = (performance.now() - began) / 1000;
      const work = workBetween(before, await cluster.sample());
      await reader.close();
      if (count !== records) throw new Error(`${records} records are in the log, but ${count} came`);
      figures.push({
        how,
        recordBytes,
        records,
        seconds,
        recordsPerSecond: records / seconds,
        megabytesPerSecond: (records * recordBytes) / seconds / 1e6,
        nodeCpu: work.nodes[0]!.cpu,
        readerCpu: work.loadCpu,
        comparedRecords,
      });
    }
    return figures;
  } finally {
    await log.close();
    await cluster.stop();
  }
}

/** Appends the batches in turn, `count` of them; calls of one client stay in order, so what stands where is known. */
async function fill(log: Log, batches: readonly (readonly RecordInput[])[], count: number, inFlight: number) {
  let next = 0;
  const sender = async () => {
    while (next < count) {
      const batch = batches[next % batches.length]!;
      next += 1;
      await log.append(batch);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, sender));
}

async function compareAll(log: Log, batches: readonly (readonly RecordInput[])[], records: number): Promise<number> {
  const perBatch = batches[0]!.length;
  let next = 1;
  for await (const record of log.read()) {
    const index = next - 1;
    const sent = batches[Math.floor(index / perBatch) % batches.length]![index % perBatch]!;
    if (record.position !== next || Buffer.compare(record.value, sent.value as Uint8Array) !== 0) {
      throw new Error(
        `position ${record.position} came, ${next} was due, or its bytes are not those that were appended`,
      );
    }
    next += 1;
  }
  if (next - 1 !== records) throw new Error(`${records} records were acknowledged, but ${next - 1} came`);
  return next - 1;
}

async function readBatches(log: Log): Promise<number> {
  let next = 1;
  for await (const batch of log.read().batches()) {
    if (batch.first !== next) throw new Error(`position ${batch.first} came where ${next} was due`);
    next += batch.count;
  }
  return next - 1;
}

async function readRecords(log: Log): Promise<number> {
  let next = 1;
  let bytes = 0;
  for await (const batch of log.read().batches()) {
    for (const record of batch.records()) {
      if (record.position !== next) throw new Error(`position ${record.position} came where ${next} was due`);
      bytes += record.value.length;
      next += 1;
    }
  }
  if (bytes === 0) throw new Error("all records that came were empty");
  return next - 1;
}
