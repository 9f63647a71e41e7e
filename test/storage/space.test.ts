/**
 * Goal: groups go where something was written before, as far as the disk had time for it; and a file that was a segment before
 * can be one again, whatever is left in it.
 * Method: real files and a disk that can be cut; a log whose first segment is trimmed by hand, its file the next spare.
 */
import { readFileSync, renameSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { defined } from "../../src/base/assert.ts";
import { limits } from "../../src/base/limits.ts";
import type { Slot } from "../../src/base/types.ts";
import type { Entry } from "../../src/core/entry.ts";
import { decodeSegmentHeader, segmentHeaderBytes } from "../../src/format/segment.ts";
import { readSound } from "../../src/storage/block-reader.ts";
import { noCounts } from "../../src/storage/counters.ts";
import { type Disk, DiskError, type DiskFile } from "../../src/storage/disk.ts";
import { NodeDisk } from "../../src/storage/node-disk.ts";
import { LogReader } from "../../src/storage/reader.ts";
import type { Store } from "../../src/storage/store.ts";
import { SuperblockStore } from "../../src/storage/superblock-store.ts";
import type { StoreWrite } from "../../src/storage/write.ts";
import { CrashDisk } from "./crash-disk.ts";
import { hashesOf, openStore, readAll, readFrom, TestDirectory } from "./directory.ts";
import { hashing } from "./hashing.ts";
import { Scribe } from "./scribe.ts";

const segmentBytes = 4 * limits.segmentBytesMin;

function write(store: Store, each: StoreWrite): void {
  store.submit(each);
  while (store.commit() !== undefined);
}

function begin(dir: string, disk: Disk, size: number): { readonly store: Store; readonly scribe: Scribe } {
  const store = openStore(dir, disk, size);
  const scribe = new Scribe();
  write(store, scribe.genesis(store.recovered.identity.nodeUid));
  write(store, scribe.promise(1));
  write(store, scribe.replace(1, 0));
  return { store, scribe };
}

describe("filling", () => {
  test("between groups goes one slice ahead of small ones, and never back", () => {
    using directory = new TestDirectory();
    const { store, scribe } = begin(directory.data, new NodeDisk(), segmentBytes);
    const { counters } = store;
    store.fill("between");
    expect(counters.filledBytes).toBe(limits.fillBytes);
    const reserved = counters.reservedBytes;
    for (let count = 0; count < 300; count += 1) {
      write(store, scribe.append(1));
      store.fill("between");
    }
    // 300 groups of a block, of which a slice has room for 256.
    expect(counters.filledBytes).toBe(2 * limits.fillBytes);
    expect(counters.reservedBytes).toBe(reserved);
    store.close();
    const again = openStore(directory.data, new NodeDisk(), segmentBytes);
    expect(hashesOf(readAll(directory.data, again))).toEqual(hashesOf(scribe.entries));
    again.close();
  });

  test("between groups leaves large ones alone, and what goes to reserved space is counted", () => {
    using directory = new TestDirectory();
    const { store, scribe } = begin(directory.data, new NodeDisk(), segmentBytes);
    const before = { ...store.counters };
    write(store, scribe.append(1, limits.fillGroupBytesMax));
    store.fill("between");
    expect(store.counters.filledBytes).toBe(0);
    expect(store.counters.reservedBytes - before.reservedBytes).toBe(store.counters.bytes - before.bytes);
    store.close();
  });

  test("of an idle node ends with every byte of the open segment and of the spare written", () => {
    using directory = new TestDirectory();
    const { store, scribe } = begin(directory.data, new NodeDisk(), segmentBytes);
    write(store, scribe.append(3, 700_000));
    store.mark();
    let slices = 0;
    while (store.fill("idle")) slices += 1;
    expect(store.fill("idle")).toBe(false);
    const spare = segmentBytes;
    const open = segmentBytes - segmentHeaderBytes - store.counters.reservedBytes;
    expect(store.counters.filledBytes).toBe(spare + open);
    expect(slices).toBe(Math.ceil(spare / limits.fillBytes) + Math.ceil(open / limits.fillBytes));
    // What follows, the next segment included, finds space that was written.
    const { reservedBytes } = store.counters;
    for (let count = 0; count < 6; count += 1) write(store, scribe.append(2, 500_000));
    expect(store.counters.segments).toBe(2);
    expect(store.counters.reservedBytes).toBe(reservedBytes);
    store.close();
    const again = openStore(directory.data, new NodeDisk(), segmentBytes);
    expect(hashesOf(readAll(directory.data, again))).toEqual(hashesOf(scribe.entries));
    again.close();
  });

  test("gives up where the disk is full, and the log goes on", () => {
    using directory = new TestDirectory();
    const disk = new NodeDisk();
    const isZeros = (parts: readonly Uint8Array[]): boolean =>
      parts.length === 1 && parts[0]!.every((byte) => byte === 0);
    const full = (file: DiskFile): DiskFile => ({
      path: file.path,
      size: () => file.size(),
      read: (offset, target) => file.read(offset, target),
      write: (offset, parts) => {
        if (isZeros(parts)) throw new DiskError("ENOSPC", "write", file.path);
        file.write(offset, parts);
      },
      sync: () => file.sync(),
      resize: (length) => file.resize(length),
      close: () => file.close(),
    });
    const wrapped = Object.assign(Object.create(disk) as Disk, {
      create: (path: string) => full(disk.create(path)),
      open: (path: string, access: "read" | "write") => full(disk.open(path, access)),
    });
    const { store, scribe } = begin(directory.data, wrapped, segmentBytes);
    store.fill("between");
    expect(store.fill("idle")).toBe(false);
    expect(store.counters.filledBytes).toBe(0);
    write(store, scribe.append(2));
    expect(store.recovered).toBeDefined();
    store.close();
  });

  test("that is cut anywhere leaves nothing to judge", () => {
    const run = (disk: CrashDisk): Scribe => {
      const { store, scribe } = begin("/data", disk, limits.segmentBytesMin);
      write(store, scribe.append(2, 300_000));
      store.mark();
      try {
        disk.operationsLeft = cut;
        while (store.fill("idle"));
      } catch (error) {
        expect(error).toMatchObject({ code: "STORAGE_FAILED" });
      }
      return scribe;
    };
    let cut = 0;
    for (; cut <= 12; cut += 1) {
      const disk = new CrashDisk();
      const scribe = run(disk);
      for (const keeps of [() => false, () => true, (sector: number) => sector % 3 === 1]) {
        const left = disk.crashed(keeps, disk.unsyncedChanges);
        const store = openStore("/data", left);
        expect(hashesOf(readAll("/data", store, left)), `cut ${cut}`).toEqual(hashesOf(scribe.entries));
        expect(left.list("/data/trash")).toEqual([]);
        store.close();
      }
    }
  });
});

describe("a recycled segment", () => {
  interface Trimmed {
    /** Entries from `from` on are in the log. */
    readonly scribe: Scribe;
    readonly from: Slot;
  }

  /**
   * A log of two segments and a spare, closed; then trimmed by hand: the superblock's log begins with segment 2, and the file of
   * segment 1 is the spare.
   */
  function trimmed(disk: Disk, dir: string, recycle: (from: string, to: string) => void): Trimmed {
    const { store, scribe } = begin(dir, disk, limits.segmentBytesMin);
    for (let count = 0; count < 5; count += 1) write(store, scribe.append(2, 150_000));
    // The end of segment 1 is far from full of groups that begin where those of segment 3 will.
    store.mark();
    const second = defined(
      store.counters.segments === 2 ? scribe.entries[6] : undefined,
      "the first entry of segment 2",
    );
    scribe.decide(scribe.end);
    write(store, scribe.superblock());
    write(store, scribe.append(2, 200_000));
    store.mark();
    store.close();
    const header = decodeSegmentHeader(readSound(disk.open(`${dir}/log/00000002.log`, "read"), 0, 4096), hashing);
    if (header.kind !== "ok") throw new Error("segment 2 has a header");
    const superblocks = SuperblockStore.open(disk, `${dir}/superblock`, hashing, noCounts());
    const before = scribe.entries[second.slot - 2]!;
    superblocks.write({
      ...superblocks.current,
      beginGeneration: 2,
      beginSequence: header.header.firstSequence - 1,
      beginBallot: header.header.ballot,
      logBegin: { slot: second.slot, hash: before.hash, position: second.firstPosition, time: before.time },
    });
    superblocks.close();
    recycle(`${dir}/log/00000001.log`, `${dir}/log/00000003.log`);
    return { scribe, from: second.slot };
  }

  function contentOf(dir: string, disk: Disk, store: Store, from: Slot): Entry[] {
    const reader = new LogReader(disk, dir, hashing, store.layout, store.readerStart);
    try {
      return readFrom(reader, from);
    } finally {
      reader.close();
    }
  }

  test("is a spare like any other, and its old bytes are never taken for the log's", () => {
    using directory = new TestDirectory();
    const disk = new NodeDisk();
    const { scribe, from } = trimmed(disk, directory.data, renameSync);
    const expected = () => hashesOf(scribe.entries.slice(from - 1));
    const old = readFileSync(directory.file("log/00000003.log"));
    for (let opening = 0; opening < 5; opening += 1) {
      const store = openStore(directory.data, disk);
      expect(hashesOf(contentOf(directory.data, disk, store, from))).toEqual(expected());
      const filled = store.counters.filledBytes;
      if (opening === 0) while (store.fill("idle"));
      write(store, scribe.append(1, 150_000));
      // It was written before, so at most what is left of segment 2 is filled.
      if (opening === 0) expect(store.counters.filledBytes - filled).toBeLessThan(old.length);
      store.close();
    }
    // Some of the old bytes are still there, behind the new groups, and nothing went to trash/.
    const now = readFileSync(directory.file("log/00000003.log"));
    expect(now.subarray(-64).equals(old.subarray(-64))).toBe(true);
    expect(now.subarray(0, 4096).equals(old.subarray(0, 4096))).toBe(false);
    expect(disk.list(directory.file("trash"))).toEqual([]);
  });

  test("is refused where it may be a segment that lost its header, or one that is not trimmed", () => {
    using directory = new TestDirectory();
    const disk = new NodeDisk();
    trimmed(disk, directory.data, renameSync);
    const whole = readFileSync(directory.file("log/00000003.log"));
    const failure = (): unknown => {
      try {
        openStore(directory.data, disk).close();
      } catch (error) {
        return (error as { facts?: { reason?: string } }).facts?.reason;
      }
      return "none";
    };
    // A file that says nothing of what it was, and is not empty.
    directory.change("log/00000003.log", (bytes) => Buffer.from(bytes.map((byte) => byte ^ 0x55)));
    expect(failure()).toBe("SEGMENT_DAMAGED");
    // The header of the old segment before groups of one that is not trimmed.
    const second = readFileSync(directory.file("log/00000002.log"));
    directory.change("log/00000003.log", () => Buffer.concat([whole.subarray(0, 4096), second.subarray(4096)]));
    expect(failure()).toBe("SEGMENT_DAMAGED");
    directory.change("log/00000003.log", () => second);
    expect(failure()).toBe("SEGMENT_FOREIGN");
    directory.change("log/00000003.log", () => whole);
    expect(failure()).toBe("none");
  });

  test("that is begun and cut at any operation comes to the same log, twice", () => {
    const steps = (disk: CrashDisk): { readonly trim: Trimmed; readonly confirmed: number } => {
      const trim = trimmed(disk, "/data", (from, to) => {
        disk.rename(from, to);
        disk.syncDirectory("/data/log");
      });
      const store = openStore("/data", disk);
      disk.operationsLeft = cut;
      let confirmed = trim.scribe.entries.length;
      try {
        for (const size of [150_000, 200_000, 200_000, 4000, 300_000]) {
          write(store, trim.scribe.append(1, size));
          confirmed = trim.scribe.entries.length;
        }
      } catch (error) {
        expect(error).toMatchObject({ code: "STORAGE_FAILED" });
      }
      return { trim, confirmed };
    };
    let cut = 0;
    let begun = 0;
    for (; cut <= 16; cut += 1) {
      for (const keeps of [() => false, () => true, (sector: number) => sector % 7 < 3]) {
        const disk = new CrashDisk();
        const { trim, confirmed } = steps(disk);
        let left = disk.crashed(keeps, disk.unsyncedChanges);
        for (let recovery = 0; recovery < 2; recovery += 1) {
          const store = openStore("/data", left);
          const found = hashesOf(contentOf("/data", left, store, trim.from));
          const all = hashesOf(trim.scribe.entries.slice(trim.from - 1));
          expect(found, `cut ${cut}`).toEqual(all.slice(0, found.length));
          expect(found.length).toBeGreaterThanOrEqual(confirmed - trim.from + 1);
          if (left.exists("/data/log/00000004.log")) begun += 1;
          left = left.crashed(() => false, left.unsyncedChanges);
        }
      }
    }
    // Some of the cuts left a torn group in the recycled file.
    expect(begun).toBeGreaterThan(0);
  });
});
