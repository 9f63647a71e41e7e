// A snapshot in a file: the next run begins with it, and reads only what came behind it.
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { MachineSnapshot } from "paxlog";

/** First line: what it is a snapshot of. Then the state. */
export async function writeSnapshot(file: string, { pieces, ...head }: MachineSnapshot): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.new`, Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), ...pieces]), { flush: true });
  await rename(`${file}.new`, file);
}

export async function readSnapshot(file: string): Promise<MachineSnapshot | undefined> {
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (bytes === undefined) return undefined;
  const end = bytes.indexOf("\n");
  const head = JSON.parse(bytes.toString("utf8", 0, end)) as Omit<MachineSnapshot, "pieces">;
  return { ...head, pieces: [bytes.subarray(end + 1)] };
}
