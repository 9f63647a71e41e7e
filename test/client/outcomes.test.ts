/**
 * Goal: an outcome is never guessed, and what may have happened is never sent twice. Method: nodes that refuse, lose, order and
 * break at chosen batches; afterwards the log itself says whether the client told the truth.
 */
import { describe, expect, test } from "vitest";
import { PaxlogError } from "../../src/base/errors.ts";
import { errorOf, fixture, until } from "./fixture.ts";
import { notLeader, type Verdict } from "./test-node.ts";

const { node, open } = fixture();

const leaderLost = new PaxlogError("LEADER_LOST", "this node led and leads no more", { outcome: "unknown" });
const overloaded = new PaxlogError("OVERLOADED", "too much waits to be ordered");

describe("finding the leader", () => {
  test("a refusal that names the leader is followed, also to an address that was not given", async () => {
    const leader = await node();
    const follower = await node(leader.log);
    follower.script = () => ({ kind: "fail", error: notLeader(leader.address) });
    const log = await open([follower]);
    expect(await log.append({ value: "a" })).toMatchObject({ position: 1 });
    expect(await log.append({ value: "b" })).toMatchObject({ position: 2 });
    expect(follower.arrived.length).toBe(1);
  });

  test("a refusal that names nobody sends the client on to the next node", async () => {
    const first = await node();
    const second = await node(first.log);
    const third = await node(first.log);
    first.script = second.script = () => ({ kind: "fail", error: notLeader() });
    const log = await open([first, second, third]);
    const appended = await Promise.all(["a", "b", "c"].map((value) => log.append({ value })));
    expect(appended.map(({ position }) => position)).toEqual([1, 2, 3]);
    expect([first.arrived, second.arrived, third.arrived]).toEqual([[3], [3], [3]]);
  });

  test("a node that is gone is passed by", async () => {
    const gone = await node();
    const leader = await node();
    const log = await open([gone, leader]);
    gone.crash();
    expect(await log.append({ value: "a" })).toMatchObject({ position: 1 });
  });

  test("two nodes that point to each other are not asked without a pause, and the error at the end says NOT_LEADER, outcome none", async () => {
    const one = await node();
    const other = await node(one.log);
    one.script = () => ({ kind: "fail", error: notLeader(other.address) });
    other.script = () => ({ kind: "fail", error: notLeader(one.address) });
    const log = await open([one, other], { deadlineMs: 600 });
    const error = await errorOf(log.append({ value: "a" }));
    expect(error).toMatchObject({ code: "NOT_LEADER", outcome: "none", retryable: true });
    expect(one.arrived.length + other.arrived.length).toBeLessThan(40);
    expect(one.log.values()).toEqual([]);
  });

  test("without any node the error at the end says UNAVAILABLE, outcome none, and the log works again when one is back", async () => {
    const leader = await node();
    const log = await open([leader], { deadlineMs: 500 });
    await log.append({ value: "a" });
    leader.crash();
    // Before the client has noticed, the call would be sent into the void, and its outcome rightly unknown.
    await new Promise((resolve) => setTimeout(resolve, 100));
    const started = performance.now();
    expect(await errorOf(log.append({ value: "b" }))).toMatchObject({ code: "UNAVAILABLE", outcome: "none" });
    expect(performance.now() - started).toBeLessThan(2000);
    await leader.start();
    expect(await log.append({ value: "c" })).toMatchObject({ position: 2 });
    expect(leader.log.values()).toEqual(["a", "c"]);
  });

  test("appends that wait for an election are there when it is over, in their order", async () => {
    const leader = await node();
    let electing = true;
    leader.script = () => (electing ? { kind: "fail", error: notLeader() } : { kind: "acknowledge" });
    const log = await open([leader]);
    const all: Promise<{ position: number }>[] = [];
    for (let count = 0; count < 10; count += 1) {
      all.push(log.append({ value: `${count}` }));
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    electing = false;
    expect((await Promise.all(all)).map(({ position }) => position)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(leader.log.values()).toEqual(["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
  });
});

describe("outcome none", () => {
  test("OVERLOADED is sent again to the same node, after a pause", async () => {
    const leader = await node();
    const other = await node(leader.log);
    leader.script = (batch) => (batch < 4 ? { kind: "fail", error: overloaded } : { kind: "acknowledge" });
    const log = await open([leader, other]);
    const started = performance.now();
    expect(await log.append({ value: "a" })).toMatchObject({ position: 1 });
    expect(performance.now() - started).toBeGreaterThan(50);
    expect(leader.arrived.length).toBe(5);
    expect(other.arrived.length).toBe(0);
  });

  test("OVERLOADED to the deadline is OVERLOADED, outcome none", async () => {
    const leader = await node();
    leader.script = () => ({ kind: "fail", error: overloaded });
    const log = await open([leader], { deadlineMs: 300 });
    expect(await errorOf(log.append({ value: "a" }))).toMatchObject({
      code: "OVERLOADED",
      outcome: "none",
      retryable: true,
    });
    expect(leader.log.values()).toEqual([]);
  });

  test("a batch's own fault fails its callers; those behind it are sent again", async () => {
    const leader = await node();
    const log = await open([leader]);
    await log.append({ value: "first" });
    const fault = new PaxlogError("CHECKSUM_MISMATCH", "the batch does not match its checksum");
    leader.script = (batch) => (batch === 1 ? { kind: "fail", error: fault } : { kind: "acknowledge" });
    const large = new Uint8Array(200_000);
    const [bad, ...rest] = await Promise.allSettled([1, 2, 3].map(() => log.append([{ value: large }])));
    expect(bad).toMatchObject({ reason: { code: "CHECKSUM_MISMATCH", outcome: "none" } });
    expect(rest).toMatchObject([{ value: { first: 2 } }, { value: { first: 3 } }]);
    expect(leader.log.batches.length).toBe(3);
  });
});

describe("outcome none by the trouble of one node", () => {
  test.each(["CLOSED", "STORAGE_FAILED"] as const)(
    "a leader that refuses with %s is left for another",
    async (code) => {
      const one = await node();
      const other = await node(one.log);
      one.script = () => ({ kind: "fail", error: new PaxlogError(code, "this node is of no use") });
      const log = await open([one, other], { deadlineMs: 300 });
      expect(await log.append({ value: "a" })).toMatchObject({ position: 1 });
      other.script = one.script;
      const error = await errorOf(log.append({ value: "b" }));
      expect(error).toMatchObject({ code: code === "CLOSED" ? "UNAVAILABLE" : code, outcome: "none" });
      expect(one.log.values()).toEqual(["a"]);
    },
  );
});

describe("outcome unknown", () => {
  const cases: readonly [string, Verdict, string, number][] = [
    ["the stream breaks after the batch was ordered", { kind: "break", ordered: true }, "UNAVAILABLE", 1],
    ["the stream breaks before the batch was ordered", { kind: "break", ordered: false }, "UNAVAILABLE", 0],
    [
      "the leader is lost after the batch was ordered",
      { kind: "fail", error: leaderLost, ordered: true },
      "LEADER_LOST",
      1,
    ],
    ["the leader is lost before the batch was ordered", { kind: "fail", error: leaderLost }, "LEADER_LOST", 0],
  ];
  test.each(cases)("%s: rejected once, never sent again", async (_name, verdict, code, times) => {
    const leader = await node();
    const log = await open([leader]);
    leader.script = (batch) => (batch === 0 ? verdict : { kind: "acknowledge" });
    expect(await errorOf(log.append({ value: "maybe" }))).toMatchObject({ code, outcome: "unknown" });
    await log.append({ value: "next" });
    expect(leader.log.values().filter((value) => value === "maybe").length).toBe(times);
    expect(leader.log.values().at(-1)).toBe("next");
    expect(leader.arrived).toEqual([1, 1]);
  });

  test("a node that dies with appends in flight: all of them unknown, what was not sent goes to the next leader", async () => {
    const leader = await node();
    const heir = await node(leader.log);
    const log = await open([leader, heir], { inFlightBatches: 2 });
    await log.append({ value: "first" });
    leader.script = () => ({ kind: "hold" });
    const large = "x".repeat(200_000);
    const results = ["a", "b", "c", "d"].map((value) => log.append({ value: value + large }));
    const settled = Promise.allSettled(results);
    await until(() => leader.arrived.length === 3);
    leader.crash();
    const [a, b, c, d] = await settled;
    expect(a).toMatchObject({ reason: { code: "UNAVAILABLE", outcome: "unknown" } });
    expect(b).toMatchObject({ reason: { code: "UNAVAILABLE", outcome: "unknown" } });
    expect(c).toMatchObject({ value: { position: 4 } });
    expect(d).toMatchObject({ value: { position: 5 } });
    expect(leader.log.values().map((value) => value[0])).toEqual(["f", "a", "b", "c", "d"]);
  });

  test("answers that get lost together with a refusal do not make the answered batches refused ones", async () => {
    // Four batches are acknowledged in the same breath in which the fifth is refused, and gRPC drops the answers.
    const large = "x".repeat(200_000);
    const leader = await node();
    const heir = await node(leader.log);
    const log = await open([leader, heir]);
    // One batch is answered first: until then no second one would be sent.
    await log.append({ value: "first" });
    leader.losesAnswers = true;
    leader.script = (batch) => (batch < 5 ? { kind: "acknowledge" } : { kind: "fail", error: notLeader(heir.address) });
    const names = ["a", "b", "c", "d", "e", "f"];
    const results = await Promise.allSettled(names.map((name) => log.append({ value: name + large })));
    for (const result of results.slice(0, 4)) {
      expect(result).toMatchObject({ reason: { code: "UNAVAILABLE", outcome: "unknown" } });
    }
    expect(results.slice(4)).toMatchObject([{ value: { position: 6 } }, { value: { position: 7 } }]);
    // All six are there once: nothing that was acknowledged was sent again.
    expect(leader.log.values().map((value) => value.replace(large, ""))).toEqual(["first", ...names]);
  });

  test("a refusal that does not say how much was acknowledged is not believed", async () => {
    const leader = await node();
    const log = await open([leader]);
    leader.omitsAcknowledged = true;
    leader.script = (batch) => (batch === 0 ? { kind: "fail", error: notLeader() } : { kind: "acknowledge" });
    expect(await errorOf(log.append({ value: "a" }))).toMatchObject({ code: "UNAVAILABLE", outcome: "unknown" });
    expect(leader.arrived).toEqual([1]);
  });

  test("an answer that fits nothing that was sent ends the trust in its stream", async () => {
    const leader = await node();
    const log = await open([leader]);
    leader.answersWrongCount = true;
    expect(await errorOf(log.append({ value: "a" }))).toMatchObject({ code: "UNAVAILABLE", outcome: "unknown" });
    leader.answersWrongCount = false;
    expect(await log.append({ value: "b" })).toMatchObject({ position: 2 });
  });

  test("a connected leader that answers nothing is given up after a time: DEADLINE_EXCEEDED, unknown", async () => {
    const leader = await node();
    const log = await open([leader], { answerMs: 200 });
    leader.script = (batch) => (batch === 0 ? { kind: "hold" } : { kind: "acknowledge" });
    expect(await errorOf(log.append({ value: "a" }))).toMatchObject({ code: "DEADLINE_EXCEEDED", outcome: "unknown" });
    expect(await log.append({ value: "b" })).toMatchObject({ position: 2 });
  });

  test("what one caller sent is in the log in its order, through leaders that come, refuse, break and go", async () => {
    const one = await node();
    const other = await node(one.log);
    let step = 0;
    const verdicts: Verdict[] = [
      { kind: "acknowledge" },
      { kind: "acknowledge" },
      { kind: "acknowledge" },
      { kind: "fail", error: notLeader() },
      { kind: "acknowledge" },
      { kind: "break", ordered: true },
      { kind: "fail", error: overloaded },
      { kind: "acknowledge" },
      { kind: "break", ordered: false },
      { kind: "fail", error: leaderLost, ordered: true },
    ];
    one.script = other.script = () => verdicts[step++ % verdicts.length]!;
    const log = await open([one, other], { inFlightBatches: 4 });
    const calls: Promise<PromiseSettledResult<{ position: number }>>[] = [];
    for (let count = 0; count < 300; count += 1) {
      const call = log.append({ value: `${count}`.padEnd(10_000, ".") });
      calls.push(Promise.allSettled([call]).then(([result]) => result));
      if (count % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    const results = await Promise.all(calls);
    const stored = one.log.values().map((value) => Number.parseInt(value, 10));
    expect(new Set(stored).size).toBe(stored.length);
    let last = 0;
    for (const [index, result] of results.entries()) {
      if (result.status === "rejected") {
        expect(result.reason).toMatchObject({ outcome: "unknown" });
        continue;
      }
      expect(stored[result.value.position - 1]).toBe(index);
      expect(result.value.position).toBeGreaterThan(last);
      last = result.value.position;
    }
    expect(results.filter((result) => result.status === "fulfilled").length).toBeGreaterThan(30);
  });
});
