// Goal: behind a snapshot, opening reads of a closed segment with an index two pages and no more; and whatever is wrong with an index,
// it finds the same log. Method: a log in small segments, recovered with and without indexes and snapshot, through a disk that counts.
import { describe, expect, test } from "vitest";
import type { Slot } from "../../src/base/types.ts";
import { noCounts } from "../../src/storage/counters.ts";
import type { Disk, DiskFile } from "../../src/storage/disk.ts";
import { NodeDisk } from "../../src/storage/node-disk.ts";
import { indexPath, segmentPath, superblockPath } from "../../src/storage/paths.ts";
import { LogReader } from "../../src/storage/reader.ts";
import { type RecoveredLog, recoverLog } from "../../src/storage/recovery.ts";
import { SuperblockStore } from "../../src/storage/superblock-store.ts";
import { hashesOf, openStore, readFrom, TestDirectory } from "./directory.ts";
import { hashing } from "./hashing.ts";
import { guardsWith, indexAll } from "./indexing.ts";
import { Scribe } from "./scribe.ts";

/** Counts the bytes that are read of each file. */
class CountingDisk extends NodeDisk {
  readonly read = new Map<string, number>();

  override open(path: string, access: "read" | "write"): DiskFile {
    const file = super.open(path, access);
    return new Proxy(file, {
      get: (target, key) => {
        if (key === "read") {
          return (offset: number, bytes: Uint8Array) => {
            const count = target.read(offset, bytes);
            this.read.set(path, (this.read.get(path) ?? 0) + count);
            return count;
          };
        }
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }
}

/** Segments 1 to 6, of which the first five are closed and, but for the last entries, decided. */
function writtenLog(directory: TestDirectory): Scribe {
  const disk = new NodeDisk();
  const scribe = new Scribe();
  const store = openStore(directory.data, disk);
  const reader = new LogReader(disk, directory.data, hashing, []);
  store.submit(scribe.genesis(store.recovered.identity.nodeUid));
  for (let round = 0; round < 36; round += 1) {
    scribe.guards = () => guardsWith(["t"], [`tag ${round}`]);
    store.submit(scribe.append(3, 50_000));
    for (let commit = store.commit(); commit !== undefined; commit = store.commit()) reader.add(commit.places);
    scribe.decide(scribe.end - 2);
  }
  expect(indexAll(disk, directory.data, reader, scribe.decidedEnd).map(({ generation }) => generation)).toEqual([
    1, 2, 3, 4, 5,
  ]);
  reader.close();
  store.close();
  return scribe;
}

function recover(directory: TestDirectory, disk: Disk, snapshot?: RecoveredLog["sequencer"]): RecoveredLog {
  const superblocks = SuperblockStore.open(disk, superblockPath(directory.data), hashing, noCounts());
  try {
    return recoverLog({ disk, dir: directory.data, hashing, superblock: superblocks.current, snapshot });
  } finally {
    superblocks.close();
  }
}

function entriesOf(directory: TestDirectory, log: RecoveredLog): string[] {
  const begin = { slot: 1 as Slot, hash: log.base.hash, position: 1 as never, time: 0 };
  const start = { begin: log.indexed[0]?.begin ?? begin, indexed: log.indexed };
  const reader = new LogReader(new NodeDisk(), directory.data, hashing, log.layout, start);
  try {
    return hashesOf(readFrom(reader, 1 as Slot));
  } finally {
    reader.close();
  }
}

describe("opening a log with indexes", () => {
  test("reads two pages of a closed segment that lies behind a snapshot, and finds the same log", () => {
    using directory = new TestDirectory();
    const scribe = writtenLog(directory);
    const whole = recover(directory, new NodeDisk());
    expect(whole.indexed.map(({ generation }) => generation)).toEqual([1, 2, 3, 4, 5]);
    expect(whole.layout.map(({ generation }) => generation)).toContain(6);
    expect(entriesOf(directory, whole)).toEqual(hashesOf(scribe.entries));

    const disk = new CountingDisk();
    const quick = recover(directory, disk, whole.sequencer);
    expect(quick).toEqual(whole);
    for (const generation of [1, 2, 3, 4, 5]) {
      expect(disk.read.get(segmentPath(directory.data, generation))).toBe(4096);
      expect(disk.read.get(indexPath(directory.data, generation))).toBe(4096);
    }
    expect(entriesOf(directory, quick)).toEqual(hashesOf(scribe.entries));
  });

  test("reads the segment that a snapshot ends in, and those behind it", () => {
    using directory = new TestDirectory();
    const scribe = writtenLog(directory);
    const whole = recover(directory, new NodeDisk());
    const { begin } = whole.indexed[3]!;
    const snapshot = { ...whole.sequencer, end: begin.slot, nextPosition: begin.position, time: begin.time };
    const disk = new CountingDisk();
    const quick = recover(directory, disk, snapshot);
    expect(quick).toEqual({ ...whole, sequencer: { ...quick.sequencer, end: whole.sequencer.end } });
    expect(disk.read.get(segmentPath(directory.data, 3))).toBe(4096);
    expect(disk.read.get(segmentPath(directory.data, 4))).toBeGreaterThan(900_000);
    expect(disk.read.get(segmentPath(directory.data, 5))).toBeGreaterThan(900_000);
    expect(entriesOf(directory, quick)).toEqual(hashesOf(scribe.entries));
  });

  test.each([
    ["is gone", (directory: TestDirectory) => new NodeDisk().remove(indexPath(directory.data, 3))],
    ["has a damaged header", (directory: TestDirectory) => flip(directory, 3, 200)],
    [
      "is cut off",
      (directory: TestDirectory) => directory.change("log/00000003.idx", (bytes) => bytes.subarray(0, 5000)),
    ],
    ["belongs to another segment", (directory: TestDirectory) => copyIndex(directory, 2, 3)],
  ] as const)("reads a segment whose index %s, and passes the others by", (_, damage) => {
    using directory = new TestDirectory();
    const scribe = writtenLog(directory);
    const whole = recover(directory, new NodeDisk());
    damage(directory);
    const disk = new CountingDisk();
    const log = recover(directory, disk, whole.sequencer);
    expect({ ...log, layout: [], indexed: [] }).toEqual({ ...whole, layout: [], indexed: [] });
    expect(log.indexed.map(({ generation }) => generation)).toEqual([1, 2, 4, 5]);
    expect(disk.read.get(segmentPath(directory.data, 3))).toBeGreaterThan(900_000);
    expect(disk.read.get(segmentPath(directory.data, 4))).toBe(4096);
    expect(entriesOf(directory, log)).toEqual(hashesOf(scribe.entries));
  });

  test("counts the bytes of an index that another thread wrote, and removes one whose segment is gone", () => {
    using directory = new TestDirectory();
    const disk = new NodeDisk();
    const store = openStore(directory.data, disk);
    const used = store.counters.used.log;
    const write = (generation: number): void => {
      const file = disk.create(indexPath(directory.data, generation));
      file.write(0, [new Uint8Array(5000)]);
      file.close();
      store.noteIndex(generation);
    };
    write(1);
    expect(store.counters.used.log).toBe(used + 5000);
    store.noteIndex(1);
    expect(store.counters.used.log).toBe(used + 5000);
    write(0);
    expect(disk.exists(indexPath(directory.data, 0))).toBe(false);
    store.close();
  });

  test("removes what is left of an index that was being written, and one without a segment", () => {
    using directory = new TestDirectory();
    writtenLog(directory);
    const disk = new NodeDisk();
    disk.create(`${indexPath(directory.data, 6)}.new`).close();
    disk.create(indexPath(directory.data, 9)).close();
    recover(directory, disk);
    expect(disk.list(`${directory.data}/log`).filter((name) => !name.endsWith(".log"))).toEqual(
      [1, 2, 3, 4, 5].map((generation) => `0000000${generation}.idx`),
    );
  });
});

function flip(directory: TestDirectory, generation: number, offset: number): void {
  directory.change(`log/0000000${generation}.idx`, (bytes) => {
    bytes[offset]! ^= 1;
    return undefined;
  });
}

function copyIndex(directory: TestDirectory, from: number, to: number): void {
  let content: Buffer | undefined;
  directory.change(`log/0000000${from}.idx`, (bytes) => {
    content = Buffer.from(bytes);
    return undefined;
  });
  directory.change(`log/0000000${to}.idx`, () => content);
}
