// Goal: the completion scripts offer what the command line takes, and nothing else, in every shell that is here. Method: the shells
// themselves, asked for what they would offer behind a line; what is right comes from the help texts.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeTempDir, runCli, type TempDir } from "../cluster/harness.ts";

const shells = ["bash", "zsh", "fish"] as const;
type Shell = (typeof shells)[number];

const isHere = (shell: Shell) => spawnSync(shell, ["-c", "true"]).status === 0;
const withBash = test.skipIf(!isHere("bash"));
const withZsh = test.skipIf(!isHere("zsh"));
const withFish = test.skipIf(!isHere("fish"));

let temp: TempDir;

beforeAll(async () => {
  temp = makeTempDir();
  mkdirSync(join(temp.path, "a folder"));
  writeFileSync(join(temp.path, "a file"), "");
  for (const shell of shells) writeFileSync(script(shell), (await runCli(["completion", shell])).stdout);
});

afterAll(() => temp.remove());

const script = (shell: Shell) => join(temp.path, `paxlog.${shell}`);

/** Calls the function as readline does: with the line in words, broken at = and : too. */
const askBash = `source "$1"
COMP_WORDS=("\${@:2}")
COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
_paxlog
printf '%s\\n' "\${COMPREPLY[@]}"`;

function offeredByBash(words: readonly string[]): string[] {
  const args = ["--norc", "-c", askBash, "bash", script("bash"), "paxlog", ...words];
  return lines(execFileSync("bash", args, { cwd: temp.path, encoding: "utf8" }));
}

function offeredByFish(line: string): string[] {
  const ask = `source ${script("fish")}; complete -C "paxlog ${line}"`;
  const environment = { ...process.env, HOME: temp.path };
  const answer = execFileSync("fish", ["-c", ask], { cwd: temp.path, encoding: "utf8", env: environment });
  return lines(answer).map((offered) => offered.split("\t")[0]!);
}

const lines = (text: string) => text.split("\n").filter((line) => line !== "");

/** What a help text lists, read from it: commands, or the long names of options. */
async function listed(command: readonly string[], what: "commands" | "options"): Promise<string[]> {
  const { stdout } = await runCli([...command, "--help"]);
  const pattern = what === "commands" ? /^ {2}([a-z]+) .*$/gm : /^ {2}(?:-\w, )?(--[a-z-]+).*$/gm;
  const heading = what === "commands" ? "Commands:" : "Options:";
  const section = stdout.split(`${heading}\n`)[1]!.split("\n\n")[0]!;
  return [...section.matchAll(pattern)].map((match) => match[1]!);
}

const commands = [
  "serve",
  "cluster",
  "append",
  "read",
  "tail",
  "status",
  "fence",
  "counter add",
  "register swap",
  "space list",
  "lock",
  "bench append",
  "bench objects",
  "demo",
  "completion",
];

withBash("bash offers every command, and below each one its options", { timeout: 120_000 }, async () => {
  expect(offeredByBash([""]).sort()).toEqual((await listed([], "commands")).sort());
  expect(offeredByBash(["bench", ""])).toEqual(["append", "objects", "help"]);
  for (const command of commands) {
    const words = command.split(" ");
    expect(offeredByBash([...words, "--"]).sort(), command).toEqual((await listed(words, "options")).sort());
  }
});

withBash.each([
  ["the rest of a command", ["sta"], ["status"]],
  ["the rest of an option", ["read", "--fo"], ["--follow"]],
  ["the choices of a value", ["serve", "--hashing", ""], ["auto", "native", "portable"]],
  ["the choices of a value behind =", ["serve", "--hashing", "=", "n"], ["native"]],
  ["all choices right behind =", ["serve", "--hashing", "="], ["auto", "native", "portable"]],
  ["nothing for a value that only the user knows", ["append", "--to", ""], []],
  ["nothing inside of an address", ["append", "--to", "localhost", ":", ""], []],
  ["folders where an option takes one", ["serve", "--dir", "a "], ["a folder"]],
  ["files where an argument is one", ["append", "--type", "x", "a "], ["a file", "a folder"]],
  ["options behind a value that is named like a command", ["append", "--type", "serve", "--js"], ["--json"]],
  [
    "options where nothing else can stand",
    ["status", "--to", "localhost:1", "--json", ""],
    ["--to", "--json", "--help"],
  ],
  ["the shells it is made for", ["completion", ""], [...shells]],
  ["commands behind help", ["help", "ser"], ["serve"]],
] as const)("bash offers %s", (_, words, offered) => {
  const got = offeredByBash(words).filter((word) => word !== "-h");
  expect(got.sort()).toEqual([...offered].sort());
});

withFish("fish offers every command, option and choice", { timeout: 120_000 }, async () => {
  expect(offeredByFish("").sort()).toEqual((await listed([], "commands")).sort());
  for (const command of commands) {
    const options = await listed(command.split(" "), "options");
    expect(offeredByFish(`${command} --`).sort(), command).toEqual(options.sort());
  }
  expect(offeredByFish("serve --hashing ")).toEqual(["auto", "native", "portable"]);
  expect(offeredByFish("serve --dir a")).toEqual(["a folder/"]);
  expect(offeredByFish("append --to ")).toEqual([]);
});

withZsh("zsh takes the script for paxlog", () => {
  execFileSync("zsh", ["-n", script("zsh")]);
  const ask = 'autoload -Uz compinit; compinit -u -D; source "$1"; print $_comps[paxlog]';
  expect(execFileSync("zsh", ["-f", "-c", ask, "zsh", script("zsh")], { encoding: "utf8" })).toBe("_paxlog\n");
});

test("a shell that it does not know is wrong usage", async () => {
  const result = await runCli(["completion", "tcsh"]);
  expect(result.code).toBe(2);
  expect(result.stderr).toMatch(/Allowed choices are bash, zsh, fish/);
});
