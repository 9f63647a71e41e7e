/** A process that opens a log once, as a node would, and says what that took. Started by open.ts; prints one line. */
import { readFileSync } from "node:fs";
import { deserialize } from "node:v8";
import type { Slot } from "#src/base/types";
import type { SequencerSnapshot } from "#src/core/sequencer";
import { loadHashing } from "#src/native/hashing";
import { noCounts } from "#src/storage/counters";
import { NodeDisk } from "#src/storage/node-disk";
import { superblockPath } from "#src/storage/paths";
import { LogReader } from "#src/storage/reader";
import { recoverLog } from "#src/storage/recovery";
import { SuperblockStore } from "#src/storage/superblock-store";

/** What one opening took. */
export interface OpeningFigures {
  readonly openMs: number;
  /** Of the processor: what is left when others want it too. */
  readonly cpuMs: number;
  /** Resident memory that the opening added. */
  readonly memoryBytes: number;
  /** The first read of an entry in the middle of the log. */
  readonly firstReadMs: number;
  readonly indexed: number;
}

const [dir, snapshotFile] = JSON.parse(process.argv[2]!) as [string, string];
const hashing = await loadHashing();
const disk = new NodeDisk();
const snapshot = deserialize(readFileSync(snapshotFile)) as SequencerSnapshot;
const before = process.memoryUsage().rss;
const cpu = process.cpuUsage();
const began = performance.now();
const superblock = SuperblockStore.open(disk, superblockPath(dir), hashing, noCounts());
const log = recoverLog({ disk, dir, hashing, superblock: superblock.current, snapshot });
const start = { begin: superblock.current.logBegin, indexed: log.indexed };
const reader = new LogReader(disk, dir, hashing, log.layout, start);
const openMs = performance.now() - began;
const { user, system } = process.cpuUsage(cpu);
const memoryBytes = process.memoryUsage().rss - before;
const readBegan = performance.now();
const middle = Math.floor(reader.end / 2) as Slot;
const [entry] = reader.read(middle, (middle + 1) as Slot, 0);
if (entry?.slot !== middle) throw new Error(`slot ${middle} is not there`);
const figures: OpeningFigures = {
  openMs,
  cpuMs: (user + system) / 1000,
  memoryBytes,
  firstReadMs: performance.now() - readBegan,
  indexed: log.indexed.length,
};
reader.close();
superblock.close();
process.stdout.write(`${JSON.stringify(figures)}\n`);
