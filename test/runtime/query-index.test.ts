// Goal: a query over closed segments whose indexes are gone does not read them on the engine's thread, where appends wait: their
// indexes are built elsewhere first. Method: a real directory; all that the engine reads of it is counted, what builds indexes is not.
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { position } from "../../src/base/types.ts";
import { encodeBatch } from "../../src/format/batch-encode.ts";
import { runIndexTask } from "../../src/node/build-index.ts";
import type { IndexJobs } from "../../src/runtime/index-jobs.ts";
import type { DiskFile } from "../../src/storage/disk.ts";
import type { IndexJob } from "../../src/storage/index-builder.ts";
import { NodeDisk } from "../../src/storage/node-disk.ts";
import type { ReadStep } from "../../src/transport/backend.ts";
import { hashing, type LoneNode, makeTempDir, startLoneNode } from "./lone-node.ts";
import { step } from "./steps.ts";

class CountingDisk extends NodeDisk {
  bytesRead = 0;

  override open(path: string, access: "read" | "write"): DiskFile {
    const file = super.open(path, access);
    const read = file.read.bind(file);
    return Object.assign(file, {
      read: (offset: number, target: Uint8Array): number => {
        const count = read(offset, target);
        if (path.endsWith(".log")) this.bytesRead += count;
        return count;
      },
    });
  }
}

const rounds = 60;
const perRound = 400;

async function fill({ engine }: LoneNode): Promise<void> {
  await engine.linearize();
  for (let round = 0; round < rounds; round += 1) {
    const appends = Array.from({ length: perRound }, (_, index) => {
      const batch = encodeBatch([{ tags: [`own ${round * perRound + index}`], value: ".".repeat(100) }]);
      const checked = { batch, crc32c: hashing.crc32c(batch), recordCount: 1 };
      return new Promise((resolve) => engine.append(checked, undefined, resolve));
    });
    await Promise.all(appends);
  }
}

/** Positions of all records with a tag, read step by step. */
async function positionsOf({ engine }: LoneNode, tag: string, direction: ReadStep["direction"]): Promise<number[]> {
  const { tail } = engine.bounds();
  const query = { items: [{ types: [], tags: [tag] }] };
  const found: number[] = [];
  const forward = direction === "forward";
  let from = forward ? position(1) : position(tail - 1);
  while (forward ? from < tail : from > 0) {
    const end = forward ? tail : (0 as const);
    const piece = await engine.read({ ...step(from), direction, end, query });
    found.push(...piece.batches.map(({ firstPosition }) => firstPosition));
    from = piece.next as typeof from;
    // As readers do: others have their turn.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return found;
}

test("a query of segments without an index waits for it, and the engine reads what it looks for alone", {
  timeout: 120_000,
}, async () => {
  const temp = makeTempDir();
  let node = await startLoneNode(temp.dir);
  await fill(node);
  await node.close();
  const log = join(temp.dir, "log");
  expect(readdirSync(log).filter((name) => name.endsWith(".log")).length).toBeGreaterThan(5);
  for (const direction of ["forward", "backward"] as const) {
    for (const name of readdirSync(log)) if (name.endsWith(".idx")) rmSync(join(log, name));
    const disk = new CountingDisk();
    const build = (job: IndexJob, jobs: IndexJobs): void => {
      void runIndexTask({ dir: temp.dir, hashing: "portable", job }).then((indexed) => jobs.built(indexed));
    };
    node = await startLoneNode(temp.dir, disk, undefined, build);
    await node.engine.linearize();
    disk.bytesRead = 0;
    expect(await positionsOf(node, "own 100", direction)).toEqual([101]);
    expect(disk.bytesRead).toBeLessThan(2.5 * 1024 * 1024);
    await node.close();
  }
  expect(existsSync(log)).toBe(true);
  temp.remove();
});
