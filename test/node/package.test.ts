// Goal: what is published works where it is installed: ES modules, CommonJS, TypeScript of either kind, bundles. Method: the packed
// tarball, unpacked into an empty project beside the dependencies that it names. PAXLOG_TEST_NODES adds other versions of Node, as
// paths of their binaries with ":" between.
import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { rolldown } from "rolldown";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeTempDir, type TempDir } from "../cluster/harness.ts";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../../", import.meta.url));
const nodes = [process.execPath, ...(process.env.PAXLOG_TEST_NODES?.split(":") ?? [])];
const { dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  dependencies: Record<string, string>;
};

let temp: TempDir;
let project: string;

beforeAll(async () => {
  temp = makeTempDir();
  project = join(temp.path, "project");
  const modules = join(project, "node_modules");
  mkdirSync(modules, { recursive: true });
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "project", private: true }));
  await run("npm", ["pack", "--ignore-scripts", "--pack-destination", temp.path], { cwd: root });
  const tarball = readdirSync(temp.path).find((name) => name.endsWith(".tgz"))!;
  await run("tar", ["xzf", join(temp.path, tarball), "-C", temp.path]);
  renameSync(join(temp.path, "package"), join(modules, "paxlog"));
  for (const name of [...Object.keys(dependencies), "@types/node"]) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(root, "node_modules", name), join(modules, name));
  }
}, 120_000);

afterAll(() => {
  temp.remove();
});

/** Uses values and types of every kind, and prints what the tests expect. */
const body = `
  const options: OpenOptions = { dir: process.argv[2]! };
  const log: Log = await open(options);
  const { position }: Appended = await log.append({ type: "A", tags: ["t"], value: "x" });
  for await (const record of log.read({ from: position })) {
    const each: LogRecord = record;
    console.log(each.type, each.tags[0], Buffer.from(each.value).toString());
  }
  try {
    await connect("nowhere");
  } catch (error) {
    console.log(error instanceof PaxlogError && error.code, errorCodes.includes("FENCED"));
  }
  await log.close();`;
const imports = "connect, errorCodes, open, PaxlogError, type Appended, type Log, type LogRecord, type OpenOptions";
const programs = {
  mts: `import { ${imports} } from "paxlog";${body}`,
  cts: `import { ${imports} } from "paxlog";\nasync function main() {${body}\n}\nvoid main();`,
};
const printed = "A t x\nINVALID_ARGUMENT true\n";

const parsed = new Map<string, ts.SourceFile | undefined>();

/** Reads what TypeScript and Node declare once for all programs: it is the same in each, unlike whether a module is CommonJS. */
function hostOf(options: ts.CompilerOptions): ts.CompilerHost {
  const host = ts.createCompilerHost(options);
  const read = host.getSourceFile;
  host.getSourceFile = (file, languageVersion, ...more) => {
    if (!/\/typescript\/lib\//.test(file)) return read(file, languageVersion, ...more);
    if (!parsed.has(file)) parsed.set(file, read(file, languageVersion, ...more));
    return parsed.get(file);
  };
  return host;
}

/** Compiles with every check, those of libraries included, but for TypeScript's own; gives the faults. */
function compile(files: readonly string[], options: ts.CompilerOptions): string[] {
  const every: ts.CompilerOptions = {
    strict: true,
    target: ts.ScriptTarget.ES2022,
    types: ["node"],
    typeRoots: [join(project, "node_modules/@types")],
    skipLibCheck: false,
    skipDefaultLibCheck: true,
    ...options,
  };
  const program = ts.createProgram(files, every, hostOf(every));
  const faults = [...ts.getPreEmitDiagnostics(program), ...program.emit().diagnostics];
  return faults.map((fault) => ts.flattenDiagnosticMessageText(fault.messageText, " "));
}

async function outputOf(node: string, file: string, ...args: string[]): Promise<{ stdout: string; stderr: string }> {
  const dir = join(project, `log-${Math.random()}`);
  return await run(node, [file, dir, ...args], { cwd: project });
}

describe("the package", { timeout: 120_000 }, () => {
  test("holds what it needs to run and nothing else", () => {
    const files = readdirSync(join(project, "node_modules/paxlog"), { recursive: true }) as string[];
    for (const needed of ["dist/index.js", "dist/index.cjs", "dist/index.d.cts", "dist/node/worker.js", "LICENSE"]) {
      expect(files).toContain(needed);
    }
    expect(files).toContain("proto/paxlog/v1/log.proto");
    expect(files.filter((file) => /^(src|test|bench|docs|node_modules)|\.tsbuildinfo$|\.map$/.test(file))).toEqual([]);
  });

  test.each(nodes)("works from ES modules and from CommonJS, without a warning, on %s", async (node) => {
    const erased = (text: string) =>
      text.replaceAll(/: (OpenOptions|Log|Appended|LogRecord)\b|, type \w+|(?<=\])!/g, "");
    writeFileSync(join(project, "run.mjs"), erased(programs.mts));
    const required = erased(programs.cts).replace(/import (\{[^}]*\}) from ("paxlog")/, "const $1 = require($2)");
    writeFileSync(join(project, "run.cjs"), required);
    expect(await outputOf(node, "run.mjs")).toEqual({ stdout: printed, stderr: "" });
    expect(await outputOf(node, "run.cjs")).toEqual({ stdout: printed, stderr: "" });
    const { stdout } = await run(node, [join(project, "node_modules/paxlog/dist/cli/main.js"), "--help"]);
    expect(stdout).toContain("serve");
  });

  test("names the same values to `require` as to `import`", async () => {
    writeFileSync(join(project, "names.mjs"), `import * as all from "paxlog"; console.log(Object.keys(all).join());`);
    const names = (await outputOf(process.execPath, "names.mjs")).stdout.trim().split(",");
    const types = readFileSync(join(project, "node_modules/paxlog/dist/index.d.cts"), "utf8");
    const declared = [...types.matchAll(/export declare const (\w+)/g)].map(([, name]) => name!);
    expect(declared.sort()).toEqual(names.sort());
  });

  test.each<[string, ts.CompilerOptions]>([
    ["node16", { module: ts.ModuleKind.Node16 }],
    ["nodenext", { module: ts.ModuleKind.NodeNext }],
    ["bundler", { module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler }],
  ])("has types for TypeScript's modules %s", async (name, options) => {
    // A bundler takes no CommonJS of TypeScript.
    const extensions = name === "bundler" ? (["mts"] as const) : (["mts", "cts"] as const);
    const files = extensions.map((extension) => join(project, `${name}.${extension}`));
    for (const [index, extension] of extensions.entries()) writeFileSync(files[index]!, programs[extension]);
    expect(compile(files, options)).toEqual([]);
    for (const file of files) {
      expect((await outputOf(process.execPath, file.replace(/ts$/, "js"))).stdout, file).toBe(printed);
    }
  });

  test.each(["threads", "no threads"])("can be bundled: %s", async (threads) => {
    const options = threads === "threads" ? `workerUrl: new URL("./worker.js", import.meta.url)` : "threads: false";
    const entry = join(project, `bundled.mjs`);
    const program = `import { open } from "paxlog";
      const log = await open({ dir: process.argv[2], ${options} });
      console.log((await log.append({ value: "x" })).position);
      await log.close();`;
    writeFileSync(entry, program);
    const input = { bundled: entry, worker: join(project, "node_modules/paxlog/dist/node/worker.js") };
    const bundle = await rolldown({ input, platform: "node", logLevel: "silent" });
    // Elsewhere than the package: nothing of it can be found by accident.
    const dir = join(temp.path, `bundle-${threads.replace(" ", "-")}`);
    await bundle.write({ dir, format: "esm" });
    writeFileSync(join(dir, "package.json"), `{ "type": "module" }`);
    const url = pathToFileURL(join(dir, "bundled.js"));
    expect(await outputOf(process.execPath, fileURLToPath(url))).toEqual({ stdout: "1\n", stderr: "" });
  });
});
