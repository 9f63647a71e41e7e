import { readFileSync } from "node:fs";

/** The version of this package, as its package.json has it; "unknown" in a bundle, which has none beside it. */
export function packageVersion(): string {
  try {
    const file = new URL("../../package.json", import.meta.url);
    const { version } = JSON.parse(readFileSync(file, "utf8")) as { readonly version: string };
    return version;
  } catch {
    return "unknown";
  }
}
