// Goal: what README tells a stranger to type works. Method: its example runs against a real node; its commands must exist, with the
// flags that it gives them.
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { Running } from "../cluster/harness.ts";

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

test("the example appends and reads on a node that runs", { timeout: 60_000 }, async () => {
  const example = blocks.find(({ language }) => language === "ts");
  expect(example).toBeDefined();
  const directory = mkdtempSync(join(tmpdir(), "paxlog-readme-"));
  const node = new Running(["serve", "--dir", join(directory, "node"), "--listen", "127.0.0.1:0", "--json"]);
  try {
    const address = (await node.line(0)).address as string;
    const library = new URL("dist/index.js", root).href;
    const program = example!.text.replace('"paxlog"', JSON.stringify(library)).replace("127.0.0.1:7100", address);
    const file = join(directory, "example.mjs");
    writeFileSync(file, program);
    const { stdout } = await run(process.execPath, [file]);
    expect(stdout.trim().split("\n")).toEqual([
      "1 OrderPlaced 2 apples",
      "2 undefined one",
      "3 undefined two",
      "2 3 { head: 1, tail: 4 }",
    ]);
  } finally {
    await node.stop();
    rmSync(directory, { recursive: true });
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
