import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import { minSlot, type NodeId, type Slot } from "../base/types.ts";
import { sameBallot } from "./ballot.ts";
import type { Context } from "./context.ts";
import type { LogBase } from "./durable.ts";
import type { Election } from "./election.ts";
import type { Entry } from "./entry.ts";
import type { SnapshotReceivingEvent } from "./event.ts";
import type { Follower } from "./follower.ts";
import { Installing } from "./installing.ts";
import type {
  EntriesMessage,
  FetchMessage,
  SnapshotChunkMessage,
  SnapshotFetchMessage,
  SnapshotMetaMessage,
} from "./message.ts";
import type { Snapshots } from "./snapshots.ts";

/** Between two questions of a node that refuses entries. */
const refusingRounds = 10;

/** Fetches what others show, and serves it (docs/protocol.md, section 10). Learning compares no ballots and never leads to Accepted. */
export class Learner {
  readonly #ctx: Context;
  readonly #follower: Follower;
  readonly #election: Election;
  #request: { readonly id: number; readonly to: NodeId; readonly sinceTick: number } | undefined;
  /** When it last asked for entries. */
  #askedAt = 0;
  /** A fetch that waits until enough of what was learnt is on disk. */
  #postponed: NodeId | undefined;
  readonly #snapshots: Snapshots;
  readonly #installing: Installing;
  /** For a nonvoter, which asks nobody to prepare it: `from` has nothing more now. */
  onCaughtUp: (from: NodeId) => void = () => {};

  constructor(ctx: Context, follower: Follower, election: Election, snapshots: Snapshots) {
    this.#ctx = ctx;
    this.#snapshots = snapshots;
    this.#installing = new Installing(ctx, (meta) => this.#install(meta));
    this.#follower = follower;
    this.#election = election;
  }

  /** Whether entries are flowing in: the leader need not be asked for a Prepare before they end. */
  get isLearning(): boolean {
    return this.#request !== undefined || this.#postponed !== undefined || this.#installing.isActive;
  }

  /**
   * At the end of a round: learn if no leader will bring this node up to date soon. Allowed in phase recover, when a Promise
   * waited a whole round for its sync (this node is too far behind for one), and when the leader was silent for 2 T.
   */
  onRound(ticksPerRound: number): void {
    const ctx = this.#ctx;
    this.#installing.onRound();
    if (ctx.role === "leader") return this.abandon();
    const request = this.#request;
    if (request !== undefined && ctx.ticks - request.sinceTick >= 2 * ticksPerRound) this.abandon();
    if (ctx.role === "nonvoter") return;
    if (this.isLearning || this.#follower.isPromising) return;
    const waitedForSync = ctx.phase === "prepare" && this.#follower.ticksInPhase > ticksPerRound;
    const deserted = ctx.phase === "accept" && this.#follower.silentTicks > 2 * ticksPerRound;
    if (ctx.phase !== "recover" && !waitedForSync && !deserted) return;
    const source = this.#source();
    if (source !== undefined && this.mayAsk) this.fetch(source);
  }

  /** While entries are refused it asks now and then only, for a snapshot: what is gone elsewhere may go here, and that makes room. */
  get mayAsk(): boolean {
    const ctx = this.#ctx;
    return ctx.refuses === "nothing" || ctx.ticks - this.#askedAt >= refusingRounds * ctx.options.ticksPerRound;
  }

  /** The node took another role or phase: what was asked for is not wanted any more. */
  abandon(): void {
    this.#request = undefined;
    this.#postponed = undefined;
  }

  onEntries(from: NodeId, message: EntriesMessage): void {
    const ctx = this.#ctx;
    const request = this.#request;
    if (request === undefined || request.id !== message.requestId || request.to !== from) return;
    this.#request = undefined;
    if (ctx.role === "leader" || ctx.phase !== "recover" || ctx.refuses !== "nothing") return;
    const entries = message.entries.filter((entry) => entry.slot < message.visibleEnd);
    const took = this.takeDecided(entries);
    if (took && ctx.decidedEnd < message.visibleEnd) this.fetch(from);
    else this.#caughtUp(from);
  }

  /** What was asked for is gone there: its newest snapshot stands for it. */
  onSnapshotMeta(from: NodeId, meta: SnapshotMetaMessage): void {
    const ctx = this.#ctx;
    const request = this.#request;
    const isAnswer = request !== undefined && request.id === meta.requestId && request.to === from;
    if (!isAnswer && !this.#installing.awaits(from, meta.requestId)) return;
    if (isAnswer) this.#request = undefined;
    if (ctx.role === "leader" || ctx.isInstalling) return;
    if (this.#reaches(meta.logBegin)) {
      this.#installing.abandon();
      ctx.raiseDecided(meta.logBegin.slot);
      return this.fetch(from);
    }
    this.#installing.begin(from, meta);
  }

  onSnapshotChunk(from: NodeId, message: SnapshotChunkMessage): void {
    this.#installing.onChunk(from, message);
  }

  onSnapshotReceiving(event: SnapshotReceivingEvent): void {
    this.#installing.onReceiving(event);
  }

  /** Serves a chunk, where it is still there. */
  onSnapshotFetch(from: NodeId, { requestId, slot, rootHash, chunk }: SnapshotFetchMessage): void {
    this.#snapshots.offer(from, requestId, { slot, rootHash, number: chunk });
  }

  /**
   * Whether the own log goes on where another one begins. What it holds behind that place may have been counted, so it must stay;
   * where it ends before or differs there, nothing of it that is at or behind that place was ever chosen, and all of it may go.
   */
  #reaches({ slot, hash }: LogBase): boolean {
    return slot <= this.#ctx.decidedEnd || this.#ctx.log.hashBefore(slot) === hash;
  }

  /** The snapshot is whole here. In the meantime the log may have come so far that it is not needed any more. */
  #install({ base, rootHash, logBegin }: SnapshotMetaMessage): void {
    const ctx = this.#ctx;
    if (ctx.role === "leader" || this.#reaches(logBegin)) return;
    // As any Learn: what was promised and what was in step ends here.
    this.#follower.recover();
    this.#request = undefined;
    this.#postponed = undefined;
    this.#snapshots.hide();
    ctx.install({ slot: base.slot, rootHash }, logBegin);
  }

  /** Something became durable: a postponed fetch may go on. */
  onDurable(): void {
    const source = this.#postponed;
    if (source === undefined || this.#ctx.writes.bytes > limits.windowBytes / 2) return;
    this.#postponed = undefined;
    if (this.#ctx.role !== "leader" && this.#ctx.phase === "recover") this.fetch(source);
  }

  /**
   * Writes entries that are known to be decided, from the own decidedEnd on. Where the own log differs above decidedEnd its
   * rest was not chosen: a REPLACE with the log's own ballot takes its place. Returns whether decidedEnd moved.
   */
  takeDecided(entries: readonly Entry[]): boolean {
    const ctx = this.#ctx;
    if (ctx.isInstalling) return false;
    const before = ctx.decidedEnd;
    const fresh = entries.filter((entry) => entry.slot >= ctx.decidedEnd);
    let expected = ctx.decidedEnd;
    let hash = ctx.log.hashBefore(expected);
    for (const entry of fresh) {
      if (entry.slot !== expected || entry.prevHash !== hash) {
        // Two decided histories: nothing can be right after this.
        if (entry.slot === expected) ctx.stop("INVARIANT_BROKEN", `decided history differs before slot ${entry.slot}`);
        return false;
      }
      hash = entry.hash;
      expected = (expected + 1) as Slot;
    }
    const differs = fresh.findIndex((entry) => ctx.log.at(entry.slot)?.hash !== entry.hash);
    if (differs >= 0) {
      const from = fresh[differs]!.slot;
      if (from < ctx.acceptedEnd) ctx.replace(ctx.logBallot, from, fresh.slice(differs));
      else ctx.append(fresh.slice(differs));
    }
    ctx.raiseDecided(expected);
    assert(ctx.decidedEnd >= before, "learning only moves forward");
    return ctx.decidedEnd > before;
  }

  /** Serves a Fetch: with a ballot, to the leader-elect that holds this node's promise; without, only what is visible here. */
  onFetch(from: NodeId, message: FetchMessage): void {
    const ctx = this.#ctx;
    const { requestId, fromSlot, prevHash } = message;
    const promised = message.n !== undefined && sameBallot(message.n, ctx.promised);
    if (message.n !== undefined && !promised) return;
    const visibleEnd = ctx.visibleEnd;
    const end = promised ? minSlot(ctx.flushedEnd, ctx.acceptedEnd) : visibleEnd;
    if (fromSlot >= ctx.log.memoryBegin) {
      const known = fromSlot <= end && ctx.log.hashBefore(fromSlot) === prevHash;
      const entries = known ? ctx.log.range(fromSlot, end, limits.fetchEntryBytes) : [];
      ctx.send(from, { kind: "entries", requestId, fromSlot, entries, visibleEnd });
      return;
    }
    if (fromSlot < this.#snapshots.logBegin.slot) return this.#snapshots.offer(from, requestId);
    const diskEnd = minSlot(visibleEnd, ctx.log.memoryBegin);
    ctx.effects.push({ kind: "sendEntries", to: from, requestId, fromSlot, prevHash, end: diskEnd, visibleEnd });
  }

  /**
   * Where much is missing, a follower that has it, since the leader has other work; then the leader if it is ahead, else any peer
   * that is: at the far end of a chain, the neighbour.
   */
  #source(): NodeId | undefined {
    const { peers, decidedEnd } = this.#ctx;
    const leader = this.#election.leaderNode;
    const aheadBy = (peer: NodeId) => (this.#election.report(peer)?.visibleEnd ?? 0) - decidedEnd;
    const helper = peers.find((peer) => peer !== leader && aheadBy(peer) > limits.windowSlots);
    if (helper !== undefined) return helper;
    if (leader !== undefined && leader !== this.#ctx.self && aheadBy(leader) > 0) return leader;
    return peers.find((peer) => aheadBy(peer) > 0);
  }

  /** Asks for what comes next, at once or when enough of what was learnt is on disk. */
  fetch(to: NodeId): void {
    const ctx = this.#ctx;
    if (ctx.isInstalling) return;
    // A Learn makes an earlier Promise unusable for a SyncBegin, and ends the sync (C11, C14).
    this.#follower.recover();
    if (ctx.writes.bytes > limits.windowBytes / 2) {
      this.#postponed = to;
      return;
    }
    const id = ctx.nextRequestId();
    this.#request = { id, to, sinceTick: ctx.ticks };
    this.#askedAt = ctx.ticks;
    const fromSlot = ctx.decidedEnd;
    const prevHash = ctx.log.hashBefore(fromSlot)!;
    ctx.send(to, { kind: "fetch", requestId: id, fromSlot, prevHash, n: undefined });
  }

  #caughtUp(from: NodeId): void {
    if (this.#ctx.role === "nonvoter") return this.onCaughtUp(from);
    const leader = this.#election.leaderNode;
    if (leader !== undefined && leader !== this.#ctx.self) this.#follower.askPrepare(leader);
  }
}
