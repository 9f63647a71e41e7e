// Goal: the files of a machine count against the quota of its node's directory exactly, whatever becomes of them; one that finds no room is
// not written, and harms none that stands. Method: after each step what is counted is compared with what the file system says.
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { DirectoryQuota } from "../../src/base/directory-quota.ts";
import { MachineSnapshots } from "../../src/objects/machine-snapshots.ts";
import { HashedPieces } from "../../src/objects/state-hash.ts";
import { AccountedDisk } from "../../src/storage/accounted-disk.ts";
import { NodeDisk } from "../../src/storage/node-disk.ts";
import { hashing, makeTempDir } from "../runtime/lone-node.ts";

const header = 128;

let temp: ReturnType<typeof makeTempDir>;
let quota: DirectoryQuota;
let snapshots: MachineSnapshots;

beforeEach(async () => {
  temp = makeTempDir();
  quota = new DirectoryQuota(10_000);
  snapshots = new MachineSnapshots(temp.dir, "sum", hashing, quota);
  await snapshots.prepare();
});
afterEach(() => temp.remove());

/** As the file system says. */
function onDisk(): number {
  const dir = join(temp.dir, "machines", "sum");
  return readdirSync(dir).reduce((bytes, name) => bytes + statSync(join(dir, name)).size, 0);
}

async function save(position: number, length: number): Promise<void> {
  const file = snapshots.begin(1, position);
  try {
    const hashed = new HashedPieces(hashing, (chunk) => file.add(chunk));
    hashed.add(new Uint8Array(length));
    await file.end({ hash: hashed.hash(), length }).keep();
  } catch (cause) {
    file.abandon();
    throw cause;
  }
}

test("states count while they are kept, the one that is replaced by its like included", async () => {
  for (const [position, length] of [
    [10, 1000],
    [20, 2000],
    [30, 500],
    [30, 700],
  ] as const) {
    await save(position, length);
    expect(quota.usedBytes).toBe(onDisk());
  }
  expect(snapshots.list()).toEqual([30, 20]);
  expect(quota.usedBytes).toBe(2000 + 700 + 2 * header);
  snapshots.removeAbove(0);
  expect([quota.usedBytes, onDisk()]).toEqual([0, 0]);
});

test("a state that does not fit is not written, those before it stand, and a smaller one fits again", async () => {
  await save(10, 4000);
  await save(20, 4000);
  await expect(save(30, 4000)).rejects.toMatchObject({ code: "NO_SPACE", facts: { limit: 10_000 } });
  expect(snapshots.list()).toEqual([20, 10]);
  expect([quota.usedBytes, onDisk()]).toEqual([8000 + 2 * header, 8000 + 2 * header]);
  await save(30, 1000);
  expect(snapshots.list()).toEqual([30, 20]);
  expect(quota.usedBytes).toBe(onDisk());
});

test("what another node sent counts until an own state is kept, and no longer", async () => {
  const { add } = snapshots.receive();
  add(new Uint8Array(3000));
  add(new Uint8Array(1000));
  expect([quota.usedBytes, onDisk()]).toEqual([4000 + header, 4000 + header]);
  expect(() => add(new Uint8Array(8000))).toThrow("has no room");
  expect(quota.usedBytes).toBe(onDisk());
  await save(10, 4000);
  expect([quota.usedBytes, onDisk()]).toEqual([4000 + header, 4000 + header]);
  snapshots.receive().add(new Uint8Array(10));
  await snapshots.prepare();
  expect(quota.usedBytes).toBe(4000 + header);
});

test("storage counts what machines left, and makes no file for which they leave no room", async () => {
  await save(10, 6000);
  mkdirSync(join(temp.dir, "machines", "gone"));
  writeFileSync(join(temp.dir, "machines", "gone", "7"), Buffer.alloc(100));
  writeFileSync(join(temp.dir, "machines", "copy.tar"), Buffer.alloc(50));
  const again = new DirectoryQuota(10_000);
  const disk = new AccountedDisk(new NodeDisk(), temp.dir, again);
  expect([disk.usedBytes, again.usedBytes]).toEqual([6150 + header, 6150 + header]);
  const file = disk.create(`${temp.dir}/segment`);
  file.resize(3000);
  expect(() => file.resize(4000)).toThrow("EDQUOT");
  new MachineSnapshots(temp.dir, "sum", hashing, again).removeAbove(0);
  file.resize(4000);
  expect(again.usedBytes).toBe(4150);
  file.close();
  disk.remove(`${temp.dir}/segment`);
  expect(again.usedBytes).toBe(150);
  expect(existsSync(`${temp.dir}/segment`)).toBe(false);
});
