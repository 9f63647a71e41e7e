import { describe, expect, test } from "vitest";
import { PaxlogError } from "../../src/base/errors.ts";
import { groupHeaderBytes } from "../../src/format/group.ts";
import { segmentHeaderBytes } from "../../src/format/segment.ts";
import type { DamageReason } from "../../src/storage/damage.ts";
import { commitAll, hashesOf, openStore, readAll, TestDirectory } from "./directory.ts";
import { Scribe } from "./scribe.ts";

const first = "log/00000001.log";
const second = "log/00000002.log";
/** Where the first group of a segment begins. */
const group = segmentHeaderBytes;

/** A log of two segments; the first holds one small and one large group, the second three. */
function written(directory: TestDirectory, close: boolean): Scribe {
  const store = openStore(directory.data);
  const scribe = new Scribe();
  const commit = (write: Parameters<typeof store.submit>[0]) => {
    store.submit(write);
    commitAll(store);
  };
  commit(scribe.genesis(store.recovered.identity.nodeUid));
  commit(scribe.promise(1));
  commit(scribe.append(2));
  commit(scribe.append(1, 900_000));
  commit(scribe.append(1, 300_000));
  commit(scribe.append(1));
  commit(scribe.append(2));
  if (close) store.close();
  return scribe;
}

function reasonOf(directory: TestDirectory): DamageReason | "sound" {
  try {
    openStore(directory.data).close();
    return "sound";
  } catch (error) {
    if (error instanceof PaxlogError && error.code === "DAMAGED") return error.facts.reason as DamageReason;
    throw error;
  }
}

const flip = (offset: number) => (bytes: Buffer) => {
  bytes[offset]! ^= 0x10;
  return undefined;
};
/** Where the third group of the second segment begins: behind one of 300,328 bytes and one of a single block. */
const lastGroup = segmentHeaderBytes + 303_104 + 4096;

describe("after a clean close", () => {
  test.each<[string, string, (bytes: Buffer) => Buffer | undefined, DamageReason | "sound"]>([
    ["the header of a sealed segment", first, flip(100), "SEGMENT_DAMAGED"],
    ["the header of the last segment", second, flip(100), "SEGMENT_DAMAGED"],
    ["a group's header in a sealed segment", first, flip(group + 70), "GROUP_ROTTEN"],
    ["an entry in a sealed segment", first, flip(group + groupHeaderBytes + 150), "GROUP_ROTTEN"],
    ["a group's header in the last segment", second, flip(group + 70), "GROUP_ROTTEN"],
    ["an entry in the last segment", second, flip(group + groupHeaderBytes + 150_000), "GROUP_ROTTEN"],
    ["the last group's header", second, flip(lastGroup + 20), "GROUP_ROTTEN"],
    ["the last group's entries", second, flip(lastGroup + groupHeaderBytes + 10), "GROUP_ROTTEN"],
    ["zeros over the last group", second, (bytes) => bytes.fill(0, lastGroup), "GROUP_LOST"],
    ["a cut in a sealed segment", first, (bytes) => bytes.subarray(0, 8192), "SEGMENT_TRUNCATED"],
    ["a cut in the last segment", second, (bytes) => bytes.subarray(0, lastGroup), "SEGMENT_TRUNCATED"],
    ["an empty segment", first, () => Buffer.alloc(0), "SEGMENT_DAMAGED"],
    ["a byte of one copy of the superblock", "superblock", flip(100), "sound"],
    ["padding, which nothing depends on", first, flip(group + 4095), "sound"],
    ["what lies behind a sealed segment's end", first, flip(1024 * 1024 - 1), "sound"],
  ])("a change of %s is seen", (_name, file, change, reason) => {
    using directory = new TestDirectory();
    const scribe = written(directory, true);
    directory.change(file, change);
    expect(reasonOf(directory)).toBe(reason);
    // The verdict changed nothing: it stays.
    expect(reasonOf(directory)).toBe(reason);
    if (reason !== "sound") return;
    const store = openStore(directory.data);
    expect(hashesOf(readAll(directory.data, store))).toEqual(hashesOf(scribe.entries));
    store.close();
  });

  test("every byte of a group that is flipped is seen", () => {
    using directory = new TestDirectory();
    written(directory, true);
    const length = groupHeaderBytes + 2 * (136 + 50);
    for (let offset = lastGroup; offset < lastGroup + length; offset += 7) {
      directory.change(second, flip(offset));
      expect(reasonOf(directory), `offset ${offset}`).toBe("GROUP_ROTTEN");
      directory.change(second, flip(offset));
    }
    expect(reasonOf(directory)).toBe("sound");
  });
});

describe("after a crash", () => {
  test("a bad group that a later one proves durable is rot", () => {
    using directory = new TestDirectory();
    written(directory, false);
    directory.change(second, flip(group + groupHeaderBytes + 150_000));
    expect(reasonOf(directory)).toBe("GROUP_ROTTEN");
  });

  test("a bad last group that nothing proves is torn: void, copied to trash/, and the log goes on in a new segment", () => {
    using directory = new TestDirectory();
    const scribe = written(directory, false);
    directory.change(second, flip(lastGroup + groupHeaderBytes + 10));
    const store = openStore(directory.data);
    const kept = hashesOf(scribe.entries.slice(0, -2));
    expect(hashesOf(readAll(directory.data, store))).toEqual(kept);
    scribe.entries.length -= 2;
    store.submit(scribe.append(3));
    commitAll(store);
    store.close();
    const again = openStore(directory.data);
    expect(hashesOf(readAll(directory.data, again))).toEqual(hashesOf(scribe.entries));
    expect(again.layout[again.layout.length - 1]).toMatchObject({ generation: 3 });
    again.close();
    directory.change(`trash/00000002.log.${lastGroup}`, (bytes) => {
      expect(bytes.length).toBe(4096);
      return undefined;
    });
  });

  test("a mark makes rot of what would be torn without it", () => {
    using directory = new TestDirectory();
    const store = openStore(directory.data);
    const scribe = new Scribe();
    store.submit(scribe.genesis(store.recovered.identity.nodeUid));
    store.submit(scribe.append(1));
    commitAll(store);
    store.mark();
    directory.change(first, flip(group + groupHeaderBytes + 1));
    expect(reasonOf(directory)).toBe("GROUP_ROTTEN");
  });
});
