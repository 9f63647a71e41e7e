/**
 * Goal: what a caller demands of the log reaches it whole, and a refusal reaches that caller alone, with its facts. Method: a
 * scripted node with a judge.
 */
import { describe, expect, test } from "vitest";
import { PaxlogError } from "../../src/base/errors.ts";
import { errorOf, fixture, until } from "./fixture.ts";

const { node, open } = fixture();

describe("a guard that does not hold", () => {
  test("writes nothing and says what stood in the way", async () => {
    const leader = await node();
    const log = await open([leader]);
    await log.append([
      { value: "a", type: "T", tags: ["x"] },
      { value: "b", tags: ["y"] },
    ]);
    await log.fence(7);
    expect(await errorOf(log.append({ value: "n" }, { expectedTail: 2 }))).toMatchObject({
      code: "TAIL_MISMATCH",
      outcome: "none",
      retryable: false,
      facts: { guard: "expectedTail", expected: 2, actual: 3, tail: 3 },
    });
    expect(await errorOf(log.append({ value: "n" }, { fencingToken: 6 }))).toMatchObject({
      code: "FENCED",
      outcome: "none",
      facts: { token: 6, fence: 7 },
    });
    const condition = { query: [{ tags: ["z"] }, { types: ["T"], tags: ["x"] }], after: 0 };
    expect(await errorOf(log.append({ value: "n" }, { condition }))).toMatchObject({
      code: "CONDITION_FAILED",
      outcome: "none",
      facts: { position: 1, tail: 3 },
    });
    const streams = [
      { tag: "x", expected: 1 },
      { tag: "y", expected: "noStream" as const },
    ];
    expect(await errorOf(log.append({ value: "n" }, { streams }))).toMatchObject({
      code: "STREAM_REVISION_MISMATCH",
      outcome: "none",
      facts: { tag: "y", index: 1, expected: "noStream", actual: 2 },
    });
    expect(await errorOf(log.fence(6))).toMatchObject({ code: "FENCED", outcome: "none" });
    expect(leader.log.values()).toEqual(["a", "b"]);
    expect(leader.appendStreams).toBe(1);
  });

  test("does not hold up the calls beside it, which share their batches as ever", async () => {
    const leader = await node();
    const log = await open([leader]);
    await log.append({ value: "first" });
    const results = await Promise.allSettled([
      log.append({ value: "a" }),
      log.append({ value: "b" }),
      log.append({ value: "no" }, { expectedTail: 1 }),
      log.append({ value: "c" }),
      log.append({ value: "d" }),
    ]);
    expect(results.map(({ status }) => status)).toEqual([
      "fulfilled",
      "fulfilled",
      "rejected",
      "fulfilled",
      "fulfilled",
    ]);
    expect(leader.arrived).toEqual([1, 2, 1, 2]);
    expect(leader.log.values()).toEqual(["first", "a", "b", "c", "d"]);
    expect(leader.appendStreams).toBe(1);
  });
});

describe("a fencing token", () => {
  test("is the same demand for all calls of a turn that show it: they share batches", async () => {
    const leader = await node();
    const log = await open([leader]);
    await log.append({ value: "first" });
    const append = (value: string, fencingToken?: number) => log.append({ value }, { fencingToken });
    await Promise.all([append("a", 3), append("b", 3), append("c", 4), append("d"), append("e"), append("f", 4)]);
    expect(leader.arrived).toEqual([1, 2, 1, 2, 1]);
    expect(leader.log.values()).toEqual(["first", "a", "b", "c", "d", "e", "f"]);
  });

  test("refuses all that show it, and nobody else", async () => {
    const leader = await node();
    const log = await open([leader]);
    await log.fence(4);
    const append = (value: string, fencingToken?: number) => log.append({ value }, { fencingToken });
    const calls = [append("a", 3), append("b", 3), append("c"), append("d", 4)];
    const results = await Promise.allSettled(calls);
    expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected", "fulfilled", "fulfilled"]);
    expect(await errorOf(calls[1]!)).toMatchObject({ code: "FENCED", outcome: "none", facts: { token: 3, fence: 4 } });
    expect(leader.log.values()).toEqual(["c", "d"]);
  });
});

describe("a guard that holds", () => {
  test("is judged where the records come to stand: behind what was called before, in front of what was called after", async () => {
    const leader = await node();
    const log = await open([leader]);
    const results = await Promise.all([
      log.append([{ value: "a" }, { value: "b", tags: ["x"] }]),
      log.append({ value: "c", tags: ["x"] }, { expectedTail: 3, stream: { tag: "x", expected: 2 } }),
      log.append([{ value: "d" }], { stream: { tag: "x", expected: 3 }, fencingToken: 0 }),
      log.append({ value: "e" }, { condition: { query: { tags: ["x"] }, after: 3 } }),
    ]);
    expect(results).toMatchObject([{ first: 1, last: 2 }, { position: 3 }, { first: 4, last: 4 }, { position: 5 }]);
    expect(leader.arrived).toEqual([2, 1, 1, 1]);
  });

  test("lets many guarded appends be in flight at once", async () => {
    const leader = await node();
    const log = await open([leader]);
    await log.append({ value: "first" });
    leader.script = () => ({ kind: "hold" });
    const all = Array.from({ length: 50 }, (_, index) => log.append({ value: "x" }, { expectedTail: index + 2 }));
    await until(() => leader.arrived.length === 51);
    leader.script = () => ({ kind: "acknowledge" });
    leader.release();
    expect((await Promise.all(all)).map(({ position }) => position)).toEqual(all.map((_, index) => index + 2));
  });

  test("of two who race for the same tail exactly one wins, each time", async () => {
    const leader = await node();
    const [one, other] = [await open([leader]), await open([leader])];
    for (let tail = 1; tail <= 20; tail += 1) {
      const race = await Promise.allSettled(
        [one, other].map((log) => log.append({ value: `${tail}` }, { expectedTail: tail })),
      );
      expect(race.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
      expect(race.find(({ status }) => status === "rejected")).toMatchObject({ reason: { code: "TAIL_MISMATCH" } });
    }
  });
});

describe("without a session", () => {
  test("a guarded append whose answer is lost is unknown, and never sent again", async () => {
    const leader = await node();
    const log = await open([leader]);
    leader.script = (batch) => (batch === 0 ? { kind: "break", ordered: true } : { kind: "acknowledge" });
    expect(await errorOf(log.append({ value: "a" }, { expectedTail: 1 }))).toMatchObject({
      code: "UNAVAILABLE",
      outcome: "unknown",
    });
    await log.append({ value: "b" });
    expect(leader.log.values()).toEqual(["a", "b"]);
    expect(leader.arrived).toEqual([1, 1]);
  });

  test("a guarded append that a follower refused goes to the leader with its guards", async () => {
    const leader = await node();
    const follower = await node(leader.log);
    const error = new PaxlogError("NOT_LEADER", "elsewhere", { facts: { leader: leader.address } });
    follower.script = () => ({ kind: "fail", error });
    const log = await open([follower, leader]);
    const results = await Promise.allSettled([
      log.append({ value: "a" }, { expectedTail: 1 }),
      log.append({ value: "b" }, { expectedTail: 1 }),
      log.append({ value: "c" }),
    ]);
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(leader.log.values()).toEqual(["a", "c"]);
  });

  test("guards that are mistyped are refused before anything is sent", async () => {
    const leader = await node();
    const log = await open([leader]);
    const wrong = [{ expectedTail: 0 }, { stream: { tag: "a", expected: -1 } }, { session: {} as never }];
    for (const options of wrong) {
      expect(await errorOf(log.append({ value: "a" }, options))).toMatchObject({ code: "INVALID_ARGUMENT" });
    }
    expect(await errorOf(log.fence(-1))).toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(leader.arrived).toEqual([]);
  });
});

describe("the fence", () => {
  test("is raised at the leader, wherever the client asks first, and may be raised again to the same token", async () => {
    const leader = await node();
    const follower = await node(leader.log);
    follower.onLeaderCall = () => new PaxlogError("NOT_LEADER", "elsewhere", { facts: { leader: leader.address } });
    const log = await open([follower]);
    await open([leader]).then((other) => other.append({ value: "a" }));
    expect(await log.fence(3)).toEqual({ fence: 3, tail: 2 });
    expect(await log.fence(3)).toEqual({ fence: 3, tail: 2 });
    expect(await errorOf(log.fence(2))).toMatchObject({ code: "FENCED", facts: { fence: 3, token: 2 } });
  });

  test("that is not answered in time has outcome unknown, and that of a leader nobody found has outcome none", async () => {
    const leader = await node();
    const log = await open([leader], { deadlineMs: 300 });
    leader.onLeaderCall = () => "hang";
    expect(await errorOf(log.fence(3))).toMatchObject({ code: "DEADLINE_EXCEEDED", outcome: "unknown" });
    leader.onLeaderCall = () => new PaxlogError("NOT_LEADER", "not me");
    expect(await errorOf(log.fence(3))).toMatchObject({ code: "NOT_LEADER", outcome: "none" });
  });
});
