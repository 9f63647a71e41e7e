import { cpSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { root } from "../tidy/sources.ts";

/** Copies an example to a directory of its own and puts the package beside it, as `npm install` would link it. */
export function copyExample(name: string, target: string): void {
  const skipped = /\/(node_modules|dist|data)$/;
  cpSync(join(root, "examples", name), target, { recursive: true, filter: (path) => !skipped.test(path) });
  const modules = join(target, "node_modules");
  mkdirSync(join(modules, "@types"), { recursive: true });
  symlinkSync(root, join(modules, "paxlog"));
  for (const tool of ["typescript", "@types/node"]) symlinkSync(join(root, "node_modules", tool), join(modules, tool));
}
