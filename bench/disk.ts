import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { limits } from "#src/base/limits";
import { loadFiles, type NativeFiles } from "#src/native/files";
import type { Disk, DiskFile } from "#src/storage/disk";
import { NativeDisk } from "#src/storage/native-disk";
import { NodeDisk } from "#src/storage/node-disk";
import { chooseWriteMode } from "#src/storage/write-mode";
import { type GroupFigures, measureGroups } from "./lib/group-append.ts";
import { type LatencyMs, latencyOf, newHistogram, recordMs } from "./lib/latency.ts";
import type { BenchContext, Benchmark, Size } from "./lib/report.ts";
import { figure } from "./lib/table.ts";

/** One way to write, at one size, in space of one kind: each write is durable before the next. */
export interface WriteFigures {
  readonly how: "node:fs fdatasync" | "addon fdatasync" | "addon O_DIRECT|O_DSYNC";
  /** "reserved": fallocate only (without the addon: nothing but a length). "written": zeros were written and synced before. */
  readonly space: "reserved" | "written";
  readonly bytes: number;
  readonly writes: number;
  readonly writesPerSecond: number;
  readonly megabytesPerSecond: number;
  readonly latencyMs: LatencyMs;
}

export interface DiskFigures {
  readonly writes: readonly WriteFigures[];
  /** Groups of 1 MiB through storage/, beside the same calls to the same disk in a bare loop. */
  readonly groups: readonly GroupFigures[];
  /** What a directory on this disk would be given; undefined without the addon. */
  readonly chosenMode: "buffered" | "direct" | undefined;
}

interface Plan {
  /** How often all ways take turns: a slow moment of the disk hits all of them. */
  readonly rounds: number;
  readonly milliseconds: number;
  readonly fileBytes: number;
  readonly groupRounds: number;
  readonly groupsPerRound: number;
}

const mebibyte = 1024 * 1024;
const plans: Readonly<Record<Size, Plan>> = {
  smoke: { rounds: 1, milliseconds: 10, fileBytes: 2 * mebibyte, groupRounds: 1, groupsPerRound: 6 },
  default: { rounds: 4, milliseconds: 400, fileBytes: 64 * mebibyte, groupRounds: 4, groupsPerRound: 50 },
  full: { rounds: 8, milliseconds: 1000, fileBytes: 256 * mebibyte, groupRounds: 10, groupsPerRound: 50 },
};
const sizes = [4 * 1024, 64 * 1024, mebibyte];

/** What the disk gives, through each door and in each kind of space; and what storage/ makes of it. */
export const diskBenchmark: Benchmark<DiskFigures> = {
  name: "disk",
  probes: "none",
  run: async (context) => {
    const plan = plans[context.size];
    const dir = mkdtempSync(join(context.dir, "paxlog-bench-disk-"));
    try {
      const files = loadFiles();
      const writes = measureWrites(dir, files, plan, context.note);
      const groups = await measureGroupsOf(context, dir, doors(files));
      const chosenMode = files === undefined ? undefined : chooseWriteMode(files, mkdtempSync(join(dir, "mode-"))).mode;
      const figures: DiskFigures = { writes, groups, chosenMode };
      return { figures, tables: tablesOf(figures), remarks: remarksOf(figures) };
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  },
};

/** Groups through the door that a node's log would take on this machine: the addon's where it was built. */
export async function measureGroupAppends(context: BenchContext): Promise<GroupFigures> {
  const all = doors(loadFiles());
  const door = all.find(({ how }) => how === "addon fdatasync") ?? all[0]!;
  const dir = mkdtempSync(join(context.dir, "paxlog-bench-groups-"));
  try {
    const [groups] = await measureGroupsOf(context, dir, [door]);
    return groups!;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function measureGroupsOf(context: BenchContext, dir: string, through: readonly Door[]): Promise<GroupFigures[]> {
  const { groupRounds, groupsPerRound } = plans[context.size];
  const groups: GroupFigures[] = [];
  for (const { how, disk } of through) {
    context.note(`groups of 1 MiB through storage/ and in a bare loop, ${how}`);
    groups.push(await measureGroups(join(dir, "groups"), how, disk, groupRounds, groupsPerRound));
  }
  return groups;
}

interface Door {
  readonly how: WriteFigures["how"];
  readonly disk: Disk;
}

function doors(files: NativeFiles | undefined): Door[] {
  const portable: Door = { how: "node:fs fdatasync", disk: new NodeDisk() };
  if (files === undefined) return [portable];
  return [
    portable,
    { how: "addon fdatasync", disk: new NativeDisk(files, "buffered") },
    { how: "addon O_DIRECT|O_DSYNC", disk: new NativeDisk(files, "direct") },
  ];
}

function measureWrites(
  dir: string,
  files: NativeFiles | undefined,
  plan: Plan,
  note: (line: string) => void,
): WriteFigures[] {
  const all = doors(files);
  // Reserving is the addon's affair; the way that is measured only writes.
  const maker = files === undefined ? new NodeDisk() : new NativeDisk(files, "buffered");
  const found: WriteFigures[] = [];
  for (const bytes of sizes) {
    const cells = all.flatMap(({ how, disk }) =>
      (["reserved", "written"] as const).map((space) => ({
        how,
        disk,
        space,
        histogram: newHistogram(),
        count: 0,
        seconds: 0,
      })),
    );
    for (let round = 0; round < plan.rounds; round += 1) {
      note(`${bytes / 1024} KiB, round ${round + 1} of ${plan.rounds}`);
      for (const cell of cells) {
        const path = join(dir, "file");
        makeFile(maker, path, plan.fileBytes, cell.space);
        const file = cell.disk.open(path, "write");
        const { count, seconds } = writeOn(file, bytes, plan, (ms) => recordMs(cell.histogram, ms));
        file.close();
        maker.remove(path);
        cell.count += count;
        cell.seconds += seconds;
      }
    }
    for (const { how, space, histogram, count, seconds } of cells) {
      found.push({
        how,
        space,
        bytes,
        writes: count,
        writesPerSecond: count / seconds,
        megabytesPerSecond: (count * bytes) / seconds / 1e6,
        latencyMs: latencyOf(histogram),
      });
    }
  }
  return found;
}

function makeFile(disk: Disk, path: string, length: number, space: WriteFigures["space"]): void {
  const file = disk.create(path);
  file.resize(length);
  const zeros = new Uint8Array(mebibyte);
  if (space === "written") for (let at = 0; at < length; at += zeros.length) file.write(at, [zeros]);
  file.sync();
  file.close();
}

/** Writes at the next offset, each write durable before the next, until the time or the file ends. */
function writeOn(file: DiskFile, bytes: number, plan: Plan, onWrite: (milliseconds: number) => void) {
  const block = new Uint8Array(randomBytes(bytes));
  file.sync();
  const began = performance.now();
  let before = began;
  let count = 0;
  while (before - began < plan.milliseconds && (count + 1) * bytes <= plan.fileBytes) {
    file.write(count * bytes, [block]);
    file.sync();
    count += 1;
    const now = performance.now();
    onWrite(now - before);
    before = now;
  }
  return { count, seconds: (before - began) / 1000 };
}

function tablesOf({ writes, groups }: DiskFigures) {
  return [
    {
      title: "durable writes, one after another",
      columns: ["size", "how", "space", "writes/s", "MB/s", "p50 ms", "p99 ms"],
      rows: writes.map((row) => [
        row.bytes < mebibyte ? `${row.bytes / 1024} KiB` : "1 MiB",
        row.how,
        row.space,
        figure(row.writesPerSecond),
        figure(row.megabytesPerSecond),
        figure(row.latencyMs.p50),
        figure(row.latencyMs.p99),
      ]),
    },
    {
      title: "groups of 1 MiB in space that was written before: storage/ against the same disk calls in a bare loop",
      columns: ["how", "groups", "bare MB/s", "storage MB/s", "storage/bare", "of medians"],
      rows: groups.map((row) => [
        row.how,
        figure(row.groups),
        figure(row.bareMegabytesPerSecond),
        figure(row.storageMegabytesPerSecond),
        `${figure(100 * row.share)} %`,
        `${figure(100 * row.medianShare)} %`,
      ]),
    },
  ];
}

function remarksOf({ writes, chosenMode }: DiskFigures): string[] {
  const best = sizes.map((bytes) => {
    const [first] = writes
      .filter((row) => row.bytes === bytes && row.space === "written")
      .toSorted((a, b) => b.writesPerSecond - a.writesPerSecond);
    return `${bytes / 1024} KiB ${first!.how}`;
  });
  return [
    `fastest in space that was written before: ${best.join(", ")}`,
    chosenMode === undefined
      ? "the addon was not built: only node:fs was measured, and reserved space is no more than a length"
      : `a directory on this disk was given the mode "${chosenMode}" by its own measurement (space of ${limits.fillBytes / mebibyte} MiB is filled at a time)`,
  ];
}
