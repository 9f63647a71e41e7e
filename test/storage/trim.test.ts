/**
 * Goal: snapshots and trims move where a log begins and lose nothing above; a received snapshot takes the place of a log as a whole or
 * not at all; every byte of the directory is accounted for.
 * Method: a real store on real files, and on a disk that is cut at every operation.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import type { Slot, Ticket } from "../../src/base/types.ts";
import type { LogBase } from "../../src/core/durable.ts";
import { encodeManifest } from "../../src/format/snapshot.ts";
import type { Commit } from "../../src/storage/commit.ts";
import type { Disk } from "../../src/storage/disk.ts";
import { NodeDisk } from "../../src/storage/node-disk.ts";
import { LogReader } from "../../src/storage/reader.ts";
import { SegmentList } from "../../src/storage/segments.ts";
import { SnapshotFiles } from "../../src/storage/snapshot-files.ts";
import type { Store } from "../../src/storage/store.ts";
import type { StoreWrite } from "../../src/storage/write.ts";
import { CrashDisk } from "./crash-disk.ts";
import { hashesOf, openStore, readFrom, TestDirectory } from "./directory.ts";
import { hashing } from "./hashing.ts";
import { clusterId, Scribe } from "./scribe.ts";

const dir = "/data";

function write(store: Store, each: StoreWrite): void {
  store.submit(each);
  while (store.commit() !== undefined);
}

/** Does all that waits for an idle moment; what was told of it. */
function settle(store: Store): Commit[] {
  const commits: Commit[] = [];
  while (store.hasBackground) {
    const commit = store.advance();
    if (commit !== undefined) commits.push(commit);
  }
  return commits;
}

function begin(at: string, disk: Disk): { readonly store: Store; readonly scribe: Scribe } {
  const store = openStore(at, disk);
  const scribe = new Scribe();
  write(store, scribe.genesis(store.recovered.identity.nodeUid));
  write(store, scribe.promise(1));
  write(store, scribe.replace(1, 0));
  write(store, scribe.superblock({ acceptedBallot: scribe.state.promised }));
  return { store, scribe };
}

/** Entries that fill about a segment and a half. */
function fill(store: Store, scribe: Scribe): void {
  for (let count = 0; count < 5; count += 1) write(store, scribe.append(1, 300_000));
  scribe.decide(scribe.end);
  write(store, scribe.superblock());
}

/** What is in the log of an opened store, read back and verified. */
function contentOf(at: string, store: Store, disk: Disk): string[] {
  const reader = new LogReader(disk, at, hashing, store.layout, store.readerStart);
  try {
    return hashesOf(readFrom(reader, store.recovered.logBegin.slot));
  } finally {
    reader.close();
  }
}

function sizeOf(path: string): number {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.size;
  return readdirSync(path).reduce((bytes, name) => bytes + sizeOf(join(path, name)), 0);
}

describe("a snapshot", () => {
  test("is written in pieces between commits, named by the superblock, and the start of the next opening", () => {
    using directory = new TestDirectory();
    const disk = new NodeDisk();
    const { store, scribe } = begin(directory.data, disk);
    fill(store, scribe);
    settle(store);
    const written = scribe.snapshot(scribe.end);
    store.submitBackground(written);
    expect(store.hasBackground).toBe(true);
    // An append that comes in between waits for no more than the piece before it.
    store.advance();
    write(store, scribe.append(1));
    const commits = settle(store);
    const snapshot = commits.find((commit) => commit.snapshot !== undefined)?.snapshot;
    expect(snapshot?.slot).toBe(written.base.slot);
    store.close();

    const again = openStore(directory.data, disk);
    expect(again.recovered.snapshot).toEqual(snapshot);
    expect(again.recovered.sequencer.end).toBe(written.base.slot);
    const files = new SnapshotFiles(disk, directory.data, hashing);
    const stored = files.manifest(snapshot!)!;
    expect(stored.manifest.base).toEqual(written.base);
    expect(Buffer.from(files.chunk(stored.manifest, 0)!)).toEqual(Buffer.from(written.content));
    again.close();
  });

  test("of many chunks comes back byte for byte, and a flipped bit in any file of it is found", () => {
    using directory = new TestDirectory();
    const disk = new NodeDisk();
    const { store, scribe } = begin(directory.data, disk);
    fill(store, scribe);
    const content = new Uint8Array(2 * limits.snapshotChunkBytes + 17).map((_, index) => index * 7);
    store.submitBackground({ kind: "snapshot", base: scribe.baseAt(scribe.end), content });
    const snapshot = settle(store).find((commit) => commit.snapshot !== undefined)!.snapshot!;
    store.close();
    const files = new SnapshotFiles(disk, directory.data, hashing);
    const { manifest } = files.manifest(snapshot)!;
    const chunks = [0, 1, 2].map((number) => files.chunk(manifest, number)!);
    expect(Buffer.concat(chunks).equals(content)).toBe(true);
    for (const name of ["manifest", "0000", "0002"]) {
      const file = `snapshots/${snapshot.slot}/${name}`;
      const before = readFileSync(directory.file(file));
      directory.change(file, (bytes) => {
        bytes[bytes.length - 1]! ^= 1;
        return undefined;
      });
      expect(() => openStore(directory.data, disk), name).toThrow(/SNAPSHOT_DAMAGED/);
      directory.change(file, () => before);
    }
    // Whole, but not what a sequencer makes.
    expect(() => openStore(directory.data, disk)).toThrow(/SNAPSHOT_DAMAGED/);
  });

  test("replaces the one before, whose files go when there is a newer one still", () => {
    using directory = new TestDirectory();
    const { store, scribe } = begin(directory.data, new NodeDisk());
    const slots: number[] = [];
    for (let count = 0; count < 3; count += 1) {
      write(store, scribe.append(2));
      scribe.decide(scribe.end);
      store.submitBackground(scribe.snapshot(scribe.end));
      slots.push(scribe.end);
      settle(store);
    }
    expect(readdirSync(directory.file("snapshots")).map(Number)).toEqual(slots.slice(1));
    store.close();
    openStore(directory.data, new NodeDisk()).close();
  });
});

describe("a trim", () => {
  test("lets whole segments go, below the head and the snapshot alone, and their files serve again", () => {
    using directory = new TestDirectory();
    const disk = new NodeDisk();
    const { store, scribe } = begin(directory.data, disk);
    for (let round = 0; round < 4; round += 1) fill(store, scribe);
    const { end } = scribe;
    store.submitBackground(scribe.trim(end));
    expect(settle(store).some((commit) => commit.logBegin !== undefined)).toBe(false);
    store.submitBackground(scribe.snapshot(end - 4));
    const logBegin = settle(store).find((commit) => commit.logBegin !== undefined)?.logBegin;
    expect(logBegin).toEqual(scribe.baseAt(logBegin!.slot));
    expect(logBegin!.slot).toBeGreaterThan(1);
    expect(logBegin!.slot).toBeLessThanOrEqual(end - 4);
    const before = store.counters.used.log + store.counters.used.trash;

    // What comes next goes to the files of what went.
    for (let round = 0; round < 3; round += 1) {
      fill(store, scribe);
      store.submitBackground(scribe.trim(scribe.end));
      store.submitBackground(scribe.snapshot(scribe.end));
      settle(store);
      expect(store.counters.used.log + store.counters.used.trash).toBeLessThanOrEqual(before);
    }
    store.close();
    const again = openStore(directory.data, disk);
    const from = again.recovered.logBegin;
    expect(from).toEqual(scribe.baseAt(from.slot));
    expect(contentOf(directory.data, again, disk)).toEqual(hashesOf(scribe.entries.slice(from.slot - 1)));
    again.close();
  });

  test("leaves a reader that has a segment open what it reads, until the file is another segment", () => {
    using directory = new TestDirectory();
    const disk = new NodeDisk();
    const { store, scribe } = begin(directory.data, disk);
    fill(store, scribe);
    fill(store, scribe);
    store.close();
    const opened = openStore(directory.data, disk);
    const reader = new LogReader(disk, directory.data, hashing, opened.layout, opened.readerStart);
    expect(hashesOf(reader.read(1 as Slot, 2 as Slot, 1))).toEqual(hashesOf(scribe.entries.slice(0, 1)));
    opened.submitBackground(scribe.snapshot(scribe.end));
    opened.submitBackground(scribe.trim(scribe.end));
    // The reader is told last: until then it reads on in a file that has another name.
    settle(opened);
    expect(hashesOf(reader.read(1 as Slot, 2 as Slot, 1))).toEqual(hashesOf(scribe.entries.slice(0, 1)));
    // Then its file is the next segment, and the next but one: what is read there is not taken for damage.
    for (let round = 0; round < 6; round += 1) fill(opened, scribe);
    expect(() => reader.read(1 as Slot, 2 as Slot, 1)).toThrow(
      expect.objectContaining({ code: "POSITION_BELOW_HEAD" }),
    );
    const late = new LogReader(disk, directory.data, hashing, opened.layout, opened.readerStart);
    expect(() => late.read(1 as Slot, 2 as Slot, 1)).toThrow(expect.objectContaining({ code: "POSITION_BELOW_HEAD" }));
    late.close();
    reader.close();
    opened.close();
  });

  test("begins at a segment below whose begin nothing was replaced later", () => {
    const base = (slot: number): LogBase => ({ slot: slot as Slot, hash: "" as never, position: 1 as never, time: 0 });
    const span = fc.record({ length: fc.nat(20), cut: fc.nat(10) });
    fc.assert(
      fc.property(fc.array(span, { minLength: 1, maxLength: 8 }), fc.nat(120), (spans, bound) => {
        let slot = 1;
        const list = spans.map(({ length, cut }, index) => {
          const lowestSlot = Math.max(1, slot - cut) as Slot;
          const made = {
            generation: index + 1,
            begin: base(slot),
            firstSequence: 1,
            ballot: null as never,
            lowestSlot,
          };
          slot = lowestSlot + length;
          return made;
        });
        const found = new SegmentList(list).beginFor((bound + 1) as Slot);
        const fits = ({ begin, generation }: (typeof list)[number]) =>
          begin.slot <= bound + 1 && list.slice(generation - 1).every(({ lowestSlot }) => lowestSlot >= begin.slot);
        expect(found?.generation).toBe(list.filter(fits).at(-1)?.generation);
      }),
    );
  });
});

describe("the account of a directory", () => {
  test("is right to the byte after any of appends, snapshots, trims and openings", () => {
    using directory = new TestDirectory();
    let { store, scribe } = begin(directory.data, new NodeDisk());
    for (let round = 0; round < 6; round += 1) {
      fill(store, scribe);
      store.submitBackground(scribe.snapshot(scribe.end - (round % 3)));
      if (round % 2 === 1) store.submitBackground(scribe.trim(scribe.end - 2));
      settle(store);
      while (store.fill("idle"));
      const { log, trash, snapshots, reserve, rest } = store.counters.used;
      const of = (name: string) => sizeOf(directory.file(name));
      expect([log, trash, snapshots, reserve]).toEqual([of("log"), of("trash"), of("snapshots"), of("reserve")]);
      expect(log + trash + snapshots + reserve + rest).toBe(sizeOf(directory.data));
      if (round === 3) {
        store.close();
        store = openStore(directory.data);
      }
    }
    store.close();
  });
});

/** Another node's snapshot, as it comes: the manifest and its chunks. */
function sent(scribe: Scribe, slot: number) {
  const { base, content } = scribe.snapshot(slot);
  const parts = [content.subarray(0, limits.snapshotChunkBytes)];
  const chunkHashes = parts.map((part) => hashing.xxh3(part));
  const manifest = encodeManifest({ clusterId, base, length: content.length, chunkHashes }, hashing);
  return {
    manifest: manifest.bytes,
    rootHash: manifest.rootHash,
    slot: base.slot,
    chunk: { number: 0, bytes: parts[0]! },
  };
}

describe("a received snapshot", () => {
  test("counts its chunks in order, goes on after a restart, and takes the place of the log", () => {
    using directory = new TestDirectory();
    const disk = new NodeDisk();
    const { store, scribe } = begin(directory.data, disk);
    fill(store, scribe);
    const other = new Scribe();
    other.state = scribe.state;
    other.append(90);
    other.decide(other.end);
    const { manifest, rootHash, slot, chunk } = sent(other, 80);
    const receive = (each: Store, part: typeof chunk | undefined) => {
      each.submitBackground({ kind: "receive", manifest, chunk: part });
      return settle(each).find((commit) => commit.receiving !== undefined)?.receiving;
    };
    expect(receive(store, undefined)).toMatchObject({ slot, rootHash, chunksDurable: 0, chunkCount: 1 });
    expect(receive(store, { number: 1, bytes: chunk.bytes })).toMatchObject({ chunksDurable: 0 });
    expect(receive(store, { number: 0, bytes: chunk.bytes.subarray(1) })).toMatchObject({ chunksDurable: 0 });
    expect(receive(store, chunk)).toMatchObject({ chunksDurable: 1 });
    store.close();

    const again = openStore(directory.data, disk);
    expect(contentOf(directory.data, again, disk)).toEqual(hashesOf(scribe.entries));
    expect(receive(again, undefined)).toMatchObject({ chunksDurable: 1 });
    const from = other.baseAt(70);
    const ticket = scribe.ticket();
    again.submit({ kind: "install", ticket, slot, rootHash, begin: from });
    expect(again.commit()).toMatchObject({ ticket, places: [], installed: { slot, rootHash }, logBegin: from });
    settle(again);
    again.close();

    // Entries follow from where the log begins, below the snapshot first.
    const third = openStore(directory.data, disk);
    expect(third.recovered).toMatchObject({ snapshot: { slot, rootHash }, logBegin: from, base: from, window: [] });
    expect(third.recovered.sequencer.end).toBe(slot);
    for (const entry of other.entries.slice(69)) {
      third.submit({
        kind: "append",
        ticket: scribe.ticket(),
        ballot: undefined,
        firstSlot: entry.slot,
        endSlot: (entry.slot + 1) as Slot,
        prevHash: entry.prevHash,
        endHash: entry.hash,
        positions: { first: entry.firstPosition, end: (entry.firstPosition + entry.recordCount) as never },
        endTime: entry.time,
        decidedEnd: 70 as Slot,
        bytes: [entry.bytes],
      });
      while (third.commit() !== undefined);
    }
    third.close();
    const fourth = openStore(directory.data, disk);
    expect(contentOf(directory.data, fourth, disk)).toEqual(hashesOf(other.entries.slice(69)));
    expect(fourth.recovered.base.slot).toBe(slot);
    fourth.close();
  });
});

/** Some ways in which what was not synced may be left. */
const survivals: readonly [string, (sector: number) => boolean][] = [
  ["nothing unsynced", () => false],
  ["everything unsynced", () => true],
  ["every second sector", (sector) => sector % 2 === 0],
];

describe("a crash while snapshots are written and segments trimmed", () => {
  interface Run {
    readonly scribe: Scribe;
    /** Confirmed: entries below it, where the log begins at least and at most, and the newest snapshot. */
    entries: number;
    snapshot: number;
    begun: number;
    headSlot: number;
  }

  function run(disk: CrashDisk): Run {
    const store = openStore(dir, disk);
    const scribe = new Scribe();
    const done: Run = { scribe, entries: 0, snapshot: 0, begun: 1, headSlot: 1 };
    const ordered = (each: StoreWrite) => {
      write(store, each);
      done.entries = scribe.entries.length;
    };
    const idle = () => {
      for (; store.hasBackground; ) {
        const commit = store.advance();
        done.snapshot = commit?.snapshot?.slot ?? done.snapshot;
        done.begun = commit?.logBegin?.slot ?? done.begun;
      }
    };
    try {
      ordered(scribe.genesis(store.recovered.identity.nodeUid));
      ordered(scribe.promise(1));
      ordered(scribe.replace(1, 0));
      for (let round = 0; round < 3; round += 1) {
        for (let count = 0; count < 3; count += 1) ordered(scribe.append(1, 400_000));
        scribe.decide(scribe.end);
        ordered(scribe.superblock());
        store.submitBackground(scribe.snapshot(scribe.end - 1));
        done.headSlot = scribe.end - 2;
        store.submitBackground(scribe.trim(done.headSlot));
        store.advance();
        ordered(scribe.append(1));
        idle();
      }
      store.mark();
      store.close();
    } catch (error) {
      expect(error).toMatchObject({ code: "STORAGE_FAILED" });
    }
    return done;
  }

  test.each(survivals)("that leaves %s loses nothing, and a second one changes nothing", (name, keeps) => {
    const whole = new CrashDisk();
    const all = run(whole);
    expect(all.begun).toBeGreaterThan(4);
    const probe = new CrashDisk();
    openStore(dir, probe);
    let trims = 0;
    // Each way of surviving takes its own third of the cuts: between neighbours little differs but the moment.
    const first = probe.operations + survivals.findIndex(([other]) => other === name);
    for (let cut = first; cut <= whole.operations; cut += survivals.length) {
      const disk = new CrashDisk();
      disk.operationsLeft = cut;
      const done = run(disk);
      for (const changes of new Set([0, disk.unsyncedChanges])) {
        let left = disk.crashed(keeps, changes);
        for (let opening = 0; opening < 2; opening += 1) {
          const what = `${name}, cut at ${cut} of ${whole.operations}, ${changes} names, opening ${opening}`;
          const store = openStore(dir, left);
          const { logBegin, snapshot, sequencer } = store.recovered;
          expect(logBegin.slot, what).toBeGreaterThanOrEqual(done.begun);
          expect(logBegin.slot, what).toBeLessThanOrEqual(Math.max(1, done.headSlot));
          expect(snapshot?.slot ?? 0, what).toBeGreaterThanOrEqual(done.snapshot);
          expect(sequencer.end, what).toBeGreaterThanOrEqual(snapshot?.slot ?? 1);
          if (logBegin.slot > 1) {
            expect(logBegin, what).toEqual(done.scribe.baseAt(logBegin.slot));
            trims += 1;
          }
          const found = contentOf(dir, store, left);
          const expected = hashesOf(done.scribe.entries.slice(logBegin.slot - 1));
          expect(found, what).toEqual(expected.slice(0, found.length));
          expect(logBegin.slot - 1 + found.length, what).toBeGreaterThanOrEqual(done.entries);
          left = left.crashed(() => false, opening === 0 ? 0 : left.unsyncedChanges);
        }
      }
    }
    expect(trims).toBeGreaterThan(0);
  });
});

describe("a crash while a snapshot is received and installed", () => {
  const other = new Scribe();

  function run(disk: CrashDisk): { readonly scribe: Scribe; installed: boolean; submitted: boolean } {
    const scribe = new Scribe();
    const done = { scribe, installed: false, submitted: false };
    const store = openStore(dir, disk);
    try {
      write(store, scribe.genesis(store.recovered.identity.nodeUid));
      write(store, scribe.promise(1));
      write(store, scribe.replace(1, 0));
      write(store, scribe.append(2, 600_000));
      settle(store);
      other.state = scribe.state;
      if (other.entries.length === 0) other.append(60);
      const { manifest, rootHash, slot, chunk } = sent(other, 50);
      store.submitBackground({ kind: "receive", manifest, chunk });
      settle(store);
      done.submitted = true;
      store.submit({ kind: "install", ticket: 99 as Ticket, slot, rootHash, begin: other.baseAt(40) });
      store.commit();
      done.installed = true;
      settle(store);
      store.close();
    } catch (error) {
      expect(error).toMatchObject({ code: "STORAGE_FAILED" });
    }
    return done;
  }

  test.each(survivals)("that leaves %s finds the old log or the new begin, whole", (name, keeps) => {
    const whole = new CrashDisk();
    run(whole);
    const probe = new CrashDisk();
    begin(dir, probe);
    for (let cut = probe.operations; cut <= whole.operations; cut += 1) {
      const disk = new CrashDisk();
      disk.operationsLeft = cut;
      const { scribe, installed, submitted } = run(disk);
      for (const changes of new Set([0, disk.unsyncedChanges])) {
        let left = disk.crashed(keeps, changes);
        for (let opening = 0; opening < 2; opening += 1) {
          const what = `${name}, cut at ${cut} of ${whole.operations}, ${changes} names, opening ${opening}`;
          const store = openStore(dir, left);
          const { logBegin, snapshot, base } = store.recovered;
          if (snapshot === undefined) {
            expect(installed, what).toBe(false);
            const found = contentOf(dir, store, left);
            expect(found, what).toEqual(hashesOf(scribe.entries).slice(0, found.length));
          } else {
            expect(submitted, what).toBe(true);
            expect([logBegin, base, snapshot.slot], what).toEqual([other.baseAt(40), other.baseAt(40), 50]);
          }
          left = left.crashed(() => false, opening === 0 ? 0 : left.unsyncedChanges);
        }
      }
    }
  });
});
