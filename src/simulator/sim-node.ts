import { limits } from "../base/limits.ts";
import type { NodeId, Position, Ticket, Uid } from "../base/types.ts";
import type { Recovered } from "../core/durable.ts";
import type { AppendAnswer, Effect, SendEntriesEffect } from "../core/effect.ts";
import type { Event, Proposal } from "../core/event.ts";
import type { EntriesMessage, Message, PromiseId } from "../core/message.ts";
import type { Replica, ReplicaOptions, ReplicaView } from "../core/replica.ts";
import { carryOut, type EffectTargets } from "../runtime/effects.ts";
import { History } from "../runtime/history.ts";
import { LogSequencer } from "../sequencer/sequencer.ts";
import type { PeerNetwork } from "../transport/peer-network.ts";
import type { CheckedNode, Checks } from "./checks.ts";
import { fromMs, type VirtualClock } from "./clock.ts";
import type { Coverage } from "./coverage.ts";
import { describeEffect, describeEvent, isChatter } from "./describe.ts";
import { Violation } from "./ledger.ts";
import { type NodeStore, type OpenNodeStore, storeDir } from "./node-store.ts";
import type { Random } from "./random.ts";
import { Shadow } from "./shadow.ts";
import { SimDisk, SimulatedCrash } from "./sim-disk.ts";
import type { Survival } from "./sim-file.ts";
import type { SimNetwork } from "./sim-network.ts";
import { type DiskConditions, fastDisk, SimStorage } from "./sim-storage.ts";
import type { Trace } from "./trace.ts";

/** What a node uses of a replica: a mutant in a test may stand in for it. */
export type ReplicaPart = Pick<Replica, "step" | "hello" | "log" | "view" | "acceptsProposals">;

/** What all nodes of a run share. */
export interface SimWorld {
  readonly clock: VirtualClock;
  readonly network: SimNetwork;
  readonly checks: Checks;
  readonly trace: Trace;
  readonly coverage: Coverage;
  readonly clients: NodeClients;
  readonly members: readonly { readonly name: string; readonly peerAddress: string }[];
  readonly openStore: OpenNodeStore;
  readonly makeReplica: (options: ReplicaOptions) => ReplicaPart;
  /** What a replica is given beside what is its own. */
  readonly replicaOptions: Pick<ReplicaOptions, "firstHash" | "makeEntry">;
  /** Events that one turn takes, at most. */
  readonly turnEventsMax: number;
  readonly turnDelayUs: number;
  /** The node is to be started again after a crash of its own making. */
  readonly onCrash: (node: SimNode) => void;
}

/** Where the answers go. */
export interface NodeClients {
  answered(requestId: number, answer: AppendAnswer | "lost"): void;
  readReady(requestId: number, node: SimNode, tail: Position): void;
  readLost(requestId: number): void;
}

/** One life of a node's process. */
interface Process {
  readonly replica: ReplicaPart;
  readonly store: NodeStore;
  readonly storage: SimStorage;
  readonly history: History;
  network: PeerNetwork | undefined;
  /** Position after the last record that readers are shown: moves with the effect, as in the engine. */
  tail: Position;
  inbox: Event[];
  proposals: Proposal[];
  /** The Promise sent last: a SyncBegin must name it. */
  latestPromise: PromiseId | undefined;
  /** Requests that are not answered yet: they are lost with the process. */
  readonly appends: Set<number>;
  readonly reads: Set<number>;
}

const tickMs = limits.roundMs / limits.ticksPerRound;

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
  #process: Process | undefined;
  #incarnation = 0;
  #tornEnds = "";
  #turnScheduled = false;
  #pausedUntilUs = 0;
  /** What waits for the end of a pause. */
  #continue: (() => void) | undefined;
  #tickDueUs = 0;
  #tickIsDue = false;
  /** Effects to carry out before the process dies in the middle of a turn. */
  #effectsLeft = Number.POSITIVE_INFINITY;
  diskConditions: DiskConditions = fastDisk;
  /** How much this node's wall clock is ahead. */
  wallOffsetMs = 0;
  /** Length of this node's millisecond. */
  drift = 1;

  constructor(id: NodeId, world: SimWorld, random: Random) {
    this.id = id;
    this.name = world.members[id - 1]!.name;
    this.#world = world;
    this.#random = random;
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

  // ---- The process

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
    const { recovered } = store;
    this.#noteTornEnds();
    this.#trace(
      `starts, incarnation ${recovered.identity.incarnation}, end ${recovered.base.slot + recovered.window.length}`,
    );
    this.#world.checks.opened(this, recovered);
    this.#process = this.#newProcess(store, recovered);
    this.#tickDueUs = 0;
    this.#tickIsDue = false;
    this.#continue = undefined;
    const process = this.#process;
    this.#world.clock.after(this.#random.between(1, 20) * 1000, () => {
      if (this.#process === process) this.#join(process);
    });
    return true;
  }

  #openStore(): NodeStore | undefined {
    try {
      return this.#world.openStore({ disk: this.disk, name: this.name, random: this.#random });
    } catch (error) {
      if (!this.disk.crashed) throw this.#failure("cannot open its directory", error);
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

  #newProcess(store: NodeStore, recovered: Recovered): Process {
    const replica = this.#world.makeReplica({
      ...this.#world.replicaOptions,
      recovered,
      members: this.#world.members,
      clientAddress: `client-${this.name}`,
      freshClusterId: this.#random.hex(16) as Uid,
      sequencer: new LogSequencer(),
      tickMs,
      ticksPerRound: limits.ticksPerRound,
    });
    const storage = new SimStorage({
      clock: this.#world.clock,
      random: this.#random,
      disk: this.disk,
      store,
      conditions: () => this.diskConditions,
      onDurable: (ticket) => this.#durable(ticket),
      onCrash: () => {
        this.#world.coverage.count("crashInCommit");
        this.crash();
        this.#world.onCrash(this);
      },
    });
    return {
      replica,
      store,
      storage,
      history: new History(replica.log, store.reader),
      network: undefined,
      tail: replica.log.positionAt(replica.view.visibleEnd),
      inbox: [],
      proposals: [],
      latestPromise: undefined,
      appends: new Set(),
      reads: new Set(),
    };
  }

  #join(process: Process): void {
    const isMine = () => this.#process === process;
    process.network = this.#world.network.attach(this.id, {
      hello: () => process.replica.hello(),
      onMessage: (from, stream, message) => isMine() && this.#push({ kind: "receive", from, stream, message }),
      onLink: (peer, direction, stream, up) => isMine() && this.#push({ kind: "link", peer, direction, stream, up }),
    });
    this.#tickLater(process);
    this.#scheduleTurn();
  }

  /** The process dies and the power fails: of what was not synced anything may be left. */
  crash(survival?: Survival): void {
    const process = this.#process;
    if (process === undefined) return;
    this.#trace("crashes");
    this.#process = undefined;
    this.#effectsLeft = Number.POSITIVE_INFINITY;
    this.#pausedUntilUs = 0;
    this.#world.coverage.add("segmentBegun", process.store.counters.segments);
    process.storage.kill();
    if (process.network !== undefined) this.#world.network.detach(this.id);
    this.disk.crash(survival);
    for (const requestId of process.appends) this.#world.clients.answered(requestId, "lost");
    for (const requestId of process.reads) this.#world.clients.readLost(requestId);
  }

  /** The process dies when it has carried out so many more effects. */
  crashAfterEffects(count: number): void {
    this.#effectsLeft = count;
  }

  /** No crash that was armed before happens any more. */
  disarm(): void {
    this.#effectsLeft = Number.POSITIVE_INFINITY;
    if (!this.disk.crashed) this.disk.crashAfter(Number.POSITIVE_INFINITY);
  }

  /** The process stands still: nothing is handled, and what arrives waits. */
  pause(durationUs: number): void {
    if (this.isUp) this.#pausedUntilUs = Math.max(this.#pausedUntilUs, this.#world.clock.nowUs + durationUs);
  }

  get isPaused(): boolean {
    return this.#pausedUntilUs > this.#world.clock.nowUs;
  }

  resume(): void {
    this.#pausedUntilUs = 0;
    this.#continue?.();
  }

  // ---- Clients

  /** Takes an append, as the engine's queue does. */
  propose(proposal: Proposal): void {
    const process = this.#process;
    if (process?.network === undefined)
      return this.#world.clients.answered(proposal.requestId, { kind: "failed", code: "NOT_LEADER", outcome: "none" });
    process.appends.add(proposal.requestId);
    process.proposals.push(proposal);
    this.#scheduleTurn();
  }

  read(requestId: number): void {
    const process = this.#process;
    if (process?.network === undefined) return this.#world.clients.readLost(requestId);
    process.reads.add(requestId);
    this.#push({ kind: "read", requestId });
  }

  // ---- The loop

  #push(event: Event): void {
    this.#process?.inbox.push(event);
    this.#scheduleTurn();
  }

  #scheduleTurn(): void {
    const process = this.#process;
    if (process === undefined || process.network === undefined || this.#turnScheduled) return;
    this.#turnScheduled = true;
    this.#world.clock.after(this.#random.below(this.#world.turnDelayUs + 1), () => {
      this.#turnScheduled = false;
      if (this.#process !== process) this.#scheduleTurn();
      else if (this.isPaused) this.#continueLater();
      else this.#turn(process);
    });
  }

  /** Ticks that are missed while the process stands still are not made up for, as in the engine. */
  #tickLater(process: Process): void {
    const { clock } = this.#world;
    const periodUs = Math.round(fromMs(tickMs) * this.drift);
    this.#tickDueUs = Math.max(this.#tickDueUs + periodUs, clock.nowUs);
    clock.after(this.#tickDueUs - clock.nowUs, () => {
      if (this.#process !== process) return;
      this.#tickIsDue = true;
      if (this.isPaused) this.#continueLater();
      else this.#tick(process);
    });
  }

  #tick(process: Process): void {
    const { clock } = this.#world;
    this.#tickIsDue = false;
    const loopLagMs = Math.round((clock.nowUs - this.#tickDueUs) / 1000);
    const push = () => {
      if (this.#process === process) this.#push({ kind: "tick", wallMs: this.#wallMs(), loopLagMs });
    };
    // After a pause what waits comes first.
    if (loopLagMs > limits.roundMs / 2) clock.after(this.#world.turnDelayUs * 2, push);
    else push();
    if (loopLagMs > 0) this.#tickDueUs = clock.nowUs;
    this.#tickLater(process);
  }

  /** When the pause is over, by itself or because somebody ends it: the turn, and the tick if one was missed. */
  #continueLater(): void {
    if (this.#continue !== undefined) return;
    const process = this.#process;
    const resume = (): void => {
      if (this.#continue !== resume || this.isPaused) {
        if (this.#continue === resume) this.#world.clock.after(this.#pausedUntilUs - this.#world.clock.nowUs, resume);
        return;
      }
      this.#continue = undefined;
      if (process === undefined || this.#process !== process) return;
      this.#scheduleTurn();
      if (this.#tickIsDue) this.#tick(process);
    };
    this.#continue = resume;
    this.#world.clock.after(this.#pausedUntilUs - this.#world.clock.nowUs, resume);
  }

  #wallMs(): number {
    return 1_700_000_000_000 + Math.floor(this.#world.clock.nowUs / 1000) + this.wallOffsetMs;
  }

  #durable(ticket: Ticket): void {
    this.shadow.reported(ticket);
    this.#push({ kind: "durable", ticket });
  }

  #turn(process: Process): void {
    const count = this.#random.between(1, this.#world.turnEventsMax);
    const effects: Effect[] = [];
    for (const event of process.inbox.splice(0, count)) this.#step(process, event, effects);
    this.#propose(process, effects);
    this.#step(process, { kind: "turnEnd" }, effects);
    this.#carryOut(process, effects);
    if (this.#process !== process) return;
    if (process.replica.view.role !== "leader") this.#refuseProposals(process);
    if (process.inbox.length > 0) this.#scheduleTurn();
  }

  #step(process: Process, event: Event, effects: Effect[]): void {
    this.#trace(`<- ${describeEvent(event)}`, isChatter(event));
    const before = process.replica.view;
    try {
      process.replica.step(event, effects);
    } catch (error) {
      throw this.#failure(`fails at ${describeEvent(event)}`, error);
    }
    this.#world.checks.stepped(this, process.replica);
    if (event.kind === "receive") this.#countReceived(process, event.message, before);
  }

  #countReceived(process: Process, message: Message, before: ReplicaView): void {
    const { coverage } = this.#world;
    const after = process.replica.view;
    if (message.kind === "entries" && after.decidedEnd > before.decidedEnd) coverage.count("learnt");
    if (before.role === "follower" && before.phase === "prepare" && after.phase === "accept")
      coverage.count("syncTaken");
    const latest = process.latestPromise;
    if (message.kind === "syncBegin") {
      const { incarnation, counter } = message.promiseId;
      const isLatest = latest?.incarnation === incarnation && latest.counter === counter;
      if (!isLatest) coverage.count("syncBeginStale");
    }
  }

  #propose(process: Process, effects: Effect[]): void {
    while (process.replica.acceptsProposals && process.proposals.length > 0) {
      // More than fits is refused by the core, as OVERLOADED.
      const proposals = process.proposals.splice(0, this.#random.between(1, 3));
      this.#step(process, { kind: "propose", wallMs: this.#wallMs(), proposals }, effects);
    }
  }

  #refuseProposals(process: Process): void {
    for (const { requestId } of process.proposals.splice(0)) {
      process.appends.delete(requestId);
      this.#world.clients.answered(requestId, { kind: "failed", code: "NOT_LEADER", outcome: "none" });
    }
  }

  // ---- Effects

  #carryOut(process: Process, effects: readonly Effect[]): void {
    for (const effect of effects) this.#trace(`-> ${describeEffect(effect)}`, isChatterEffect(effect));
    this.#world.checks.beforeEffects(this, effects);
    this.#countEffects(process, effects);
    try {
      carryOut(effects, this.#targets(process, effects));
    } catch (error) {
      if (!(error instanceof SimulatedCrash)) throw this.#failure("fails to carry out its effects", error);
      this.#world.coverage.count("crashBetweenEffects");
      this.crash();
      this.#world.onCrash(this);
    }
  }

  #targets(process: Process, effects: readonly Effect[]): EffectTargets {
    const network = process.network!;
    const spend = (): void => {
      this.#effectsLeft -= 1;
      if (this.#effectsLeft <= 0) throw new SimulatedCrash("the middle of a turn");
    };
    return {
      network: {
        ...network,
        send: (to, message) => {
          for (const peer of to) {
            spend();
            network.send([peer], message);
          }
        },
      },
      submit: (writes) => {
        spend();
        this.shadow.submit(effects);
        process.storage.submit(writes);
      },
      readEntries: (effect) => this.#readEntries(process, effect),
      answer: (requestId, answer) => {
        spend();
        if (process.appends.delete(requestId)) this.#world.clients.answered(requestId, answer);
        else throw new Violation(`${this.name} answers append ${requestId}, which it does not have`);
      },
      readReady: (requestId) => {
        process.reads.delete(requestId);
        this.#world.clients.readReady(requestId, this, process.tail);
      },
      readRefused: (requestId) => {
        process.reads.delete(requestId);
        this.#world.clients.readLost(requestId);
      },
      show: (effect) => {
        process.tail = effect.nextPosition;
      },
      leadership: (effect) => {
        if (effect.self) this.#world.coverage.count("leaderElected");
      },
      stop: (effect) => {
        throw new Violation(`${this.name} stops: ${effect.code}: ${effect.reason}`);
      },
    };
  }

  #readEntries(process: Process, effect: SendEntriesEffect): EntriesMessage {
    this.#world.coverage.count("entriesFromSegments");
    return process.history.entriesFor(effect);
  }

  #countEffects(process: Process, effects: readonly Effect[]): void {
    const { coverage } = this.#world;
    for (const effect of effects) {
      if (effect.kind === "replaceGroup") {
        coverage.count("replaceGroup");
        if (effect.firstSlot < this.shadow.end) coverage.count("replaceThatCuts");
        if (effect.entries.length === 0) coverage.count("replaceEmpty");
      } else if (effect.kind === "send") {
        coverage.count(`sent.${effect.message.kind}`);
        if (effect.message.kind === "promise") process.latestPromise = effect.message.promiseId;
        if (effect.message.kind === "syncChunk" && effect.message.chunk > 0) coverage.count("syncOfManyChunks");
      } else if (effect.kind === "readReady" || effect.kind === "readRefused") {
        coverage.count(effect.kind);
      }
    }
  }

  #trace(text: string, isQuiet = false): void {
    this.#world.trace.add(this.#world.clock.nowUs, `${this.name} ${text}`, isQuiet);
  }

  #failure(what: string, cause: unknown): Violation {
    if (cause instanceof Violation) return cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    return new Violation(`${this.name} ${what}: ${reason}`, { cause });
  }
}

const isChatterEffect = (effect: Effect): boolean =>
  effect.kind === "send" && (effect.message.kind === "heartbeat" || effect.message.kind === "heartbeatReply");
