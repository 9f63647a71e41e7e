/**
 * Goal: what a reader relies on without checking: one word per thing, sizes that fit a screen, no loose ends, and no error
 * code or dependency without its line in the documentation.
 * Method: read all sources as text or as a syntax tree and list the faults with their places.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import { parse, placeOf, root, type Source, sourcesIn, walk } from "./sources.ts";

/** The formatter breaks code at 120; comments, and languages that it does not know, have a little more. */
const columnsMax = 140;
const fileLinesMax = 500;
const functionLinesMax = 70;

/** Words of other systems for things that have a name here (docs/glossary.md). */
const foreignWords: Readonly<Record<string, string>> = {
  commitIndex: "decidedEnd",
  committed: "decided",
  term: "ballot",
  currentTerm: "promised",
  instanceId: "slot",
  lsn: "position",
  truncate: "trim (prefix) or replace (suffix)",
  msg: "message",
};

const loose = /\b(TODO|FIXME|XXX|HACK)\b/;

const product = sourcesIn("src", ".ts");
const tests = sourcesIn("test", ".ts");
const rest = [
  ...sourcesIn("proto", ".proto", ".mjs"),
  ...sourcesIn("native", ".rs", ".mjs", "Cargo.toml"),
  ...sourcesIn("bench", ".ts", ".mjs"),
  ...sourcesIn("soak", ".ts"),
];
const all = [...product, ...tests, ...rest];
const otherThanThis = all.filter((source) => !source.path.startsWith("test/tidy/"));

function linesOf(source: Source): string[] {
  return source.text.replace(/\n$/, "").split("\n");
}

function linesThat(sources: readonly Source[], is: (line: string) => boolean): string[] {
  return sources.flatMap((source) =>
    linesOf(source).flatMap((line, index) => (is(line) ? [`${source.path}:${index + 1} ${line.trim()}`] : [])),
  );
}

function foreignWordsIn(source: Source): string[] {
  const found: string[] = [];
  walk(parse(source), (node) => {
    if (!ts.isIdentifier(node) || !Object.hasOwn(foreignWords, node.text)) return;
    found.push(`${placeOf(node)} ${node.text}: say ${foreignWords[node.text]}`);
  });
  return found;
}

/** Functions of the product; a test's callback may hold a whole story. A switch over a union is as long as the union is. */
function longFunctionsIn(source: Source): string[] {
  const found: string[] = [];
  walk(parse(source), (node) => {
    if (!ts.isFunctionLike(node) || !("body" in node) || node.body === undefined) return;
    const switches = ts.isBlock(node.body) ? node.body.statements.filter(ts.isSwitchStatement) : [];
    const lines = switches.reduce((count, statement) => count - lineCount(statement), lineCount(node));
    if (lines > functionLinesMax) found.push(`${placeOf(node)} has ${lines} lines`);
  });
  return found;
}

function lineCount(node: ts.Node): number {
  return node.getText().split("\n").length;
}

/** The names in the tables [dependencies] and [build-dependencies]. */
function cratesOf(manifest: string): string[] {
  const tables = manifest.split(/^(?=\[)/m).filter((table) => /^\[(build-)?dependencies\]/.test(table));
  return tables.flatMap((table) => [...table.matchAll(/^([a-z0-9-]+) =/gm)].map((match) => match[1]!));
}

function read(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

describe("the sources", () => {
  test("are all read", () => {
    expect(product.length).toBeGreaterThan(50);
    expect(tests.length).toBeGreaterThan(10);
    expect(rest.length).toBeGreaterThan(5);
  });

  test(`have no line over ${columnsMax} columns, but for strings that cannot be broken`, () => {
    expect(linesThat(all, (line) => line.length > columnsMax && !/["'`]/.test(line))).toEqual([]);
  });

  test(`have no file over ${fileLinesMax} lines in the product`, () => {
    const long = product.filter((source) => linesOf(source).length > fileLinesMax);
    expect(long.map((source) => `${source.path} has ${linesOf(source).length} lines`)).toEqual([]);
  });

  test(`have no function over ${functionLinesMax} lines in the product`, () => {
    expect(product.flatMap(longFunctionsIn)).toEqual([]);
  });

  test("have no loose ends", () => {
    expect(linesThat(otherThanThis, (line) => loose.test(line))).toEqual([]);
  });

  test("use the words of the glossary", () => {
    expect(product.flatMap(foreignWordsIn)).toEqual([]);
  });

  test("are watched by checks that see a breach", () => {
    const long = `function f() {\n${"  g();\n".repeat(functionLinesMax)}}`;
    expect(longFunctionsIn({ path: "example.ts", text: long })).toHaveLength(1);
    expect(foreignWordsIn({ path: "example.ts", text: "const term = 1; // commitIndex" })).toHaveLength(1);
    expect(linesThat([{ path: "example.ts", text: "a\n// TODO b\n" }], (line) => loose.test(line))).toEqual([
      "example.ts:2 // TODO b",
    ]);
  });
});

describe("the documentation", () => {
  test("has one line in the glossary for each word", () => {
    const words = [...read("docs/glossary.md").matchAll(/^\| ([^|]+?) \|/gm)].map((match) => match[1]!);
    expect(words.length).toBeGreaterThan(40);
    expect(words.filter((word, index) => words.indexOf(word) !== index)).toEqual([]);
  });

  test("has a line with the reason for every dependency, and none for one that is gone", () => {
    const manifest = JSON.parse(read("package.json"));
    const packages = Object.keys({ ...manifest.dependencies, ...manifest.devDependencies });
    const crates = cratesOf(read("native/Cargo.toml"));
    const ofPython = [...read("examples/python/requirements.txt").matchAll(/^([\w-]+)==[\d.]+$/gm)].map(
      (match) => match[1]!,
    );
    const lines = [...read("docs/dependencies.md").matchAll(/^\| `([^`]+)` \| .{20,} \|$/gm)].map((match) => match[1]);
    expect(lines.toSorted()).toEqual([...packages, ...crates, ...ofPython].toSorted());
  });
});
