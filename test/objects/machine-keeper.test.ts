// Goal: a state that is saved between commands is that of its point, the same on a node that saves it at once, also where commands throw,
// code is activated or the node starts again meanwhile. Method: two replicas of the same commands, one of which lets its saves go on.
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { toHex } from "../../src/base/bytes.ts";
import { limits } from "../../src/base/limits.ts";
import type { RegisterCommand } from "../../src/machine/builtin/registers.ts";
import { defineMachine } from "../../src/machine/machine.ts";
import { randomOf } from "../../src/machine/random.ts";
import { registerMachine } from "../../src/objects/builtins.ts";
import type { HostedMachine, HostedRecord } from "../../src/objects/hosted-machine.ts";
import { MachineKeeper } from "../../src/objects/machine-keeper.ts";
import { MachineSnapshots } from "../../src/objects/machine-snapshots.ts";
import { hashing, makeTempDir } from "../runtime/lone-node.ts";

/** Registers of which one must not be written: by then it is. */
const machine = defineMachine({
  ...registerMachine,
  apply: (state, command: RegisterCommand, at) => {
    const reply = registerMachine.apply(state, command, at);
    if (command.name === "fails") throw new Error("a machine's bug");
    return reply;
  },
});

const turn = (): Promise<void> => new Promise(setImmediate);

/** What a host does with records, without a log. */
class Follower {
  readonly points: string[] = [];
  readonly notes: string[] = [];
  readonly keeper: MachineKeeper;
  hosted!: HostedMachine;
  next = 1;

  constructor(dir: string) {
    this.keeper = new MachineKeeper({
      machine,
      snapshots: new MachineSnapshots(dir, machine.name, hashing),
      hashing,
      note: (text) => void this.notes.push(text),
      onBroken: (cause) => void this.notes.push(String(cause)),
      onPoint: ({ position, hash }) => void this.points.push(`${position} ${toHex(hash)}`),
      fetch: () => Promise.resolve(undefined),
    });
  }

  async restore(): Promise<void> {
    const { hosted, next } = await this.keeper.restore(1);
    this.hosted = hosted;
    this.next = next;
  }

  /** Applies `records[0]` at position 1 and so on, up to below a position; `after` is awaited now and then. */
  async run(records: readonly HostedRecord[], end: number, after: () => Promise<void>): Promise<void> {
    while (this.next < end) {
      this.next = Math.max(1, this.hosted.apply(records[this.next - 1]!).resumeFrom);
      if (this.hosted.isAtPoint) this.keeper.point(this.hosted);
      if (this.next % 1000 === 0) await after();
    }
  }
}

/** Values so large that a state is some megabytes: the next point is further away, and saving takes many pieces. */
function recordsOf(count: number, failsAt: ReadonlySet<number>): HostedRecord[] {
  const random = randomOf(1);
  return Array.from({ length: count }, (_, index): HostedRecord => {
    const position = index + 1;
    const at = { position, time: position, session: 1 + (position % 5), batchEnd: position + 1 };
    if (position % 4001 === 0) return { kind: "sessionEnd", ...at };
    const name = failsAt.has(position) ? "fails" : `name ${Math.floor(30_000 * random())}`;
    const command: RegisterCommand =
      random() < 0.2
        ? { kind: "delete", name }
        : { kind: "set", name, value: new Uint8Array(Math.floor(900 * random())) };
    const value = registerMachine.commands!.encode(failsAt.has(position) ? { kind: "delete", name: "fails" } : command);
    return { kind: "command", ...at, value };
  });
}

let temp: ReturnType<typeof makeTempDir>;
beforeEach(() => {
  temp = makeTempDir();
});
afterEach(() => temp.remove());

test("states are those of their points, whether they are saved at once or between commands", {
  timeout: 60_000,
}, async () => {
  const count = 4 * limits.machinePointCommands;
  const records = recordsOf(count, new Set([100, limits.machinePointCommands + 1500, 40_000]));
  const [atOnce, between] = [new Follower(join(temp.dir, "a")), new Follower(join(temp.dir, "b"))];
  for (const each of [atOnce, between]) await each.restore();
  await atOnce.run(records, count, async () => atOnce.keeper.settled());
  let turns = 0;
  const takeTurns = async (): Promise<void> => {
    turns += 1;
    await turn();
  };
  // A crash in the midst, with a save under way or not: from the newest snapshot on everything comes again.
  await between.run(records, 50_000, takeTurns);
  await between.restore();
  expect(between.next).toBeLessThan(50_000);
  await between.run(records, count, takeTurns);
  await between.keeper.settled();
  expect(turns).toBeGreaterThan(20);
  expect(atOnce.points.length).toBeGreaterThan(2);
  expect([...new Set(between.points)]).toEqual([...new Set(atOnce.points)]);
  expect(atOnce.notes).toEqual([]);
  expect(between.notes).toEqual([]);
  const last = (each: Follower) => Buffer.concat([...each.hosted.freeze().pieces]);
  expect(Buffer.compare(last(atOnce), last(between))).toBe(0);
});

test("a state that is saved between commands is on disk as it was at its point", async () => {
  const count = limits.machinePointCommands + 3000;
  const records = recordsOf(count, new Set());
  const follower = new Follower(temp.dir);
  await follower.restore();
  await follower.run(records, limits.machinePointCommands + 1, turn);
  const [point] = follower.points;
  // It has begun, and nobody waited for its end.
  expect(point).toBeUndefined();
  await follower.run(records, count, () => Promise.resolve());
  await follower.keeper.settled();
  const { snapshots } = follower.keeper;
  expect(snapshots.list()).toEqual([limits.machinePointCommands + 1]);
  const { header, source } = snapshots.open(limits.machinePointCommands + 1);
  expect(follower.points).toEqual([`${header.position} ${toHex(header.hash)}`]);
  // Reading all of it proves its hash.
  expect([...source.pieces].reduce((length, piece) => length + piece.length, 0)).toBe(header.length);
});
