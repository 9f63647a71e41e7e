import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { equalBytes } from "../../src/base/bytes.ts";
import { PaxlogError } from "../../src/base/errors.ts";
import { limits } from "../../src/base/limits.ts";
import type { NodeId, Slot } from "../../src/base/types.ts";
import { NodeDisk } from "../../src/storage/node-disk.ts";
import { LogReader } from "../../src/storage/reader.ts";
import { Store } from "../../src/storage/store.ts";
import type { StoreWrite } from "../../src/storage/write.ts";
import { commitAll, hashesOf, openStore, readAll, readFrom, TestDirectory } from "./directory.ts";
import { hashing } from "./hashing.ts";
import { Scribe } from "./scribe.ts";

/** The error that `run` throws. */
function errorOf(run: () => unknown): PaxlogError {
  try {
    run();
  } catch (error) {
    if (error instanceof PaxlogError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

function begun(directory: TestDirectory): { store: Store; scribe: Scribe } {
  const store = openStore(directory.data);
  const scribe = new Scribe();
  store.submit(scribe.genesis(store.recovered.identity.nodeUid));
  store.submit(scribe.promise(1));
  commitAll(store);
  return { store, scribe };
}

describe("a store", () => {
  test("formats an empty directory and knows nothing yet", () => {
    using directory = new TestDirectory();
    const store = openStore(directory.data);
    expect(store.recovered).toMatchObject({
      identity: { name: "n1", incarnation: 1, nodeUid: expect.stringMatching(/^[0-9a-f]{32}$/) },
      state: { genesis: undefined, started: false, promised: { n: 0 }, acceptedBallot: { n: 0 } },
      base: { slot: 1, hash: "", position: 1, time: 0 },
      window: [],
    });
    expect(store.layout).toEqual([]);
    expect(store.commit()).toBeUndefined();
    store.close();
    expect(statSync(directory.data).mode & 0o777).toBe(0o700);
    expect(statSync(directory.file("superblock")).mode & 0o777).toBe(0o600);
  });

  test("takes an incarnation of its own at each opening, also when it was not closed", () => {
    using directory = new TestDirectory();
    const first = openStore(directory.data);
    const second = openStore(directory.data);
    expect(second.recovered.identity).toEqual({ ...first.recovered.identity, incarnation: 2 });
    second.close();
  });

  test("gives back state, genesis and entries after it was opened again", () => {
    using directory = new TestDirectory();
    const { store, scribe } = begun(directory);
    store.submit(scribe.append(3));
    store.submit(scribe.superblock({ started: true }));
    scribe.decide(3);
    store.submit(scribe.append(2));
    commitAll(store);
    store.close();

    const again = openStore(directory.data);
    expect(again.recovered.state).toEqual(scribe.state);
    const { base, window } = again.recovered;
    expect(base).toEqual({
      slot: 3,
      hash: scribe.hashBefore(3),
      position: scribe.positionAt(3),
      time: scribe.entries[1]!.time,
    });
    expect(hashesOf(window)).toEqual(hashesOf(scribe.entries.slice(2)));
    expect(hashesOf(readAll(directory.data, again))).toEqual(hashesOf(scribe.entries));
    again.close();
  });

  test("joins the appends that wait into one group with one sync, and tells the last ticket", () => {
    using directory = new TestDirectory();
    const { store, scribe } = begun(directory);
    store.submit(scribe.append(1));
    store.commit();
    const before = { ...store.counters };
    const writes = [scribe.append(2), scribe.append(1), scribe.append(3)];
    for (const write of writes) store.submit(write);
    const commit = store.commit();
    expect(commit).toMatchObject({ ticket: writes[2]!.ticket, places: [{ firstSlot: 2, endSlot: 8 }] });
    expect(store.counters).toMatchObject({ groups: before.groups + 1, syncs: before.syncs + 1 });
    expect(store.pending).toBe(false);
    store.close();
  });

  test("keeps a group within its limit, and takes one write that is larger by itself", () => {
    using directory = new TestDirectory();
    const { store, scribe } = begun(directory);
    const third = limits.groupBytesMax / 3;
    for (let index = 0; index < 4; index += 1) store.submit(scribe.append(2, third / 2));
    store.submit(scribe.append(3, limits.batchBytesMax));
    const groups: number[] = [];
    for (let commit = store.commit(); commit !== undefined; commit = store.commit()) {
      groups.push(commit.places[0]!.endSlot - commit.places[0]!.firstSlot);
    }
    expect(groups).toEqual([4, 4, 3]);
    store.close();
    const again = openStore(directory.data);
    expect(hashesOf(readAll(directory.data, again))).toEqual(hashesOf(scribe.entries));
    again.close();
  });

  test("keeps the order of superblocks and groups", () => {
    using directory = new TestDirectory();
    const { store, scribe } = begun(directory);
    const writes = [scribe.append(1), scribe.promise(2), scribe.append(1), scribe.replace(2, 1)];
    for (const write of writes) store.submit(write);
    expect(writes.map(() => store.commit()?.ticket)).toEqual(writes.map((write) => write.ticket));
    store.close();
  });

  test("proves the last group by a mark, once", () => {
    using directory = new TestDirectory();
    const { store, scribe } = begun(directory);
    store.mark();
    const { groups } = store.counters;
    store.submit(scribe.append(1));
    store.commit();
    store.mark();
    store.mark();
    expect(store.counters.groups).toBe(groups + 2);
    store.submit(scribe.superblock());
    store.submit(scribe.append(1));
    commitAll(store);
    store.submit(scribe.superblock());
    commitAll(store);
    store.mark();
    expect(store.counters.groups).toBe(groups + 3);
    store.close();
  });

  test("makes the next segment ahead when it is idle, and rolls into it", () => {
    using directory = new TestDirectory();
    const { store, scribe } = begun(directory);
    store.mark();
    expect(readdirSync(directory.file("log"))).toEqual(["00000001.log"]);
    store.submit(scribe.append(1, 600_000));
    commitAll(store);
    store.mark();
    expect(readdirSync(directory.file("log"))).toEqual(["00000001.log", "00000002.log"]);
    const { superblockWrites } = store.counters;
    store.submit(scribe.append(1, 600_000));
    commitAll(store);
    // The spare was there: no superblock is written on the way of an append.
    expect(store.counters.superblockWrites).toBe(superblockWrites);
    store.close();
    const again = openStore(directory.data);
    expect(hashesOf(readAll(directory.data, again))).toEqual(hashesOf(scribe.entries));
    again.close();
  });

  test("refuses the directory of another node", () => {
    using directory = new TestDirectory();
    openStore(directory.data).close();
    const options = {
      disk: new NodeDisk(),
      dir: directory.data,
      hashing,
      randomBytes: (n: number) => new Uint8Array(n),
    };
    const error = errorOf(() => Store.open({ ...options, name: "n2" }));
    expect(error).toMatchObject({ code: "DIRECTORY_UNUSABLE", facts: { owner: "n1", name: "n2" } });
  });

  test("refuses a directory that holds something else, and one that cannot be made", () => {
    using directory = new TestDirectory();
    writeFileSync(`${directory.path}/letter.txt`, "dear diary");
    expect(errorOf(() => openStore(directory.path)).code).toBe("DIRECTORY_UNUSABLE");
    expect(errorOf(() => openStore(`${directory.path}/letter.txt/data`)).code).toBe("DIRECTORY_UNUSABLE");
    expect(errorOf(() => openStore("/proc/paxlog")).code).toBe("DIRECTORY_UNUSABLE");
    expect(readFileSync(`${directory.path}/letter.txt`, "utf8")).toBe("dear diary");
  });

  test("refuses a segment size that no segment may have", () => {
    using directory = new TestDirectory();
    for (const size of [0, limits.segmentBytesMin - 4096, limits.segmentBytesMin + 1, limits.segmentBytesMax + 4096]) {
      expect(errorOf(() => openStore(directory.data, new NodeDisk(), size)).code).toBe("INVALID_ARGUMENT");
    }
  });

  test("takes nothing more once it is closed", () => {
    using directory = new TestDirectory();
    const { store, scribe } = begun(directory);
    store.close();
    store.close();
    for (const call of [() => store.commit(), () => store.submit(scribe.append(1)), () => store.mark()]) {
      expect(errorOf(call).code).toBe("CLOSED");
    }
  });
});

describe("a store stops by name on a write that breaks a rule:", () => {
  const cases: [string, (scribe: Scribe) => StoreWrite][] = [
    [
      "an append that leaves a hole",
      (scribe) => {
        scribe.append(1);
        return scribe.append(1);
      },
    ],
    ["a promise that goes back", (scribe) => scribe.promise(0)],
    [
      "a replace whose promise is not durable (P4)",
      (scribe) => {
        scribe.state = { ...scribe.state, promised: { configId: 1, n: 9, nodeId: 1 as NodeId } };
        return scribe.replace(2, 1);
      },
    ],
    [
      "a hint above what is durable (P7)",
      (scribe) => {
        const write = scribe.append(2);
        return { ...write, decidedEnd: 5 as Slot };
      },
    ],
    [
      "a replace that cuts what is decided (P11)",
      (scribe) => {
        scribe.decidedEnd = 1 as Slot;
        return scribe.replace(1, 1);
      },
    ],
    ["another genesis", (scribe) => scribe.superblock({ genesis: undefined })],
  ];
  test.each(cases)("%s", (_name, breakRule) => {
    using directory = new TestDirectory();
    const { store, scribe } = begun(directory);
    store.submit(scribe.append(2));
    scribe.decide(2);
    store.submit(scribe.superblock());
    store.submit(scribe.append(1));
    commitAll(store);
    const intact = hashesOf(scribe.entries);
    const write = breakRule(scribe);
    store.submit(write);
    expect(errorOf(() => store.commit()).code).toBe("INVARIANT_BROKEN");
    expect(errorOf(() => store.commit()).code).toBe("STORAGE_FAILED");
    store.close();
    const again = openStore(directory.data);
    expect(hashesOf(readAll(directory.data, again))).toEqual(intact);
    again.close();
  });
});

describe("a reader", () => {
  test("follows commits, sees replaces, and finds records by position", () => {
    using directory = new TestDirectory();
    const { store, scribe } = begun(directory);
    const reader = new LogReader(new NodeDisk(), directory.data, hashing, store.layout);
    const commit = (write: Parameters<Store["submit"]>[0]) => {
      store.submit(write);
      for (let done = store.commit(); done !== undefined; done = store.commit()) reader.add(done.places, done.voidFrom);
    };
    commit(scribe.append(10));
    commit(scribe.append(5, 0));
    commit(scribe.append(5));
    // Half of the second group goes, and reading went on inside of it before.
    expect(reader.read(12 as Slot, 14 as Slot, 1_000_000)).toHaveLength(2);
    commit(scribe.promise(2));
    commit(scribe.replace(13, 4));
    commit(scribe.append(3));
    expect(hashesOf(readFrom(reader, 1 as Slot))).toEqual(hashesOf(scribe.entries));
    expect(hashesOf(readFrom(reader, 14 as Slot))).toEqual(hashesOf(scribe.entries.slice(13)));

    for (const entry of scribe.entries) {
      for (let record = 0; record < entry.recordCount; record += 1) {
        expect(reader.slotOfPosition((entry.firstPosition + record) as typeof entry.firstPosition)).toBe(entry.slot);
      }
    }
    expect(reader.slotOfPosition(scribe.positionAt(scribe.end))).toBeUndefined();
    expect(reader.read(scribe.end, (scribe.end + 5) as Slot, 100)).toEqual([]);
    reader.close();
    store.close();
  });

  test("gives as much as fits, at least one entry, whatever its room and where it begins", () => {
    using directory = new TestDirectory();
    const { store, scribe } = begun(directory);
    for (const size of [10, 100_000, 300, 70_000, 1_000_000, 5]) store.submit(scribe.append(4, size));
    commitAll(store);
    store.close();
    const again = openStore(directory.data);
    const reader = new LogReader(new NodeDisk(), directory.data, hashing, again.layout);
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 24 }),
        fc.integer({ min: 1, max: 26 }),
        fc.nat(3_000_000),
        (from, end, room) => {
          const read = reader.read(from as Slot, end as Slot, room);
          const expected = scribe.entries.slice(from - 1, end - 1);
          let bytes = 0;
          const fitting = expected.filter((entry, index) => {
            bytes += entry.bytes.length;
            return index === 0 || bytes <= room;
          });
          expect(hashesOf(read)).toEqual(hashesOf(fitting));
          read.forEach((entry, index) => {
            expect(equalBytes(entry.bytes, expected[index]!.bytes)).toBe(true);
          });
        },
      ),
      { numRuns: 100 },
    );
    reader.close();
    again.close();
  });

  test("refuses bytes that changed since they were written", () => {
    using directory = new TestDirectory();
    const { store, scribe } = begun(directory);
    store.submit(scribe.append(3));
    commitAll(store);
    const reader = new LogReader(new NodeDisk(), directory.data, hashing, []);
    store.close();
    const again = openStore(directory.data);
    reader.add(again.layout);
    expect(reader.read(1 as Slot, 4 as Slot, 1_000_000)).toHaveLength(3);
    directory.change("log/00000001.log", (bytes) => {
      bytes[4096 + 192 + 186 + 140]! ^= 1;
      return undefined;
    });
    expect(reader.read(1 as Slot, 2 as Slot, 1_000_000)).toHaveLength(1);
    for (const from of [1, 2]) {
      expect(errorOf(() => reader.read(from as Slot, 4 as Slot, 1_000_000))).toMatchObject({
        code: "DAMAGED",
        facts: { reason: "GROUP_ROTTEN", offset: 4096 + 192 + 186 },
      });
    }
    reader.close();
    again.close();
  });

  test("holds few files open, however many segments there are", () => {
    using directory = new TestDirectory();
    const { store, scribe } = begun(directory);
    for (let index = 0; index < 12; index += 1) {
      store.submit(scribe.append(1, 900_000));
      commitAll(store);
    }
    store.close();
    const again = openStore(directory.data);
    const reader = new LogReader(new NodeDisk(), directory.data, hashing, again.layout);
    const open = () => readdirSync("/proc/self/fd").length;
    const before = open();
    expect(hashesOf(readFrom(reader, 1 as Slot))).toEqual(hashesOf(scribe.entries));
    expect(open() - before).toBe(limits.readerFilesMax);
    reader.close();
    expect(open()).toBe(before);
    again.close();
  });
});
