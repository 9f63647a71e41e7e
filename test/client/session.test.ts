/**
 * Goal: with a session an append lands exactly once, whatever happens to its answers, and in its order. Method: nodes that order
 * and lose at chosen batches, over one log that judges sessions; afterwards the log itself says what is in it.
 */
import { describe, expect, test } from "vitest";
import { PaxlogError } from "../../src/base/errors.ts";
import { limits } from "../../src/base/limits.ts";
import { encodeBatch } from "../../src/format/batch-encode.ts";
import { errorOf, fixture, until } from "./fixture.ts";
import { notLeader, type Verdict } from "./test-node.ts";

const { node, open } = fixture();

const leaderLost = new PaxlogError("LEADER_LOST", "this node led and leads no more", { outcome: "unknown" });

describe("a retry", () => {
  const losses: readonly [string, Verdict][] = [
    ["the stream breaks after the batch was ordered", { kind: "break", ordered: true }],
    ["the stream breaks before the batch was ordered", { kind: "break", ordered: false }],
    ["the leader is lost after the batch was ordered", { kind: "fail", error: leaderLost, ordered: true }],
    ["the leader is lost before the batch was ordered", { kind: "fail", error: leaderLost }],
    ["a follower was asked", { kind: "fail", error: notLeader() }],
  ];
  test.each(losses)("gets the first answer, and lands once, where %s", async (_name, verdict) => {
    const leader = await node();
    const log = await open([leader]);
    const session = await log.session();
    leader.script = (batch) => (batch < 3 ? verdict : { kind: "acknowledge" });
    expect(await session.append([{ value: "a" }, { value: "b" }])).toMatchObject({ first: 1, last: 2 });
    expect(await log.append({ value: "c" }, { session })).toMatchObject({ position: 3 });
    expect(leader.log.values()).toEqual(["a", "b", "c"]);
  });

  test("goes to the next leader when the first one dies with a window of batches in flight", async () => {
    const leader = await node();
    const heir = await node(leader.log);
    const log = await open([leader, heir]);
    const session = await log.session();
    await session.append({ value: "first" });
    leader.script = () => ({ kind: "hold" });
    const values = Array.from({ length: 100 }, (_, index) => `${index} `.padEnd(20_000, "."));
    const all = values.map((value) => session.append({ value }));
    await until(() => leader.arrived.length > 4);
    leader.crash();
    expect((await Promise.all(all)).map(({ position }) => position)).toEqual(values.map((_, index) => index + 2));
    expect(leader.log.values()).toEqual(["first", ...values]);
  });

  test("keeps the guards of its call: what was ordered is not judged again", async () => {
    const leader = await node();
    const log = await open([leader]);
    const session = await log.session();
    leader.script = (batch) => (batch === 0 ? { kind: "break", ordered: true } : { kind: "acknowledge" });
    expect(await session.append({ value: "a" }, { expectedTail: 1 })).toMatchObject({ position: 1 });
    expect(leader.log.values()).toEqual(["a"]);
  });

  test("ends at the deadline with outcome unknown if it may have been heard, otherwise none; and later calls go on", async () => {
    const leader = await node();
    const log = await open([leader], { deadlineMs: 300 });
    const session = await log.session();
    leader.script = () => ({ kind: "break", ordered: true });
    expect(await errorOf(session.append({ value: "a" }))).toMatchObject({
      code: "DEADLINE_EXCEEDED",
      outcome: "unknown",
    });
    leader.script = () => ({ kind: "fail", error: notLeader() });
    expect(await errorOf(session.append({ value: "b" }))).toMatchObject({ code: "NOT_LEADER", outcome: "none" });
    leader.script = () => ({ kind: "acknowledge" });
    expect(await session.append({ value: "c" })).toMatchObject({ position: 2 });
    expect(leader.log.values()).toEqual(["a", "c"]);
  });

  test("of an append that was refused is refused as it was, whatever holds by then", async () => {
    const leader = await node();
    const log = await open([leader]);
    const session = await log.session();
    leader.script = (batch) => {
      if (batch === 0) return { kind: "break", ordered: true };
      if (batch === 1) leader.log.append(encodeBatch([{ value: "others" }]));
      return { kind: "acknowledge" };
    };
    expect(await errorOf(session.append({ value: "n" }, { expectedTail: 2 }))).toMatchObject({
      code: "TAIL_MISMATCH",
      outcome: "none",
      facts: { actual: 1 },
    });
    expect(await session.append({ value: "a" }, { expectedTail: 2 })).toMatchObject({ position: 2 });
    expect(leader.log.values()).toEqual(["others", "a"]);
  });
});

describe("a storm", () => {
  test("of lost answers, refusals and broken streams leaves every record once, in its order, with the answer it got", async () => {
    const one = await node();
    const other = await node(one.log);
    let seed = 7;
    const random = () => {
      seed = (seed * 1103515245 + 12345) % 2 ** 31;
      return seed / 2 ** 31;
    };
    const verdicts: Verdict[] = [
      { kind: "break", ordered: true },
      { kind: "break", ordered: false },
      { kind: "fail", error: leaderLost, ordered: true },
      { kind: "fail", error: notLeader() },
      { kind: "fail", error: new PaxlogError("OVERLOADED", "too much") },
    ];
    one.script = other.script = () =>
      random() < 0.15 ? verdicts[Math.floor(random() * verdicts.length)]! : { kind: "acknowledge" };
    const logs = [await open([one, other], { deadlineMs: 30_000 }), await open([other, one], { deadlineMs: 30_000 })];
    const count = 400;
    const work = logs.map(async (log, writer) => {
      const session = await log.session();
      const calls: Promise<{ position: number }>[] = [];
      for (let index = 0; index < count; index += 1) {
        calls.push(session.append({ value: `${writer} ${index} `.padEnd(5_000, ".") }));
        if (random() < 0.2) await new Promise((resolve) => setTimeout(resolve, 1));
      }
      return (await Promise.all(calls)).map(({ position }) => position);
    });
    const positions = await Promise.all(work);
    const stored = one.log.values().map((value) => value.split(" ").slice(0, 2).join(" "));
    expect(stored.length).toBe(2 * count);
    for (const [writer, own] of positions.entries()) {
      expect(own.map((position) => stored[position - 1])).toEqual(own.map((_, index) => `${writer} ${index}`));
      expect(own).toEqual(own.toSorted((a, b) => a - b));
    }
  }, 60_000);
});

describe("appends of a session", () => {
  test("share batches as others do, one serial for each", async () => {
    const leader = await node();
    const log = await open([leader]);
    const session = await log.session();
    const serials: (number | undefined)[] = [];
    leader.script = (_batch, request) => {
      serials.push(request.guards?.session?.serial);
      return { kind: "acknowledge" };
    };
    await Promise.all(Array.from({ length: 1000 }, (_, index) => session.append({ value: `${index}` })));
    await session.append({ value: "x" }, { expectedTail: 1001 });
    expect(leader.arrived).toEqual([1000, 1]);
    expect(serials).toEqual([1, 2]);
    expect(session.state).toEqual({ id: session.id, nextSerial: 3 });
  });

  test("are at most a window in flight, the log remembers no more answers", async () => {
    const leader = await node();
    const log = await open([leader], { inFlightBatches: 1024 });
    const session = await log.session();
    await session.append({ value: "first" });
    leader.script = () => ({ kind: "hold" });
    const options = { condition: { query: { tags: ["never"] }, after: 0 } };
    const all = Array.from({ length: 400 }, () => session.append({ value: "x" }, options));
    await until(() => leader.arrived.length >= 1 + limits.sessionWindow);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(leader.inFlightMax).toBe(limits.sessionWindow);
    expect(session.state.nextSerial).toBe(402);
    leader.script = () => ({ kind: "acknowledge" });
    leader.release();
    await Promise.all(all);
    expect(session.state.nextSerial).toBe(402);
  });

  test("for which the log had no room are sent again, all of them, in order", async () => {
    const leader = await node();
    const log = await open([leader]);
    const session = await log.session();
    await session.append({ value: "first" });
    const overflow = new PaxlogError("SESSION_OVERFLOW", "256 are in flight");
    let refusals = 2;
    leader.script = () => (refusals-- > 0 ? { kind: "refuse", error: overflow } : { kind: "acknowledge" });
    const values = Array.from({ length: 6 }, (_, index) => `${index}`.padEnd(200_000, "."));
    const all = await Promise.all(values.map((value) => session.append({ value })));
    expect(all.map(({ position }) => position)).toEqual([2, 3, 4, 5, 6, 7]);
    expect(leader.log.values()).toEqual(["first", ...values]);
  });
});

describe("serials of the caller", () => {
  test("ascend: one that was passed over is refused, outcome none, and what was written stays what it is", async () => {
    const leader = await node();
    const log = await open([leader]);
    const session = await log.session();
    await session.append({ value: "b" }, { serial: 7 });
    expect(await errorOf(session.append({ value: "a" }, { serial: 6 }))).toMatchObject({
      code: "SESSION_GAP",
      outcome: "none",
    });
    expect(session.state.nextSerial).toBe(8);
    expect(await session.append({ value: "b" }, { serial: 7 })).toMatchObject({ position: 1 });
    expect(leader.log.values()).toEqual(["b"]);
  });
});

describe("a session that is resumed", () => {
  test("gets the first answers for serials that its caller gives again, and writes nothing twice", async () => {
    const leader = await node();
    const first = await open([leader]);
    const session = await first.session({ ttlMs: 5000 });
    expect(session.ttlMs).toBe(5000);
    const before = await Promise.all([1, 2, 3].map((serial) => session.append({ value: `${serial}` }, { serial })));
    const { state } = session;
    await first.close();
    const second = await open([leader]);
    const resumed = await second.session({ resume: state });
    expect(resumed.ttlMs).toBe(5000);
    const after = await Promise.all([1, 2, 3, 4].map((serial) => resumed.append({ value: `${serial}` }, { serial })));
    expect(after.slice(0, 3)).toEqual(before);
    expect(await resumed.append({ value: "5" })).toMatchObject({ position: 5 });
    expect(leader.log.values()).toEqual(["1", "2", "3", "4", "5"]);
  });

  test("refuses other records under a serial that was used, where their number shows it", async () => {
    const leader = await node();
    const log = await open([leader]);
    const session = await log.session();
    await session.append({ value: "a" }, { serial: 1 });
    expect(await errorOf(session.append([{ value: "b" }, { value: "c" }], { serial: 1 }))).toMatchObject({
      code: "INVALID_ARGUMENT",
      outcome: "none",
      facts: { serial: 1, position: 1 },
    });
    expect(await session.append({ value: "d" })).toMatchObject({ position: 2 });
    expect(await errorOf(session.append({ value: "e" }, { serial: 0 }))).toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  test("that the log forgot is SESSION_UNKNOWN", async () => {
    const leader = await node();
    const log = await open([leader]);
    expect(await errorOf(log.session({ resume: { id: 7, nextSerial: 1 } }))).toMatchObject({ code: "SESSION_UNKNOWN" });
    expect(await errorOf(log.session({ resume: { id: 7 } as never }))).toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(await errorOf(log.session({ ttlMs: -1 }))).toMatchObject({ code: "INVALID_ARGUMENT" });
  });
});

describe("a session that expires", () => {
  test("is kept alive while it is open, idle or not", async () => {
    const leader = await node();
    const log = await open([leader]);
    await log.session({ ttlMs: 60 });
    await until(() => leader.leaderCalls.filter((call) => call === "keep").length >= 3);
  });

  test("says unknown of what may have landed, and none of what was sent once or not at all", async () => {
    const leader = await node();
    const log = await open([leader]);
    const session = await log.session();
    await session.append({ value: "first" });
    leader.script = (batch) => {
      if (batch > 1) return { kind: "acknowledge" };
      leader.log.judge.forget(session.id);
      return { kind: "break", ordered: false };
    };
    const results = await Promise.allSettled([
      session.append([{ value: "x".repeat(200_000) }]),
      session.append([{ value: "y".repeat(200_000) }]),
      session.append([{ value: "z".repeat(200_000) }]),
    ]);
    const reasons = results.map((result) => (result.status === "rejected" ? result.reason : undefined));
    expect(reasons[0]).toMatchObject({ code: "SESSION_UNKNOWN", outcome: "unknown" });
    for (const reason of reasons) expect(reason).toMatchObject({ code: "SESSION_UNKNOWN" });
    expect(await errorOf(session.append({ value: "later" }))).toMatchObject({
      code: "SESSION_UNKNOWN",
      outcome: "none",
    });
    expect(leader.log.values()).toEqual(["first"]);
  });

  test("while it is idle refuses the next append without sending it", async () => {
    const leader = await node();
    const log = await open([leader]);
    const session = await log.session({ ttlMs: 60 });
    leader.log.judge.forget(session.id);
    const keeps = () => leader.leaderCalls.filter((call) => call === "keep").length;
    const before = keeps();
    await until(() => keeps() > before);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const asked = keeps();
    expect(await errorOf(session.append({ value: "a" }))).toMatchObject({ code: "SESSION_UNKNOWN", outcome: "none" });
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(keeps(), "nobody keeps alive what is no more").toBe(asked);
    expect(leader.arrived).toEqual([]);
  });
});

describe("closing", () => {
  test("a session waits for its appends, has the log forget it, and may be done twice", async () => {
    const leader = await node();
    const log = await open([leader]);
    const session = await log.session();
    await session.append({ value: "first" });
    leader.script = () => ({ kind: "hold" });
    const sent = session.append({ value: "a" });
    await until(() => leader.arrived.length === 2);
    const closing = Promise.all([session.close(), session[Symbol.asyncDispose]()]);
    expect(await errorOf(session.append({ value: "b" }))).toMatchObject({ code: "CLOSED", outcome: "none" });
    expect(leader.leaderCalls).toEqual(["open"]);
    leader.release();
    await closing;
    expect(await sent).toMatchObject({ position: 2 });
    expect(leader.leaderCalls).toEqual(["open", "close"]);
    expect(leader.log.judge.forget(session.id)).toMatchObject({ code: "SESSION_UNKNOWN" });
  });

  test("the log leaves its sessions to be resumed, and ends what they have under way", async () => {
    const leader = await node();
    const log = await open([leader], { closeMs: 100 });
    const session = await log.session();
    await session.append({ value: "first" });
    leader.script = () => ({ kind: "hold" });
    const sent = errorOf(session.append({ value: "a" }));
    await until(() => leader.arrived.length === 2);
    await log.close();
    expect(await sent).toMatchObject({ code: "CLOSED", outcome: "unknown" });
    expect(await errorOf(session.append({ value: "b" }))).toMatchObject({ code: "CLOSED", outcome: "none" });
    expect(leader.leaderCalls).toEqual(["open"]);
    expect(await errorOf(log.session())).toMatchObject({ code: "CLOSED" });
  });

  test("a session that was aborted in its closing is not held up by its appends", async () => {
    const leader = await node();
    const log = await open([leader]);
    const session = await log.session();
    leader.script = () => ({ kind: "hold" });
    const sent = errorOf(session.append({ value: "a" }));
    await until(() => leader.arrived.length === 1);
    expect(await errorOf(session.close({ signal: AbortSignal.timeout(50) }))).toMatchObject({ code: "CANCELLED" });
    expect(await sent).toMatchObject({ code: "CLOSED", outcome: "unknown" });
  });
});
