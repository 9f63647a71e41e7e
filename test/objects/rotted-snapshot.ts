import { readFileSync, writeFileSync } from "node:fs";

const headerBytes = 128;

/** Turns a bit of a machine's snapshot around, as a disk does that lost it. */
export function flipByte(path: string, where: "header" | "state"): void {
  const bytes = readFileSync(path);
  const at = where === "header" ? 16 : headerBytes + Math.floor((bytes.length - headerBytes) / 2);
  bytes[at]! ^= 1;
  writeFileSync(path, bytes);
}
