// Goal: wrong usage gets a message that says what to do and a stable exit code, and starts nothing. Method: the built command line.

import { writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { program } from "../../src/cli/program.ts";
import { makeTempDir, Running, runCli, type TempDir } from "../cluster/harness.ts";

let temp: TempDir;
let busy: Server;
let busyAddress: string;

beforeAll(async () => {
  temp = makeTempDir();
  writeFileSync(join(temp.path, "file"), "not a directory");
  busy = createServer();
  await new Promise<void>((resolve) => busy.listen(0, "127.0.0.1", resolve));
  busyAddress = `127.0.0.1:${(busy.address() as { port: number }).port}`;
});

afterAll(() => {
  busy.close();
  temp.remove();
});

const dir = (name: string) => join(temp.path, name);

test.each([
  ["an unknown flag", ["read", "--to", "127.0.0.1:1", "--frm", "1"], /unknown option '--frm'/],
  ["an unknown command", ["reed"], /unknown command 'reed'/],
  ["a negative limit", ["read", "--to", "127.0.0.1:1", "--limit", "-1"], /--limit.*whole number, 1 or more/s],
  ["position 0", ["read", "--to", "127.0.0.1:1", "--from", "0"], /--from.*whole number, 1 or more/s],
  ["a limit that is no number", ["read", "--to", "127.0.0.1:1", "--limit", "1e3"], /whole number/],
  ["an address without a port", ["status", "--to", "localhost"], /"localhost" must be HOST:PORT/],
  ["a missing --to", ["append"], /required option '--to <addresses>'/],
  ["a revision that is none", ["append", "--to", "localhost:1", "--expected-revision", "some"], /no-stream/],
  ["a revision of 0", ["append", "--to", "localhost:1", "--expected-revision", "0"], /whole number, 1 or more/],
  [
    "a revision without a stream",
    ["append", "--to", "localhost:1", "--expected-revision", "any"],
    /name it with --stream/,
  ],
  [
    "a position without a condition",
    ["append", "--to", "localhost:1", "--after", "7"],
    /give --unless-type or --unless-tag/,
  ],
  ["a missing --dir", ["serve"], /required option '--dir <dir>'/],
  ["a member without an address", ["serve", "--dir", "x", "--cluster", "a"], /must be NAME=HOST:PORT/],
  ["no nodes at all", ["cluster", "--dir", "x", "--nodes", "0"], /from 1 to 7/],
  ["a record of no bytes in a benchmark", ["bench", "append", "--size", "0"], /--size/],
] as const)("%s is refused with exit code 2", async (_, args, message) => {
  const result = await runCli(args);
  expect(result.stderr).toMatch(message);
  expect(result.code).toBe(2);
  expect(result.stdout).toBe("");
});

/** What `paxlog WORDS --help` prints. */
function helpOf(words: readonly string[]): string {
  let command = program();
  for (const word of words) command = command.commands.find((each) => each.name() === word)!;
  let text = "";
  const writeOut = (part: string): void => {
    text += part;
  };
  command.configureOutput({ writeOut }).outputHelp();
  return text;
}

test("every command explains itself, with examples and exit codes", async () => {
  const main = await runCli(["--help"]);
  expect(main.code).toBe(0);
  expect(main.stdout).toMatch(/Exit codes:\n {2}0 {2}done/);
  const serve = await runCli(["serve", "--help"]);
  expect([serve.code, serve.stdout]).toEqual([0, helpOf(["serve"])]);
  for (const command of [
    "serve",
    "cluster",
    "append",
    "read",
    "status",
    "fence",
    "counter",
    "register",
    "space",
    "lock",
    "bench append",
    "bench objects",
    "demo",
    "completion",
  ]) {
    expect(helpOf(command.split(" ")), command).toMatch(/Examples?:\n {2}\$ .*paxlog /);
  }
});

test.each([
  ["a cluster list without the own name", ["--node", "x", "--cluster", "a=127.0.0.1:7201"], 2, "INVALID_ARGUMENT"],
  ["a client address that is not on loopback", ["--listen", "0.0.0.0:0"], 2, "INSECURE_ADDRESS"],
  ["a segment size that is too small", ["--segment-size", "5000"], 2, "INVALID_ARGUMENT"],
  ["an address of another machine", ["--listen", "192.0.2.1:7100", "--insecure"], 5, "ADDRESS_UNUSABLE"],
] as const)("serve refuses %s", async (_, args, code, error) => {
  const result = await runCli(["serve", "--dir", dir("refused"), "--json", ...args]);
  expect(result.error()).toMatchObject({ error, outcome: "none" });
  expect(result.code).toBe(code);
  expect(result.stdout).toBe("");
});

test("a client port in use is ADDRESS_IN_USE, and so is a peer port", async () => {
  const client = await runCli(["serve", "--dir", dir("a"), "--listen", busyAddress, "--json"]);
  expect(client.error()).toMatchObject({ error: "ADDRESS_IN_USE" });
  expect(client.error().message).toContain(busyAddress);
  expect(client.code).toBe(5);

  const members = `b=${busyAddress},c=127.0.0.1:1`;
  const flags = ["--dir", dir("b"), "--node", "b", "--cluster", members, "--listen", "127.0.0.1:0", "--json"];
  const peer = await runCli(["serve", ...flags]);
  expect(peer.error()).toMatchObject({ error: "ADDRESS_IN_USE" });
  expect(peer.code).toBe(5);
});

test("a directory that cannot be made is DIRECTORY_UNUSABLE", async () => {
  const result = await runCli(["serve", "--dir", join(dir("file"), "below"), "--listen", "127.0.0.1:0", "--json"]);
  expect(result.error()).toMatchObject({ error: "DIRECTORY_UNUSABLE" });
  expect(result.code).toBe(4);
  const cluster = await runCli(["cluster", "--dir", join(dir("file"), "below"), "--json"]);
  expect(cluster.error()).toMatchObject({ error: "DIRECTORY_UNUSABLE" });
  expect(cluster.code).toBe(4);
});

test("a directory that is full of other things is not formatted", async () => {
  const result = await runCli(["serve", "--dir", temp.path, "--listen", "127.0.0.1:0", "--json"]);
  expect(result.code).toBe(4);
  expect(["DIRECTORY_UNUSABLE", "DAMAGED"]).toContain(result.error().error);
});

test("nobody listens: commands end with UNAVAILABLE and exit code 3", { timeout: 60_000 }, async () => {
  const results = await Promise.all(
    [["status"], ["read"], ["append", "--deadline", "2"]].map((command) =>
      runCli([...command, "--to", "127.0.0.1:1", "--json"]),
    ),
  );
  for (const result of results) {
    expect(result.error()).toMatchObject({ error: "UNAVAILABLE", outcome: "none" });
    expect(result.code).toBe(3);
  }
});

test("a node that is asked to stop stops cleanly and leaves its directory to the next", async () => {
  const node = new Running(["serve", "--dir", dir("clean"), "--listen", "127.0.0.1:0", "--json"]);
  const ready = await node.line(0);
  expect(ready).toEqual({
    id: "node",
    pid: node.child.pid,
    address: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
    dir: dir("clean"),
  });
  expect(await node.stop("SIGTERM")).toBe(0);
  const again = new Running(["serve", "--dir", dir("clean"), "--listen", "127.0.0.1:0", "--json"]);
  await again.line(0);
  expect(again.stderr).toMatch(/opened for the 2nd time/);
  expect(await again.stop("SIGINT")).toBe(0);
});
