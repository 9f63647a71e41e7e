/**
 * Makes src/format/generated/ from all the .proto files beside this script: wire.{js,d.ts}, the messages, and descriptors.{js,d.ts}
 * for the reflection service, of the files that clients see. Does nothing where they are newer.
 * With --copy: copies them into dist/, and the entry for CommonJS with its types, since the compiler does neither.
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, renameSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { descriptorModule } from "./descriptors.mjs";

const script = fileURLToPath(import.meta.url);
const protoDirectory = dirname(script);
const root = dirname(protoDirectory);
const generated = join(root, "src/format/generated");
const distributed = join(root, "dist/format/generated");
const wireNames = ["wire.js", "wire.d.ts"];
const names = [...wireNames, "descriptors.js", "descriptors.d.ts"];
/** Of the nodes among themselves: no concern of clients. */
const internal = ["paxlog/v1/peer.proto"];

const descriptorTypes = `/** A .proto file that clients see. */
export interface DescriptorFile {
  readonly name: string;
  readonly imports: readonly string[];
  /** Full names, as are the symbols. */
  readonly services: readonly string[];
  readonly symbols: readonly string[];
  /** Its google.protobuf.FileDescriptorProto in base64. */
  readonly bytes: string;
}
export const descriptorFiles: readonly DescriptorFile[];
`;

if (process.argv.includes("--copy")) copy();
else if (isStale()) generate();

function copy() {
  mkdirSync(distributed, { recursive: true });
  for (const name of names) copyFileSync(join(generated, name), join(distributed, name));
  for (const name of ["index.cjs", "index.d.cts"]) copyFileSync(join(root, "src", name), join(root, "dist", name));
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
  const found = readdirSync(protoDirectory, { recursive: true }).sort();
  return found.map((name) => join(protoDirectory, name));
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
  const omit = ["--no-verify", "--no-delimited", "--no-typeurl", "--no-service", "--no-convert"];
  const output = ["--dts", "--out", join(generated, `${temporary}.js`)];
  const inputs = entries().filter((path) => path.endsWith(".proto"));
  execFileSync(process.execPath, [generator, ...target, ...omit, "--path", protoDirectory, ...output, ...inputs], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  for (const name of wireNames) renameSync(join(generated, name.replace("wire", temporary)), join(generated, name));
  const published = inputs.map((path) => relative(protoDirectory, path).split(sep).join("/"));
  write(
    "descriptors.js",
    descriptorModule(
      protoDirectory,
      published.filter((name) => !internal.includes(name)),
    ),
  );
  write("descriptors.d.ts", descriptorTypes);
}

function write(name, text) {
  const temporary = join(generated, `${name}-${process.pid}`);
  writeFileSync(temporary, text);
  renameSync(temporary, join(generated, name));
}
