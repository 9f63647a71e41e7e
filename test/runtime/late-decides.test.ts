// Goal: a held Decide is never lost, never late by more than its bound, and never overtaken on its lane by anything but an Accept
// that says the same. Method: a network that writes down what reaches it, and fake timers.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { limits } from "../../src/base/limits.ts";
import type { Hash, NodeId, Slot } from "../../src/base/types.ts";
import type { Message } from "../../src/core/message.ts";
import { LateDecides } from "../../src/runtime/late-decides.ts";

const [two, three] = [2, 3] as [NodeId, NodeId];
const n = { configId: 1, n: 1, priority: 0, nodeId: 1 as NodeId };
const hash = "00000000000000000000000000000000" as Hash;

const decide = (end: number): Message => ({ kind: "decide", n, decidedEnd: end as Slot, hash });
const accept = (end: number): Message => ({
  kind: "accept",
  n,
  firstSlot: end as Slot,
  prevHash: hash,
  entries: [],
  decidedEnd: end as Slot,
});
const probe: Message = { kind: "probe", n, probeId: 1 };
const heartbeat: Message = { kind: "heartbeat", round: 1, visibleEnd: 1 as Slot };

function held(): { readonly sent: string[]; readonly network: LateDecides } {
  const sent: string[] = [];
  const network = new LateDecides({
    send: (to, message) => sent.push(`${message.kind} to ${to.join()}`),
    refuse: () => {},
    bufferedBytes: () => 0,
    close: async () => {},
  });
  return { sent, network };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test("a Decide goes out after the delay, once", () => {
  const { sent, network } = held();
  network.send([two, three], decide(2));
  expect(sent).toEqual([]);
  vi.advanceTimersByTime(limits.decideDelayMs);
  expect(sent).toEqual(["decide to 2,3"]);
  vi.advanceTimersByTime(100);
  expect(sent).toHaveLength(1);
});

test("an Accept for the same followers says it instead", () => {
  const { sent, network } = held();
  network.send([two, three], decide(2));
  network.send([two, three], accept(2));
  vi.advanceTimersByTime(100);
  expect(sent).toEqual(["accept to 2,3"]);
});

test("an Accept that does not reach all of them sends the Decide first", () => {
  const { sent, network } = held();
  network.send([two, three], decide(2));
  network.send([two], accept(2));
  expect(sent).toEqual(["decide to 2,3", "accept to 2"]);
});

test("anything else on the lane sends it first, a heartbeat does not", () => {
  const { sent, network } = held();
  network.send([two, three], decide(2));
  network.send([two], heartbeat);
  network.send([two], probe);
  expect(sent).toEqual(["heartbeat to 2", "decide to 2,3", "probe to 2"]);
});

test("a newer Decide takes the place of the held one, and is held as long itself", () => {
  const { sent, network } = held();
  network.send([two, three], decide(2));
  vi.advanceTimersByTime(limits.decideDelayMs / 2);
  network.send([two, three], decide(3));
  network.send([two], decide(4));
  expect(sent).toEqual(["decide to 2,3"]);
  vi.advanceTimersByTime(2 * limits.decideDelayMs);
  expect(sent).toEqual(["decide to 2,3", "decide to 2"]);
});

test("nothing is sent after close", async () => {
  const { sent, network } = held();
  network.send([two], decide(2));
  await network.close();
  network.send([two], decide(3));
  vi.advanceTimersByTime(100);
  expect(sent).toEqual([]);
});
