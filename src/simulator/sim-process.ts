import { limits } from "../base/limits.ts";
import type { NodeId, Position, Uid } from "../base/types.ts";
import type { AppendAnswer, Effect } from "../core/effect.ts";
import type { Event, Proposal } from "../core/event.ts";
import { carryOut, type EffectTargets } from "../runtime/effects.ts";
import { History } from "../runtime/history.ts";
import { HistorySearches } from "../runtime/history-searches.ts";
import { SnapshotEncoder } from "../runtime/snapshot-encoder.ts";
import { SnapshotExchange } from "../runtime/snapshot-exchange.ts";
import { LogSequencer } from "../sequencer/sequencer.ts";
import type { BackgroundWrite } from "../storage/write.ts";
import type { PeerNetwork } from "../transport/peer-network.ts";
import type { CheckedNode } from "./checks.ts";
import { describeEffect, describeEvent, isChatter, isChatterEffect } from "./describe.ts";
import type { NodeStore } from "./node-store.ts";
import { Observer } from "./observer.ts";
import type { Random } from "./random.ts";
import { type SimDisk, SimulatedCrash } from "./sim-disk.ts";
import { SimLoop, tickMs } from "./sim-loop.ts";
import { type DiskConditions, SimStorage } from "./sim-storage.ts";
import type { ReplicaPart, SimWorld } from "./sim-world.ts";
import { Violation } from "./violation.ts";

export interface ProcessOptions {
  readonly node: CheckedNode;
  readonly world: SimWorld;
  readonly random: Random;
  readonly disk: SimDisk;
  readonly store: NodeStore;
  readonly drift: number;
  readonly diskConditions: () => DiskConditions;
  readonly wallMs: () => number;
  readonly isDiskFull: () => boolean;
  /** The power failed in the middle of a turn or of a commit: this process must be killed. */
  readonly onPowerLoss: (where: "turn" | "commit") => void;
}

/**
 * One life of a node: the real replica over the real store, stepped by a loop like the engine's. What arrives waits in an inbox;
 * a turn steps some of it and carries the effects out in the engine's own order.
 */
export class SimProcess {
  readonly replica: ReplicaPart;
  readonly store: NodeStore;
  readonly #node: CheckedNode;
  readonly #world: SimWorld;
  readonly #random: Random;
  readonly #wallMs: () => number;
  readonly #isDiskFull: () => boolean;
  readonly #onPowerLoss: (where: "turn" | "commit") => void;
  readonly #storage: SimStorage;
  readonly #history: History;
  readonly #searches: HistorySearches;
  readonly #snapshots: SnapshotExchange;
  readonly #observer: Observer;
  readonly loop: SimLoop;
  #network: PeerNetwork | undefined;
  #inbox: Event[] = [];
  #proposals: Proposal[] = [];
  /** Position after the last record that readers are shown: moves with the effect, as in the engine. */
  #tail: Position;
  /** Requests that are not answered yet: they are lost with the process. */
  readonly #appends = new Set<number>();
  readonly #reads = new Set<number>();
  /** By request: who sent it. After a failure nothing more of a caller is ordered (transport/append-caller.ts). */
  readonly #callers = new Map<number, number>();
  readonly #failedCallers = new Set<number>();
  #isKilled = false;
  /** Effects to carry out before the process dies in the middle of a turn. */
  #effectsLeft = Number.POSITIVE_INFINITY;

  constructor(options: ProcessOptions) {
    const { node, world, random, store } = options;
    this.#node = node;
    this.#world = world;
    this.#random = random;
    this.#wallMs = options.wallMs;
    this.#isDiskFull = options.isDiskFull;
    this.#onPowerLoss = options.onPowerLoss;
    this.store = store;
    const sequencer = new LogSequencer(world.entryParts, store.recovered.sequencer);
    this.replica = world.makeReplica({
      ...world.replicaOptions,
      recovered: store.recovered,
      members: world.members,
      clientAddress: `client-${node.name}`,
      freshClusterId: random.hex(16) as Uid,
      sequencer,
      tickMs,
      ticksPerRound: limits.ticksPerRound,
    });
    this.#tail = this.replica.log.positionAt(this.replica.view.visibleEnd);
    this.#history = new History(this.replica.log, store.reader, sequencer);
    this.#searches = new HistorySearches({
      history: this.#history,
      parts: world.entryParts,
      visibleEnd: () => this.replica.view.visibleEnd,
      tail: () => this.#tail,
      head: () => this.replica.view.retained.head,
      later: (piece) => this.#world.clock.after(this.#world.turnDelayUs + 1, () => this.#isKilled || piece()),
      done: (searchId, match) => this.#push({ kind: "searched", searchId, monotonicMs: this.#monotonicMs, match }),
      failed: (cause) => {
        throw failure(`${node.name} cannot search its history`, cause);
      },
    });
    this.#snapshots = new SnapshotExchange(store.snapshotFiles);
    this.#observer = new Observer(world.coverage, node.shadow);
    this.#storage = this.#makeStorage(options);
    this.loop = new SimLoop({
      clock: world.clock,
      random,
      turnDelayUs: world.turnDelayUs,
      drift: options.drift,
      onTurn: () => this.#turn(),
      onTick: (loopLagMs) =>
        this.#push({
          kind: "tick",
          wallMs: this.#wallMs(),
          monotonicMs: this.#monotonicMs,
          loopLagMs,
          diskFull: this.#isDiskFull(),
          inReserve: this.#isDiskFull(),
        }),
    });
  }

  #makeStorage({ world, random, disk, store, diskConditions, node, onPowerLoss }: ProcessOptions): SimStorage {
    return new SimStorage({
      clock: world.clock,
      random,
      disk,
      store,
      conditions: diskConditions,
      onCommit: (commit) => {
        node.shadow.reported(commit.ticket);
        for (const event of this.#snapshots.eventsOf(commit)) this.#push(event);
      },
      onCrash: () => onPowerLoss("commit"),
    });
  }

  /** Joins the network and begins to tick. */
  join(id: NodeId): void {
    if (this.#isKilled) return;
    this.#network = this.#world.network.attach(id, {
      hello: () => this.replica.hello(),
      onMessage: (from, stream, message) => this.#push({ kind: "receive", from, stream, message }),
      onLink: (peer, direction, stream, up) => this.#push({ kind: "link", peer, direction, stream, up }),
    });
    this.loop.start();
  }

  /** The process ends. What the disk has not finished is run into a power failure; what was asked and not answered is lost. */
  kill(): void {
    this.#isKilled = true;
    this.loop.stop();
    this.#world.coverage.add("segmentBegun", this.store.counters.segments);
    this.#storage.kill();
    if (this.#network !== undefined) void this.#network.close();
  }

  /** Tells the clients, once the disk is settled too. */
  loseRequests(): void {
    for (const requestId of this.#appends) this.#world.clients.answered(requestId, "lost");
    for (const requestId of this.#reads) this.#world.clients.readLost(requestId);
  }

  /** The process dies when it has carried out so many more effects. */
  crashAfterEffects(count: number): void {
    this.#effectsLeft = count;
  }

  // ---- Clients

  /** Takes an append, as the engine's queue does; false where it is not there yet. */
  propose(proposal: Proposal): boolean {
    if (this.#network === undefined) return false;
    this.#appends.add(proposal.requestId);
    if (proposal.kind === "append" && (proposal.caller ?? 0) > 0) {
      this.#callers.set(proposal.requestId, proposal.caller!);
    }
    this.#proposals.push(proposal);
    this.loop.askForTurn();
    return true;
  }

  read(requestId: number): boolean {
    if (this.#network === undefined) return false;
    this.#reads.add(requestId);
    this.#push({ kind: "read", requestId });
    return true;
  }

  // ---- The loop

  #push(event: Event): void {
    if (this.#isKilled) return;
    this.#inbox.push(event);
    if (this.#network !== undefined) this.loop.askForTurn();
  }

  #turn(): void {
    const count = this.#random.between(1, this.#world.turnEventsMax);
    const effects: Effect[] = [];
    for (const event of this.#inbox.splice(0, count)) this.#step(event, effects);
    this.#propose(effects);
    this.#step({ kind: "turnEnd" }, effects);
    this.#carryOut(effects);
    if (this.#isKilled) return;
    if (this.replica.view.role !== "leader") this.#refuseProposals();
    if (this.#inbox.length > 0) this.loop.askForTurn();
  }

  #step(event: Event, effects: Effect[]): void {
    this.#trace(`<- ${describeEvent(event)}`, isChatter(event));
    const before = this.replica.view;
    try {
      this.replica.step(event, effects);
    } catch (error) {
      throw failure(`${this.#node.name} fails at ${describeEvent(event)}`, error);
    }
    this.#world.checks.stepped(this.#node, this.replica);
    if (event.kind === "receive") this.#observer.received(event.message, before, this.replica.view);
  }

  #propose(effects: Effect[]): void {
    this.#refuseProposals(({ requestId }) => this.#failedCallers.has(this.#callers.get(requestId) ?? 0));
    while (this.replica.acceptsProposals && this.#proposals.length > 0) {
      // More than fits is refused by the core, as OVERLOADED.
      const proposals = this.#proposals.splice(0, this.#random.between(1, 3));
      this.#step({ kind: "propose", monotonicMs: this.#monotonicMs, proposals }, effects);
    }
  }

  #refuseProposals(which: (proposal: Proposal) => boolean = () => true): void {
    const refused = this.#proposals.filter(which);
    if (refused.length === 0) return;
    this.#proposals = this.#proposals.filter((proposal) => !which(proposal));
    for (const { requestId } of refused) {
      this.#appends.delete(requestId);
      this.#answer(requestId, { kind: "failed", code: "NOT_LEADER", outcome: "none" });
    }
  }

  #answer(requestId: number, answer: AppendAnswer): void {
    const caller = this.#callers.get(requestId);
    this.#callers.delete(requestId);
    if (caller !== undefined && answer.kind === "failed") this.#failedCallers.add(caller);
    this.#world.clients.answered(requestId, answer);
  }

  // ---- Effects

  #carryOut(effects: readonly Effect[]): void {
    for (const effect of effects) this.#trace(`-> ${describeEffect(effect)}`, isChatterEffect(effect));
    this.#world.checks.beforeEffects(this.#node, effects);
    this.#observer.willCarryOut(effects);
    try {
      carryOut(effects, this.#targets(effects));
    } catch (error) {
      if (!(error instanceof SimulatedCrash)) throw failure(`${this.#node.name} fails to carry out its effects`, error);
      this.#onPowerLoss("turn");
    }
  }

  #targets(effects: readonly Effect[]): EffectTargets {
    const network = this.#network!;
    const { clients, coverage } = this.#world;
    const submitBackground = (write: BackgroundWrite): void => {
      this.store.submitBackground(write);
      this.#storage.submit([]);
    };
    return {
      network: {
        ...network,
        send: (to, message) => {
          for (const peer of to) {
            this.#spendEffect();
            network.send([peer], message);
          }
        },
      },
      submit: (writes) => {
        this.#spendEffect();
        this.#node.shadow.submit(effects);
        this.#storage.submit(writes);
      },
      submitBackground: (write) => {
        this.#spendEffect();
        submitBackground(write);
      },
      writeSnapshot: (effect) => {
        this.#spendEffect();
        new SnapshotEncoder((work) => work(), submitBackground).add(effect);
      },
      readEntries: (effect) => {
        coverage.count("entriesFromSegments");
        return this.#history.entriesFor(effect);
      },
      readSnapshot: (effect) => {
        coverage.count(effect.chunk === undefined ? "snapshotOffered" : "snapshotChunkSent");
        return this.#snapshots.answer(effect);
      },
      answer: (requestId, answer) => {
        this.#spendEffect();
        if (!this.#appends.delete(requestId)) {
          throw new Violation(`${this.#node.name} answers append ${requestId}, which waits for no answer`);
        }
        this.#answer(requestId, answer);
      },
      search: (effect) => {
        coverage.count("historySearched");
        this.#searches.start(effect);
      },
      readReady: (requestId) => {
        this.#reads.delete(requestId);
        clients.readReady(requestId, this.#node.name, this.#tail);
      },
      readRefused: (requestId) => {
        this.#reads.delete(requestId);
        clients.readLost(requestId);
      },
      show: (effect) => {
        this.#tail = effect.nextPosition;
      },
      retained: () => {},
      leadership: (effect) => {
        if (effect.self) coverage.count("leaderElected");
      },
      stop: (effect) => {
        throw new Violation(`${this.#node.name} stops: ${effect.code}: ${effect.reason}`);
      },
    };
  }

  get #monotonicMs(): number {
    return this.#world.clock.nowUs / 1000;
  }

  #spendEffect(): void {
    this.#effectsLeft -= 1;
    if (this.#effectsLeft <= 0) throw new SimulatedCrash("the middle of a turn");
  }

  #trace(text: string, isQuiet: boolean): void {
    this.#world.trace.add(this.#world.clock.nowUs, `${this.#node.name} ${text}`, isQuiet);
  }
}

/** What went wrong and where; a violation says so already. */
export function failure(what: string, cause: unknown): Violation {
  if (cause instanceof Violation) return cause;
  return new Violation(`${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
}
