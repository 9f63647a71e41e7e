import { spawn } from "node:child_process";

const library = new URL("../../dist/index.js", import.meta.url).href;

export interface ScriptResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly tookMs: number;
}

/** Runs a program of its own that has `open` and `connect`, to its own end. */
export function runScript(program: string, args: readonly string[] = []): Promise<ScriptResult> {
  const text = `import { connect, open } from ${JSON.stringify(library)};\n${program}`;
  const flags = ["--input-type=module", "-e", text, "--", ...args];
  const child = spawn(process.execPath, flags, { stdio: ["ignore", "pipe", "pipe"] });
  const began = performance.now();
  const timer = setTimeout(() => child.kill("SIGKILL"), 55_000);
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (part: string) => {
    stdout += part;
  });
  child.stderr.setEncoding("utf8").on("data", (part: string) => {
    stderr += part;
  });
  return new Promise((resolve) => {
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve({ code, stdout, stderr, tookMs: performance.now() - began });
    });
  });
}
