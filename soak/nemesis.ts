import type { LocalCluster, LocalNode } from "#src/cli/local-cluster";
import { clusterStatus } from "#src/cli/status";
import { connect } from "#src/client/connect";
import type { Random } from "#src/simulator/random";

/** What strikes real processes. A pause leaves sockets open and lets a leader come back that was deposed meanwhile. */
export const strikes = ["killLeader", "killFollower", "killAll", "pauseLeader", "pauseFollower"] as const;
export type Strike = (typeof strikes)[number];

export interface NemesisPlan {
  readonly strikes: readonly Strike[];
  /** Mean time from the end of one strike to the next. */
  readonly calmMs: number;
  /** How long a node is away at most. Longer than an election takes, or the leader stays. */
  readonly outageMs: number;
}

/** Kills (-9) and pauses (SIGSTOP) nodes of a cluster of processes, one strike at a time, and brings them back. */
export class Nemesis {
  readonly #cluster: LocalCluster;
  readonly #random: Random;
  readonly #plan: NemesisPlan;
  readonly #note: (line: string) => void;
  readonly counts: Record<Strike, number> = {
    killLeader: 0,
    killFollower: 0,
    killAll: 0,
    pauseLeader: 0,
    pauseFollower: 0,
  };
  #isEnding = false;
  #wake: () => void = () => {};
  #run: Promise<void> | undefined;

  constructor(options: {
    readonly cluster: LocalCluster;
    readonly random: Random;
    readonly plan: NemesisPlan;
    readonly note: (line: string) => void;
  }) {
    this.#cluster = options.cluster;
    this.#random = options.random;
    this.#plan = options.plan;
    this.#note = options.note;
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
    const followers = this.#cluster.nodes.filter((node) => node !== leader);
    const struck =
      strike === "killAll" ? this.#cluster.nodes : [/Leader$/.test(strike) ? leader : this.#random.pick(followers)];
    const outageMs = this.#random.between(0, this.#plan.outageMs);
    this.counts[strike] += 1;
    this.#note(`${strike}: ${struck.map(({ id }) => id).join(", ")} for ${outageMs} ms`);
    if (strike === "pauseLeader" || strike === "pauseFollower") {
      for (const node of struck) node.process?.kill("SIGSTOP");
      try {
        await this.#pause(outageMs);
      } finally {
        for (const node of struck) node.process?.kill("SIGCONT");
      }
      return;
    }
    await Promise.all(struck.map((node) => this.#cluster.kill(node)));
    await this.#pause(outageMs);
    await Promise.all(struck.map((node) => this.#cluster.start(node)));
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
