// Sessions: an append of a session lands once, whatever is sent again and whoever leads (docs/protocol.md, section 14).
import { describe, expect, test } from "vitest";
import { limits } from "../../src/base/limits.ts";
import type { Position } from "../../src/base/types.ts";
import type { AppendAnswer } from "../../src/core/effect.ts";
import type { Guards } from "../../src/core/guards.ts";
import { electedCluster, followersOf, kindIs, type TestCluster } from "./harness.ts";

function send(cluster: TestCluster, id: number, serial: number, text = `t${serial}`, guards: Guards = {}): number {
  return cluster.proposeGuarded(cluster.leader.id, text, { ...guards, session: { id, serial } });
}

function answered(
  cluster: TestCluster,
  id: number,
  serial: number,
  text?: string,
  guards?: Guards,
): AppendAnswer | undefined {
  const { leader } = cluster;
  const request = send(cluster, id, serial, text, guards);
  cluster.settle();
  return leader.answers.get(request);
}

/** The log as text, without the empty entries. */
const batches = (cluster: TestCluster): string[] =>
  cluster.leader.replica.log
    .range(cluster.leader.replica.log.memoryBegin, cluster.leader.replica.log.acceptedEnd, Number.MAX_SAFE_INTEGER)
    .filter((entry) => entry.kind === "batch")
    .map((entry) => Buffer.from(entry.bytes).toString());

describe("a request of a session", () => {
  test("that was applied gets its first answer again, from whoever leads", () => {
    const cluster = electedCluster(3);
    const session = cluster.openSession(cluster.leader.id);
    const first = answered(cluster, session, 1);
    expect(first).toMatchObject({ kind: "acknowledged", firstPosition: 1 });
    cluster.propose(cluster.leader.id, "between");
    cluster.settle();
    expect(answered(cluster, session, 1)).toEqual(first);
    cluster.crash(cluster.leader.id);
    cluster.run(8);
    expect(answered(cluster, session, 1)).toEqual(first);
    expect(answered(cluster, session, 2)).toMatchObject({ kind: "acknowledged", firstPosition: 3 });
    expect(batches(cluster)).toEqual(["t1", "between", "t2"]);
  });

  test("that is in flight is joined by its retry", () => {
    const cluster = electedCluster(3);
    const { leader } = cluster;
    const session = cluster.openSession(leader.id);
    const requests = [send(cluster, session, 1), send(cluster, session, 2), send(cluster, session, 1)];
    expect(requests.map((request) => leader.answers.get(request))).toEqual([undefined, undefined, undefined]);
    cluster.settle();
    const [first, second, retry] = requests.map((request) => leader.answers.get(request));
    expect(first).toMatchObject({ kind: "acknowledged", firstPosition: 1 });
    expect(second).toMatchObject({ kind: "acknowledged", firstPosition: 2 });
    expect(retry).toEqual(first);
    expect(batches(cluster)).toEqual(["t1", "t2"]);
  });

  test("that the lost leader had taken lands once, also where the next leader kept it undecided", () => {
    const cluster = electedCluster(3);
    const old = cluster.leader;
    const session = cluster.openSession(old.id);
    const request = send(cluster, session, 1);
    const [follower] = followersOf(cluster);
    cluster.flush(old.id);
    cluster.deliver(kindIs("accept", follower!.id));
    cluster.flush(follower!.id);
    cluster.crash(old.id);
    cluster.run(8);
    expect(old.answers.get(request)).toBeUndefined();
    expect(answered(cluster, session, 1)).toMatchObject({ kind: "acknowledged", firstPosition: 1 });
    expect(batches(cluster)).toEqual(["t1"]);
  });

  test("is judged by its guards only where it is new", () => {
    const cluster = electedCluster(3);
    const session = cluster.openSession(cluster.leader.id);
    const guards = { expectedTail: 1 as Position };
    const first = answered(cluster, session, 1, "a", guards);
    expect(first).toMatchObject({ kind: "acknowledged" });
    expect(answered(cluster, session, 1, "a", guards)).toEqual(first);
  });

  test("that was refused stays refused: a copy that comes later does not land, even where its guard would hold by then", () => {
    const cluster = electedCluster(3);
    const session = cluster.openSession(cluster.leader.id);
    const guards = { expectedTail: 2 as Position };
    const first = answered(cluster, session, 1, "a", guards);
    expect(first).toMatchObject({ kind: "refused", refusal: { guard: "expectedTail", actual: 1 } });
    cluster.propose(cluster.leader.id, "b");
    cluster.settle();
    expect(answered(cluster, session, 1, "a", guards)).toEqual(first);
    cluster.crash(cluster.leader.id);
    cluster.run(8);
    expect(answered(cluster, session, 1, "a", guards)).toEqual(first);
    expect(batches(cluster)).toEqual(["b"]);
  });

  test("that a later one overtook is never ordered, and says so", () => {
    const cluster = electedCluster(3);
    const session = cluster.openSession(cluster.leader.id);
    expect(answered(cluster, session, 2)).toMatchObject({ kind: "acknowledged" });
    expect(answered(cluster, session, 1)).toEqual({ kind: "failed", code: "SESSION_GAP", outcome: "none" });
    expect(batches(cluster)).toEqual(["t2"]);
  });

  test("is one of 256 in flight, and of the 256 whose answers are kept", () => {
    const cluster = electedCluster(3);
    const { leader } = cluster;
    const session = cluster.openSession(leader.id);
    const requests: number[] = [];
    for (let serial = 1; serial <= limits.sessionWindow + 1; serial += 1) requests.push(send(cluster, session, serial));
    expect(leader.answers.get(requests[limits.sessionWindow]!)).toMatchObject({ code: "SESSION_OVERFLOW" });
    cluster.settle();
    const last = limits.sessionWindow + 1;
    expect(answered(cluster, session, last)).toMatchObject({ kind: "acknowledged", firstPosition: last });
    expect(answered(cluster, session, 1)).toEqual({ kind: "failed", code: "SESSION_UNKNOWN", outcome: "unknown" });
    expect(answered(cluster, session, 2)).toMatchObject({ kind: "acknowledged", firstPosition: 2 });
  });
});

describe("a session", () => {
  test("that is not known is never guessed about", () => {
    const cluster = electedCluster(3);
    expect(answered(cluster, 99, 1)).toEqual({ kind: "failed", code: "SESSION_UNKNOWN", outcome: "unknown" });
  });

  test("is not called unknown by a leader that nobody follows any more", () => {
    const cluster = electedCluster(3);
    const old = cluster.leader;
    cluster.isolate(old, followersOf(cluster));
    const request = send(cluster, 2, 1);
    cluster.run(8);
    expect(old.answers.get(request)).toBeUndefined();
    cluster.cut.clear();
    cluster.run(4);
    expect(old.answers.get(request)).toEqual({ kind: "failed", code: "NOT_LEADER", outcome: "none" });
  });

  test("is closed by an entry", () => {
    const cluster = electedCluster(3);
    const { leader } = cluster;
    const session = cluster.openSession(leader.id);
    const request = cluster.proposeControl(leader.id, { kind: "closeSession", session });
    cluster.settle();
    expect(leader.answers.get(request)).toMatchObject({ kind: "session", session });
    expect(answered(cluster, session, 1)).toMatchObject({ code: "SESSION_UNKNOWN" });
  });

  test("expires by an entry once the log's time has passed its own, on every replica alike", () => {
    const cluster = electedCluster(3);
    const session = cluster.openSession(cluster.leader.id, 2000);
    cluster.run(5);
    expect(answered(cluster, session, 1)).toMatchObject({ kind: "acknowledged" });
    cluster.run(9);
    expect(answered(cluster, session, 2)).toMatchObject({ kind: "acknowledged" });
    cluster.run(12);
    expect(answered(cluster, session, 3)).toEqual({ kind: "failed", code: "SESSION_UNKNOWN", outcome: "unknown" });
    cluster.crash(cluster.leader.id);
    cluster.run(8);
    expect(answered(cluster, session, 3)).toMatchObject({ code: "SESSION_UNKNOWN" });
    expect(cluster.nodes.flatMap((node) => node.stops)).toEqual([]);
  });

  test("is kept alive by a sign of life", () => {
    const cluster = electedCluster(3);
    const session = cluster.openSession(cluster.leader.id, 2000);
    for (let time = 0; time < 4; time += 1) {
      cluster.run(7);
      cluster.proposeControl(cluster.leader.id, { kind: "keepSession", session });
      cluster.settle();
    }
    expect(answered(cluster, session, 1)).toMatchObject({ kind: "acknowledged" });
  });

  test("moves the log's time on by ticks while nothing else does, and only while it is open", () => {
    const cluster = electedCluster(1);
    const ticks = () => {
      const { log } = cluster.leader.replica;
      return log.range(log.memoryBegin, log.acceptedEnd, Number.MAX_SAFE_INTEGER).filter(({ kind }) => kind === "tick");
    };
    cluster.run(12);
    expect(ticks()).toHaveLength(0);
    const session = cluster.openSession(1, 60_000);
    cluster.run(20);
    const count = ticks().length;
    expect(count).toBeGreaterThanOrEqual(2);
    expect(count).toBeLessThanOrEqual(4);
    cluster.proposeControl(1, { kind: "closeSession", session });
    cluster.settle();
    cluster.run(20);
    expect(ticks()).toHaveLength(count);
  });

  test("and its answers are known again after all nodes started anew", () => {
    const cluster = electedCluster(3);
    const session = cluster.openSession(cluster.leader.id);
    const first = answered(cluster, session, 1);
    for (const node of cluster.nodes) cluster.crash(node.id);
    for (const node of cluster.nodes) cluster.restart(node.id);
    cluster.run(8);
    expect(answered(cluster, session, 1)).toEqual(first);
  });
});

test("the log's time follows the clock that its leader had when it took its ballot: later jumps do not enter", () => {
  const cluster = electedCluster(1);
  const time = (request: number): number => {
    const answer = cluster.leader.answers.get(request);
    return answer?.kind === "acknowledged" ? answer.time : -1;
  };
  const [first] = cluster.propose(1, "a");
  cluster.settle();
  cluster.step(1, {
    kind: "tick",
    wallMs: cluster.wallMs + 1_000_000,
    monotonicMs: cluster.wallMs,
    loopLagMs: 0,
    diskFull: false,
    inReserve: false,
  });
  cluster.wallMs += 50;
  const [second] = cluster.propose(1, "b");
  cluster.settle();
  expect(time(second!) - time(first!)).toBe(50);
});

describe("a session whose end is announced", () => {
  const open = (cluster: TestCluster, ttlMs?: number): number => {
    const { leader } = cluster;
    const terms = { ttlMs: ttlMs ?? 60_000, announceEnd: true };
    const request = cluster.proposeControl(leader.id, { kind: "openSession", ...terms });
    cluster.settle();
    const answer = leader.answers.get(request);
    return answer?.kind === "session" ? answer.session : 0;
  };

  test("is closed by a record that has the next position, and a repeated close finds it gone", () => {
    const cluster = electedCluster(3);
    const { leader } = cluster;
    const session = open(cluster);
    expect(answered(cluster, session, 1)).toMatchObject({ kind: "acknowledged", firstPosition: 1 });
    const requests = [1, 2].map(() => cluster.proposeControl(leader.id, { kind: "closeSession", session }));
    cluster.propose(leader.id, "behind");
    cluster.settle();
    cluster.run(2);
    expect(leader.answers.get(requests[0]!)).toMatchObject({ kind: "session", session });
    expect(leader.answers.get(requests[1]!)).toMatchObject({ kind: "failed", code: "SESSION_UNKNOWN" });
    expect(batches(cluster)).toEqual([
      "t1",
      expect.stringMatching(new RegExp(`!\\$session ${session} closed$`)),
      "behind",
    ]);
    expect(answered(cluster, session, 2)).toMatchObject({ code: "SESSION_UNKNOWN" });
  });

  test("says once that it expired, also where the leader that ordered this is lost before anybody knows", () => {
    const cluster = electedCluster(3);
    const old = cluster.leader;
    const session = open(cluster, 2000);
    const [follower] = followersOf(cluster);
    cluster.isolate(old, followersOf(cluster));
    cluster.run(40);
    cluster.cut.clear();
    cluster.run(12);
    const ends = batches(cluster).filter((text) => text.includes("$session"));
    expect(ends).toEqual([expect.stringMatching(new RegExp(`!\\$session ${session} expired$`))]);
    expect(follower!.stops).toEqual([]);
    expect(answered(cluster, session, 1)).toMatchObject({ code: "SESSION_UNKNOWN" });
  });
});
