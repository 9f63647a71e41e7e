import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import { nodeId, type Slot } from "../base/types.ts";
import { Replica, type ReplicaOptions } from "../core/replica.ts";
import { firstHash, makeEntryMaker } from "../format/entry.ts";
import { makeEntryParts } from "../format/entry-parts.ts";
import type { Disk } from "../storage/disk.ts";
import { Checks } from "./checks.ts";
import { fromMs, VirtualClock } from "./clock.ts";
import { Coverage } from "./coverage.ts";
import { isLabelled, numberOf } from "./labelled-batch.ts";
import { Ledger } from "./ledger.ts";
import { makeOpenNodeStore } from "./node-store.ts";
import { Random } from "./random.ts";
import { RequestDesk } from "./request-desk.ts";
import { SimNetwork } from "./sim-network.ts";
import { SimNode } from "./sim-node.ts";
import type { ReplicaPart, SimWorld } from "./sim-world.ts";
import { Trace, type WatchTrace } from "./trace.ts";
import { check } from "./violation.ts";
import { appendOf, Workload, type WorkloadPlan } from "./workload.ts";

export interface ClusterOptions {
  readonly seed: number;
  readonly nodeCount: number;
  readonly hashing: Hashing;
  readonly workload: WorkloadPlan;
  readonly turnEventsMax?: number;
  readonly turnDelayUs?: number;
  readonly segmentBytes?: number;
  /** The replica, or a mutant of it that the checks must catch. */
  readonly makeReplica?: (options: ReplicaOptions) => ReplicaPart;
  /** What stands between the store and the disk: a fault that the checks must catch. */
  readonly wrapDisk?: (disk: Disk) => Disk;
  /** Only what clients and readers can see is checked. */
  readonly outcomesOnly?: boolean;
  readonly watch?: WatchTrace | undefined;
  readonly onCrash?: (node: SimNode) => void;
}

/** Simulated nodes with all that is around them: time, network, disks, clients and checks. */
export class Cluster {
  readonly random: Random;
  readonly clock = new VirtualClock();
  readonly coverage = new Coverage();
  readonly trace: Trace;
  readonly network: SimNetwork;
  readonly ledger: Ledger;
  readonly checks: Checks;
  readonly workload: Workload;
  /** For clients beside the workload. */
  readonly desk: RequestDesk;
  readonly nodes: readonly SimNode[];
  #steps = 0;

  constructor(options: ClusterOptions) {
    const { hashing, nodeCount } = options;
    this.random = new Random(options.seed);
    this.trace = new Trace({ watch: options.watch });
    const ids = Array.from({ length: nodeCount }, (_, index) => nodeId(index + 1));
    const { clock, coverage } = this;
    this.network = new SimNetwork({ clock, random: this.random.fork(), nodes: ids, count: coverage.count });
    this.ledger = new Ledger(
      (entry) => (isLabelled(entry) ? numberOf(entry) : appendOf(entry)),
      () => clock.nowUs,
    );
    const nodes: SimNode[] = [];
    this.nodes = nodes;
    this.workload = new Workload({
      clock,
      random: this.random.fork(),
      hashing,
      ledger: this.ledger,
      coverage,
      nodes: () => nodes,
      plan: options.workload,
    });
    this.desk = new RequestDesk(this.workload);
    this.checks = new Checks({
      ledger: this.ledger,
      shadows: () => nodes.map((node) => node.shadow),
      voterCount: nodeCount,
      coverage,
      outcomesOnly: options.outcomesOnly ?? false,
    });
    const world: SimWorld = {
      clock,
      network: this.network,
      checks: this.checks,
      trace: this.trace,
      coverage,
      clients: this.desk,
      members: ids.map((id) => ({ name: `n${id}`, peerAddress: `n${id}:1` })),
      openStore: makeOpenNodeStore({
        hashing,
        segmentBytes: options.segmentBytes ?? limits.segmentBytesMin,
        wrapDisk: options.wrapDisk ?? ((disk) => disk),
      }),
      makeReplica: options.makeReplica ?? ((replicaOptions) => new Replica(replicaOptions)),
      replicaOptions: { firstHash: (clusterId) => firstHash(clusterId, hashing), makeEntry: makeEntryMaker(hashing) },
      entryParts: makeEntryParts(hashing),
      turnEventsMax: options.turnEventsMax ?? 8,
      turnDelayUs: options.turnDelayUs ?? 50,
    };
    for (const id of ids) nodes.push(new SimNode(id, world, this.random.fork(), options.onCrash ?? (() => {})));
  }

  get steps(): number {
    return this.#steps;
  }

  get live(): SimNode[] {
    return this.nodes.filter((node) => node.isUp);
  }

  /** The node that leads and serves linearizable reads, if there is one. Of two, an old one that does not know yet, the newer. */
  get leader(): SimNode | undefined {
    let found: SimNode | undefined;
    for (const node of this.live) {
      const view = node.replica!.view;
      if (!view.established || view.role !== "leader") continue;
      if (found === undefined || view.ballot.n > found.replica!.view.ballot.n) found = node;
    }
    return found;
  }

  /** Lets time pass until `done` holds; false if it does not within `durationUs`. */
  runUntil(done: () => boolean, durationUs: number): boolean {
    const endUs = this.clock.nowUs + durationUs;
    for (;;) {
      if (done()) return true;
      if (!this.clock.step(endUs)) return done();
      this.#steps += 1;
    }
  }

  run(durationUs: number): void {
    this.runUntil(() => false, durationUs);
  }

  /** Whether all live nodes show the same log, to its end, and follow one leader in step. */
  get isConverged(): boolean {
    let leaders = 0;
    for (const node of this.live) {
      const { role, phase, visibleEnd, acceptedEnd } = node.replica!.view;
      if (role === "leader") leaders += 1;
      if (phase !== "accept" || visibleEnd !== this.ledger.end || acceptedEnd !== this.ledger.end) return false;
    }
    return leaders === 1;
  }

  /**
   * Nothing is wrong with the cluster for so long: nobody takes the lead over from a leader that does its work. An election whose
   * rounds still run may end first.
   */
  checkStable(durationUs: number): void {
    this.run(fromMs(3 * limits.roundMs));
    const before = this.coverage.of("leaderElected");
    this.run(durationUs);
    const changes = this.coverage.of("leaderElected") - before;
    check(changes === 0, () => `${changes} changes of leader without need: ${this.describe()}`);
    check(this.isConverged, () => `a calm cluster falls apart: ${this.describe()}`);
  }

  /**
   * No fault strikes any more: within the bounds there is a leader, a new append is acknowledged, and all live nodes show the
   * same log. Returns how long each took, in microseconds.
   */
  checkProgress(bounds: { readonly acknowledgeUs: number; readonly convergeUs: number }): Progress {
    const beginUs = this.clock.nowUs;
    const firstNew = this.workload.lastRequest + 1;
    let isPolling = true;
    const poll = (): void => {
      if (!isPolling) return;
      // To each that says so: one of two may be an old leader that does not know yet.
      for (const node of this.live) if (node.replica!.view.role === "leader") this.workload.append(node);
      this.clock.after(fromMs(20), poll);
    };
    poll();
    const isAcknowledged = this.runUntil(() => this.workload.lastAcknowledged >= firstNew, bounds.acknowledgeUs);
    isPolling = false;
    check(
      isAcknowledged,
      () =>
        `no append is acknowledged within ${bounds.acknowledgeUs / 1000} ms after the last fault: ${this.describe()}`,
    );
    const acknowledgedUs = this.clock.nowUs - beginUs;
    const isConverged = this.runUntil(() => this.isConverged && !this.workload.isWaiting, bounds.convergeUs);
    check(
      isConverged,
      () => `the nodes show different logs ${bounds.convergeUs / 1000} ms after the last fault: ${this.describe()}`,
    );
    return { acknowledgedUs, convergedUs: this.clock.nowUs - beginUs };
  }

  /**
   * The end of a run: every live node reads the whole log back from its segments, and the power fails everywhere; what was
   * decided is then still on a majority of the disks.
   */
  checkDisks(): void {
    for (const node of this.live) {
      const end = node.replica!.view.visibleEnd;
      const { logBegin, retained } = node.replica!.view;
      check(logBegin <= retained.head.slot, () => `${node.name} let go of slot ${logBegin}, which is not trimmed (P9)`);
      for (let slot = logBegin; slot < end; ) {
        const entries = node.store!.reader.read(slot, end, limits.messageEntryBytes);
        check(entries.length > 0, () => `${node.name} cannot read slot ${slot} back`);
        for (const entry of entries) {
          check(
            entry.hash === this.ledger.entryAt(entry.slot)?.hash,
            () => `${node.name} reads slot ${entry.slot} otherwise than the history has it`,
          );
          slot = (entry.slot + 1) as Slot;
        }
      }
    }
    for (const node of this.nodes) node.crash("none");
    for (const node of this.nodes) node.start();
    this.checks.decidedIsOnQuorum();
  }

  describe(): string {
    return this.nodes
      .map((node) => {
        if (!node.isUp) return `${node.name} down`;
        const { role, phase, decidedEnd, flushedEnd, acceptedEnd } = node.replica!.view;
        return `${node.name} ${role}/${phase} decided=${decidedEnd} flushed=${flushedEnd} accepted=${acceptedEnd}`;
      })
      .join("; ");
  }
}

export interface Progress {
  readonly acknowledgedUs: number;
  readonly convergedUs: number;
}
