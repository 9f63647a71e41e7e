// The append benchmark, as the command line runs it: `node bench/append.mjs --nodes 3 --json`. Build first.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const child = spawn(process.execPath, [main, "bench", "append", ...process.argv.slice(2)], { stdio: "inherit" });
child.on("exit", (code, signal) => {
  process.exitCode = code ?? (signal === null ? 1 : 128);
});
