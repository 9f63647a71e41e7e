/**
 * Makes src/format/generated/wire.{js,d.ts} from all the .proto files beside this script; does nothing where they are newer.
 * With --copy: copies them into dist/, where the compiler does not put them.
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, renameSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const script = fileURLToPath(import.meta.url);
const protoDirectory = dirname(script);
const root = dirname(protoDirectory);
const generated = join(root, "src/format/generated");
const distributed = join(root, "dist/format/generated");
const names = ["wire.js", "wire.d.ts"];

if (process.argv.includes("--copy")) copy();
else if (isStale()) generate();

function copy() {
  mkdirSync(distributed, { recursive: true });
  for (const name of names) copyFileSync(join(generated, name), join(distributed, name));
}

/** Whether an output is missing or an input is newer; folders are inputs too, because a removed file makes them newer. */
function isStale() {
  const made = names.map((name) => modified(join(generated, name)));
  const inputs = [script, join(root, "package-lock.json"), protoDirectory, ...entries()];
  return Math.max(...inputs.map(modified)) > Math.min(...made);
}

function modified(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** All that is below proto/, in an order that does not depend on the file system. */
function entries() {
  const names = readdirSync(protoDirectory, { recursive: true }).sort();
  return names.map((name) => join(protoDirectory, name));
}

/** Written beside the outputs and renamed, so that nobody who builds or tests at the same time loads half a file. */
function generate() {
  mkdirSync(generated, { recursive: true });
  const temporary = `wire-${process.pid}`;
  const generator = createRequire(import.meta.url).resolve("protobufjs-cli/bin/pbjs");
  const target = [
    "--target",
    "static-module",
    "--wrap",
    "esm",
    "--dependency",
    "protobufjs/minimal.js",
    "--root",
    "paxlog",
  ];
  const omit = ["--no-verify", "--no-delimited", "--no-typeurl", "--no-service"];
  const output = ["--dts", "--out", join(generated, `${temporary}.js`)];
  const inputs = entries().filter((path) => path.endsWith(".proto"));
  execFileSync(process.execPath, [generator, ...target, ...omit, "--path", protoDirectory, ...output, ...inputs], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  for (const name of names) renameSync(join(generated, name.replace("wire", temporary)), join(generated, name));
}
