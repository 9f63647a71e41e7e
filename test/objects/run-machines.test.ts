// Goal: a machine on a node answers with what its commands did, in the order of the log, also after a throw and a restart.
// Method: the real parts of a node that is alone, in one thread, with small machines behind a port beside it.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { assert } from "../../src/base/assert.ts";
import { limits } from "../../src/base/limits.ts";
import type { Position } from "../../src/base/types.ts";
import { machineHashRecord, machineHashType } from "../../src/format/machine-records.ts";
import { type AnyMachine, defineMachine } from "../../src/machine/machine.ts";
import type { Activated } from "../../src/objects/activated.ts";
import { BusyMark } from "../../src/objects/busy-mark.ts";
import { type RunningMachines, runMachines } from "../../src/objects/run-machines.ts";
import { append, appendWhenLed, hashing, type LoneNode, makeTempDir, startLoneNode } from "../runtime/lone-node.ts";
import { overPort } from "../runtime/over-port.ts";
import { flipByte } from "./rotted-snapshot.ts";

interface Sum {
  total: number;
  changes: { position: number; time: number; change: Uint8Array }[];
}

const sum = defineMachine({
  name: "sum",
  version: 1,
  create: (): Sum => ({ total: 0, changes: [] }),
  apply: (state, command: { add: number; reply?: number }, at) => {
    state.total += command.add;
    if (command.add < 0) throw new Error("less than nothing");
    const change = Buffer.from(String(state.total));
    for (let each = 0; each < command.add; each += 1) {
      state.changes.push({ position: at.position, time: at.time, change });
    }
    return command.reply === undefined ? state.total : "x".repeat(command.reply);
  },
  ask: (state, question: "total" | "none") => (question === "total" ? state.total : "x".repeat(4 * 1024 * 1024)),
  changes: (state, _question, from, max) =>
    from < 0 ? undefined : state.changes.filter(({ position }) => position >= from).slice(0, max),
  save: (state) => [Buffer.from(JSON.stringify(state.total)), new Uint8Array(0)],
  load: (pieces) => ({ total: Number(Buffer.concat([...pieces]).toString()), changes: [] }),
});

const other = defineMachine({ ...sum, name: "other" });

let temp: ReturnType<typeof makeTempDir>;
let node: LoneNode;
let over: Awaited<ReturnType<typeof overPort>>;
let running: RunningMachines;
let notes: string[];

beforeEach(async () => {
  temp = makeTempDir();
  await start();
});
afterEach(async () => {
  await stop();
  temp.remove();
});

async function start(machines: readonly AnyMachine[] = [sum, other], ...own: [string, Activated][]): Promise<void> {
  notes = [];
  node = await startLoneNode(join(temp.dir, "node"));
  await appendWhenLed(node.engine, ["first"]);
  const note = (text: string) => void notes.push(text);
  over = await overPort(node.engine);
  const options = {
    dir: temp.dir,
    backend: over.backend,
    hashing,
    own: new Map<string, Activated>(own),
    holdName: "machines",
    busy: new BusyMark(),
  };
  running = runMachines({ ...options, machines, note });
}

async function stop(): Promise<void> {
  await running.close();
  over.close();
  await node.close();
}

const command = (add: number, machine = "sum", reply?: number) => ({
  type: `$${machine}`,
  value: JSON.stringify({ add, reply }),
});

async function execute(...commands: { type: string; value: string }[]): Promise<unknown[]> {
  const result = await append(node.engine, commands);
  assert(result.kind === "acknowledged", "the append is acknowledged");
  const machines = commands.map(({ type }) => type.slice(1));
  const { firstPosition, recordCount } = result;
  const isOne = new Set(machines).size === 1;
  const replies = await running.objects.replies({
    firstPosition,
    recordCount,
    machines: isOne ? machines.slice(0, 1) : machines,
    session: 0,
  });
  return replies.map((reply) =>
    reply.kind === "reply" ? JSON.parse(Buffer.from(reply.reply).toString()) : reply.error.code,
  );
}

const totalOf = async (machine: string, appliedTo: Position = node.engine.bounds().tail): Promise<unknown> => {
  const question = Buffer.from('"total"');
  return JSON.parse(Buffer.from((await running.objects.ask({ machine, question, appliedTo })).answer).toString());
};

test("commands of several machines in one batch have their replies in order", async () => {
  expect(await execute(command(1), command(10, "other"), command(2), command(20, "other"))).toEqual([1, 10, 3, 30]);
  expect(await execute(command(3))).toEqual([6]);
  expect([await totalOf("sum"), await totalOf("other")]).toEqual([6, 30]);
});

test("a command that throws, or says too much, or is none does nothing, and the others go on", async () => {
  expect(
    await execute(command(5), command(-1), { type: "$sum", value: "{" }, command(1, "sum", 70_000), command(2)),
  ).toEqual([5, "MACHINE_FAILED", "COMMAND_MALFORMED", "REPLY_TOO_LARGE", 7]);
  expect(await execute(command(-1))).toEqual(["MACHINE_FAILED"]);
  expect(await totalOf("sum")).toBe(7);
  expect(notes.filter((note) => note.includes("threw at the command at 3"))).toHaveLength(1);
});

test("a question that is none and an answer that is too large are errors of the asker", async () => {
  const ask = (text: string) => running.objects.ask({ machine: "sum", question: Buffer.from(text), appliedTo: 0 });
  await expect(ask("{")).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  await expect(ask('"none"')).rejects.toMatchObject({ code: "REPLY_TOO_LARGE" });
});

test("many questions are answered from one state; those that are refused or too large are left out", async () => {
  await execute(command(4));
  const questions = ['"total"', "{", '"none"', '"total"'].map((text) => Buffer.from(text));
  const appliedTo = node.engine.bounds().tail;
  const { answers, position } = await running.objects.askMany({ machine: "sum", questions, appliedTo });
  expect(answers.map((answer) => answer && Buffer.from(answer).toString())).toEqual(["4", undefined, undefined, "4"]);
  expect(position).toBe(appliedTo);
});

test("a restart goes on with the newest snapshot, and with the replies to the last commands", async () => {
  const many = Array.from({ length: limits.machinePointCommands + 10 }, () => command(0));
  await execute(...many);
  await execute(command(4));
  await stop();
  const [position] = readdirSync(join(temp.dir, "machines", "sum")).map(Number);
  expect(position).toBe(2 + limits.machinePointCommands);
  await start();
  expect(await totalOf("sum")).toBe(4);
  const [sumStatus] = await running.objects.list();
  expect(sumStatus).toMatchObject({ name: "sum", snapshot: position, stopped: undefined, busyMs: 0 });
  expect(await execute(command(1))).toEqual([5]);
  const told = await node.engine.read({
    direction: "forward",
    from: 1 as Position,
    end: Number.MAX_SAFE_INTEGER as Position,
    query: { items: [{ types: [machineHashType], tags: ["machine:sum"] }] },
    bytesMax: 1,
    recordsMax: 1,
  });
  expect(told.batches).toHaveLength(1);
});

test("a snapshot that rotted is left out by name: the one before it serves, or the log from its begin", async () => {
  const dir = join(temp.dir, "machines", "sum");
  const saved = () =>
    readdirSync(dir)
      .map(Number)
      .filter((position) => position > 0)
      .sort((a, b) => a - b);
  for (const count of [1, 2]) {
    await execute(...Array.from({ length: limits.machinePointCommands }, () => command(0)), command(count));
    // The next one is not begun before this one is durable.
    const kept = async () => (await running.objects.list())[0]?.snapshot;
    await vi.waitFor(async () => expect([saved().length, await kept()]).toEqual([count, saved().at(-1)]), 20_000);
  }
  await stop();
  const [, newer] = saved();
  flipByte(join(dir, String(newer)), "state");
  await start();
  expect(await totalOf("sum")).toBe(3);
  expect(notes.join("\n")).toContain(`the snapshot of the machine sum at ${newer} is left out`);
  expect((await running.objects.list())[0]).toMatchObject({ name: "sum", stopped: undefined });
  await stop();
  // The commands behind the older one were applied again, and the newer one was written anew.
  for (const position of saved()) flipByte(join(dir, String(position)), "header");
  await start();
  expect(await totalOf("sum")).toBe(3);
  expect(notes.filter((note) => note.includes("is left out"))).toHaveLength(2);
  expect(await execute(command(4), command(1, "other"))).toEqual([7, 1]);
});

test("a replica whose state is another one than the log says stops that machine alone, and says where", async () => {
  const position = 2 + limits.machinePointCommands;
  const hash = machineHashRecord({ machine: "sum", version: 1, position, hash: new Uint8Array(16) });
  await append(node.engine, [...Array.from({ length: limits.machinePointCommands }, () => command(0)), hash]);
  await expect(totalOf("sum")).rejects.toMatchObject({ code: "MACHINE_STOPPED", facts: { reason: "MACHINE_DIFFERS" } });
  expect(await execute(command(1), command(1, "other"))).toEqual(["MACHINE_STOPPED", 1]);
  expect(notes.join()).toContain(`at position ${position}`);
  await running.close();
  expect(readdirSync(join(temp.dir, "machines", "sum"))).toEqual([]);
});

test("a watch tells every change once, and all of a record's or none", async () => {
  const question = Buffer.from('""');
  await execute(command(3), command(300), command(2));
  const { tail } = node.engine.bounds();
  const seen: number[] = [];
  for (let from = 2 as Position; from < tail; ) {
    const { changes, next } = await running.objects.changes({ machine: "sum", question, from });
    seen.push(changes.length);
    expect(changes.every((change) => change.position >= from && change.position < next)).toBe(true);
    from = next;
  }
  expect(seen.reduce((all, count) => all + count, 0)).toBe(305);
  const news = running.objects.changes({ machine: "sum", question, from: tail });
  await execute(command(1));
  expect((await news).changes.map(({ change }) => Buffer.from(change).toString())).toEqual(["306"]);
  const aborted = running.objects.changes({ machine: "sum", question, from: 0 }, AbortSignal.timeout(50));
  await expect(aborted).rejects.toMatchObject({ name: "TimeoutError" });
});

test("a machine of the user's runs once the log says which it is; other code of the same version stops it", async () => {
  const [first, second] = ["a".repeat(64), "b".repeat(64)];
  await stop();
  await start([sum, other], ["sum", { version: 1, code: first }]);
  expect(await execute(command(2), command(3, "other"))).toEqual([2, 3]);
  await stop();
  await start([sum, other], ["sum", { version: 1, code: second }]);
  expect(await execute(command(3, "other"))).toEqual([6]);
  await expect(totalOf("sum")).rejects.toMatchObject({ code: "MACHINE_STOPPED" });
  expect((await running.objects.list()).map(({ name, stopped }) => [name, stopped?.code])).toEqual([
    ["sum", "MACHINE_STOPPED"],
    ["other", undefined],
  ]);
  await stop();
  await start([defineMachine({ ...sum, version: 2 }), other], ["sum", { version: 2, code: second }]);
  // Commands are for the new code once that answers.
  expect(await totalOf("sum")).toBe(2);
  expect(await execute(command(2))).toEqual([4]);
  await stop();
  await start([sum, other], ["sum", { version: 1, code: first }]);
  expect(await execute(command(2))).toEqual(["MACHINE_STOPPED"]);
});
