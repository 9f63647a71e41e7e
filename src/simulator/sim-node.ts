import type { NodeId } from "../base/types.ts";
import type { Proposal } from "../core/event.ts";
import type { CheckedNode } from "./checks.ts";
import { type NodeStore, storeDir } from "./node-store.ts";
import type { Random } from "./random.ts";
import { Shadow } from "./shadow.ts";
import { SimDisk } from "./sim-disk.ts";
import type { Survival } from "./sim-file.ts";
import { failure, SimProcess } from "./sim-process.ts";
import { type DiskConditions, fastDisk } from "./sim-storage.ts";
import type { ReplicaPart, SimWorld } from "./sim-world.ts";

/**
 * A node put together for the simulator: the real replica, the real store and recovery over a simulated disk, and the real order in
 * which effects are carried out; virtual are time, network, disk and process. It crashes, pauses and starts again.
 */
export class SimNode implements CheckedNode {
  readonly id: NodeId;
  readonly name: string;
  readonly shadow = new Shadow();
  readonly disk: SimDisk;
  readonly #world: SimWorld;
  readonly #random: Random;
  /** Told when a node crashed by itself: it is to be started again. */
  readonly #onCrash: (node: SimNode) => void;
  #process: SimProcess | undefined;
  #incarnation = 0;
  #tornEnds = "";
  diskConditions: DiskConditions = fastDisk;
  /** Whether its disk says that there is no room; what is written is written all the same. */
  diskFull = false;
  /** How much this node's wall clock is ahead. */
  wallOffsetMs = 0;
  /** Length of this node's second, in seconds; counts from its next start on. */
  drift = 1;

  constructor(id: NodeId, world: SimWorld, random: Random, onCrash: (node: SimNode) => void) {
    this.id = id;
    this.name = world.members[id - 1]!.name;
    this.#world = world;
    this.#random = random;
    this.#onCrash = onCrash;
    this.disk = new SimDisk(random.fork());
  }

  get isUp(): boolean {
    return this.#process !== undefined;
  }

  get incarnation(): number {
    return this.#incarnation;
  }

  get replica(): ReplicaPart | undefined {
    return this.#process?.replica;
  }

  get store(): NodeStore | undefined {
    return this.#process?.store;
  }

  /**
   * Opens the directory and, a little later, joins the network. With `crashAfter` the power fails in that operation of the
   * opening; false is returned if it did.
   */
  start(crashAfter?: number): boolean {
    if (this.isUp) return true;
    if (crashAfter !== undefined) this.disk.crashAfter(crashAfter);
    const store = this.#openStore();
    if (store === undefined) return false;
    this.disk.crashAfter(Number.POSITIVE_INFINITY);
    this.#incarnation += 1;
    this.#noteTornEnds();
    const { recovered } = store;
    const end = recovered.base.slot + recovered.window.length;
    this.#trace(`starts, incarnation ${recovered.identity.incarnation}, end ${end}`);
    this.#world.checks.opened(this, recovered);
    const process = new SimProcess({
      node: this,
      world: this.#world,
      random: this.#random,
      disk: this.disk,
      store,
      drift: this.drift,
      diskConditions: () => this.diskConditions,
      wallMs: () => this.#wallMs(),
      isDiskFull: () => this.diskFull,
      onPowerLoss: (where) => this.#losePower(where),
    });
    this.#process = process;
    this.#world.clock.after(this.#random.between(1, 20) * 1000, () => process.join(this.id));
    return true;
  }

  #openStore(): NodeStore | undefined {
    try {
      return this.#world.openStore({ disk: this.disk, name: this.name, random: this.#random });
    } catch (error) {
      if (!this.disk.crashed) throw failure(`${this.name} cannot open its directory`, error);
      this.#trace("loses power while it opens its directory");
      this.#world.coverage.count("crashInRecovery");
      this.disk.crash();
      return undefined;
    }
  }

  /** A torn end is copied to trash/ before the log goes on behind it. */
  #noteTornEnds(): void {
    const trash = `${storeDir}/trash`;
    const names = this.disk.exists(trash) ? this.disk.list(trash).join() : "";
    if (names !== this.#tornEnds && names !== "") this.#world.coverage.count("tornEnd");
    this.#tornEnds = names;
  }

  #losePower(where: "turn" | "commit"): void {
    this.#world.coverage.count(where === "turn" ? "crashBetweenEffects" : "crashInCommit");
    this.crash();
    this.#onCrash(this);
  }

  /** The process dies and the power fails: of what was not synced anything may be left. */
  crash(survival?: Survival): void {
    const process = this.#process;
    if (process === undefined) return;
    this.#trace("crashes");
    this.#process = undefined;
    process.kill();
    this.disk.crash(survival);
    process.loseRequests();
  }

  /** The process dies when it has carried out so many more effects. */
  crashAfterEffects(count: number): void {
    this.#process?.crashAfterEffects(count);
  }

  /** No crash that was armed before happens any more. */
  disarm(): void {
    this.#process?.crashAfterEffects(Number.POSITIVE_INFINITY);
    if (!this.disk.crashed) this.disk.crashAfter(Number.POSITIVE_INFINITY);
  }

  /** The process stands still: nothing is handled, and what arrives waits. */
  pause(durationUs: number): void {
    this.#process?.loop.pause(durationUs);
  }

  resume(): void {
    this.#process?.loop.resume();
  }

  propose(proposal: Proposal): void {
    if (this.#process?.propose(proposal) === true) return;
    this.#world.clients.answered(proposal.requestId, { kind: "failed", code: "NOT_LEADER", outcome: "none" });
  }

  read(requestId: number): void {
    if (this.#process?.read(requestId) !== true) this.#world.clients.readLost(requestId);
  }

  #wallMs(): number {
    return 1_700_000_000_000 + Math.floor(this.#world.clock.nowUs / 1000) + this.wallOffsetMs;
  }

  #trace(text: string): void {
    this.#world.trace.add(this.#world.clock.nowUs, `${this.name} ${text}`);
  }
}
