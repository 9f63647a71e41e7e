import { cpSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { NodeId } from "../../src/base/types.ts";
import { encodeSuperblock, setCopyNumber, superblockCopyBytes } from "../../src/format/superblock.ts";
import { noCounts } from "../../src/storage/counters.ts";
import { NodeDisk } from "../../src/storage/node-disk.ts";
import { SuperblockStore } from "../../src/storage/superblock-store.ts";
import { commitAll, hashesOf, openStore, readAll, TestDirectory } from "./directory.ts";
import { hashing } from "./hashing.ts";
import { Scribe } from "./scribe.ts";

const damaged = (reason: string) =>
  expect.objectContaining({ code: "DAMAGED", facts: expect.objectContaining({ reason }) });

/** Two segments, closed cleanly. */
function written(directory: TestDirectory): Scribe {
  const store = openStore(directory.data);
  const scribe = new Scribe();
  store.submit(scribe.genesis(store.recovered.identity.nodeUid));
  store.submit(scribe.promise(5));
  store.submit(scribe.replace(1, 2));
  store.submit(scribe.superblock({ acceptedBallot: scribe.state.promised }));
  store.submit(scribe.append(2, 600_000));
  store.submit(scribe.superblock());
  store.submit(scribe.append(1, 600_000));
  commitAll(store);
  store.close();
  return scribe;
}

describe("a directory whose files are not its own", () => {
  test.each<[string, (directory: TestDirectory) => void, string]>([
    ["lacks a segment", (directory) => rmSync(directory.file("log/00000001.log")), "SEGMENT_MISSING"],
    ["lacks the last segment", (directory) => rmSync(directory.file("log/00000002.log")), "SEGMENT_MISSING"],
    ["lacks log/", (directory) => rmSync(directory.file("log"), { recursive: true }), "SEGMENT_MISSING"],
    ["lacks the superblock", (directory) => rmSync(directory.file("superblock")), "NOT_FOUND"],
    [
      "has a segment twice",
      (directory) => cpSync(directory.file("log/00000001.log"), directory.file("log/00000003.log")),
      "SEGMENT_FOREIGN",
    ],
    [
      "has a segment behind a hole",
      (directory) => cpSync(directory.file("log/00000001.log"), directory.file("log/00000009.log")),
      "SEGMENT_UNKNOWN",
    ],
    ["has a file of another name", (directory) => writeFileSync(directory.file("log/1.log"), ""), "SEGMENT_UNKNOWN"],
    [
      "has its segments swapped",
      (directory) => {
        renameSync(directory.file("log/00000001.log"), directory.file("log/x"));
        renameSync(directory.file("log/00000002.log"), directory.file("log/00000001.log"));
        renameSync(directory.file("log/x"), directory.file("log/00000002.log"));
      },
      "SEGMENT_FOREIGN",
    ],
    [
      "has the segment of another node",
      (directory) => {
        using other = new TestDirectory();
        written(other);
        cpSync(other.file("log/00000002.log"), directory.file("log/00000002.log"));
      },
      "SEGMENT_FOREIGN",
    ],
    ["has an empty superblock", (directory) => writeFileSync(directory.file("superblock"), ""), "QUORUM_LOST"],
  ])("stops by name where it %s", (_name, change, reason) => {
    using directory = new TestDirectory();
    written(directory);
    change(directory);
    expect(() => openStore(directory.data)).toThrow(damaged(reason));
    expect(() => openStore(directory.data)).toThrow(damaged(reason));
  });
});

describe("superblock and log against each other", () => {
  /** Writes the superblock of a closed directory anew, as if its log had been written beside another one. */
  function rewrite(directory: TestDirectory, change: (state: Scribe["state"]) => Scribe["state"]): void {
    const path = directory.file("superblock");
    const superblocks = SuperblockStore.open(new NodeDisk(), path, hashing, noCounts());
    const { current } = superblocks;
    superblocks.close();
    rmSync(path);
    SuperblockStore.format(new NodeDisk(), path, { ...current, state: change(current.state) }, hashing);
  }
  const ballot = (n: number) => ({ configId: 1, n, nodeId: 1 as NodeId });

  test("a superblock ahead of the log's ballot is damage", () => {
    using directory = new TestDirectory();
    written(directory);
    rewrite(directory, (state) => ({ ...state, promised: ballot(6), acceptedBallot: ballot(6) }));
    expect(() => openStore(directory.data)).toThrow(damaged("REPLACE_LOST"));
  });

  test("a log ahead of what was promised is damage", () => {
    using directory = new TestDirectory();
    written(directory);
    rewrite(directory, (state) => ({ ...state, promised: ballot(4), acceptedBallot: ballot(4) }));
    expect(() => openStore(directory.data)).toThrow(damaged("BALLOT_AHEAD"));
  });

  test("a log ahead of acceptedBallot and not of what was promised is what a crash leaves, and is adopted", () => {
    using directory = new TestDirectory();
    const scribe = written(directory);
    rewrite(directory, (state) => ({ ...state, acceptedBallot: ballot(3) }));
    const store = openStore(directory.data);
    expect(store.recovered.state.acceptedBallot).toEqual(ballot(5));
    expect(hashesOf(readAll(directory.data, store))).toEqual(hashesOf(scribe.entries));
    store.close();
  });
});

describe("the four copies of a superblock", () => {
  function copies(directory: TestDirectory) {
    const path = directory.file("superblock");
    const superblocks = SuperblockStore.open(new NodeDisk(), path, hashing, noCounts());
    const { current } = superblocks;
    superblocks.close();
    const put = (place: number, sequence: number, n: number): void => {
      const state = { ...current.state, promised: { configId: 1, n, nodeId: 1 as NodeId } };
      const { bytes } = encodeSuperblock({ ...current, state }, sequence, "", hashing);
      setCopyNumber(bytes, place);
      directory.change("superblock", (file) => {
        file.set(bytes, place * superblockCopyBytes);
        return undefined;
      });
    };
    const open = () => {
      const opened = SuperblockStore.open(new NodeDisk(), path, hashing, noCounts());
      opened.close();
      return opened.current.state.promised.n;
    };
    return { put, open };
  }

  test.each<[string, readonly (readonly [number, number])[], number | string]>([
    [
      "the newest that two have wins",
      [
        [100, 9],
        [100, 9],
        [98, 8],
        [98, 8],
      ],
      9,
    ],
    [
      "a newer one that only one has does not count",
      [
        [100, 9],
        [98, 8],
        [98, 8],
        [98, 8],
      ],
      8,
    ],
    [
      "no two equal",
      [
        [100, 9],
        [98, 8],
        [96, 7],
        [94, 6],
      ],
      "QUORUM_LOST",
    ],
    [
      "two of one sequence that differ",
      [
        [100, 9],
        [100, 9],
        [100, 8],
        [100, 8],
      ],
      "FORK",
    ],
    [
      "a promise that went back",
      [
        [100, 7],
        [100, 7],
        [98, 8],
        [98, 8],
      ],
      "NOT_MONOTONIC",
    ],
    [
      "one that does not follow the one before",
      [
        [99, 9],
        [99, 9],
        [98, 8],
        [98, 8],
      ],
      "FORK",
    ],
  ])("%s", (_name, written, expected) => {
    using directory = new TestDirectory();
    openStore(directory.data).close();
    const { put, open } = copies(directory);
    for (const [place, [sequence, n]] of written.entries()) put(place, sequence, n);
    if (typeof expected === "string") {
      expect(open).toThrow(damaged(expected));
      return;
    }
    expect(open()).toBe(expected);
    // All four were made equal: any two may rot now.
    for (const place of [0, 3]) put(place, 5, 0);
    expect(open()).toBe(expected);
  });
});
