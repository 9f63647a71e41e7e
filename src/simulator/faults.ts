import { assertNever } from "../base/assert.ts";
import type { NodeId, Slot } from "../base/types.ts";
import { fromMs, type VirtualClock } from "./clock.ts";
import type { Coverage } from "./coverage.ts";
import type { Ledger } from "./ledger.ts";
import type { Plan, Strike } from "./plan.ts";
import type { Random } from "./random.ts";
import type { RequestDesk } from "./request-desk.ts";
import type { SimNetwork } from "./sim-network.ts";
import type { SimNode } from "./sim-node.ts";
import { fastDisk } from "./sim-storage.ts";
import type { Trace } from "./trace.ts";

/** Lets the faults of a plan strike until it is told to stop, and then undoes them. */
export class Faults {
  readonly #clock: VirtualClock;
  readonly #random: Random;
  readonly #network: SimNetwork;
  readonly #nodes: readonly SimNode[];
  readonly #plan: Plan;
  readonly #coverage: Coverage;
  readonly #trace: Trace;
  readonly #ledger: Ledger;
  readonly #desk: RequestDesk;
  #isStopped = false;
  /** Nodes that stay down after the end. */
  #abandoned: ReadonlySet<SimNode> = new Set();

  constructor(options: {
    readonly clock: VirtualClock;
    readonly random: Random;
    readonly network: SimNetwork;
    readonly nodes: readonly SimNode[];
    readonly plan: Plan;
    readonly coverage: Coverage;
    readonly trace: Trace;
    readonly ledger: Ledger;
    readonly desk: RequestDesk;
  }) {
    this.#clock = options.clock;
    this.#random = options.random;
    this.#network = options.network;
    this.#nodes = options.nodes;
    this.#plan = options.plan;
    this.#coverage = options.coverage;
    this.#trace = options.trace;
    this.#ledger = options.ledger;
    this.#desk = options.desk;
  }

  start(): void {
    this.#network.conditions = this.#plan.network;
    for (const node of this.#nodes) node.diskConditions = this.#plan.disk;
    for (const [strike, meanUs] of this.#plan.strikeMeanUs) this.#strikeLater(strike, meanUs);
  }

  /** Ends all faults; nodes that are down start again, but for those that are abandoned. */
  stop(abandoned: ReadonlySet<SimNode>): void {
    this.#isStopped = true;
    this.#abandoned = abandoned;
    this.#network.healAll();
    for (const node of this.#nodes) {
      node.diskConditions = fastDisk;
      node.diskFull = false;
      node.disarm();
      if (abandoned.has(node)) node.crash();
      else if (node.isUp) node.resume();
      else this.#restart(node);
    }
  }

  /** A node lost power by itself, or is to come back after an outage. */
  restartLater(node: SimNode): void {
    this.#clock.after(this.#outage(), () => this.#restart(node));
  }

  #restart(node: SimNode): void {
    if (node.isUp || this.#abandoned.has(node)) return;
    const crashesInRecovery = !this.#isStopped && this.#plan.strikeMeanUs.has("crashInRecovery");
    const isUp = node.start(crashesInRecovery && this.#random.chance(0.7) ? this.#random.between(1, 30) : undefined);
    if (!isUp) this.restartLater(node);
  }

  #outage(): number {
    return this.#isStopped ? fromMs(1) : this.#random.between(1, this.#plan.outageMaxUs);
  }

  #strikeLater(strike: Strike, meanUs: number): void {
    this.#clock.after(this.#random.exponential(meanUs), () => {
      if (this.#isStopped) return;
      this.#coverage.count(`strike.${strike}`);
      this.#trace.add(this.#clock.nowUs, `strike ${strike}`);
      this.#strike(strike);
      this.#strikeLater(strike, meanUs);
    });
  }

  #strike(strike: Strike): void {
    const node = this.#random.pick(this.#nodes);
    switch (strike) {
      case "crash":
        this.#crash(node);
        return;
      case "crashLeader":
        for (const leader of this.#leaders()) this.#crash(leader);
        return;
      case "crashAll":
        for (const one of this.#nodes) this.#crash(one);
        return;
      case "crashInOperation":
        if (node.isUp) node.disk.crashAfter(this.#random.between(1, 12));
        return;
      case "crashInTurn":
        node.crashAfterEffects(this.#random.between(1, 20));
        return;
      case "crashInRecovery":
        this.#crash(node);
        return;
      case "partition":
        this.#partition();
        return;
      case "cutLeader":
        for (const leader of this.#leaders()) this.#isolate(leader);
        return;
      case "oneWayCut":
        this.#oneWayCut();
        return;
      case "clog":
        for (const [from, to] of this.#pairs(0.3)) this.#network.clog(from, to, this.#random.below(fromMs(1500)));
        return;
      case "reset":
        for (const [from, to] of this.#pairs(0.3)) this.#network.reset(from, to);
        return;
      case "pause":
        this.#pause(node);
        return;
      case "pauseLeader":
        for (const leader of this.#leaders()) this.#pause(leader);
        return;
      case "stall":
        this.#stall(node);
        return;
      case "fullDisk":
        this.#fillDisk(node);
        return;
      case "trim":
        for (const leader of this.#leaders()) this.#trim(leader);
        return;
      case "clockJump":
        node.wallOffsetMs = this.#random.between(-3_600_000, 3_600_000);
        return;
      default:
        assertNever(strike);
    }
  }

  #crash(node: SimNode): void {
    if (!node.isUp) return;
    node.crash();
    this.restartLater(node);
  }

  /** Those that think that they lead. */
  #leaders(): SimNode[] {
    return this.#nodes.filter((node) => node.replica?.view.role === "leader");
  }

  #pause(node: SimNode): void {
    node.pause(this.#random.pick([fromMs(20), fromMs(200), fromMs(1000), fromMs(3000)]));
  }

  #stall(node: SimNode): void {
    node.diskConditions = { ...this.#plan.disk, stallRate: 1, stallMaxUs: fromMs(3000) };
    this.#clock.after(this.#outage(), () => {
      if (!this.#isStopped) node.diskConditions = this.#plan.disk;
    });
  }

  #fillDisk(node: SimNode): void {
    node.diskFull = true;
    this.#clock.after(this.#outage(), () => {
      node.diskFull = false;
    });
  }

  /** Moves the head to any entry that the leader shows. */
  #trim(leader: SimNode): void {
    const { visibleEnd, retained } = leader.replica!.view;
    const slot = this.#random.between(retained.head.slot, visibleEnd) as Slot;
    const entry = this.#ledger.entryAt(slot);
    if (entry === undefined || slot >= visibleEnd) return;
    const to = { position: entry.firstPosition, slot };
    this.#desk.propose(leader, { kind: "trim", to }, (answer) => {
      if (answer !== "lost" && answer.kind === "trimmed") this.#coverage.count("trimmed");
    });
  }

  #pairs(rate: number): [NodeId, NodeId][] {
    const pairs: [NodeId, NodeId][] = [];
    for (const from of this.#nodes) {
      for (const to of this.#nodes) if (from !== to && this.#random.chance(rate)) pairs.push([from.id, to.id]);
    }
    return pairs;
  }

  #oneWayCut(): void {
    this.#cutForAWhile(this.#pairs(this.#random.pick([0.2, 0.5])));
  }

  /** Clients still reach a leader that its peers do not: it goes on proposing what will never be decided. */
  #isolate(node: SimNode): void {
    const kept = this.#random.chance(0.3) ? this.#random.pick(this.#nodes).id : undefined;
    const ways: [NodeId, NodeId][] = [];
    for (const { id } of this.#nodes) if (id !== node.id && id !== kept) ways.push([id, node.id], [node.id, id]);
    const isOneWay = this.#random.chance(0.3);
    const cut = isOneWay ? ways.filter(() => this.#random.chance(0.5)) : ways;
    // Long enough for another leader to be elected meanwhile.
    this.#cutForAWhile(cut, this.#random.between(fromMs(200), fromMs(2500)));
  }

  /** Two sides, a chain, a star, or any graph: what is not linked in the drawn shape is cut both ways. */
  #partition(): void {
    const order = this.#random.shuffle(this.#nodes.map((node) => node.id));
    const split = this.#random.below(order.length);
    const shape = this.#random.pick(["sides", "chain", "star", "graph"]);
    const pairs: [NodeId, NodeId][] = [];
    for (let i = 0; i < order.length; i += 1) {
      for (let j = i + 1; j < order.length; j += 1) {
        const isLinked =
          shape === "sides"
            ? i < split === j < split
            : shape === "chain"
              ? j === i + 1
              : shape === "star"
                ? i === 0
                : this.#random.chance(0.5);
        if (!isLinked) pairs.push([order[i]!, order[j]!], [order[j]!, order[i]!]);
      }
    }
    this.#cutForAWhile(pairs);
  }

  #cutForAWhile(pairs: readonly [NodeId, NodeId][], durationUs = this.#outage()): void {
    for (const [from, to] of pairs) this.#network.cut(from, to);
    this.#clock.after(durationUs, () => {
      for (const [from, to] of pairs) this.#network.heal(from, to);
    });
  }
}
