/**
 * Goal: a leader that is connected and answers nothing, because it is frozen or cut off from the others, does not hold its clients
 * up for longer than the others need to elect another. Method: nodes that hold everything back, and others that say they lead.
 */
import { describe, expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import { errorOf, fixture, until } from "./fixture.ts";
import type { TestNode } from "./test-node.ts";

const { node, open } = fixture();

/** From now on it takes what it is sent into no log, and says nothing. */
function freeze(leader: TestNode): void {
  leader.script = () => ({ kind: "swallow" });
  leader.claims = "hang";
  leader.onLeaderCall = () => "hang";
  leader.onCheckTail = () => "hang";
}

describe("appends at a frozen leader", () => {
  test("are unknown once another leads, and those not sent yet go there", async () => {
    const [old, heir] = await twoNodes();
    const log = await open([old, heir], { inFlightBatches: 1 });
    await log.append({ value: "first" });
    freeze(old);
    heir.claims = { role: "leader", phase: "accept", ballot: "1.2.2" };
    const started = performance.now();
    const lost = errorOf(log.append({ value: "lost" }));
    await until(() => old.arrived.length === 2);
    const next = log.append({ value: "next" });
    expect(await lost).toMatchObject({ code: "LEADER_LOST", outcome: "unknown", facts: { leader: heir.address } });
    expect(await next).toMatchObject({ position: 2 });
    expect(performance.now() - started).toBeLessThan(5 * limits.clientQuietMs);
  });

  test("of a session go to the other leader and land once", async () => {
    const [old, heir] = await twoNodes();
    const log = await open([old, heir]);
    const session = await log.session();
    await session.append({ value: "first" });
    old.script = () => ({ kind: "hold" });
    old.claims = "hang";
    heir.claims = { role: "leader", phase: "accept", ballot: "1.2.2" };
    expect(await session.append({ value: "a" })).toMatchObject({ position: 2 });
    expect(old.log.values()).toEqual(["first", "a"]);
  });

  test("are found another leader that was not given, through a node that knows it", async () => {
    const [old, follower] = await twoNodes();
    const heir = await node(old.log);
    const log = await open([old, follower]);
    const session = await log.session();
    await session.append({ value: "first" });
    freeze(old);
    follower.claims = { role: "follower", phase: "accept", ballot: "1.2.3", leaderAddress: heir.address };
    heir.claims = { role: "leader", phase: "accept", ballot: "1.2.3" };
    expect(await session.append({ value: "a" })).toMatchObject({ position: 2 });
    expect(heir.arrived).toEqual([1]);
  });
});

describe("a slow leader is not left", () => {
  const cases = [
    ["where nobody else leads", { role: "follower", phase: "accept", ballot: "1.1.1", leaderAddress: "" }],
    [
      "for one of an earlier ballot that does not know it was deposed",
      { role: "leader", phase: "accept", ballot: "1.1.2" },
    ],
    ["for one that does not lead yet", { role: "leader", phase: "prepare", ballot: "1.9.2" }],
  ] as const;
  test.each(cases)("%s", async (_name, claims) => {
    const [leader, other] = await twoNodes();
    const log = await open([leader, other]);
    await log.append({ value: "first" });
    leader.claims = { role: "leader", phase: "accept", ballot: "1.2.1" };
    other.claims = claims;
    leader.script = () => ({ kind: "hold" });
    const slow = log.append({ value: "slow" });
    await new Promise((resolve) => setTimeout(resolve, 2.5 * limits.clientQuietMs));
    leader.release();
    expect(await slow).toMatchObject({ position: 2 });
    expect(other.arrived).toEqual([]);
  });
});

describe("questions", () => {
  test("to a frozen node are asked of another, well within their deadline", async () => {
    const [frozen, other] = await twoNodes();
    const log = await open([frozen, other], { deadlineMs: 10_000 });
    freeze(frozen);
    const started = performance.now();
    expect(await log.tail()).toMatchObject({ head: 1, tail: 1 });
    expect(await log.fence(2)).toEqual({ fence: 2, tail: 1 });
    const session = await log.session();
    expect(performance.now() - started).toBeLessThan(4 * limits.clientAskMs);
    await session.close();
  });
});

async function twoNodes(): Promise<[TestNode, TestNode]> {
  const first = await node();
  return [first, await node(first.log)];
}
