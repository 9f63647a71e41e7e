/**
 * Goal: files through the addon are files like any other, in both modes, with the same bytes on disk.
 * Method: the contract of every disk; a whole log written once in each mode; files looked at through node:fs.
 */
import { readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import { loadFiles, type NativeFile, type NativeFiles } from "../../src/native/files.ts";
import { DiskError } from "../../src/storage/disk.ts";
import { lockDirectory } from "../../src/storage/lock.ts";
import { NativeDisk } from "../../src/storage/native-disk.ts";
import { NodeDisk } from "../../src/storage/node-disk.ts";
import { Store } from "../../src/storage/store.ts";
import type { StoreWrite } from "../../src/storage/write.ts";
import { chooseWriteMode, measureModes } from "../../src/storage/write-mode.ts";
import { hashesOf, readAll, TestDirectory } from "./directory.ts";
import { diskContract } from "./disk-contract.ts";
import { hashing } from "./hashing.ts";
import { Scribe } from "./scribe.ts";

const loaded = loadFiles();
// The body of a suite runs even where its tests do not.
const files = loaded ?? ({} as NativeFiles);
const modes = ["buffered", "direct"] as const;

describe.runIf(loaded !== undefined)("through the addon", () => {
  for (const mode of modes) {
    diskContract(`NativeDisk, ${mode}`, () => {
      const directory = new TestDirectory();
      return {
        disk: new NativeDisk(files, mode),
        dir: directory.path,
        [Symbol.dispose]: () => directory[Symbol.dispose](),
      };
    });
  }

  const block = limits.blockBytes;
  const pattern = (length: number, seed: number) => Uint8Array.from({ length }, (_, index) => (index * 7 + seed) % 251);

  test.each(modes)("%s: blocks of many pieces, larger than all staging, from shared memory too", (mode) => {
    using directory = new TestDirectory();
    const path = join(directory.path, "a");
    const length = 2 * limits.stagingBytes + 3 * block;
    const whole = pattern(length, 1);
    const shared = new Uint8Array(new SharedArrayBuffer(length));
    shared.set(whole);
    const cuts = [
      0,
      192,
      200,
      5000,
      limits.stagingBytes - 1,
      limits.stagingBytes + 1,
      2 * limits.stagingBytes + 9,
      length,
    ];
    const parts = cuts.slice(1).map((end, index) => shared.subarray(cuts[index], end));
    const file = new NativeDisk(files, mode).create(path);
    file.write(2 * block, parts);
    file.sync();
    file.close();
    expect(Buffer.compare(readFileSync(path), Buffer.concat([new Uint8Array(2 * block), whole]))).toBe(0);
  });

  test.each(modes)("%s: what is not whole blocks is written too, over and between blocks", (mode) => {
    using directory = new TestDirectory();
    const path = join(directory.path, "a");
    const expected = Buffer.alloc(4 * block);
    const file = new NativeDisk(files, mode).create(path);
    file.resize(4 * block);
    for (const [offset, length] of [
      [0, 2 * block],
      [100, 50],
      [block, block],
      [2 * block - 5, 10],
      [2 * block, 2 * block],
      [3 * block, 1],
    ] as const) {
      const bytes = pattern(length, offset + length);
      file.write(offset, [bytes.subarray(0, length >> 1), bytes.subarray(length >> 1)]);
      expected.set(bytes, offset);
      const target = new Uint8Array(4 * block);
      file.read(0, target);
      expect(Buffer.compare(target, expected), `after ${length} bytes at ${offset}`).toBe(0);
    }
    file.sync();
    file.close();
    expect(Buffer.compare(readFileSync(path), expected)).toBe(0);
  });

  test.each(modes)("%s: space is reserved when a file is made longer, and given back when it is cut", (mode) => {
    using directory = new TestDirectory();
    const path = join(directory.path, "a");
    const file = new NativeDisk(files, mode).create(path);
    file.resize(1 << 20);
    expect(statSync(path)).toMatchObject({ size: 1 << 20 });
    expect(statSync(path).blocks * 512).toBeGreaterThanOrEqual(1 << 20);
    file.resize(block);
    expect(statSync(path).blocks * 512).toBeLessThan(1 << 20);
    file.close();
  });

  test("direct: a file that was renamed since it was opened is still the one that is written", () => {
    using directory = new TestDirectory();
    const disk = new NativeDisk(files, "direct");
    const file = disk.create(join(directory.path, "a"));
    disk.rename(join(directory.path, "a"), join(directory.path, "b"));
    disk.create(join(directory.path, "a")).close();
    file.write(0, [pattern(block, 3)]);
    file.close();
    expect(statSync(join(directory.path, "a")).size).toBe(0);
    expect(Buffer.compare(readFileSync(join(directory.path, "b")), pattern(block, 3))).toBe(0);
  });

  test("a directory that is reached through a link is synced; a file that is a link is not opened", () => {
    using directory = new TestDirectory();
    const disk = new NativeDisk(files, "direct");
    disk.makeDirectory(directory.data);
    symlinkSync(directory.data, join(directory.path, "link"));
    disk.syncDirectory(join(directory.path, "link"));
    writeFileSync(join(directory.path, "a"), "x");
    symlinkSync(join(directory.path, "a"), join(directory.path, "b"));
    expect(() => disk.open(join(directory.path, "b"), "write")).toThrow("ELOOP");
  });

  describe("syncs", () => {
    /** The addon's files, with what is asked of them written down, and refusals on demand. */
    function watched(refuse: (call: string) => string | undefined = () => undefined) {
      const calls: string[] = [];
      const note = (call: string): void => {
        calls.push(call);
        const errno = refuse(call);
        if (errno !== undefined) throw Object.assign(new Error(errno), { code: errno });
      };
      const watch = (file: NativeFile, how: string): NativeFile => ({
        size: () => file.size(),
        read: (offset, target) => file.read(offset, target),
        write: (offset, parts) => {
          note(`write ${how}`);
          file.write(offset, parts);
        },
        syncData: () => {
          note(`sync ${how}`);
          file.syncData();
        },
        syncAll: () => file.syncAll(),
        resize: (length) => file.resize(length),
        preallocate: (length) => {
          note("preallocate");
          file.preallocate(length);
        },
        tryLock: () => file.tryLock(),
        close: () => file.close(),
      });
      const open: NativeFiles["open"] = (path, options) => {
        const how = options.direct === true && options.dataSync === true ? "direct" : "buffered";
        note(`open ${how}`);
        return watch(files.open(path, options), how);
      };
      return { calls, files: { ...files, open } };
    }

    test("buffered: each write is followed by the sync that was asked for", () => {
      using directory = new TestDirectory();
      const { calls, files: under } = watched();
      const file = new NativeDisk(under, "buffered").create(join(directory.path, "a"));
      file.write(0, [pattern(block, 1)]);
      file.sync();
      file.sync();
      file.close();
      expect(calls).toEqual(["open buffered", "write buffered", "sync buffered", "sync buffered"]);
    });

    test("direct: a write needs none; what an earlier process left, a new size and what is not blocks do", () => {
      using directory = new TestDirectory();
      const { calls, files: under } = watched();
      const file = new NativeDisk(under, "direct").create(join(directory.path, "a"));
      file.sync();
      for (let turn = 0; turn < 3; turn += 1) {
        file.write(turn * block, [pattern(block, 1)]);
        file.sync();
      }
      file.resize(10 * block);
      file.sync();
      file.write(1, [pattern(block, 1)]);
      file.write(block, [pattern(block, 1)]);
      file.sync();
      file.close();
      const direct = "write direct";
      expect(calls).toEqual([
        ...["open buffered", "open direct", "sync buffered", direct, direct, direct],
        ...["preallocate", "sync buffered", "write buffered", direct, "sync buffered"],
      ]);
    });

    test("direct: a sync that fails has made nothing durable, and the next one is not skipped", () => {
      using directory = new TestDirectory();
      let failing = true;
      const { calls, files: under } = watched((call) => (failing && call === "sync buffered" ? "EIO" : undefined));
      const file = new NativeDisk(under, "direct").create(join(directory.path, "a"));
      expect(() => file.sync()).toThrow(new DiskError("EIO", "fdatasync", join(directory.path, "a")));
      failing = false;
      file.sync();
      file.close();
      expect(calls.filter((call) => call === "sync buffered").length).toBe(2);
    });

    test.each(["EINVAL", "EOPNOTSUPP"])(
      "a file system that says %s to direct access or to reserving does without",
      (errno) => {
        using directory = new TestDirectory();
        const refused = (call: string) => (call === "open direct" || call === "preallocate" ? errno : undefined);
        const { calls, files: under } = watched(refused);
        const file = new NativeDisk(under, "direct").create(join(directory.path, "a"));
        file.resize(2 * block);
        file.write(0, [pattern(block, 5)]);
        file.sync();
        expect(file.size()).toBe(2 * block);
        file.close();
        expect(calls).toEqual(["open buffered", "open direct", "preallocate", "write buffered", "sync buffered"]);
      },
    );

    test("no space is no space, and no reason to do without", () => {
      using directory = new TestDirectory();
      const { files: under } = watched((call) => (call === "preallocate" ? "ENOSPC" : undefined));
      const file = new NativeDisk(under, "buffered").create(join(directory.path, "a"));
      expect(() => file.resize(2 * block)).toThrow(new DiskError("ENOSPC", "fallocate", join(directory.path, "a")));
      expect(file.size()).toBe(0);
      file.close();
    });
  });

  test("a log has the same bytes in both modes and through node:fs", () => {
    const written = [new NodeDisk(), ...modes.map((mode) => new NativeDisk(files, mode))].map((disk) => {
      using directory = new TestDirectory();
      // Not random, so that two logs can be equal.
      const store = open(directory.data, disk);
      const hashes = writeLog(store);
      store.close();
      const bytes = new Map(allFiles(directory.data).map((name) => [name, readFileSync(join(directory.data, name))]));
      const again = open(directory.data, disk);
      expect(hashesOf(readAll(directory.data, again, disk))).toEqual(hashes);
      again.close();
      return bytes;
    });
    const [first, ...others] = written;
    expect(first!.size).toBeGreaterThanOrEqual(4);
    for (const other of others) {
      expect([...other.keys()]).toEqual([...first!.keys()]);
      for (const [name, bytes] of first!) expect(bytes.equals(other.get(name)!), name).toBe(true);
    }
  });

  describe("the file write-mode", () => {
    const fresh = (directory: TestDirectory): string => {
      new NodeDisk().makeDirectory(directory.data);
      return directory.data;
    };

    test("is measured and written once, and holds from then on", () => {
      using directory = new TestDirectory();
      const dir = fresh(directory);
      const first = chooseWriteMode(files, dir);
      expect(first.measured).toBeGreaterThan(0);
      expect(first.mode).toBe(first.measured! >= 0.7 ? "direct" : "buffered");
      expect(readdirSync(dir)).toEqual(["write-mode"]);
      expect(readFileSync(join(dir, "write-mode"), "latin1")).toBe(`paxlog write-mode 1 ${first.mode}\n`);
      expect(chooseWriteMode(files, dir)).toEqual({ mode: first.mode, measured: undefined });
      open(dir, new NativeDisk(files, first.mode)).close();
    });

    test.each(modes)("that says %s is obeyed", (mode) => {
      using directory = new TestDirectory();
      const dir = fresh(directory);
      writeFileSync(join(dir, "write-mode"), `paxlog write-mode 1 ${mode}\n`);
      expect(chooseWriteMode(files, dir)).toEqual({ mode, measured: undefined });
    });

    test("that cannot be read is made again; what a crash left beside it is removed", () => {
      using directory = new TestDirectory();
      const dir = fresh(directory);
      for (const name of ["write-mode", "write-mode.new", "measure.new"]) writeFileSync(join(dir, name), "rubbish");
      expect(chooseWriteMode(files, dir).measured).toBeGreaterThan(0);
      expect(readdirSync(dir)).toEqual(["write-mode"]);
    });

    test("of a later version, or with a mode that is none, stops by name", () => {
      using directory = new TestDirectory();
      const dir = fresh(directory);
      const choice = (text: string) => {
        writeFileSync(join(dir, "write-mode"), text);
        return () => chooseWriteMode(files, dir);
      };
      expect(choice("paxlog write-mode 2 direct\n")).toThrow(expect.objectContaining({ code: "FORMAT_UNKNOWN" }));
      expect(choice("paxlog write-mode 1 fast\n")).toThrow(expect.objectContaining({ code: "DIRECTORY_UNUSABLE" }));
    });

    test("is not put into a directory that is someone else's", () => {
      using directory = new TestDirectory();
      const dir = fresh(directory);
      writeFileSync(join(dir, "letter"), "dear");
      expect(chooseWriteMode(files, dir)).toEqual({ mode: "buffered", measured: undefined });
      expect(readdirSync(dir)).toEqual(["letter"]);
    });

    test("is chosen by times that tell the modes apart", () => {
      using directory = new TestDirectory();
      const slow = (isSlow: (direct: boolean) => boolean): NativeFiles => ({
        ...files,
        open: (path, options) => {
          const file = files.open(path, options);
          const write: NativeFile["write"] = (offset, parts) => {
            const end = performance.now() + (isSlow(options.direct === true) ? 5 : 0);
            file.write(offset, parts);
            while (performance.now() < end);
          };
          return { ...bound(file), write };
        },
      });
      const dir = fresh(directory);
      expect(
        measureModes(
          slow((direct) => direct),
          dir,
        ),
      ).toBeLessThan(1);
      expect(
        measureModes(
          slow((direct) => !direct),
          dir,
        ),
      ).toBeGreaterThan(1.1);
    });
  });

  test("the lock is also one of the file, against whoever does not see the socket", async () => {
    using directory = new TestDirectory();
    new NodeDisk().makeDirectory(directory.data);
    const path = join(directory.data, "LOCK");
    const lock = await lockDirectory(directory.data, files);
    expect(readFileSync(path, "utf8")).toBe(`${process.pid}\n`);
    const other = files.open(path, {});
    expect(other.tryLock()).toBe(false);
    await lock.release();
    expect(other.tryLock()).toBe(true);
    const refused = expect.objectContaining({
      code: "DIRECTORY_IN_USE",
      facts: { directory: directory.data, pid: process.pid },
    });
    await expect(lockDirectory(directory.data, files)).rejects.toThrow(refused);
    other.close();
    // The refusal left nothing locked behind.
    await (await lockDirectory(directory.data, files)).release();
  });
});

function bound(file: NativeFile): NativeFile {
  return {
    size: () => file.size(),
    read: (offset, target) => file.read(offset, target),
    write: (offset, parts) => file.write(offset, parts),
    syncData: () => file.syncData(),
    syncAll: () => file.syncAll(),
    resize: (length) => file.resize(length),
    preallocate: (length) => file.preallocate(length),
    tryLock: () => file.tryLock(),
    close: () => file.close(),
  };
}

function open(dir: string, disk: NodeDisk | NativeDisk): Store {
  const randomBytes = (count: number) => new Uint8Array(count).fill(0x11);
  return Store.open({ disk, dir, hashing, randomBytes, name: "n1", segmentBytes: limits.segmentBytesMin });
}

/** A log over several segments; the hashes of its entries. */
function writeLog(store: Store): string[] {
  const scribe = new Scribe();
  const write = (each: StoreWrite): void => {
    store.submit(each);
    while (store.commit() !== undefined);
  };
  write(scribe.genesis(store.recovered.identity.nodeUid));
  write(scribe.promise(1));
  write(scribe.replace(1, 0));
  for (const [count, bytes] of [
    [3, 100],
    [1, 700_000],
    [2, 200_000],
    [5, 4000],
    [1, 900_000],
  ] as const) {
    write(scribe.append(count, bytes));
    store.mark();
  }
  return hashesOf(scribe.entries);
}

function allFiles(dir: string): string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath.slice(dir.length), entry.name))
    .sort();
}
