/**
 * Builds the addon into native/ (paxlog.<platform>.node and its loader index.cjs) where Rust is found. The addon is optional:
 * where it cannot be built, one line says why and its portable twin takes over. PAXLOG_SKIP_NATIVE=1 does not even try.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, renameSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const script = fileURLToPath(import.meta.url);
const directory = dirname(script);
const root = dirname(directory);
const loader = join(directory, "index.cjs");
const logFile = join(directory, "target/build.log");
const outputDirectory = join(directory, "target/addon");
const require = createRequire(import.meta.url);
/** A build takes half a minute; one that waits for a network that is not there must not hold up an install. */
const buildMsMax = 10 * 60_000;

if (process.env.PAXLOG_SKIP_NATIVE === "1") skip("PAXLOG_SKIP_NATIVE is set");
else if (isFresh()) process.exit(0);
else if (!cargoIsFound()) skip("no Rust was found (cargo, from https://rustup.rs)");
else build();

function skip(reason) {
  console.log(`paxlog: checksums and files are left to portable code, the native addon was not built: ${reason}`);
}

/** Whether the addon is newer than its sources and is one that this machine can load. */
function isFresh() {
  const sources = [script, join(directory, "Cargo.toml"), join(directory, "Cargo.lock"), join(directory, "build.rs")];
  const modules = readdirSync(join(directory, "src")).map((name) => join(directory, "src", name));
  if (Math.max(...[...sources, ...modules].map(modified)) > modified(loader)) return false;
  try {
    require(loader);
    return true;
  } catch {
    return false;
  }
}

function modified(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function cargoIsFound() {
  return spawnSync("cargo", ["--version"], { stdio: "ignore" }).status === 0;
}

function build() {
  const cli = join(
    dirname(require.resolve("@napi-rs/cli/package.json")),
    require("@napi-rs/cli/package.json").bin.napi,
  );
  const input = ["--manifest-path", join(directory, "Cargo.toml"), "--package-json-path", join(root, "package.json")];
  const output = ["--output-dir", outputDirectory, "--platform", "--js", "index.cjs", "--dts", "index.d.cts"];
  mkdirSync(outputDirectory, { recursive: true });
  const done = spawnSync(process.execPath, [cli, "build", "--release", ...input, ...output, "--", "--locked"], {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, CARGO_NET_RETRY: "1", CARGO_TERM_COLOR: "never" },
    timeout: buildMsMax,
  });
  if (done.status === 0) return putInPlace();
  const text = `${done.stdout ?? ""}${done.stderr ?? ""}`;
  mkdirSync(dirname(logFile), { recursive: true });
  writeFileSync(logFile, text);
  const reason = /^error.*$/m.exec(text)?.[0] ?? done.error?.message ?? `napi build exited with ${done.status}`;
  skip(`${reason} (all of it in ${relative(root, logFile)})`);
}

/** By renaming: a process that runs with the addon of before keeps that one. The loader comes last, being what isFresh looks at. */
function putInPlace() {
  const names = readdirSync(outputDirectory).sort((a, b) => Number(a === "index.cjs") - Number(b === "index.cjs"));
  for (const name of names) renameSync(join(outputDirectory, name), join(directory, name));
}
