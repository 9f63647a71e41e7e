/** A process that opens a log once, as a node would, and says what that took. Started by open.ts; prints one line. */
import { randomBytes } from "node:crypto";
import type { Slot } from "#src/base/types";
import { loadHashing } from "#src/native/hashing";
import { NodeDisk } from "#src/storage/node-disk";
import { LogReader } from "#src/storage/reader";
import { Store } from "#src/storage/store";

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

const dir = JSON.parse(process.argv[2]!) as string;
const hashing = await loadHashing();
const disk = new NodeDisk();
const before = process.memoryUsage().rss;
const cpu = process.cpuUsage();
const began = performance.now();
const store = Store.open({ disk, dir, hashing, randomBytes, name: "bench" });
const reader = new LogReader(disk, dir, hashing, store.layout, store.readerStart);
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
  indexed: store.readerStart.indexed.length,
};
reader.close();
store.close();
process.stdout.write(`${JSON.stringify(figures)}\n`);
