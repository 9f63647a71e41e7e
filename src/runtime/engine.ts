import { assert, defined } from "../base/assert.ts";
import { PaxlogError, toPaxlogError, withOutcome } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { NodeId, Position } from "../base/types.ts";
import type { Effect, LeadershipEffect, SendEntriesEffect } from "../core/effect.ts";
import type { Event, MachineCounts } from "../core/event.ts";
import type { Guards } from "../core/guards.ts";
import type { EntriesMessage } from "../core/message.ts";
import type { Replica } from "../core/replica.ts";
import type { EntryParts } from "../core/sequencer.ts";
import type {
  AppendOrder,
  AppendResult,
  CheckedBatch,
  FenceResponse,
  KeepSessionResponse,
  LogBackend,
  NodeStatus,
  OpenSessionResponse,
  ReadPiece,
  ReadStep,
  RetainRequest,
  RetainResult,
  SessionTerms,
  Watch,
  Watched,
} from "../transport/backend.ts";
import type { PeerHandlers, PeerNetwork } from "../transport/peer-network.ts";
import { notBegun, notLeader } from "./append-errors.ts";
import { type Clock, Ticker } from "./clock.ts";
import { carryOut, type EffectTargets } from "./effects.ts";
import { type History, MissingIndex } from "./history.ts";
import { HistorySearches } from "./history-searches.ts";
import { LateDecides } from "./late-decides.ts";
import { LinearReads } from "./linear-reads.ts";
import { type ControlAnswer, type ControlProposal, Proposer, type SessionAnswer } from "./proposer.ts";
import { retainResult } from "./retaining.ts";
import { type RetentionPolicy, trimFor } from "./retention.ts";
import { SnapshotEncoder } from "./snapshot-encoder.ts";
import type { SnapshotExchange } from "./snapshot-exchange.ts";
import { type NodeFacts, statusOf } from "./status.ts";
import type { StorageLink } from "./storage-link.ts";
import { VisibleLog } from "./visible-log.ts";

export interface EngineOptions {
  readonly replica: Replica;
  readonly history: History;
  /** For searches of the history on behalf of guards. */
  readonly entryParts: EntryParts;
  readonly storage: StorageLink;
  readonly snapshots: SnapshotExchange;
  readonly clock: Clock;
  readonly facts: NodeFacts;
  /** How much of the log this node keeps while it leads; undefined: everything. */
  readonly retention?: { readonly policy: RetentionPolicy; readonly segmentBytes: number } | undefined;
  /** How many of this node's machines take no commands, as of now; undefined: it runs none. */
  readonly machines?: (() => MachineCounts) | undefined;
  /** Told once, when the node must not go on. Everything was rejected by then. */
  readonly onStop: (error: PaxlogError) => void;
}

/**
 * The loop around the core. Whatever happens (a message, a completion, a tick, a request) waits in an inbox; once per turn of the
 * event loop all of it is stepped, then the core is told that the turn ends, then the effects are carried out in order. So what
 * arrives together travels together: one Accept, one group, one sync.
 */
export class Engine implements LogBackend {
  readonly #replica: Replica;
  readonly #history: History;
  readonly #storage: StorageLink;
  readonly #snapshots: SnapshotExchange;
  readonly #retention: EngineOptions["retention"];
  #retentionDueMs = 0;
  readonly #clock: Clock;
  readonly #facts: NodeFacts;
  readonly #machines: EngineOptions["machines"];
  readonly #onStop: (error: PaxlogError) => void;
  readonly #ticker: Ticker;

  #network: PeerNetwork | undefined;
  #targets: EffectTargets | undefined;
  #inbox: Event[] = [];
  /** Empty between turns. */
  readonly #effects: Effect[] = [];
  #turnScheduled = false;
  /** This turn, or the one that is scheduled, comes right behind an event. */
  #hurries = false;
  /** When the last turn ended. */
  #lastTurnMs = 0;

  readonly #proposer: Proposer;
  readonly #reads: LinearReads;
  readonly #encoder: SnapshotEncoder;
  readonly #searches: HistorySearches;
  #lastRequestId = 0;

  /** True from phase accept on: proposals wait for the window instead of being refused. */
  #leads = false;
  #leader: NodeId | undefined;
  #leaderChanges = 0;
  readonly #startedMs: number;
  readonly #self: NodeId;
  readonly #visible: VisibleLog;
  #stopped: PaxlogError | undefined;

  constructor(options: EngineOptions) {
    this.#replica = options.replica;
    this.#history = options.history;
    this.#storage = options.storage;
    this.#snapshots = options.snapshots;
    this.#retention = options.retention;
    this.#clock = options.clock;
    this.#facts = options.facts;
    this.#machines = options.machines;
    this.#onStop = options.onStop;
    const { log, view } = options.replica;
    this.#visible = new VisibleLog(log, view, options.history, options.entryParts.checksum);
    const later = (piece: () => void) => void setImmediate(() => this.#stopped === undefined && piece());
    this.#encoder = new SnapshotEncoder(later, (write) => this.#storage.submitBackground(write));
    this.#searches = new HistorySearches({
      history: options.history,
      parts: options.entryParts,
      visibleEnd: () => this.#visible.end,
      tail: () => this.#visible.tail,
      head: () => this.#visible.headPlace,
      later,
      done: (searchId, match) =>
        this.#push({ kind: "searched", searchId, monotonicMs: this.#clock.monotonicMs(), match }),
      failed: (cause) => this.stop(toPaxlogError(cause, "DAMAGED")),
    });
    this.#startedMs = options.clock.monotonicMs();
    this.#proposer = new Proposer({
      name: options.facts.name,
      nextRequestId: () => this.#requestId(),
      notLeader: () => this.#notLeader(),
      diskRoom: () => this.#replica.diskRoom,
    });
    this.#reads = new LinearReads(() => this.#requestId());
    this.#self = options.replica.view.nodeId;
    this.#ticker = new Ticker({
      periodMs: limits.roundMs / limits.ticksPerRound,
      clock: options.clock,
      onTick: (lagMs) => this.#onTick(lagMs),
    });
    this.#storage.attach({
      onDurable: (commit) => {
        for (const event of this.#snapshots.eventsOf(commit)) this.#push(event);
      },
      onFailed: (error) => this.stop(error),
    });
  }

  /** What the network between nodes calls. */
  readonly peerHandlers: PeerHandlers = {
    hello: () => this.#replica.hello(),
    onMessage: (from, stream, message) => this.#push({ kind: "receive", from, stream, message }),
    onLink: (peer, direction, stream, up) => this.#push({ kind: "link", peer, direction, stream, up }),
  };

  /** Begins to tick: the node takes part from now on. */
  start(network: PeerNetwork): void {
    assert(this.#network === undefined, "an engine starts once");
    this.#network = network;
    this.#targets = {
      network: new LateDecides(network),
      submit: (writes, accepts) => this.#storage.submit(writes, accepts && this.#hurries),
      submitBackground: (write) => this.#storage.submitBackground(write),
      writeSnapshot: (effect) => this.#encoder.add(effect),
      readEntries: (effect) => this.#readEntries(effect),
      readSnapshot: (effect) => this.#snapshots.answer(effect),
      answer: (requestId, answer) => this.#proposer.answer(requestId, answer),
      search: (effect) => this.#searches.start(effect),
      readReady: (requestId) => this.#reads.ready(requestId),
      readRefused: (requestId) => this.#reads.refused(requestId),
      show: ({ visibleEnd, nextPosition }) => this.#visible.show(visibleEnd, nextPosition),
      retained: (effect) => this.#visible.retain(effect.retained),
      leadership: (effect) => this.#leadership(effect),
      stop: (effect) => this.stop(new PaxlogError(effect.code, effect.reason, { facts: effect.facts })),
    };
    this.#ticker.start();
    this.#scheduleTurn();
  }

  /** Lets the process end although the node runs: only for one that nobody else can reach. */
  unref(): void {
    this.#ticker.unref();
  }

  // ---- LogBackend

  append(
    batch: CheckedBatch,
    guards: Guards | undefined,
    done: (result: AppendResult) => void,
    order?: AppendOrder | undefined,
  ): void {
    this.#proposer.append(batch, guards, done, order);
    this.#scheduleProposals();
  }

  hasRoom(): boolean {
    return this.#proposer.hasRoom;
  }

  whenRoom(callback: () => void): void {
    this.#proposer.whenRoom(callback);
  }

  async openSession(terms: SessionTerms): Promise<OpenSessionResponse> {
    const { session, ttlMs, time } = await this.#session({ kind: "openSession", ...terms });
    return { session, ttlMs, time };
  }

  async keepSession(session: number): Promise<KeepSessionResponse> {
    const { ttlMs, time } = await this.#session({ kind: "keepSession", session });
    return { ttlMs, time };
  }

  async closeSession(session: number): Promise<void> {
    await this.#session({ kind: "closeSession", session });
  }

  async fence(token: number): Promise<FenceResponse> {
    const answer = await this.#request({ kind: "fence", token });
    assert(answer.kind === "fenced", "a fence is answered as one");
    return { fence: answer.fence, tail: answer.tail };
  }

  async #session(proposal: ControlProposal): Promise<SessionAnswer> {
    const answer = await this.#request(proposal);
    assert(answer.kind === "session", "what is asked of a session is answered as one");
    return answer;
  }

  /**
   * A position is looked up here, so that no replica has to: its entry is visible on a leader that is known to lead, and what is
   * visible never moves.
   */
  async retain<Request extends RetainRequest>(request: Request): Promise<RetainResult<Request>> {
    if (!this.#leads && !this.#isElect) throw this.#stopped ?? this.#notLeader();
    await this.linearize();
    if (this.#stopped !== undefined) throw this.#stopped;
    return retainResult(await this.#request(this.#retainProposal(request))) as RetainResult<Request>;
  }

  #retainProposal(request: RetainRequest): ControlProposal {
    if (request.kind === "dropHold") return request;
    const place = this.#visible.placeOf(request.position);
    return request.kind === "trim" ? { kind: "trim", to: place } : { ...request, at: place };
  }

  #request(proposal: ControlProposal): Promise<ControlAnswer> {
    const answer = this.#proposer.request(proposal);
    this.#scheduleProposals();
    return answer;
  }

  linearize(signal?: AbortSignal): Promise<void> {
    if (this.#stopped !== undefined) return Promise.reject(this.#stopped);
    const ready = this.#reads.wait(this.#clock.monotonicMs(), signal);
    this.#scheduleTurn();
    return ready;
  }

  bounds(): { readonly head: Position; readonly tail: Position } {
    const { head, tail } = this.#visible;
    return { head, tail };
  }

  /** A step of a query waits, for a bounded time, until the closed segment that it comes to has its index. */
  read(step: ReadStep & { readonly query: undefined }): ReadPiece;
  read(step: ReadStep): ReadPiece | Promise<ReadPiece>;
  read(step: ReadStep): ReadPiece | Promise<ReadPiece> {
    const piece = this.#reading(() => this.#visible.read(step, true));
    return piece instanceof MissingIndex ? this.#readIndexed(step, piece) : piece;
  }

  /** As soon as no index is missing any more where the step begins, or once it was waited for long enough. */
  async #readIndexed(step: ReadStep, first: MissingIndex): Promise<ReadPiece> {
    const endMs = this.#clock.monotonicMs() + limits.indexWaitMs;
    for (let missing = first; ; ) {
      await missing.settled;
      const canWait = this.#clock.monotonicMs() < endMs;
      const piece = this.#reading(() => this.#visible.read(step, canWait));
      if (!(piece instanceof MissingIndex)) return piece;
      missing = piece;
    }
  }

  positionOfTime(time: number): Position {
    return this.#reading(() => this.#visible.positionOfTime(time));
  }

  #reading<T>(read: () => T): T {
    if (this.#stopped !== undefined) throw this.#stopped;
    try {
      return read();
    } catch (cause) {
      // Visible entries are durable here. One that cannot be read is damaged, and nothing repairs it yet: the node stops by name.
      if (!(cause instanceof PaxlogError && cause.code === "POSITION_BELOW_HEAD")) {
        this.stop(toPaxlogError(cause, "DAMAGED"));
      }
      throw cause;
    }
  }

  watch(watched: Watched, onNews: (from: Position) => void): Watch {
    return this.#visible.watch(watched, onNews);
  }

  onTail(listener: () => void): () => void {
    return this.#visible.onTail(listener);
  }

  status(): NodeStatus {
    return statusOf({
      facts: this.#facts,
      view: this.#replica.view,
      tail: this.#visible.tail,
      leaderChanges: this.#leaderChanges,
      syncs: this.#storage.counters.syncs,
      entriesAppended: this.#storage.entriesAppended,
      uptimeMs: this.#clock.monotonicMs() - this.#startedMs,
      diskFull: this.#storage.space !== "enough",
    });
  }

  // ---- The loop

  #push(event: Event): void {
    if (this.#stopped !== undefined) return;
    this.#inbox.push(event);
    this.#scheduleTurn();
  }

  /** While others are on their way more may follow, and one Accept and one group for all of them is cheaper. */
  #scheduleProposals(): void {
    if (this.#stopped === undefined) this.#scheduleTurn(this.#proposer.orderedCount === 0);
  }

  /**
   * All that is read from sockets and ports in this iteration of the event loop comes before the turn, so that it travels together.
   * Where little happens there is nothing to wait for: then the turn follows right behind the callback that brought the event.
   */
  #scheduleTurn(mayHurry = true): void {
    if (this.#turnScheduled || this.#targets === undefined) return;
    this.#turnScheduled = true;
    const quiet = this.#clock.monotonicMs() - this.#lastTurnMs > limits.turnGapMs;
    this.#hurries = quiet && mayHurry;
    if (this.#hurries) queueMicrotask(() => this.#turn());
    else setImmediate(() => this.#turn());
  }

  #onTick(lagMs: number): void {
    const loopLagMs = Math.round(lagMs);
    const tick = () => {
      const [wallMs, monotonicMs] = [this.#clock.wallMs(), this.#clock.monotonicMs()];
      const { space } = this.#storage;
      const [diskFull, inReserve] = [space !== "enough", space === "reserve"];
      const machines = this.#machines?.();
      this.#push({ kind: "tick", wallMs, monotonicMs, loopLagMs, diskFull, inReserve, machines });
    };
    // After a pause what waits in the sockets comes first (PROTOCOL 6): one more iteration of the loop reads it.
    if (lagMs > limits.roundMs / 2) setImmediate(() => setImmediate(tick));
    else tick();
    this.#reads.tick(this.#clock.monotonicMs());
    this.#applyRetention();
    this.#storage.reclaim(this.#replica.log.memoryBegin);
  }

  /** What the policy lets go of becomes a TRIM entry, which every node obeys. If it fails there is another time. */
  #applyRetention(): void {
    const nowMs = this.#clock.monotonicMs();
    if (this.#retention === undefined || !this.#leads || nowMs < this.#retentionDueMs) return;
    this.#retentionDueMs = nowMs + limits.retentionMs;
    const { policy, segmentBytes } = this.#retention;
    const visible = this.#visible;
    const log = {
      head: visible.headPlace,
      tail: visible.tail,
      segmentBegins: this.#history.segmentBegins,
      segmentBytes,
      positionOfTime: (time: number) => this.positionOfTime(time),
    };
    const to = trimFor(policy, log, this.#clock.wallMs());
    if (to !== undefined) this.#request({ kind: "trim", to }).catch(() => {});
  }

  #turn(): void {
    this.#turnScheduled = false;
    if (this.#stopped !== undefined) return;
    try {
      const events = this.#inbox;
      this.#inbox = [];
      for (const event of events) this.#replica.step(event, this.#effects);
      const read = this.#reads.next();
      if (read !== undefined) this.#replica.step(read, this.#effects);
      this.#propose();
      this.#replica.step({ kind: "turnEnd" }, this.#effects);
      carryOut(this.#effects, defined(this.#targets, "the engine's targets"));
      this.#effects.length = 0;
      this.#lastTurnMs = this.#clock.monotonicMs();
      if (!this.#leads && !this.#isElect && this.#stopped === undefined) this.#proposer.refuseWaiting();
    } catch (cause) {
      // An assertion, or a fault of the program: what state the node is in is not known, so it must not go on.
      this.stop(toPaxlogError(cause));
    }
  }

  /** Hands over what the window and this turn have room for; the rest waits for a later turn. */
  #propose(): void {
    for (const effect of this.#effects)
      if (effect.kind === "answer") this.#proposer.foresee(effect.requestId, effect.answer);
    const { slots, bytes } = this.#replica.room;
    const proposals = this.#proposer.next({ slots, bytes: Math.min(bytes, limits.turnProposalBytes) });
    if (proposals.length === 0) return;
    this.#replica.step({ kind: "propose", monotonicMs: this.#clock.monotonicMs(), proposals }, this.#effects);
    if (this.#proposer.waitingCount > 0 && this.#replica.acceptsProposals) this.#scheduleTurn();
  }

  /** This node stands as the next leader. That is settled within a few syncs, which is sooner than callers could come back. */
  get #isElect(): boolean {
    return this.#leader === this.#self;
  }

  #requestId(): number {
    this.#lastRequestId += 1;
    return this.#lastRequestId;
  }

  // ---- Effects

  /** Below the head the disk may have let go of more than this thread has heard: the peer asks again, and is told. */
  #readEntries(effect: SendEntriesEffect): EntriesMessage {
    try {
      return this.#history.entriesFor(effect);
    } catch (cause) {
      const { requestId, fromSlot, visibleEnd } = effect;
      if (fromSlot >= this.#visible.headPlace.slot) throw cause;
      return { kind: "entries", requestId, fromSlot, entries: [], visibleEnd };
    }
  }

  #leadership(effect: LeadershipEffect): void {
    if (effect.leader !== this.#leader && effect.leader !== undefined) this.#leaderChanges += 1;
    this.#leader = effect.leader;
    this.#leads = effect.self;
  }

  #notLeader(): PaxlogError {
    const { peers, missing } = this.#replica.view;
    const names = missing.map((peer) => this.#facts.members[peer - 1]!.name);
    if (names.length > 0) return notBegun(this.#facts.name, names);
    const address = this.#leader === undefined ? undefined : peers.get(this.#leader)?.clientAddress;
    return notLeader(this.#facts.name, address);
  }

  // ---- The end

  get stopped(): PaxlogError | undefined {
    return this.#stopped;
  }

  /** Rejects everything and takes no further part. What the core holds may have happened; what waits in the queue has not. */
  stop(reason: PaxlogError): void {
    if (this.#stopped !== undefined) return;
    const none = withOutcome(reason, "none");
    this.#stopped = none;
    this.#ticker.stop();
    this.#inbox = [];
    this.#proposer.end(reason);
    this.#reads.fail(none);
    this.#visible.stop();
    this.#onStop(reason);
  }
}
