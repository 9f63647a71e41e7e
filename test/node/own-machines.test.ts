// Goal: machines and procedures of the user's run on a node beside everything else; what is wrong with one of them harms nothing but it.
// Method: the built files, with machines in files of a test's own; a client of ObjectService as any language has it.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { defined } from "../../src/base/assert.ts";
import { unaryCall } from "../../src/client/call.ts";
import { GrpcChannel } from "../../src/client/grpc-channel.ts";
import { encodeBatch } from "../../src/format/batch-encode.ts";
import type { MachineStatus } from "../../src/format/machine-status.ts";
import {
  type CommandReply,
  executeRequestCodec,
  executeResponseCodec,
  listMachinesRequestCodec,
  listMachinesResponseCodec,
  objectServicePaths,
} from "../../src/format/object-codec.ts";
import type { NodeConfig, NodeHooks, RunningNode, startNode as StartNode } from "../../src/node/node.ts";
import { makeTempDir, type TempDir } from "../cluster/harness.ts";

const built = "../../dist/node/node.js";
const { startNode } = (await import(built)) as { startNode: typeof StartNode };

let temp: TempDir;
let node: RunningNode | undefined;
let channel: GrpcChannel;
let notes: string[];

beforeEach(() => {
  temp = makeTempDir();
});
afterEach(async () => {
  channel.close();
  await node?.close();
  node = undefined;
  temp.remove();
});

function file(name: string, text: string): string {
  const path = join(temp.path, name);
  writeFileSync(path, text);
  return path;
}

const machineText = (name: string, version: number, apply: string): string => `export const machine = {
  name: "${name}",
  version: ${version},
  create: () => ({ total: 0 }),
  apply: (state, command) => { ${apply} },
  ask: (state) => state.total,
  save: (state) => [Buffer.from(JSON.stringify(state))],
  load: (pieces) => JSON.parse(Buffer.concat([...pieces]).toString()),
};
`;

const adding = "state.total += command; return state.total;";

async function start(config: Partial<NodeConfig>): Promise<void> {
  notes = [];
  const hooks: NodeHooks = { onNote: (text) => void notes.push(text) };
  node = await startNode({ dir: join(temp.path, "node"), listen: "127.0.0.1:0", ...config }, hooks);
  channel = new GrpcChannel(node.clientAddress);
}

async function stop(): Promise<void> {
  channel.close();
  await node?.close();
}

const call = { deadlineMs: 20_000, signal: undefined } as const;

/** Tries again while nobody leads. */
async function execute(machine: string, command: unknown): Promise<unknown> {
  const batch = encodeBatch([{ type: `$${machine}`, value: JSON.stringify(command) }]);
  const request = executeRequestCodec.encode({ logId: 1, batch, crc32c: undefined });
  const { path, decode } = { path: objectServicePaths.execute, decode: executeResponseCodec.decode };
  for (;;) {
    try {
      const { replies } = await unaryCall(channel, { path, request, decode, ...call });
      const reply: CommandReply = defined(replies[0], "a reply");
      return reply.kind === "reply" ? JSON.parse(Buffer.from(reply.reply).toString()) : reply.error.code;
    } catch (cause) {
      const { code } = cause as { code: string };
      if (code !== "NOT_LEADER" && code !== "LEADER_LOST" && code !== "UNAVAILABLE") return code;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

async function list(): Promise<readonly MachineStatus[]> {
  const request = listMachinesRequestCodec.encode({});
  const { path, decode } = { path: objectServicePaths.listMachines, decode: listMachinesResponseCodec.decode };
  return (await unaryCall(channel, { path, request, decode, ...call })).machines;
}

test("a machine of a file runs, is activated, and stops where its code is another one", {
  timeout: 60_000,
}, async () => {
  await start({ machines: [file("sum.mjs", machineText("sum", 1, adding))] });
  expect([await execute("sum", 2), await execute("sum", 3)]).toEqual([2, 5]);
  await stop();
  await start({ machines: [file("changed.mjs", machineText("sum", 1, `${adding} /* changed */`))] });
  expect(await execute("sum", 1)).toBe("MACHINE_STOPPED");
  expect(notes.join("\n")).toContain("start it with the code that the others have");
  await stop();
  await start({ machines: [file("next.mjs", machineText("sum", 2, adding))] });
  // What was refused meanwhile was not written.
  expect(await execute("sum", 1)).toBe(6);
  expect((await list()).find(({ name }) => name === "sum")).toMatchObject({ version: 2, stopped: undefined });
});

test("a machine that loops delays its own replies only, and is named", { timeout: 60_000 }, async () => {
  const loops = file("loops.mjs", machineText("loops", 1, "for (;;) {}"));
  await start({ machines: [loops, file("sum.mjs", machineText("sum", 1, adding))] });
  expect(await execute("sum", 1)).toBe(1);
  void execute("loops", 1).catch(() => {});
  await vi.waitFor(() => expect(notes.join("\n")).toContain("the machine loops has been at the command at"), 20_000);
  expect(await execute("sum", 1)).toBe(2);
  const hanging = (await list()).find(({ name }) => name === "loops");
  expect(hanging?.busyMs).toBeGreaterThan(1000);
});

test("files that do not load are named, what is not there is unknown, and the node is up", {
  timeout: 60_000,
}, async () => {
  const machines = [
    file("broken.mjs", "export const machine = {"),
    join(temp.path, "missing.mjs"),
    file("none.mjs", "export const machine = { name: 'x' };"),
    file("taken.mjs", machineText("space", 1, adding)),
  ];
  await start({ machines, procedures: file("procedures.mjs", "throw new Error('no');") });
  expect(notes.filter((note) => note.includes("the node runs without it"))).toHaveLength(4);
  expect(await execute("broken", 1)).toBe("MACHINE_UNKNOWN");
  await vi.waitFor(() => expect(notes.join("\n")).toContain("the node runs without procedures"), 20_000);
});
