// Goal: a stranger with Python gets along with the .proto files and examples/python. Method: the commands of its README, in a copy
// of the folder, with the packages from the registry, against a cluster of three nodes; then what the README says of kills.
import { type ExecFileException, execFile, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { connect } from "../../src/client/connect.ts";
import { makeTempDir, type TempDir, TestCluster } from "../cluster/harness.ts";
import { root } from "../tidy/sources.ts";

let temp: TempDir;
let folder: string;
let cluster: TestCluster;
/** Why nothing of this can run here. */
let missing: string | undefined;

const readme = readFileSync(join(root, "examples/python/README.md"), "utf8");
const commands = [...readme.matchAll(/```\n([\s\S]*?)```/g)]
  .flatMap(([, block]) => block!.trim().split("\n"))
  .filter((line) => !line.startsWith("npx ") && !line.startsWith("cd "));
const isOfEnvironment = (line: string) => /-m venv|\/pip /.test(line);
const isSetUp = (line: string) => isOfEnvironment(line) || line.includes("grpc_tools");

const checkPython = "import sys, venv, ensurepip; print(sys.version, sys.prefix); sys.exit(sys.version_info < (3, 10))";

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a line as the README's reader does, but for the address. */
function run(line: string): Promise<Ended> {
  const command = line.replaceAll("127.0.0.1:7100", cluster.addresses);
  return new Promise((resolve) => {
    execFile("bash", ["-c", command], { cwd: folder }, (error: ExecFileException | null, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

const python = (args: string) => run(`.venv/bin/python ${args}`);

async function values(): Promise<string[]> {
  await using log = await connect(cluster.addresses);
  const read: string[] = [];
  for await (const { type, value } of log.read()) {
    // Commands of machines are records too.
    if (type?.startsWith("$") !== true) read.push(Buffer.from(value).toString());
  }
  return read;
}

/** Makes the environment as the README says; what is not here, if that fails for want of Python or of the registry. */
async function setUp(): Promise<string | undefined> {
  const version = spawnSync("python3", ["-c", checkPython]);
  if (version.status !== 0) return "Python 3.10 or later, with venv, is not here";
  const kept = keptEnvironment(version.stdout.toString());
  const isKept = existsSync(join(kept, "complete"));
  if (isKept) symlinkSync(kept, join(folder, ".venv"));
  for (const line of commands.filter((line) => isSetUp(line) && !(isKept && isOfEnvironment(line)))) {
    const ended = await run(line);
    if (ended.code === 0) continue;
    const registry = await run(".venv/bin/pip download --quiet --no-deps --dest downloaded pip");
    if (line.includes("/pip ") && registry.code !== 0) return "the registry of Python packages cannot be reached";
    throw new Error(`${line}: ${ended.stderr}`);
  }
  if (!isKept) keep(kept);
  return undefined;
}

/** Where an environment for this Python and these requirements is kept: to make it takes longer than all the rest. */
function keptEnvironment(version: string): string {
  const requirements = readFileSync(join(folder, "requirements.txt"), "utf8");
  const name = createHash("sha256").update(requirements).update(version).digest("hex").slice(0, 16);
  return join(root, "node_modules/.cache/paxlog-python", name);
}

function keep(kept: string): void {
  rmSync(kept, { recursive: true, force: true });
  cpSync(join(folder, ".venv"), kept, { recursive: true, verbatimSymlinks: true });
  writeFileSync(join(kept, "complete"), "");
}

beforeAll(async () => {
  temp = makeTempDir();
  folder = join(temp.path, "examples/python");
  cpSync(join(root, "examples/python"), folder, {
    recursive: true,
    filter: (path) => !/\/(\.venv|paxlog)$/.test(path),
  });
  cpSync(join(root, "proto"), join(temp.path, "proto"), { recursive: true });
  cluster = await TestCluster.start();
  missing = await setUp();
}, 400_000);

afterAll(async () => {
  await cluster?.stop();
  temp?.remove();
});

beforeEach((context) => context.skip(missing !== undefined, missing));

test("the commands of the README do what it says", { timeout: 120_000 }, async () => {
  const outputs: string[] = [];
  for (const line of commands.filter((line) => !isSetUp(line))) {
    const ended = await run(line);
    expect(ended, line).toMatchObject({ code: 0, stderr: "" });
    outputs.push(ended.stdout);
  }
  expect(outputs.slice(0, 4)).toEqual([
    "2 at 1\n",
    "1 at 3\n",
    "1 OrderPlaced 2 apples\n2 OrderPlaced 3 pears\n",
    "3 NameTaken customer 7\n",
  ]);
  const lines = Array.from({ length: 300 }, (_, index) => String(index + 1));
  expect(outputs.slice(-3)).toEqual(["1 to 100\n", "100 -> 99\n", "99\n"]);
  expect(outputs.at(-4)!.trim().split("\n")).toEqual(lines.map((line, index) => `${line} ${index + 4}`));
  expect((await values()).slice(3)).toEqual(lines);
});

test("a guard that does not hold is refused with what the log is like, and nothing is written", async () => {
  const { tail } = await status();
  const to = `--to ${cluster.addresses}`;
  const refusals = [
    [`append.py ${to} --stream order:42=no-stream x`, /STREAM_REVISION_MISMATCH, outcome none.* actual=2 /],
    [`append.py ${to} --stream order:42=1 x`, /STREAM_REVISION_MISMATCH, outcome none.* actual=2 .*expected=1/],
    [`append.py ${to} --unless-tag name:ada x`, /CONDITION_FAILED, outcome none.* position=3/],
    [`append.py ${to} --expected-tail 2 x`, new RegExp(`TAIL_MISMATCH, outcome none.* actual=${tail} expected=2`)],
  ] as const;
  for (const [command, message] of refusals) {
    const ended = await python(command);
    expect(ended.code).toBe(1);
    expect(ended.stderr).toMatch(message);
  }
  expect((await status()).tail).toBe(tail);
  const allowed = `append.py ${to} --stream order:42=2 --expected-tail ${tail} --unless-tag name:ada --after 3 x`;
  expect(await python(allowed)).toMatchObject({ code: 0, stdout: `1 at ${tail}\n` });
});

test("the importer and the leader are killed: every line is in the log once, in order", {
  timeout: 120_000,
}, async () => {
  const before = (await values()).length;
  const lines = Array.from({ length: 600 }, (_, index) => `line ${index}`);
  writeFileSync(join(folder, "kills.txt"), `${lines.join("\n")}\n`);
  const args = ["exactly_once.py", "--to", cluster.addresses, "--state", "kills.json", "kills.txt"];

  await killedAfter(spawnPython(args), 100);
  const second = spawnPython(args);
  await told(second, 50);
  const leader = await cluster.leader();
  await cluster.kill(leader);
  await killedAfter(second, 50);
  expect(await python(args.join(" "))).toMatchObject({ code: 0, stderr: "" });
  await cluster.restart(leader).line(0);
  expect((await values()).slice(before)).toEqual(lines);
});

function spawnPython(args: readonly string[]) {
  return spawn(join(folder, ".venv/bin/python"), args, { cwd: folder, stdio: ["ignore", "pipe", "inherit"] });
}

/** Resolves once the process has told of so many more lines. */
function told(child: ReturnType<typeof spawnPython>, count: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let lines = 0;
    const onData = (text: Buffer) => {
      lines += text.toString().split("\n").length - 1;
      if (lines < count) return;
      child.stdout.off("data", onData);
      resolve();
    };
    child.stdout.on("data", onData);
    child.once("exit", (code) => reject(new Error(`it ended (${code}) after ${lines} lines`)));
  });
}

async function killedAfter(child: ReturnType<typeof spawnPython>, count: number): Promise<void> {
  await told(child, count);
  child.removeAllListeners("exit");
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await gone;
}

async function status(): Promise<{ tail: number }> {
  await using log = await connect(cluster.addresses);
  return await log.tail();
}
