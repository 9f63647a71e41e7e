// What an append may demand of the log, judged by the real sequencer inside of real replicas (docs/protocol.md, sections 13 and 14).
import { describe, expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import type { Position } from "../../src/base/types.ts";
import type { AppendAnswer } from "../../src/core/effect.ts";
import type { Condition, Guards } from "../../src/core/guards.ts";
import { electedCluster, followersOf, kindIs, type TestCluster, type TestNode } from "./harness.ts";

const at = (value: number): Position => value as Position;

/** The answer to a guarded append once everything is at rest. */
function answered(cluster: TestCluster, text: string, guards: Guards): AppendAnswer | undefined {
  const { leader } = cluster;
  const requestId = cluster.proposeGuarded(leader.id, text, guards);
  cluster.settle();
  return leader.answers.get(requestId);
}

function append(cluster: TestCluster, ...texts: string[]): void {
  cluster.propose(cluster.leader.id, ...texts);
  cluster.settle();
}

const condition = (types: string[], tags: string[], after: number): Condition => ({
  query: { items: [{ types, tags }] },
  after: after as Position | 0,
});

describe("an append that expects a tail", () => {
  test("is ordered where it is the tail, and refused with the tail where it is not", () => {
    const cluster = electedCluster(3);
    append(cluster, "a");
    expect(answered(cluster, "b", { expectedTail: at(2) })).toMatchObject({ kind: "acknowledged", firstPosition: 2 });
    expect(answered(cluster, "c", { expectedTail: at(2) })).toEqual({
      kind: "refused",
      refusal: { guard: "expectedTail", index: 0, actual: 3, tail: 3 },
    });
    expect(cluster.leader.logText).toBe("a b");
  });

  test("of two that race for it one wins", () => {
    const cluster = electedCluster(3);
    const { leader } = cluster;
    const requests = ["a", "b"].map((text) => cluster.proposeGuarded(leader.id, text, { expectedTail: at(1) }));
    cluster.settle();
    expect(requests.map((request) => leader.answers.get(request)?.kind)).toEqual(["acknowledged", "refused"]);
  });
});

describe("a fence", () => {
  test("refuses older tokens and lets its own and newer ones pass, also under the next leader", () => {
    const cluster = electedCluster(3);
    const old = cluster.leader;
    const fenced = cluster.proposeControl(old.id, { kind: "fence", token: 5 });
    cluster.settle();
    expect(old.answers.get(fenced)).toEqual({ kind: "fenced", fence: 5, tail: 1 });
    expect(answered(cluster, "a", { fencingToken: 4 })).toMatchObject({
      refusal: { guard: "fencingToken", actual: 5 },
    });
    expect(answered(cluster, "b", { fencingToken: 5 })).toMatchObject({ kind: "acknowledged" });
    cluster.crash(old.id);
    cluster.run(6);
    expect(answered(cluster, "c", { fencingToken: 4 })).toMatchObject({
      refusal: { guard: "fencingToken", actual: 5 },
    });
    const lower = cluster.proposeControl(cluster.leader.id, { kind: "fence", token: 4 });
    cluster.settle();
    expect(cluster.leader.answers.get(lower)).toMatchObject({ kind: "refused", refusal: { actual: 5 } });
  });

  test("is known again after all nodes started anew", () => {
    const cluster = electedCluster(3);
    cluster.proposeControl(cluster.leader.id, { kind: "fence", token: 7 });
    cluster.settle();
    for (const node of cluster.nodes) cluster.crash(node.id);
    for (const node of cluster.nodes) cluster.restart(node.id);
    cluster.run(8);
    expect(answered(cluster, "a", { fencingToken: 6 })).toMatchObject({
      refusal: { guard: "fencingToken", actual: 7 },
    });
  });
});

describe("a condition", () => {
  test("is refused by the first record behind its position that matches type and tags", () => {
    const cluster = electedCluster(3);
    append(cluster, "x !placed #cart-1", "x !placed #cart-2", "x !paid #cart-1", "x !paid #cart-1");
    const judge = (each: Condition) => answered(cluster, "y", { conditions: [each] });
    expect(judge(condition(["paid"], ["cart-1"], 2))).toMatchObject({
      refusal: { guard: "condition", index: 0, actual: 3, tail: 5 },
    });
    expect(judge(condition(["placed"], ["cart-1"], 0))).toMatchObject({ refusal: { actual: 1 } });
    expect(judge(condition([], ["cart-2"], 0))).toMatchObject({ refusal: { actual: 2 } });
    expect(judge(condition([], [], 3))).toMatchObject({ refusal: { actual: 4 } });
    expect(judge(condition(["paid"], ["cart-2"], 0))).toMatchObject({ kind: "acknowledged" });
    expect(judge(condition([], ["cart-1"], 4))).toMatchObject({ kind: "acknowledged" });
  });

  test("sees what is not decided yet", () => {
    const cluster = electedCluster(3);
    const { leader } = cluster;
    cluster.propose(leader.id, "x #name");
    const request = cluster.proposeGuarded(leader.id, "y #name", { conditions: [condition([], ["name"], 0)] });
    expect(leader.answers.get(request)).toBeUndefined();
    cluster.settle();
    expect(leader.answers.get(request)).toMatchObject({ kind: "refused", refusal: { actual: 1 } });
  });

  test("forgets what was never decided when the leadership is lost", () => {
    const cluster = electedCluster(3);
    const old = cluster.leader;
    cluster.isolate(old, followersOf(cluster));
    cluster.propose(old.id, "x #name");
    cluster.run(8);
    cluster.cut.clear();
    cluster.run(4);
    const next = cluster.leader;
    expect(next).not.toBe(old);
    expect(answered(cluster, "y #name", { conditions: [condition([], ["name"], 0)] })).toMatchObject({
      kind: "acknowledged",
      firstPosition: 1,
    });
    cluster.run(2);
    // The old leader takes the lead again, with the history that it learnt.
    cluster.crash(next.id);
    cluster.run(8);
    expect(answered(cluster, "z #name", { conditions: [condition([], ["name"], 0)] })).toMatchObject({
      refusal: { actual: 1 },
    });
  });
});

describe("a stream's expected revision", () => {
  test("is the position of the last record that bears the tag", () => {
    const cluster = electedCluster(3);
    append(cluster, "x #s", "x #other", "x #s", "x #other");
    const judge = (expected: "any" | "noStream" | "streamExists" | Position, tag = "s") =>
      answered(cluster, "y", { streams: [{ tag, expected }] });
    expect(judge(at(1))).toMatchObject({ kind: "refused", refusal: { guard: "stream", index: 0, actual: 3 } });
    expect(judge(at(4))).toMatchObject({ refusal: { actual: 3 } });
    expect(judge(at(99))).toMatchObject({ refusal: { actual: 3 } });
    expect(judge("noStream")).toMatchObject({ refusal: { actual: 3 } });
    expect(judge("streamExists", "unheard")).toMatchObject({ refusal: { actual: 0 } });
    for (const right of [at(3), "any", "streamExists"] as const) {
      expect(judge(right)).toMatchObject({ kind: "acknowledged" });
    }
    expect(judge("noStream", "unheard")).toMatchObject({ kind: "acknowledged" });
  });

  test("names which of several streams is not as expected", () => {
    const cluster = electedCluster(1);
    append(cluster, "x #a", "x #b");
    const streams = [
      { tag: "a", expected: at(1) },
      { tag: "b", expected: "noStream" as const },
    ];
    expect(answered(cluster, "y", { streams })).toMatchObject({ refusal: { guard: "stream", index: 1, actual: 2 } });
  });
});

describe("a refusal", () => {
  /** A leader with an undecided entry and an append that this entry refuses. */
  function refusedInDoubt(): { cluster: TestCluster; old: TestNode; request: number } {
    const cluster = electedCluster(3);
    const old = cluster.leader;
    cluster.isolate(old, followersOf(cluster));
    cluster.propose(old.id, "never decided");
    const request = cluster.proposeGuarded(old.id, "x", { expectedTail: at(1) });
    cluster.flush(old.id);
    return { cluster, old, request };
  }

  test("that rests on slots which a lost leader never decided is not said: nothing happened, go to the leader", () => {
    const { cluster, old, request } = refusedInDoubt();
    expect(old.answers.get(request)).toBeUndefined();
    cluster.run(8);
    expect(old.answers.get(request)).toBeUndefined();
    cluster.cut.clear();
    cluster.run(4);
    expect(old.answers.get(request)).toEqual({ kind: "failed", code: "NOT_LEADER", outcome: "none" });
    // What the refusal would have said never was: the tail is where the caller expected it.
    expect(answered(cluster, "x", { expectedTail: at(1) })).toMatchObject({ kind: "acknowledged", firstPosition: 1 });
  });

  test("of a leader that nobody follows any more is not said either, although all that it judged by is decided", () => {
    const cluster = electedCluster(3);
    const old = cluster.leader;
    append(cluster, "a");
    cluster.isolate(old, followersOf(cluster));
    const request = cluster.proposeGuarded(old.id, "x", { expectedTail: at(1) });
    cluster.run(8);
    expect(old.answers.get(request)).toBeUndefined();
    cluster.cut.clear();
    cluster.run(4);
    expect(old.answers.get(request)).toEqual({ kind: "failed", code: "NOT_LEADER", outcome: "none" });
  });

  test("waits for a probe that began after the request came", () => {
    const cluster = electedCluster(3);
    const { leader } = cluster;
    append(cluster, "a");
    const request = cluster.proposeGuarded(leader.id, "x", { expectedTail: at(1) });
    expect(leader.answers.get(request)).toBeUndefined();
    expect(cluster.deliver(kindIs("probe"))).toBe(2);
    expect(leader.answers.get(request)).toBeUndefined();
    expect(cluster.deliver(kindIs("probeAck"))).toBe(2);
    expect(leader.answers.get(request)).toMatchObject({ kind: "refused", refusal: { actual: 2 } });
  });

  test("is not promised to more than can wait for it", () => {
    const cluster = electedCluster(3);
    const { leader } = cluster;
    let last = 0;
    for (let count = 0; count <= limits.heldProposals; count += 1) {
      last = cluster.proposeGuarded(leader.id, "x", { expectedTail: at(9) });
    }
    expect(leader.answers.get(last)).toMatchObject({ code: "OVERLOADED", outcome: "none" });
    expect(leader.answers.size).toBe(1);
  });

  test("is that of everything behind it of the same caller, but not of others nor of sessions", () => {
    const cluster = electedCluster(3);
    const { leader } = cluster;
    const session = cluster.openSession(leader.id);
    const first = cluster.proposeGuarded(leader.id, "x", { expectedTail: at(9) }, 1);
    const behind = cluster.proposeGuarded(leader.id, "y", {}, 1);
    const other = cluster.proposeGuarded(leader.id, "z", {}, 2);
    const own = cluster.proposeGuarded(leader.id, "s", { session: { id: session, serial: 1 } }, 1);
    cluster.settle();
    const kinds = [first, behind, other, own].map((request) => leader.answers.get(request)?.kind);
    expect(kinds).toEqual(["refused", "refused", "acknowledged", "acknowledged"]);
    const later = cluster.proposeGuarded(leader.id, "w", {}, 1);
    cluster.settle();
    expect(leader.answers.get(later)).toMatchObject({ kind: "acknowledged" });
  });
});

describe("an append whose guard asks about entries that are not in memory any more", () => {
  /** A single node that started anew: its log is on disk, its window remembers the hashes. */
  function restarted(): TestCluster {
    const cluster = electedCluster(1);
    for (const text of ["x #name", "x #other", "y", "y"]) append(cluster, text);
    cluster.crash(1);
    cluster.restart(1);
    cluster.run(4);
    return cluster;
  }
  const noName = { conditions: [condition([], ["name"], 0)] };
  const noOther = { conditions: [condition(["none"], ["other"], 0)] };

  test("is judged when the history has answered, and holds up its own caller alone", () => {
    const cluster = restarted();
    const { leader } = cluster;
    const asking = cluster.proposeGuarded(leader.id, "a", noOther, 1);
    const behind = cluster.proposeGuarded(leader.id, "b", {}, 1);
    const other = cluster.proposeGuarded(leader.id, "c", {}, 2);
    cluster.settle();
    expect(leader.searches.map(({ query }) => [query.from, query.end, query.want])).toEqual([[2, 3, "first"]]);
    expect(leader.answers.get(asking)).toBeUndefined();
    expect(leader.answers.get(behind)).toBeUndefined();
    expect(leader.answers.get(other)).toMatchObject({ kind: "acknowledged", firstPosition: 5 });
    expect(cluster.answerSearches(1)).toBe(1);
    cluster.settle();
    expect(leader.answers.get(asking)).toMatchObject({ kind: "acknowledged", firstPosition: 6 });
    expect(leader.answers.get(behind)).toMatchObject({ kind: "acknowledged", firstPosition: 7 });
  });

  test("is refused by what the history found, and with it what its caller sent behind it", () => {
    const cluster = restarted();
    const { leader } = cluster;
    const requests = [cluster.proposeGuarded(1, "a", noName, 1), cluster.proposeGuarded(1, "b", {}, 1)];
    cluster.answerSearches(1);
    cluster.settle();
    for (const request of requests) {
      expect(leader.answers.get(request)).toMatchObject({
        kind: "refused",
        refusal: { guard: "condition", actual: 1 },
      });
    }
  });

  test("is judged anew: what came meanwhile refuses it too", () => {
    const cluster = restarted();
    const { leader } = cluster;
    const request = cluster.proposeGuarded(1, "a", noOther, 1);
    append(cluster, "z !none #other");
    cluster.answerSearches(1);
    cluster.settle();
    expect(leader.answers.get(request)).toMatchObject({ kind: "refused", refusal: { actual: 5 } });
  });

  test("has not happened where the leadership is lost meanwhile, and the answer that comes late does no harm", () => {
    const cluster = electedCluster(3);
    for (const text of ["x #name", "y", "y"]) append(cluster, text);
    for (const { id } of cluster.nodes) cluster.crash(id);
    for (const { id } of cluster.nodes) cluster.restart(id);
    cluster.run(8);
    const old = cluster.leader;
    const request = cluster.proposeGuarded(old.id, "a", noName, 1);
    expect(old.searches).toHaveLength(1);
    cluster.isolate(old, followersOf(cluster));
    cluster.run(8);
    cluster.cut.clear();
    cluster.run(4);
    expect(old.answers.get(request)).toEqual({ kind: "failed", code: "NOT_LEADER", outcome: "none" });
    cluster.answerSearches(old.id);
    cluster.settle();
    expect(cluster.nodes.flatMap(({ stops }) => stops)).toEqual([]);
  });

  test("is turned away where too many wait, and so is all that follows it", () => {
    const cluster = restarted();
    const { leader } = cluster;
    cluster.proposeGuarded(1, "a", noOther, 1);
    const batch = Buffer.alloc(limits.heldBytes).toString();
    const large = cluster.proposeGuarded(1, batch, {}, 1);
    const small = cluster.proposeGuarded(1, "b", {}, 1);
    expect([large, small].map((request) => leader.answers.get(request))).toMatchObject([
      { code: "OVERLOADED", outcome: "none" },
      { code: "OVERLOADED", outcome: "none" },
    ]);
    cluster.answerSearches(1);
    cluster.settle();
    const later = cluster.proposeGuarded(1, "c", {}, 1);
    cluster.settle();
    expect(leader.answers.get(later)).toMatchObject({ kind: "acknowledged" });
  });
});
