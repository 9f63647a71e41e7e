import { statSync } from "node:fs";
import { expect, test } from "vitest";
import { NodeDisk } from "../../src/storage/node-disk.ts";
import { TestDirectory } from "./directory.ts";
import { diskContract } from "./disk-contract.ts";

diskContract("NodeDisk", () => {
  const directory = new TestDirectory();
  return { disk: new NodeDisk(), dir: directory.path, [Symbol.dispose]: () => directory[Symbol.dispose]() };
});

test("makes directories and their parents for their owner only, and ends where it cannot", () => {
  using directory = new TestDirectory();
  const disk = new NodeDisk();
  disk.makeDirectory(`${directory.path}/a/b/c`);
  expect(statSync(`${directory.path}/a/b`).mode & 0o777).toBe(0o700);
  disk.create(`${directory.path}/a/file`).close();
  expect(statSync(`${directory.path}/a/file`).mode & 0o777).toBe(0o600);
  expect(() => disk.makeDirectory(`${directory.path}/a/file`)).toThrow("EEXIST");
  expect(() => disk.makeDirectory("/proc/none/at/all")).toThrow("ENOENT");
});
