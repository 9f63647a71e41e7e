import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { lockDirectory } from "../../src/storage/lock.ts";
import { TestDirectory } from "./directory.ts";

const inUse = (pid: number | undefined) => ({ code: "DIRECTORY_IN_USE", facts: { pid } });

test("a directory has one owner in a process, by whatever path it is named, until it is released", async () => {
  using directory = new TestDirectory();
  mkdirSync(directory.data);
  symlinkSync(directory.data, `${directory.path}/link`);
  const lock = await lockDirectory(directory.data);
  await expect(lockDirectory(directory.data)).rejects.toMatchObject(inUse(process.pid));
  await expect(lockDirectory(`${directory.path}/link`)).rejects.toMatchObject(inUse(process.pid));
  await lock.release();
  const again = await lockDirectory(`${directory.path}/link`);
  await again.release();
});

test("another process is named by its pid, and its death gives the directory free", async () => {
  using directory = new TestDirectory();
  mkdirSync(directory.data);
  // The lock itself, in a process without a TypeScript loader: the same name, held the same way.
  const script = `
    import { statSync, writeFileSync } from "node:fs";
    import { createServer } from "node:net";
    const { dev, ino } = statSync(${JSON.stringify(directory.data)}, { bigint: true });
    createServer().listen("\\0paxlog-" + dev + "-" + ino, () => {
      writeFileSync(${JSON.stringify(`${directory.data}/LOCK`)}, process.pid + "\\n");
      console.log("held");
    });`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    await once(child.stdout, "data");
    await expect(lockDirectory(directory.data)).rejects.toMatchObject(inUse(child.pid));
  } finally {
    child.kill("SIGKILL");
    await once(child, "exit");
  }
  const lock = await lockDirectory(directory.data);
  await lock.release();
});

test("a LOCK file alone is no lock, and a missing directory is named", async () => {
  using directory = new TestDirectory();
  mkdirSync(directory.data);
  writeFileSync(`${directory.data}/LOCK`, "1\n");
  await (await lockDirectory(directory.data)).release();
  rmSync(directory.data, { recursive: true });
  await expect(lockDirectory(directory.data)).rejects.toMatchObject({ code: "DIRECTORY_UNUSABLE" });
});
