// What an offline look at a directory finds: as much as recovery, and what lies behind it, without changing a byte.
import { readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PaxlogError } from "../../src/base/errors.ts";
import type { Slot, Uid } from "../../src/base/types.ts";
import { makeEntryParts } from "../../src/format/entry-parts.ts";
import { groupHeaderBytes } from "../../src/format/group.ts";
import { sealPage } from "../../src/format/index-page.ts";
import { segmentHeaderBytes } from "../../src/format/segment.ts";
import { encodeSnapshot } from "../../src/format/snapshot-state.ts";
import { LogState } from "../../src/sequencer/log-state.ts";
import type { Fault } from "../../src/storage/fault.ts";
import { buildIndex } from "../../src/storage/index-builder.ts";
import { NodeDisk } from "../../src/storage/node-disk.ts";
import { type Verification, verifyDirectory } from "../../src/storage/verify.ts";
import { commitAll, openStore, TestDirectory } from "./directory.ts";
import { hashing } from "./hashing.ts";
import { Scribe } from "./scribe.ts";

const first = "log/00000001.log";
const second = "log/00000002.log";
const third = "log/00000003.log";
/** Where the first group of a segment begins, and the groups of the first one: of one, of two and of many blocks. */
const group = segmentHeaderBytes;
const secondGroup = group + 4096;
const thirdGroup = secondGroup + 8192;

/** Three segments: small groups and a large one, a replace, and an end. */
function written(directory: TestDirectory, close = true): Scribe {
  const store = openStore(directory.data);
  const scribe = new Scribe();
  const commit = (write: Parameters<typeof store.submit>[0]) => {
    store.submit(write);
    commitAll(store);
  };
  commit(scribe.genesis(store.recovered.identity.nodeUid));
  commit(scribe.promise(1));
  commit(scribe.append(2));
  commit(scribe.append(3, 2000));
  commit(scribe.append(1, 900_000));
  scribe.decide(5);
  commit(scribe.promise(2));
  commit(scribe.replace(6, 2, 600_000));
  scribe.decide(8);
  commit(scribe.append(4, 100));
  commit(scribe.append(1, 700_000));
  commit(scribe.append(2));
  if (close) store.close();
  return scribe;
}

function verified(directory: TestDirectory): { readonly faults: Fault[]; readonly result: Verification } {
  const faults: Fault[] = [];
  const { data: dir } = directory;
  const result = verifyDirectory({ disk: new NodeDisk(), dir, hashing, onFault: (fault) => faults.push(fault) });
  return { faults, result };
}

/** "file @ offset reason verdict" of each fault. */
function told(directory: TestDirectory): string[] {
  const { data } = directory;
  return verified(directory).faults.map(
    ({ file, offset, reason, verdict }) => `${file.slice(data.length + 1)} @ ${offset ?? "-"} ${reason} ${verdict}`,
  );
}

const flip = (offset: number) => (bytes: Buffer) => {
  bytes[offset]! ^= 0x10;
  return undefined;
};

test("a sound directory is proved from its begin to its end, and left as it is", () => {
  using directory = new TestDirectory();
  const scribe = written(directory);
  const before = snapshotOf(directory);
  const { faults, result } = verified(directory);
  expect(faults).toEqual([]);
  const end = scribe.baseAt(scribe.end);
  expect(result).toMatchObject({ name: "n1", begin: { slot: 1 }, end, entries: 15, faults: { damaged: 0 } });
  expect(result.decided).toEqual(scribe.baseAt(8));
  expect(result.segments).toBe(3);
  expect(snapshotOf(directory)).toEqual(before);
});

test("an empty directory of a node that met nobody yet is sound", () => {
  using directory = new TestDirectory();
  openStore(directory.data).close();
  expect(verified(directory)).toMatchObject({ faults: [], result: { segments: 0, entries: 0, end: { slot: 1 } } });
});

describe("one damage is told with its file, offset and verdict, and what lies behind it is looked at", () => {
  test.each<[string, string, (bytes: Buffer) => Buffer | undefined, string[]]>([
    [
      "an entry of a small group",
      first,
      flip(secondGroup + groupHeaderBytes + 2136 + 150),
      [`${first} @ ${secondGroup + groupHeaderBytes + 2136} GROUP_ROTTEN damaged`],
    ],
    [
      "the length of an entry",
      first,
      flip(secondGroup + groupHeaderBytes + 132),
      [`${first} @ ${secondGroup + groupHeaderBytes} GROUP_ROTTEN damaged`],
    ],
    [
      "a group's header",
      first,
      flip(secondGroup + 70),
      [`${first} @ ${secondGroup} GROUP_ROTTEN damaged`, `${first} @ ${thirdGroup} CHAIN_BROKEN damaged`],
    ],
    [
      "the last group of a sealed segment",
      first,
      flip(thirdGroup + groupHeaderBytes + 5000),
      [`${first} @ ${thirdGroup + groupHeaderBytes} GROUP_ROTTEN damaged`],
    ],
    ["the header of a segment", second, flip(100), [`${second} @ 0 SEGMENT_DAMAGED damaged`]],
    ["the header of the last segment", third, flip(100), [`${third} @ 0 SEGMENT_DAMAGED damaged`]],
    [
      "a cut in a sealed segment",
      first,
      (bytes) => bytes.subarray(0, thirdGroup),
      [`${first} @ ${thirdGroup} SEGMENT_TRUNCATED damaged`],
    ],
    ["one copy of the superblock", "superblock", flip(4096 + 100), ["superblock @ 4096 COPY_DAMAGED mended"]],
    [
      "three copies of the superblock",
      "superblock",
      (bytes) => bytes.fill(0, 4096),
      ["superblock @ - QUORUM_LOST damaged"],
    ],
    ["padding, which nothing depends on", first, flip(group + 4095), []],
  ])("%s", (_name, file, change, expected) => {
    using directory = new TestDirectory();
    written(directory);
    directory.change(file, change);
    expect(told(directory)).toEqual(expected);
  });

  test("several at once are all found", () => {
    using directory = new TestDirectory();
    const scribe = written(directory);
    directory.change(first, flip(group + groupHeaderBytes + 150));
    directory.change(second, flip(group + 20));
    directory.change(third, flip(group + groupHeaderBytes + 20_000));
    const { faults, result } = verified(directory);
    expect(new Set(faults.map(({ file }) => file.slice(-12)))).toEqual(
      new Set(["00000001.log", "00000002.log", "00000003.log"]),
    );
    // The end is known all the same: what comes last says what it continues.
    expect(result.end).toEqual(scribe.baseAt(scribe.end));
  });

  test("a segment that is missing, and a file that does not belong", () => {
    using directory = new TestDirectory();
    written(directory);
    rmSync(directory.file(second));
    directory.change(third, (bytes) => bytes);
    expect(told(directory)).toEqual([`${second} @ - SEGMENT_MISSING damaged`]);
  });

  test("the slots that are lost are named", () => {
    using directory = new TestDirectory();
    written(directory);
    directory.change(first, flip(secondGroup + groupHeaderBytes + 2136 + 150));
    expect(verified(directory).faults[0]).toMatchObject({ group: 2, slots: { from: 4, end: 5 } });
  });
});

describe("the index of a segment", () => {
  const index = "log/00000001.idx";
  function indexed(directory: TestDirectory): void {
    const scribe = written(directory);
    // The last slot of the segment is voided by the next one.
    const job = { generation: 1, begin: scribe.baseAt(1), endSlot: 6 as Slot };
    const steps = buildIndex({ disk: new NodeDisk(), dir: directory.data, hashing, job });
    while (steps.next().done !== true);
  }

  test("is proved by building it anew", () => {
    using directory = new TestDirectory();
    indexed(directory);
    expect(verified(directory)).toMatchObject({ faults: [], result: { indexes: 1 } });
  });

  test.each([
    ["its header", 100, 0],
    ["a page", 4096 + 50, 4096],
  ])("a change of %s is told, and is no loss", (_name, at, offset) => {
    using directory = new TestDirectory();
    indexed(directory);
    directory.change(index, flip(at));
    expect(told(directory)).toEqual([`${index} @ ${offset} INDEX_DAMAGED mended`]);
  });

  test("a page that is sound and says something else is told", () => {
    using directory = new TestDirectory();
    indexed(directory);
    directory.change(index, (bytes) => {
      const page = bytes.subarray(4096, 8192);
      const nonce = page.toString("hex", 8, 16).padEnd(32, "0") as Uid;
      page[16]! ^= 1;
      sealPage(page, 1, nonce, hashing);
      return undefined;
    });
    expect(told(directory)).toEqual([`${index} @ 4096 INDEX_DAMAGED mended`]);
  });
});

describe("the newest snapshot", () => {
  /** A log with a snapshot of what its entries amount to, or of what `change` makes of that. */
  function snapped(directory: TestDirectory, change = (state: LogState) => state): Scribe {
    const store = openStore(directory.data);
    const scribe = new Scribe();
    const commit = (write: Parameters<typeof store.submit>[0]) => {
      store.submit(write);
      commitAll(store);
    };
    commit(scribe.genesis(store.recovered.identity.nodeUid));
    commit(scribe.promise(1));
    commit(scribe.append(5));
    scribe.decide(6);
    commit(scribe.append(3));
    const state = new LogState();
    for (const entry of scribe.entries.slice(0, 5)) state.apply(entry, makeEntryParts(hashing));
    const content = encodeSnapshot(change(state).save(), scribe.state.genesis!);
    store.submitBackground({ kind: "snapshot", base: scribe.baseAt(6), content });
    while (store.hasBackground) store.advance();
    store.close();
    return scribe;
  }

  test("is proved by its hashes and against the log below it", () => {
    using directory = new TestDirectory();
    const scribe = snapped(directory);
    expect(verified(directory)).toMatchObject({ faults: [], result: { snapshot: scribe.baseAt(6) } });
  });

  test.each([
    ["a chunk", "snapshots/6/0000", 50],
    ["the manifest", "snapshots/6/manifest", 50],
  ])("a change of %s is damage", (_name, file, at) => {
    using directory = new TestDirectory();
    snapped(directory);
    directory.change(file, flip(at));
    expect(told(directory)).toEqual([`${file} @ 0 SNAPSHOT_DAMAGED damaged`]);
  });

  test("one that is missing is damage", () => {
    using directory = new TestDirectory();
    snapped(directory);
    rmSync(directory.file("snapshots/6/0000"));
    expect(told(directory)).toEqual(["snapshots/6/0000 @ - SNAPSHOT_MISSING damaged"]);
  });

  test("one that is whole and says something else than the log is damage", () => {
    using directory = new TestDirectory();
    snapped(directory, (state) => {
      state.fence = 7;
      return state;
    });
    expect(told(directory)).toEqual(["snapshots/6/manifest @ 0 SNAPSHOT_DAMAGED damaged"]);
  });
});

describe("the end of the log", () => {
  test("what was being written when the power failed is torn, and no damage", () => {
    using directory = new TestDirectory();
    written(directory, false);
    const end = ends(directory);
    directory.change(third, (bytes) => bytes.fill(0x55, end, end + 5000));
    expect(told(directory)).toEqual([`${third} @ ${end} TORN_END torn`]);
    openStore(directory.data).close();
    expect(told(directory)).toEqual([]);
  });

  test("a last group that was durable and is gone is damage", () => {
    using directory = new TestDirectory();
    written(directory);
    const end = ends(directory);
    directory.change(third, (bytes) => bytes.fill(0, end - 4096));
    expect(told(directory)).toEqual([`${third} @ ${end - 4096} GROUP_LOST damaged`]);
  });
});

test("whatever is changed, it is found if recovery finds it, and the work ends", () => {
  using directory = new TestDirectory();
  written(directory);
  const files = ["superblock", first, second, third];
  const sound = new Map(files.map((file) => [file, readFileSync(directory.file(file))]));
  const change = fc.record({
    file: fc.constantFrom(...files),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    length: fc.constantFrom(1, 16, 4096, 100_000),
    value: fc.constantFrom(0, 0xff, 0x41),
  });
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
      for (const [file, bytes] of sound) directory.change(file, () => Buffer.from(bytes));
      for (const { file, at, length, value } of changes) {
        directory.change(file, (bytes) => {
          const begin = Math.floor(at * bytes.length);
          return bytes.fill(value, begin, Math.min(begin + length, bytes.length));
        });
      }
      const { result } = verified(directory);
      expect(result.faults.damaged > 0).toBe(opens(directory) !== "sound");
    }),
    { numRuns: 20 },
  );
});

function opens(directory: TestDirectory): string {
  try {
    openStore(directory.data).close();
    return "sound";
  } catch (error) {
    if (error instanceof PaxlogError) return error.code;
    throw error;
  }
}

/** Offset after the last group. */
function ends(directory: TestDirectory): number {
  let end = 0;
  const bytes = readFileSync(directory.file(third));
  for (let at = group; at < bytes.length; at += 4096) if (bytes.toString("latin1", at, at + 7) === "PAXLGRP") end = at;
  return end + 4096;
}

function snapshotOf(directory: TestDirectory): unknown[] {
  return readdirSync(directory.data, { recursive: true, encoding: "utf8" })
    .sort()
    .map((name) => {
      const path = join(directory.data, name);
      const { size, mtimeMs, mode } = statSync(path);
      return { name, size, mtimeMs, mode, bytes: statSync(path).isFile() ? hashing.xxh3(readFileSync(path)) : "" };
    });
}
