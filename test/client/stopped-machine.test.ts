// Goal: a machine that stopped on one node stops nobody whose commands another node takes, and where it stopped everywhere the caller hears
// so, soon. Method: nodes that refuse batches as a node with a stopped machine does, before it looks whether it leads.
import { expect, test } from "vitest";
import { PaxlogError } from "../../src/base/errors.ts";
import { errorOf, fixture } from "./fixture.ts";
import { notLeader, type Verdict } from "./test-node.ts";

const { node, open } = fixture();

const stopped: Verdict = {
  kind: "fail",
  error: new PaxlogError("MACHINE_STOPPED", "the machine stopped on this node", { retryable: true }),
};

test("a command goes on to the node that takes it, past others whose machine stopped", async () => {
  const first = await node();
  const second = await node(first.log);
  const leader = await node(first.log);
  const log = await open([first, second, leader]);
  const session = await log.session();
  first.script = () => stopped;
  second.script = () => stopped;
  expect(await session.append([{ value: "a" }, { value: "b" }])).toMatchObject({ first: 1, last: 2 });
  expect(await session.append({ value: "c" })).toMatchObject({ position: 3 });
  expect([first, second, leader].map(({ arrived }) => arrived.length)).toEqual([1, 1, 2]);
});

test("where it stopped on every node the caller hears so, with nothing written, and calls behind it go on", async () => {
  const first = await node();
  const second = await node(first.log);
  const log = await open([first, second]);
  const session = await log.session();
  first.script = () => stopped;
  second.script = (batch) => (batch === 0 ? { kind: "fail", error: notLeader(first.address) } : stopped);
  expect(await errorOf(session.append({ value: "a" }))).toMatchObject({ code: "MACHINE_STOPPED", outcome: "none" });
  expect(first.arrived.length + second.arrived.length).toBeLessThanOrEqual(4);
  first.script = () => ({ kind: "acknowledge" });
  expect(await session.append({ value: "b" })).toMatchObject({ position: 1 });
});
