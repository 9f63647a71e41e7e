// Goal: every command is applied by the code that was activated at its position, on every node, whatever is stopped, killed and started in
// between; where that cannot be had the machine stops by name. Method: hosts with directories of their own over one log, two versions of a
// machine that make something else of the same command; states go from host to host as FetchSnapshot gives them.
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { assert } from "../../src/base/assert.ts";
import { PaxlogError, toPaxlogError } from "../../src/base/errors.ts";
import { activationRecord } from "../../src/format/machine-records.ts";
import { type AnyMachine, defineMachine } from "../../src/machine/machine.ts";
import { defineProcedures } from "../../src/machine/procedures.ts";
import type { Activated } from "../../src/objects/activated.ts";
import { builtinMachines, spaceMachine } from "../../src/objects/builtins.ts";
import { BusyMark } from "../../src/objects/busy-mark.ts";
import { MachineHost } from "../../src/objects/machine-host.ts";
import { MachineKeeper, type MachineKeeperOptions } from "../../src/objects/machine-keeper.ts";
import { MachineSnapshots } from "../../src/objects/machine-snapshots.ts";
import { ObjectHost } from "../../src/objects/object-host.ts";
import { append, appendWhenLed, hashing, type LoneNode, makeTempDir, startLoneNode } from "../runtime/lone-node.ts";
import { overPort } from "../runtime/over-port.ts";

interface Ledger {
  total: number;
  /** Versions of the states that it was loaded from. */
  from: number[];
}

/** Takes a fee of its version from every deposit. */
const ledger = (version: number) =>
  defineMachine({
    name: "ledger",
    version,
    create: (): Ledger => ({ total: 0, from: [] }),
    apply: (state, command: number) => {
      state.total += command - version;
      if (command < 0) throw new Error("no deposit");
      return state.total;
    },
    ask: (state) => state,
    save: (state) => [Buffer.from(JSON.stringify(state))],
    load: (pieces, saved) => {
      const state = JSON.parse(Buffer.concat([...pieces]).toString()) as Ledger;
      return saved === version ? state : { ...state, from: [...state.from, saved] };
    },
  });

const codeOf = (version: number): Activated => ({ version, code: String(version).repeat(64) });

let temp: ReturnType<typeof makeTempDir>;
let node: LoneNode;
let over: Awaited<ReturnType<typeof overPort>>;
let nodes: TestNode[];

beforeEach(async () => {
  temp = makeTempDir();
  nodes = [];
  node = await startLoneNode(join(temp.dir, "node"));
  await appendWhenLed(node.engine, ["first"]);
  over = await overPort(node.engine);
});
afterEach(async () => {
  for (const each of nodes) await each.kill();
  over.close();
  await node.close();
  temp.remove();
});

/** A node's host of one machine, and what is on its disk: started any number of times. */
class TestNode {
  readonly dir: string;
  readonly notes: string[] = [];
  host!: MachineHost;
  #keeper!: MachineKeeper;
  #closing = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(name: string) {
    this.dir = join(temp.dir, name);
    nodes.push(this);
  }

  start(machine: AnyMachine, own: Activated | undefined): this {
    const snapshots = new MachineSnapshots(this.dir, machine.name, hashing);
    const note = (text: string): void => void this.notes.push(text);
    this.#closing = new AbortController();
    const { signal } = this.#closing;
    const options: MachineKeeperOptions = {
      machine,
      before: builtinMachines.find(({ name }) => name === machine.name)?.apply,
      snapshots,
      hashing,
      note,
      onBroken: (cause) => note(String(cause)),
      onPoint: () => {},
      fetch: async (atLeast) => await this.#fetch(machine.name, atLeast, snapshots, signal),
    };
    this.#keeper = new MachineKeeper(options);
    const { backend } = over;
    const busy = new BusyMark();
    this.host = new MachineHost({ machine, own, backend, keeper: this.#keeper, busy, note, admit: () => {} });
    this.#running = this.host.run();
    return this;
  }

  /** As fetchState, of the other nodes that run. */
  async #fetch(machine: string, atLeast: number, snapshots: MachineSnapshots, signal: AbortSignal) {
    for (;;) {
      signal.throwIfAborted();
      let unknown = 0;
      for (const other of nodes.filter((each) => each !== this)) {
        try {
          const objects = new ObjectHost([other.host]);
          const { header, piece } = await objects.snapshot({ machine, position: 0, offset: 0, atLeast });
          assert(piece.length === header.length, "the state is of one piece");
          const received = snapshots.receive();
          received.add(piece);
          return { header, source: received.source(header) };
        } catch (cause) {
          if (toPaxlogError(cause).code !== "POSITION_BELOW_HEAD") unknown += 1;
        }
      }
      if (unknown === 0) return undefined;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** As SIGTERM. */
  async stop(): Promise<void> {
    await this.host.leave();
    await this.kill();
  }

  /** As kill -9: nothing is saved. */
  async kill(): Promise<void> {
    const closed = new PaxlogError("CLOSED", "the node is stopping", { retryable: true });
    this.#closing.abort(closed);
    this.host.stop(closed);
    await this.#running;
    await this.#keeper.close();
  }

  ledger(version: number): this {
    return this.start(ledger(version), codeOf(version));
  }

  async deposit(cents: number): Promise<unknown> {
    const result = await append(node.engine, [{ type: "$ledger", value: JSON.stringify(cents) }]);
    assert(result.kind === "acknowledged", "the append is acknowledged");
    const [reply] = await this.host.replies([result.firstPosition]);
    assert(reply !== undefined, "a command has a reply");
    return reply.kind === "reply" ? JSON.parse(Buffer.from(reply.reply).toString()) : reply.error.code;
  }

  /** As the leader does. */
  async activate(): Promise<void> {
    const activation = await vi.waitFor(() => {
      const found = this.host.activation;
      assert(found !== undefined, "the machine is new, and has passed all of the log");
      return found;
    }, 10_000);
    await append(node.engine, [activationRecord(activation)]);
  }

  async state(): Promise<Ledger> {
    const { answer } = await this.host.ask(Buffer.from("null"), node.engine.bounds().tail);
    return JSON.parse(Buffer.from(answer).toString());
  }

  async stopped(): Promise<string> {
    return await vi.waitFor(() => {
      const { stopped } = this.host.status;
      assert(stopped !== undefined, "the machine stopped");
      expect(stopped.code).toBe("MACHINE_STOPPED");
      return stopped.message;
    }, 10_000);
  }
}

test("one node that is stopped and started with new code begins with the state that the old code left", async () => {
  const one = new TestNode("one").ledger(1);
  await one.activate();
  expect([await one.deposit(20), await one.deposit(20)]).toEqual([19, 38]);
  await one.stop();
  one.ledger(2);
  await one.activate();
  expect(await one.state()).toEqual({ total: 38, from: [1] });
  expect(await one.deposit(20)).toBe(56);
  // A throw leads back to a state of the new code, or to the old one's last.
  expect(await one.deposit(-1)).toBe("MACHINE_FAILED");
  expect(await one.state()).toEqual({ total: 56, from: [1] });
});

test("a node that was killed has no state to begin with: it stops by name, until the old code has made one", async () => {
  const one = new TestNode("one").ledger(1);
  await one.activate();
  expect([await one.deposit(20), await one.deposit(20)]).toEqual([19, 38]);
  await one.kill();
  one.ledger(2);
  await one.activate();
  expect(await one.stopped()).toContain("start one node with that code");
  expect(await one.deposit(20)).toBe("MACHINE_STOPPED");
  await one.kill();
  // The old code applies what is before the activation of the new one, which applies the rest.
  one.ledger(1);
  expect(await one.stopped()).toContain("is activated is version 2");
  await one.stop();
  one.ledger(2);
  expect(await one.state()).toEqual({ total: 56, from: [1] });
});

test("a killed node whose machine had no commands since it was activated needs nothing of older code", async () => {
  const one = new TestNode("one").ledger(1);
  await one.activate();
  expect(await one.state()).toEqual({ total: 0, from: [] });
  await vi.waitFor(() => expect(one.host.status.snapshot).toBeGreaterThan(0));
  await one.kill();
  one.ledger(2);
  await one.activate();
  expect(await one.deposit(20)).toBe(18);
  expect(await one.state()).toEqual({ total: 18, from: [1] });
});

test("a node with new code takes the state at the activation from one that ran the old code to there", async () => {
  const [old, killed, late] = [new TestNode("old"), new TestNode("killed"), new TestNode("late")];
  for (const each of [old, killed, late]) each.ledger(1);
  await old.activate();
  expect(await old.deposit(20)).toBe(19);
  expect(await killed.state()).toEqual({ total: 19, from: [] });
  await killed.kill();
  killed.ledger(2);
  // It hears of commands that are for the old code, which that goes on to answer.
  expect(await old.deposit(20)).toBe(38);
  expect(await late.state()).toEqual({ total: 38, from: [] });
  await late.kill();
  await killed.activate();
  expect(await old.stopped()).toContain("is activated is version 2");
  expect(await killed.state()).toEqual({ total: 38, from: [1] });
  expect(await killed.deposit(20)).toBe(56);
  late.ledger(2);
  expect(await late.state()).toEqual({ total: 56, from: [1] });
  // Another version, of which one node has heard nothing until it is activated; old code may come back any time.
  await killed.stop();
  killed.ledger(3);
  await killed.activate();
  await old.kill();
  old.ledger(3);
  expect(await late.stopped()).toContain("is activated is version 3");
  const states = [await killed.state(), await old.state()];
  expect(states).toEqual([
    { total: 56, from: [1, 2] },
    { total: 56, from: [1, 2] },
  ]);
  await old.stop();
  old.ledger(1);
  expect(await old.stopped()).toContain("this node has version 1");
});

test("a node waits, and says so, while the one that may have the state does not answer", async () => {
  const [killed, down] = [new TestNode("killed").ledger(1), new TestNode("down").ledger(1)];
  await killed.activate();
  expect([await killed.deposit(20), (await down.state()).total]).toEqual([19, 19]);
  await killed.kill();
  // It does not answer, but its state is on its disk.
  await down.stop();
  killed.ledger(2);
  await killed.activate();
  expect(await killed.stopped()).toContain("waits for a state of ledger");
  expect(killed.notes.join("\n")).toContain("which it has not");
  down.ledger(2);
  expect([await killed.state(), await down.state()]).toEqual([
    { total: 19, from: [1] },
    { total: 19, from: [1] },
  ]);
});

test("where all nodes were killed and started with new code every one stops by name", async () => {
  const both = [new TestNode("a").ledger(1), new TestNode("b").ledger(1)];
  const [a, b] = both as [TestNode, TestNode];
  await a.activate();
  expect([await a.deposit(20), (await b.state()).total]).toEqual([19, 19]);
  await Promise.all(both.map((each) => each.kill()));
  for (const each of both) each.ledger(2);
  await a.activate();
  for (const each of both) {
    await vi.waitFor(async () => expect(await each.stopped()).toContain("no node has a state"), 10_000);
  }
  // One with the old code is enough for all.
  await a.kill();
  a.ledger(1);
  await a.stopped();
  await b.kill();
  b.ledger(2);
  expect(await b.state()).toEqual({ total: 19, from: [1] });
});

test("commands from before the first activation are for the code that is activated then, on every node", async () => {
  const [one, two] = [new TestNode("one").ledger(1), new TestNode("two").ledger(2)];
  const first = two.deposit(20);
  await two.activate();
  expect(await first).toBe(18);
  expect(await one.stopped()).toContain("is activated is version 2");
  await one.stop();
  one.ledger(2);
  expect([await one.state(), await two.state()]).toEqual([
    { total: 18, from: [] },
    { total: 18, from: [] },
  ]);
});

const fees = (fee: number) => spaceMachine(defineProcedures({ pay: (_tx, cents: number) => cents - fee }));
const spaceCommand = (): { type: string; value: Uint8Array } => {
  const args = Buffer.from("20");
  return { type: "$space", value: spaceMachine(undefined).commands!.encode({ kind: "call", procedure: "pay", args }) };
};

test("calls of procedures are done by those that were activated at their place; before, by none", async () => {
  const decode = spaceMachine(undefined).codecs!.replies!.decode;
  const call = async (to: TestNode): Promise<unknown> => {
    const result = await append(node.engine, [spaceCommand()]);
    assert(result.kind === "acknowledged", "the append is acknowledged");
    const [reply] = await to.host.replies([result.firstPosition]);
    assert(reply?.kind === "reply", "the machine answers");
    const told = decode(reply.reply);
    return told.kind === "returned"
      ? Number(Buffer.from(told.result).toString())
      : told.kind === "refused" && told.code;
  };
  const [plain, first] = [new TestNode("plain"), new TestNode("first")];
  plain.start(spaceMachine(undefined), undefined);
  expect(await call(plain)).toBe("PROCEDURE_UNKNOWN");
  first.start(fees(1), codeOf(1));
  await first.activate();
  expect(await plain.stopped()).toContain("this node has none");
  expect(await call(first)).toBe(19);
  const { tail } = node.engine.bounds();
  const pieces = async (each: TestNode): Promise<string> => {
    await vi.waitFor(() => expect(each.host.status.applied).toBeGreaterThanOrEqual(tail), 10_000);
    const objects = new ObjectHost([each.host]);
    const wanted = { machine: "space", position: 0, offset: 0, atLeast: tail } as const;
    const { piece } = await vi.waitFor(async () => await objects.snapshot(wanted), 10_000);
    return Buffer.from(piece).toString("hex");
  };
  const late = new TestNode("late").start(fees(1), codeOf(1));
  expect(await pieces(late)).toBe(await pieces(first));
  await late.kill();
  late.start(fees(2), codeOf(2));
  expect(await call(first)).toBe(19);
  await late.activate();
  expect(await first.stopped()).toContain("version 2");
  expect(await call(late)).toBe(18);
});
