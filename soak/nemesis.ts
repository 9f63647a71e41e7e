import { assertNever } from "#src/base/assert";
import type { LocalCluster, LocalNode } from "#src/cli/local-cluster";
import { clusterStatus } from "#src/cli/status";
import { connect } from "#src/client/connect";
import type { Random } from "#src/simulator/random";
import { bothWays, type Link, type Network } from "./network.ts";

/** What strikes real processes. A pause leaves sockets open and lets a leader come back that was deposed meanwhile. */
export const strikes = ["killLeader", "killFollower", "killAll", "pauseLeader", "pauseFollower"] as const;
/**
 * What strikes their network: a node that no other node hears or reaches, though its clients do; one that is not heard, or hears nobody;
 * two nodes that do not reach each other, though both reach the third; a node that its clients do not reach, or do not hear.
 */
export const cuts = ["cutLeader", "cutFollower", "cutOneWay", "cutLink", "cutClients", "cutClientsOneWay"] as const;
export const allStrikes = [...strikes, ...cuts] as const;
export type Strike = (typeof allStrikes)[number];

export interface NemesisPlan {
  readonly strikes: readonly Strike[];
  /** Mean time from the end of one strike to the next. */
  readonly calmMs: number;
  /** How long a node is away at most. Longer than an election takes, or the leader stays. */
  readonly outageMs: number;
}

/** Kills (-9), pauses (SIGSTOP) and cuts off nodes of a cluster of processes, one strike at a time, and brings them back. */
export class Nemesis {
  readonly #cluster: LocalCluster;
  readonly #network: Network | undefined;
  readonly #random: Random;
  readonly #plan: NemesisPlan;
  readonly #note: (line: string) => void;
  readonly counts: Partial<Record<Strike, number>> = {};
  #isEnding = false;
  #wake: () => void = () => {};
  #run: Promise<void> | undefined;

  constructor(options: {
    readonly cluster: LocalCluster;
    /** Without it nothing is cut. */
    readonly network?: Network | undefined;
    readonly random: Random;
    readonly plan: NemesisPlan;
    readonly note: (line: string) => void;
  }) {
    this.#cluster = options.cluster;
    this.#network = options.network;
    this.#random = options.random;
    this.#plan = options.plan;
    this.#note = options.note;
  }

  /** Strikes as long as the work lasts. Rejects as the work does, or at once where a node could not be started again. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    this.start();
    // Work that waits for a cluster without a majority would wait for ever.
    const broken = new Promise<never>((_, reject) => this.#run!.catch(reject));
    try {
      return await Promise.race([work(), broken]);
    } finally {
      await this.stop();
    }
  }

  start(): void {
    this.#run = this.#strikeOn();
    // Seen in `stop`; until then it must not count as unhandled.
    this.#run.catch(() => {});
  }

  /** All nodes run again when it resolves. Rejects where one could not be started again. */
  async stop(): Promise<void> {
    this.#isEnding = true;
    this.#wake();
    await this.#run;
  }

  async #strikeOn(): Promise<void> {
    for (;;) {
      await this.#pause(this.#random.exponential(this.#plan.calmMs));
      if (this.#isEnding) return;
      await this.#strike(this.#random.pick(this.#plan.strikes));
    }
  }

  async #strike(strike: Strike): Promise<void> {
    const leader = await this.#leader();
    if (leader === undefined) return;
    const follower = this.#random.pick(this.#cluster.nodes.filter((node) => node !== leader));
    const outageMs = this.#random.between(0, this.#plan.outageMs);
    this.counts[strike] = (this.counts[strike] ?? 0) + 1;
    switch (strike) {
      case "killLeader":
        return this.#kill(strike, [leader], outageMs);
      case "killFollower":
        return this.#kill(strike, [follower], outageMs);
      case "killAll":
        return this.#kill(strike, this.#cluster.nodes, outageMs);
      case "pauseLeader":
        return this.#freeze(strike, leader, outageMs);
      case "pauseFollower":
        return this.#freeze(strike, follower, outageMs);
      default:
        return this.#cut(strike, this.#linksOf(strike, leader, follower), outageMs);
    }
  }

  async #kill(strike: Strike, nodes: readonly LocalNode[], outageMs: number): Promise<void> {
    this.#note(`${strike}: ${nodes.map(({ id }) => id).join(", ")} for ${outageMs} ms`);
    await Promise.all(nodes.map((node) => this.#cluster.kill(node)));
    await this.#pause(outageMs);
    await Promise.all(nodes.map((node) => this.#cluster.start(node)));
  }

  async #freeze(strike: Strike, node: LocalNode, outageMs: number): Promise<void> {
    this.#note(`${strike}: ${node.id} for ${outageMs} ms`);
    node.process?.kill("SIGSTOP");
    try {
      await this.#pause(outageMs);
    } finally {
      node.process?.kill("SIGCONT");
    }
  }

  async #cut(strike: Strike, links: readonly Link[], outageMs: number): Promise<void> {
    const reset = this.#random.chance(0.5);
    const names = links.map(({ from, to }) => [from, to].map((end) => (end === "clients" ? end : end.id)).join(" to "));
    this.#note(`${strike}: ${names.join(", ")} for ${outageMs} ms`);
    const network = this.#network!;
    network.cut(links);
    try {
      await this.#pause(outageMs);
    } finally {
      network.heal({ reset });
    }
  }

  #linksOf(strike: (typeof cuts)[number], leader: LocalNode, follower: LocalNode): Link[] {
    const random = this.#random;
    const around = (node: LocalNode): Link[] =>
      this.#cluster.nodes.flatMap((to) => (to === node ? [] : [{ from: node, to }]));
    const turned = (links: readonly Link[]): Link[] => links.map(({ from, to }) => ({ from: to, to: from }));
    const node = random.chance(0.7) ? leader : follower;
    switch (strike) {
      case "cutLeader":
        return bothWays(around(leader));
      case "cutFollower":
        return bothWays(around(follower));
      case "cutOneWay":
        return random.chance(0.5) ? around(node) : turned(around(node));
      case "cutLink":
        return bothWays([{ from: leader, to: follower }]);
      case "cutClients":
        return bothWays([{ from: "clients", to: node }]);
      case "cutClientsOneWay":
        return random.chance(0.5) ? [{ from: "clients", to: node }] : [{ from: node, to: "clients" }];
      default:
        return assertNever(strike);
    }
  }

  async #leader(): Promise<LocalNode | undefined> {
    const addresses = this.#cluster.nodes.map((node) => node.clientAddress);
    try {
      const log = await connect(addresses, { deadlineMs: 2_000 });
      try {
        const { leader } = await clusterStatus(log, addresses);
        return this.#cluster.nodes.find((node) => node.id === leader);
      } finally {
        await log.close();
      }
    } catch {
      return undefined;
    }
  }

  /** Until then, or the end. */
  #pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.#isEnding) return resolve();
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
