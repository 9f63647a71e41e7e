// Goal: what README tells a stranger to type works. Method: its programs run, on their own and against real nodes; its commands must
// exist, with the flags that it gives them.
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Running } from "../cluster/harness.ts";
import { freePorts } from "../cluster/ports.ts";

const run = promisify(execFile);
const root = new URL("../../", import.meta.url);
const main = new URL("dist/cli/main.js", root);
const readme = readFileSync(new URL("README.md", root), "utf8");
const scripts = (JSON.parse(readFileSync(new URL("package.json", root), "utf8")) as { scripts: Record<string, string> })
  .scripts;

const blocks = [...readme.matchAll(/```(\w*)\n([\s\S]*?)```/g)].map(([, language, text]) => ({
  language,
  text: text!,
}));
const commandLines = blocks.filter(({ language }) => language === "").flatMap(({ text }) => text.trim().split("\n"));

const programs = blocks.filter(({ language }) => language === "ts").map(({ text }) => text);

/** Runs a program of the README in a folder of its own, with these addresses in place of its own ones; what it prints, by line. */
async function outputOf(program: string, addresses: Readonly<Record<string, string>>): Promise<string[]> {
  const library = new URL("dist/index.js", root).href;
  let text = program.replace('"paxlog"', JSON.stringify(library));
  for (const [written, actual] of Object.entries(addresses)) text = text.replace(written, actual);
  const file = join(mkdtempSync(join(directory, "program-")), "example.mjs");
  writeFileSync(file, text);
  const { stdout } = await run(process.execPath, [file], { cwd: dirname(file) });
  return stdout.trim().split("\n");
}

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "paxlog-readme-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

test("its programs are the three ways of use, guards, queries and objects; none is longer than a screen", () => {
  expect(programs.map((program) => program.match(/(open|connect)\(.*?[),]/)![0])).toEqual([
    'open({ dir: "./data" })',
    'open({ dir: "./a",',
    'connect("127.0.0.1:7100")',
    'connect("127.0.0.1:7100")',
    'connect("127.0.0.1:7100")',
    'connect("127.0.0.1:7100")',
  ]);
  for (const program of programs) expect(program.trim().split("\n").length).toBeLessThanOrEqual(14);
});

test("the program that opens a log of its own runs", { timeout: 60_000 }, async () => {
  expect(await outputOf(programs[0]!, {})).toEqual(["1 OrderPlaced 2 apples"]);
});

test("the program that is a node of a cluster runs, with two nodes beside it", { timeout: 120_000 }, async () => {
  const addresses = (await freePorts(4)).map((port) => `127.0.0.1:${port}`);
  const members = ["a", "b", "c"].map((name, index) => ({ name, address: addresses[index]! }));
  const list = members.map(({ name, address }) => `${name}=${address}`).join(",");
  const others = ["b", "c"].map((name) => {
    const flags = ["--dir", mkdtempSync(join(directory, `${name}-`)), "--node", name, "--cluster", list];
    return new Running(["serve", ...flags, "--listen", "127.0.0.1:0", "--json"]);
  });
  try {
    await Promise.all(others.map((other) => other.line(0)));
    const peers = Object.fromEntries(members.map(({ address }, index) => [`127.0.0.1:720${index + 1}`, address]));
    const lines = await outputOf(programs[1]!, { ...peers, "127.0.0.1:7101": addresses[3]! });
    expect(lines).toEqual(["1 { head: 1, tail: 2, freshness: 'linearizable' }"]);
  } finally {
    await Promise.all(others.map((other) => other.stop("SIGKILL")));
  }
});

test("the programs that connect run against a node", { timeout: 120_000 }, async () => {
  const node = new Running(["serve", "--dir", join(directory, "node"), "--listen", "127.0.0.1:0", "--json"]);
  try {
    const addresses = { "127.0.0.1:7100": (await node.line(0)).address as string };
    expect(await outputOf(programs[2]!, addresses)).toEqual(["1 2", "1 one", "2 two"]);
    expect(await outputOf(programs[3]!, addresses)).toEqual(["STREAM_REVISION_MISMATCH none 3"]);
    const found = ["the last one of the cart: 6", "added: 3", "7"];
    expect(await outputOf(programs[4]!, addresses)).toEqual(found);
    expect(await outputOf(programs[5]!, addresses)).toEqual(["0 { first: 1, last: 1000 }"]);
  } finally {
    await node.stop();
  }
});

test("every command and flag of paxlog that it names is one", { timeout: 60_000 }, async () => {
  const calls = commandLines.flatMap((line) => line.match(/(?:^|\s)paxlog (.+)$/)?.[1] ?? []);
  expect(calls.length).toBeGreaterThan(4);
  for (const call of calls) {
    const words = call.split(" ");
    const command = words.slice(0, words[0] === "bench" ? 2 : 1);
    const { stdout } = await run(process.execPath, [main.pathname, ...command, "--help"]);
    for (const flag of words.filter((word) => word.startsWith("--"))) expect(stdout, call).toContain(flag);
  }
});

test("every npm script that it names exists", () => {
  const named = [...readme.matchAll(/npm run ([\w:]+)/g)].map(([, name]) => name!);
  expect(named.length).toBeGreaterThan(2);
  for (const name of [...named, "start", "test"]) expect(scripts, name).toHaveProperty(name);
});

test("every page and folder that it links to is there", () => {
  for (const [, link] of readme.matchAll(/\]\(([^)#:]+)\)/g)) {
    expect(() => readFileSync(pathToFileURL(join(root.pathname, link!))), link).not.toThrow(/ENOENT/);
  }
});
