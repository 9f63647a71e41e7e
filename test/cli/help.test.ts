// Goal: help that is read by a program which takes its first line alone ends as quietly as any result does.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

test.each([[["--help"]], [["tail", "--help"]], [[]]])(
  "paxlog %j whose reader has gone says nothing of it",
  async (args) => {
    const child = spawn(process.execPath, [main, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.destroy();
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (part: string) => {
      stderr += part;
    });
    const [code] = await once(child, "close");
    expect(stderr).not.toContain("EPIPE");
    expect(code).toBe(args.length === 0 ? 2 : 0);
  },
);
