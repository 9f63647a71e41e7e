/** The project's own files, read once for the tests that look at text. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export interface Source {
  /** From the root, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

const madeByTools = new Set(["generated", "target", "node_modules"]);

/** Files with one of the endings below a folder, without what tools make. */
export function sourcesIn(folder: string, ...endings: string[]): Source[] {
  const found: Source[] = [];
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!madeByTools.has(entry.name)) found.push(...sourcesIn(path, ...endings));
    } else if (endings.some((ending) => entry.name.endsWith(ending))) {
      found.push({ path: relative(".", path).replaceAll("\\", "/"), text: readFileSync(join(root, path), "utf8") });
    }
  }
  return found;
}

export function parse(source: Source): ts.SourceFile {
  return ts.createSourceFile(source.path, source.text, ts.ScriptTarget.ES2023, true);
}

/** `path:line` of a node, as editors and terminals open it. */
export function placeOf(node: ts.Node): string {
  const file = node.getSourceFile();
  return `${file.fileName}:${file.getLineAndCharacterOfPosition(node.getStart()).line + 1}`;
}

/** Calls `visit` for a node and all below it. */
export function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node);
  ts.forEachChild(node, (child) => walk(child, visit));
}
