/**
 * Goal: imports go down only, and the layers that are pure stay so.
 * Method: read the imports of every file of src/, `import type`, `export from` and `import()` included, and the words of the
 * pure layers.
 */
import { dirname, join } from "node:path/posix";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import { parse, placeOf, type Source, sourcesIn, walk } from "./sources.ts";

/** The folder's level. Folders on one level do not know each other, save those that `allowed` names. */
const levels: Readonly<Record<string, number>> = {
  base: 0,
  native: 0,
  core: 1,
  sequencer: 1,
  machine: 1,
  linearizability: 1,
  format: 2,
  storage: 3,
  transport: 3,
  client: 3,
  testing: 3,
  runtime: 4,
  objects: 4,
  node: 5,
  simulator: 5,
  cli: 6,
  "index.ts": 6,
};

/** The loader of hashing has the types of base; the sequencer of the log fulfils the core's interface; its model speaks of guards. */
const allowed = new Set(["native -> base", "sequencer -> core", "linearizability -> core"]);

/** They take what they need as an argument, so that the simulator may hand them anything. */
const withoutPlatform = new Set(["base", "format", "core", "sequencer", "machine", "linearizability"]);
/** One event in, a list of effects out: no clock, no chance, nothing that happens later. */
const deterministic = new Set(["core", "sequencer", "machine"]);
const wordsOfChance = new Set(
  `Date Promise async await setTimeout setInterval setImmediate queueMicrotask performance process crypto`.split(" "),
);

const files = sourcesIn("src", ".ts");
const folderOf = (path: string): string => path.split("/")[1]!;

interface Import {
  readonly from: Source;
  readonly target: string;
}

const imports: Import[] = files.flatMap((from) =>
  ts.preProcessFile(from.text, true, true).importedFiles.map((file) => ({ from, target: file.fileName })),
);

function faultOf({ from, target }: Import): string | undefined {
  const own = folderOf(from.path);
  if (!target.startsWith(".")) {
    return target.startsWith("node:") && withoutPlatform.has(own) ? `${from.path} imports ${target}` : undefined;
  }
  const other = folderOf(join(dirname(from.path), target));
  if (other === own || allowed.has(`${own} -> ${other}`)) return undefined;
  return levels[other]! < levels[own]! ? undefined : `${from.path} imports ${target}`;
}

function chanceIn(source: Source): string[] {
  const found: string[] = [];
  walk(parse(source), (node) => {
    const isWord = ts.isIdentifier(node) || node.kind === ts.SyntaxKind.AsyncKeyword || ts.isAwaitExpression(node);
    const word = ts.isAwaitExpression(node) ? "await" : node.getText();
    if (isWord && wordsOfChance.has(word)) found.push(`${placeOf(node)} ${word}`);
    if (ts.isPropertyAccessExpression(node) && node.getText() === "Math.random")
      found.push(`${placeOf(node)} Math.random`);
  });
  return found;
}

describe("the layers", () => {
  test("have a level for every folder", () => {
    expect(files.length).toBeGreaterThan(50);
    expect(new Set(files.map((file) => folderOf(file.path)).filter((folder) => levels[folder] === undefined))).toEqual(
      new Set(),
    );
  });

  test("import downwards only, and nothing of the platform where they are pure", () => {
    expect(imports.length).toBeGreaterThan(100);
    expect(imports.map(faultOf).filter((fault) => fault !== undefined)).toEqual([]);
  });

  test("of the core have no clock, no randomness and no promise", () => {
    const pure = files.filter((file) => deterministic.has(folderOf(file.path)));
    expect(pure.length).toBeGreaterThan(10);
    expect(pure.flatMap(chanceIn)).toEqual([]);
  });

  test("are watched by checks that see a breach", () => {
    const up: Source = { path: "src/core/example.ts", text: "" };
    expect(faultOf({ from: up, target: "../storage/store.ts" })).toContain("../storage/store.ts");
    expect(faultOf({ from: up, target: "node:fs" })).toContain("node:fs");
    expect(faultOf({ from: { path: "src/client/a.ts", text: "" }, target: "../transport/windows.ts" })).toBeDefined();
    expect(faultOf({ from: up, target: "../base/types.ts" })).toBeUndefined();
    const text = "async function f() { await 0; new Date(); return Math.random(); } // Date of a comment";
    expect(chanceIn({ path: "src/core/example.ts", text }).map((fault) => fault.split(" ")[1])).toEqual([
      "async",
      "await",
      "Date",
      "Math.random",
    ]);
  });
});
