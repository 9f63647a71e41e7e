// Goal: a disk that is really full, not by a quota of our own, stops appends by name and nothing else; and what retention lets go of
// makes room without anybody's doing. Method: a node as a process, its directory on a small tmpfs; where none can be mounted (another
// system, another user than root) the quota of test/runtime/full-disk.test.ts is all there is.
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { connect } from "../../src/client/connect.ts";
import type { Log } from "../../src/client/log.ts";
import { makeTempDir, pause, Running, type TempDir } from "./harness.ts";

const value = "x".repeat(64 * 1024);
const mebibyte = 1024 * 1024;
const diskBytes = 16 * mebibyte;

/** A directory on a disk of this size; undefined where there can be none. */
function mountSmallDisk(temp: TempDir, bytes: number): string | undefined {
  const dir = join(temp.path, "disk");
  mkdirSync(dir);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", dir], { stdio: "ignore" });
    return dir;
  } catch {
    return undefined;
  }
}

const probe = makeTempDir();
const probed = mountSmallDisk(probe, mebibyte);
if (probed !== undefined) execFileSync("umount", [probed]);
probe.remove();

let temp: TempDir;
let disk: string | undefined;
let node: Running | undefined;

afterEach(async () => {
  await node?.stop("SIGKILL");
  if (disk !== undefined) execFileSync("umount", [disk]);
  [node, disk] = [undefined, undefined];
  temp.remove();
});

async function serve(...flags: string[]): Promise<Log> {
  temp = makeTempDir();
  disk = mountSmallDisk(temp, diskBytes);
  const place = ["--dir", join(disk ?? temp.path, "node"), "--listen", "127.0.0.1:0", "--json"];
  node = new Running(["serve", ...place, "--segment-size", String(mebibyte), ...flags]);
  return await connect((await node.line(0)).address as string);
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 600; tries += 1) {
    if (await holds()) return;
    await pause(50);
  }
  throw new Error(`not within 30 s: ${what}`);
}

test.skipIf(probed === undefined)(
  "a full disk refuses appends, serves reads, and goes on after a trim",
  {
    timeout: 120_000,
  },
  async () => {
    const log = await serve();
    let [acknowledged, code] = [0, ""];
    while (code === "") {
      expect(acknowledged).toBeLessThan(1000);
      await log.append({ value }).then(
        () => {
          acknowledged += 1;
        },
        (error) => {
          ({ code } = error);
          expect(error).toMatchObject({ outcome: "none", retryable: true });
        },
      );
    }
    expect(code).toBe("NO_SPACE");
    // The most of it, less three files of reserve and the next segment.
    expect(acknowledged).toBeGreaterThan(100);
    let seen = 0;
    for await (const record of log.read()) {
      seen += 1;
      expect(record.position).toBe(seen);
    }
    expect(seen).toBe(acknowledged);
    expect(await log.trim(acknowledged - 10)).toMatchObject({ head: acknowledged - 10 });
    await until("appends go on", () =>
      log.append({ value }).then(
        () => true,
        () => false,
      ),
    );
    await log.close();
  },
);

test("retention lets go of old segments by itself, and many times the disk passes through", {
  timeout: 120_000,
}, async () => {
  const log = await serve("--retain-records", "64");
  const session = await log.session();
  for (let done = 0; done < 320; done += 10) {
    await session.append(Array.from({ length: 10 }, () => ({ value })));
    // The policy is looked at once a second: no faster than it can follow.
    if (done % 80 === 0) await until("it keeps up", async () => (await log.tail()).head > done - 160);
  }
  await until("all but about 64 records are trimmed", async () => (await log.tail()).head > 320 - 64 - 32);
  const status = await log.status();
  expect(status.tail - status.head).toBeGreaterThanOrEqual(64);
  const dir = join(disk ?? temp.path, "node", "log");
  await until(
    "the segments are gone",
    async () => readdirSync(dir).filter((name) => name.endsWith(".log")).length < 10,
  );
  await session.close();
  await log.close();
});
