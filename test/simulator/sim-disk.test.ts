// The simulated disk promises what POSIX promises and no more: each test cuts the power many times and looks at what may be left.
import { describe, expect, test } from "vitest";
import { Random } from "../../src/simulator/random.ts";
import { SimDisk, SimulatedCrash } from "../../src/simulator/sim-disk.ts";

const page = 4096;
const filled = (value: number, length = page): Uint8Array => new Uint8Array(length).fill(value);

/** A disk with one synced file of two pages of ones. */
function diskWithFile(seed: number): SimDisk {
  const disk = new SimDisk(new Random(seed));
  const file = disk.create("/a");
  file.write(0, [filled(1, 2 * page)]);
  file.sync();
  disk.syncDirectory("/");
  return disk;
}

function contentOf(disk: SimDisk, path: string): Uint8Array {
  const file = disk.open(path, "read");
  const bytes = new Uint8Array(file.size());
  expect(file.read(0, bytes)).toBe(bytes.length);
  return bytes;
}

/** What `look` sees after a power cut, over many seeds. */
function outcomes(make: (disk: SimDisk) => void, look: (disk: SimDisk) => string): Set<string> {
  const seen = new Set<string>();
  for (let seed = 0; seed < 300; seed += 1) {
    const disk = diskWithFile(seed);
    make(disk);
    disk.crash();
    seen.add(look(disk));
  }
  return seen;
}

describe("a power cut", () => {
  test("keeps what was synced", () => {
    const seen = outcomes(
      (disk) => {
        const file = disk.open("/a", "write");
        file.write(page, [filled(2)]);
        file.sync();
      },
      (disk) => contentOf(disk, "/a").join(""),
    );
    expect([...seen]).toEqual(["1".repeat(page) + "2".repeat(page)]);
  });

  test("leaves any subset of unsynced pages", () => {
    const seen = outcomes(
      (disk) => disk.open("/a", "write").write(0, [filled(2), filled(3)]),
      (disk) => {
        const bytes = contentOf(disk, "/a");
        const whole = (value: number, number: number) =>
          bytes.subarray(number * page, (number + 1) * page).every((byte) => byte === value);
        const first = whole(1, 0) ? "old" : whole(2, 0) ? "new" : "torn";
        const second = whole(1, 1) ? "old" : whole(3, 1) ? "new" : "torn";
        return `${first} ${second}`;
      },
    );
    const states = ["old", "new", "torn"];
    expect([...seen].sort()).toEqual(states.flatMap((a) => states.map((b) => `${a} ${b}`)).sort());
  });

  test("tears a page at its sectors", () => {
    outcomes(
      (disk) => disk.open("/a", "write").write(0, [filled(2)]),
      (disk) => {
        const bytes = contentOf(disk, "/a").subarray(0, page);
        let foreignSectors = 0;
        for (let begin = 0; begin < page; begin += 512) {
          const sector = bytes.subarray(begin, begin + 512);
          if (!sector.every((byte) => byte === 1) && !sector.every((byte) => byte === 2)) foreignSectors += 1;
        }
        expect(foreignSectors).toBeLessThanOrEqual(1);
        return "";
      },
    );
  });

  test("may leave an older of two unsynced versions of a page", () => {
    const seen = outcomes(
      (disk) => {
        const file = disk.open("/a", "write");
        file.write(0, [filled(2)]);
        file.write(0, [filled(3)]);
      },
      (disk) => String(contentOf(disk, "/a")[0]),
    );
    for (const value of ["1", "2", "3"]) expect(seen).toContain(value);
  });

  test("may lose a growth, and never shows bytes behind the end", () => {
    const seen = outcomes(
      (disk) => disk.open("/a", "write").write(2 * page, [filled(2)]),
      (disk) => String(contentOf(disk, "/a").length / page),
    );
    expect([...seen].sort()).toEqual(["2", "3"]);
  });

  test("shows zeros, not old bytes, where a file was cut and grown again", () => {
    const disk = diskWithFile(1);
    const file = disk.open("/a", "write");
    file.resize(10);
    file.resize(2 * page);
    file.sync();
    disk.crash();
    expect(contentOf(disk, "/a")).toEqual(Uint8Array.from([...filled(1, 10), ...filled(0, 2 * page - 10)]));
  });

  test("may lose a name until its directory is synced, and never after", () => {
    const make = (disk: SimDisk) => {
      const file = disk.create("/b");
      file.write(0, [filled(5)]);
      file.sync();
    };
    const look = (disk: SimDisk) => String(disk.exists("/b"));
    expect(outcomes(make, look)).toEqual(new Set(["true", "false"]));
    const synced = (disk: SimDisk) => {
      make(disk);
      disk.syncDirectory("/");
    };
    expect(outcomes(synced, (disk) => contentOf(disk, "/b").join(""))).toEqual(new Set(["5".repeat(page)]));
  });

  test("leaves a rename done or not done, never half", () => {
    const seen = outcomes(
      (disk) => {
        const file = disk.create("/b");
        file.write(0, [filled(7, 3)]);
        file.sync();
        disk.syncDirectory("/");
        disk.rename("/b", "/a");
      },
      (disk) => `${disk.exists("/b")} ${contentOf(disk, "/a")[0]}`,
    );
    expect([...seen].sort()).toEqual(["false 7", "true 1"]);
  });

  test("leaves a rename between directories uncertain until both are synced", () => {
    const move = (disk: SimDisk, synced: readonly string[]) => {
      disk.makeDirectory("/d");
      disk.syncDirectory("/");
      disk.rename("/a", "/d/a");
      for (const directory of synced) disk.syncDirectory(directory);
    };
    const look = (disk: SimDisk) => `${disk.exists("/a")} ${disk.exists("/d/a")}`;
    for (const synced of [[], ["/"], ["/d"]]) {
      expect([...outcomes((disk) => move(disk, synced), look)].sort()).toEqual(["false true", "true false"]);
    }
    expect([...outcomes((disk) => move(disk, ["/", "/d"]), look)]).toEqual(["false true"]);
  });

  test("may bring a removed file back, with its synced content", () => {
    const seen = outcomes(
      (disk) => disk.remove("/a"),
      (disk) => (disk.exists("/a") ? String(contentOf(disk, "/a").every((byte) => byte === 1)) : "gone"),
    );
    expect([...seen].sort()).toEqual(["gone", "true"]);
  });

  test("never lets a later creation overwrite a file whose removal was lost", () => {
    const seen = outcomes(
      (disk) => {
        disk.rename("/a", "/b");
        disk.create("/a");
      },
      (disk) =>
        `${disk.exists("/a") ? contentOf(disk, "/a").length : "-"} ${disk.exists("/b") ? contentOf(disk, "/b").length : "-"}`,
    );
    for (const state of seen) expect([`${2 * page} -`, `- ${2 * page}`, `0 ${2 * page}`]).toContain(state);
  });

  test("closes every file", () => {
    const disk = diskWithFile(3);
    const file = disk.open("/a", "write");
    disk.crash();
    expect(() => file.read(0, new Uint8Array(1))).toThrow(SimulatedCrash);
  });
});

describe("crashAfter", () => {
  test("fails the k-th changing operation and everything behind it until the disk is back", () => {
    for (let seed = 0; seed < 50; seed += 1) {
      const disk = diskWithFile(seed);
      disk.crashAfter(3);
      const file = disk.open("/a", "write");
      file.write(0, [filled(2)]);
      file.sync();
      expect(() => file.write(page, [filled(9), filled(9)])).toThrow(SimulatedCrash);
      expect(disk.crashed).toBe(true);
      expect(() => disk.exists("/a")).toThrow(SimulatedCrash);
      disk.crash();
      const bytes = contentOf(disk, "/a");
      expect(bytes.subarray(0, page)).toEqual(filled(2));
      expect([2, 3]).toContain(Math.ceil(bytes.length / page));
    }
  });

  test("reaches every operation of a workload, one after another", () => {
    const workload = (disk: SimDisk) => {
      disk.makeDirectory("/d");
      const file = disk.create("/d/x.tmp");
      file.resize(page);
      file.write(0, [filled(4)]);
      file.sync();
      disk.rename("/d/x.tmp", "/d/x");
      disk.syncDirectory("/d");
      disk.syncDirectory("/");
      disk.remove("/a");
    };
    const disk = diskWithFile(1);
    const before = disk.operations;
    workload(disk);
    expect(disk.operations - before).toBe(9);
    for (let k = 1; k <= 9; k += 1) {
      const broken = diskWithFile(k);
      broken.crashAfter(k);
      expect(() => workload(broken)).toThrow(SimulatedCrash);
    }
  });
});

test("the same seed leaves the same disk", () => {
  const run = (seed: number) => {
    const disk = diskWithFile(seed);
    disk.open("/a", "write").write(0, [filled(2), filled(3)]);
    disk.create("/b");
    disk.crash();
    return `${disk.list("/").join()} ${contentOf(disk, "/a").join("")}`;
  };
  for (let seed = 0; seed < 20; seed += 1) expect(run(seed)).toBe(run(seed));
});
