import { describe, expect, test } from "vitest";
import { type Disk, DiskError } from "../../src/storage/disk.ts";

export interface DiskUnderTest extends Disposable {
  readonly disk: Disk;
  /** A directory that exists and is empty. */
  readonly dir: string;
}

/** What every implementation of Disk must do alike. */
export function diskContract(name: string, makeDisk: () => DiskUnderTest): void {
  const errnoOf = (run: () => unknown): string => {
    try {
      run();
    } catch (error) {
      if (error instanceof DiskError) return error.errno;
      throw error;
    }
    return "none";
  };
  const bytesOf = (text: string) => new Uint8Array(Buffer.from(text));
  const readAt = (disk: Disk, path: string, offset: number, length: number): string => {
    const file = disk.open(path, "read");
    const target = new Uint8Array(length);
    const count = file.read(offset, target);
    file.close();
    return Buffer.from(target.subarray(0, count)).toString();
  };

  describe(`${name}: a disk`, () => {
    test("gives back what was written, in parts, over and behind each other", () => {
      using made = makeDisk();
      const { disk, dir } = made;
      const file = disk.create(`${dir}/a`);
      file.write(0, [bytesOf("one "), bytesOf(""), bytesOf("two "), bytesOf("three")]);
      file.write(4, [bytesOf("TWO")]);
      file.sync();
      expect(file.size()).toBe(13);
      file.close();
      expect(readAt(disk, `${dir}/a`, 0, 100)).toBe("one TWO three");
      expect(readAt(disk, `${dir}/a`, 8, 3)).toBe("thr");
      expect(readAt(disk, `${dir}/a`, 13, 3)).toBe("");
      expect(readAt(disk, `${dir}/a`, 99, 3)).toBe("");
    });

    test("takes more parts than one call of the system does", () => {
      using made = makeDisk();
      const { disk, dir } = made;
      const parts = Array.from({ length: 3000 }, (_, index) => bytesOf(`${index},`));
      const file = disk.create(`${dir}/a`);
      file.write(5, parts);
      file.close();
      expect(readAt(disk, `${dir}/a`, 5, 100_000)).toBe(Buffer.concat(parts).toString());
    });

    test("reads zeros where a file was made longer or written behind its end, and cuts it short", () => {
      using made = makeDisk();
      const { disk, dir } = made;
      const file = disk.create(`${dir}/a`);
      file.resize(8192);
      file.write(9000, [bytesOf("x")]);
      expect(file.size()).toBe(9001);
      expect(readAt(disk, `${dir}/a`, 0, 9001)).toBe(`${"\0".repeat(9000)}x`);
      file.resize(3);
      file.resize(5);
      expect(readAt(disk, `${dir}/a`, 0, 10)).toBe("\0".repeat(5));
      file.sync();
      file.close();
    });

    test("creates only what does not exist and opens only what does", () => {
      using made = makeDisk();
      const { disk, dir } = made;
      disk.create(`${dir}/a`).close();
      expect(errnoOf(() => disk.create(`${dir}/a`))).toBe("EEXIST");
      expect(errnoOf(() => disk.open(`${dir}/b`, "read"))).toBe("ENOENT");
      expect(errnoOf(() => disk.open(`${dir}/b`, "write"))).toBe("ENOENT");
      expect(errnoOf(() => disk.create(`${dir}/none/a`))).toBe("ENOENT");
      expect(errnoOf(() => disk.remove(`${dir}/b`))).toBe("ENOENT");
      expect(errnoOf(() => disk.rename(`${dir}/b`, `${dir}/c`))).toBe("ENOENT");
      expect(errnoOf(() => disk.list(`${dir}/none`))).toBe("ENOENT");
      expect([disk.exists(`${dir}/a`), disk.exists(`${dir}/b`)]).toEqual([true, false]);
    });

    test("renames over what is there, removes, and lists names in order", () => {
      using made = makeDisk();
      const { disk, dir } = made;
      for (const name of ["b", "a", "B", "00000010", "00000009"]) {
        const file = disk.create(`${dir}/${name}`);
        file.write(0, [bytesOf(name)]);
        file.close();
      }
      disk.makeDirectory(`${dir}/d`);
      disk.makeDirectory(`${dir}/d`);
      disk.rename(`${dir}/b`, `${dir}/a`);
      disk.remove(`${dir}/B`);
      disk.rename(`${dir}/00000010`, `${dir}/d/x`);
      for (const directory of [dir, `${dir}/d`]) disk.syncDirectory(directory);
      expect(disk.list(dir)).toEqual(["00000009", "a", "d"]);
      expect(disk.list(`${dir}/d`)).toEqual(["x"]);
      expect(readAt(disk, `${dir}/a`, 0, 10)).toBe("b");
      expect(disk.exists(`${dir}/d`)).toBe(true);
    });

    test("removes directories that are empty, and only those", () => {
      using made = makeDisk();
      const { disk, dir } = made;
      disk.makeDirectory(`${dir}/d`);
      disk.create(`${dir}/d/a`).close();
      disk.syncDirectory(dir);
      expect(errnoOf(() => disk.removeDirectory(`${dir}/d`))).toBe("ENOTEMPTY");
      disk.remove(`${dir}/d/a`);
      disk.removeDirectory(`${dir}/d`);
      disk.syncDirectory(dir);
      expect([disk.exists(`${dir}/d`), disk.list(dir)]).toEqual([false, []]);
      disk.makeDirectory(`${dir}/d`);
      expect(disk.list(`${dir}/d`)).toEqual([]);
    });

    test("shows a reader that opened a file before what is written to it later", () => {
      using made = makeDisk();
      const { disk, dir } = made;
      const writer = disk.create(`${dir}/a`);
      const reader = disk.open(`${dir}/a`, "read");
      writer.write(0, [bytesOf("later")]);
      const target = new Uint8Array(5);
      expect(reader.read(0, target)).toBe(5);
      expect(Buffer.from(target).toString()).toBe("later");
      reader.close();
      writer.close();
    });
  });
}
