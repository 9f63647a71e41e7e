// Goal: a node whose disk fails stops by name, tells its callers what is not known, and comes back with everything that was
// acknowledged. Method: the system's limit on file sizes makes real writes of a real process fail.
import { execFileSync, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { connect } from "../../src/client/connect.ts";
import { makeTempDir, Running, runCli, type TempDir } from "../cluster/harness.ts";

const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const segmentBytes = 1024 * 1024;

let temp: TempDir;

beforeEach(() => {
  temp = makeTempDir();
});

afterEach(() => {
  temp.remove();
});

/** `serve`, with files of at most so many bytes. */
function serveLimited(dir: string, fileBytesMax: number) {
  const flags = [
    "serve",
    "--dir",
    dir,
    "--listen",
    "127.0.0.1:0",
    "--segment-size",
    String(2 * segmentBytes),
    "--json",
  ];
  const child = spawn(process.execPath, [main, ...flags]);
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const exited = new Promise<number | null>((resolve) => child.on("close", resolve));
  const address = new Promise<string>((resolve) => {
    createInterface({ input: child.stdout }).once("line", (line) => {
      // From now on: what the node reserves at its start is as large as a segment.
      execFileSync("prlimit", ["--pid", String(child.pid), `--fsize=${fileBytesMax}`]);
      resolve((JSON.parse(line) as { address: string }).address);
    });
  });
  return { address, exited, stderr: () => stderr };
}

test("a write that fails ends the process with the reason; a restart has all that was acknowledged", {
  timeout: 60_000,
}, async () => {
  const dir = join(temp.path, "node");
  // Small segments first, so that there is a log; then segments that the limit does not allow.
  const first = new Running([
    "serve",
    "--dir",
    dir,
    "--listen",
    "127.0.0.1:0",
    "--segment-size",
    String(segmentBytes),
    "--json",
  ]);
  const value = "v".repeat(100_000);
  const firstAddress = (await first.line(0)).address as string;
  expect((await runCli(["append", "--to", firstAddress], `${value}\n`.repeat(4))).code).toBe(0);
  expect(await first.stop()).toBe(0);

  const limited = serveLimited(dir, segmentBytes);
  const log = await connect(await limited.address);
  let acknowledged = 4;
  const failure = await (async () => {
    for (;;) {
      try {
        acknowledged = (await log.append({ value })).position;
      } catch (error) {
        return error;
      }
    }
  })();
  // Unknown if the append was under way; none if the disk failed between two appends, while space was made ahead of the log.
  expect(["unknown", "none"]).toContain((failure as { outcome: string }).outcome);
  expect(["STORAGE_FAILED", "UNAVAILABLE"]).toContain((failure as { code: string }).code);
  expect(await limited.exited).toBe(4);
  expect(limited.stderr()).toMatch(/"error":"STORAGE_FAILED".*EFBIG/);
  await log.close();

  const again = new Running([
    "serve",
    "--dir",
    dir,
    "--listen",
    "127.0.0.1:0",
    "--segment-size",
    String(segmentBytes),
    "--json",
  ]);
  const read = await runCli(["read", "--to", (await again.line(0)).address as string, "--json"]);
  expect(read.json().length).toBeGreaterThanOrEqual(acknowledged);
  expect(read.json().every((record, index) => record.position === index + 1 && record.value === value)).toBe(true);
  expect(await again.stop()).toBe(0);
});

test("a reader of the command's output that has seen enough is no error", async () => {
  const node = new Running(["serve", "--dir", join(temp.path, "node"), "--listen", "127.0.0.1:0", "--json"]);
  const address = (await node.line(0)).address as string;
  await runCli(["append", "--to", address], "line\n".repeat(50_000));
  const child = spawn("sh", [
    "-c",
    `"$@" | head -n 2; exit 0`,
    "sh",
    process.execPath,
    main,
    "read",
    "--to",
    address,
    "--json",
  ]);
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (bytes: Buffer) => {
    stdout += bytes.toString();
  });
  child.stderr.on("data", (bytes: Buffer) => {
    stderr += bytes.toString();
  });
  await new Promise((resolve) => child.on("close", resolve));
  expect(stdout.trim().split("\n").length).toBe(2);
  expect(stderr).toBe("");
  expect(await node.stop()).toBe(0);
});
