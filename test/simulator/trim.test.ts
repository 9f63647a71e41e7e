// Trims and snapshots under the simulator's power failures: nothing at or above the head is lost, every node makes the same snapshots
// (one that differs stops, which fails the run), and one that was away gets along with what the others have let go of.
import { expect, test } from "vitest";
import { defined } from "../../src/base/assert.ts";
import type { Effect } from "../../src/core/effect.ts";
import type { Event } from "../../src/core/event.ts";
import { Replica, type ReplicaOptions } from "../../src/core/replica.ts";
import { fromMs } from "../../src/simulator/clock.ts";
import type { Cluster } from "../../src/simulator/cluster.ts";
import { Coverage } from "../../src/simulator/coverage.ts";
import type { ReplicaPart } from "../../src/simulator/sim-world.ts";
import { lightLoad, roundUs, startedCluster } from "./support.ts";

const workload = { ...lightLoad, largeRate: 0.5, largeBytesMax: 200_000, largeBytesTotal: 40_000_000 };

/** Appends at whoever leads until the history is so many slots longer. */
function appendMany(cluster: Cluster, count: number): void {
  const end = cluster.ledger.end + count;
  for (let i = 0; cluster.ledger.end < end && i < 400; i += 1) {
    const { leader } = cluster;
    if (leader !== undefined) for (let j = 0; j < 5; j += 1) cluster.workload.append(leader);
    cluster.run(fromMs(20));
  }
  expect(cluster.ledger.end).toBeGreaterThanOrEqual(end);
}

/** Trims to an entry that the leader shows, this part of the way from the head to the end. */
function trim(cluster: Cluster, part: number): void {
  const leader = defined(cluster.leader, "the leader");
  const { visibleEnd, retained } = leader.replica!.view;
  const slot = Math.floor(retained.head.slot + part * (visibleEnd - 1 - retained.head.slot));
  const entry = cluster.ledger.entryAt(slot as never)!;
  cluster.desk.propose(leader, { kind: "trim", to: { position: entry.firstPosition, slot: entry.slot } }, () => {});
}

function run(seed: number, makeReplica?: (options: ReplicaOptions) => ReplicaPart): Cluster {
  const options = makeReplica === undefined ? {} : { makeReplica };
  const cluster = startedCluster({ seed, nodeCount: 3, workload, ...options });
  const away = cluster.nodes.find((node) => node !== cluster.leader)!;
  appendMany(cluster, 30);
  away.crash();
  appendMany(cluster, 60);
  trim(cluster, 0.8);
  cluster.run(10 * roundUs);
  // Power fails here and there while snapshots are written and segments go.
  for (const node of cluster.live) {
    node.disk.crashAfter(cluster.random.between(1, 40));
    cluster.run(cluster.random.between(1, 4) * roundUs);
    node.disarm();
    if (node.isUp) node.crash();
    node.start();
    cluster.run(4 * roundUs);
  }
  away.start();
  cluster.run(6 * roundUs);
  appendMany(cluster, 20);
  trim(cluster, 0.3);
  cluster.run(40 * roundUs);
  cluster.workload.stop();
  cluster.checkProgress({ acknowledgeUs: 20 * roundUs, convergeUs: 60 * roundUs });
  const views = cluster.nodes.map((node) => node.replica!.view);
  expect(new Set(views.map(({ retained }) => retained.head.position)).size).toBe(1);
  expect(views[0]!.retained.head.position).toBeGreaterThan(1);
  for (const view of views) expect(view.logBegin).toBeLessThanOrEqual(view.retained.head.slot);
  cluster.checkDisks();
  return cluster;
}

test("runs with trims, snapshots and a node that was away keep every promise", { timeout: 120_000 }, () => {
  const coverage = new Coverage();
  for (let seed = 1; seed <= 3; seed += 1) {
    const cluster = run(seed);
    for (const name of ["snapshotOffered", "snapshotChunkSent"]) coverage.add(name, cluster.coverage.of(name));
  }
  expect(coverage.of("snapshotChunkSent")).toBeGreaterThan(0);
});

/** A replica of which some effects are not what they should be. */
class BentReplica extends Replica {
  readonly #bend: (effect: Effect, replica: Replica) => Effect;

  constructor(options: ReplicaOptions, bend: (effect: Effect, replica: Replica) => Effect) {
    super(options);
    this.#bend = bend;
  }

  override step(event: Event, effects: Effect[]): void {
    const from = effects.length;
    super.step(event, effects);
    for (let index = from; index < effects.length; index += 1) effects[index] = this.#bend(effects[index]!, this);
  }
}

test.each([
  [
    "lets go of more than the log let go of",
    /no segment above the head is let go of \(P9\)/,
    (effect: Effect, replica: Replica): Effect =>
      effect.kind === "trimLog"
        ? { ...effect, head: { ...effect.head, slot: (replica.view.visibleEnd - 1) as typeof effect.head.slot } }
        : effect,
  ],
  [
    "makes another snapshot than the others",
    /STATE_DIVERGED/,
    (effect: Effect, replica: Replica): Effect =>
      effect.kind === "writeSnapshot" && replica.view.nodeId === 2
        ? { ...effect, state: { ...effect.state, fence: effect.state.fence + 1 } }
        : effect,
  ],
])("a replica that %s is caught", { timeout: 120_000 }, (_what, says, bend) => {
  const faults = [1, 2].map((seed) => {
    try {
      run(seed, (options) => new BentReplica(options, bend));
      return "";
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  });
  expect(faults.join()).toMatch(says);
});
