// Goal: what machines save counts against the quota of their node. A state that does not fit is not written and is noted, the one before it
// stands, and the log goes on. Method: the built files, with a machine whose state is as long as a command says.
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { limits } from "../../src/base/limits.ts";
import { defineMachine } from "../../src/machine/machine.ts";
import { open, temp } from "./opened-logs.ts";

const MiB = 1024 * 1024;

const text = `export const machine = {
  name: "long",
  version: 1,
  create: () => ({ length: 0 }),
  apply: (state, length) => { state.length = length; return length; },
  ask: (state) => state.length,
  save: (state) => [Buffer.alloc(state.length)],
  load: (pieces) => ({ length: Buffer.concat([...pieces]).length }),
};
`;

/** For the handle only: the node has the code. */
const long = defineMachine({
  name: "long",
  version: 1,
  create: () => ({ length: 0 }),
  apply: (_state, command: number) => command,
  ask: (state, _question: "length") => state.length,
  save: () => [],
  load: () => ({ length: 0 }),
});

test("a state that the quota has no room for is not written, and is noted; the one before it stands, and the log goes on", {
  timeout: 180_000,
}, async () => {
  const file = join(temp.path, "long.mjs");
  writeFileSync(file, text);
  const notes: string[] = [];
  const dir = join(temp.path, "log");
  const small = { dir, machines: [file], segmentBytes: MiB, quotaBytes: 16 * MiB };
  const once = await open(small);
  await once.machine(long, { on: "nodes" }).execute(1000);
  await once.close();
  const before = readdirSync(join(dir, "machines", "long"));
  expect(before).not.toEqual([]);
  const log = await open({ ...small, onNote: (note) => void notes.push(note) });
  const handle = log.machine(long, { on: "nodes" });
  // As many as it takes to a point, at which the state is saved.
  await Promise.all(Array.from({ length: limits.machinePointCommands }, () => handle.execute(32 * MiB)));
  await vi.waitFor(() => expect(notes.join("\n")).toContain("could not be saved: the quota of 16777216 bytes"), 30_000);
  expect(readdirSync(join(dir, "machines", "long"))).toEqual(before);
  expect(await handle.ask("length")).toBe(32 * MiB);
  expect(await handle.execute(1000)).toBe(1000);
  await log.append({ value: "goes on" });
  await log.close();

  // What is saved counts from the start on too: in a quota that it nearly fills the log has no room.
  const large = await open({ ...small, quotaBytes: 64 * MiB });
  await large.machine(long, { on: "nodes" }).execute(7 * MiB);
  await large.close();
  const full = await open({ ...small, quotaBytes: 8 * MiB, onNote: (note) => void notes.push(note) });
  expect(await full.machine(long, { on: "nodes" }).ask("length")).toBe(7 * MiB);
  // Without that there were room for all of these.
  const fill = async (): Promise<void> => {
    for (let segment = 0; segment < 6; segment += 1) await full.append({ value: Buffer.alloc(300_000) });
  };
  await expect(fill()).rejects.toMatchObject({ code: "NO_SPACE" });
  expect(notes.join("\n")).toContain("no room is left for");
});
