import type { NodeId, Slot } from "../base/types.ts";
import { type Ballot, sameBallot } from "./ballot.ts";
import type { Context } from "./context.ts";
import type { DiskRoom, Election } from "./election.ts";
import type { TickEvent } from "./event.ts";
import type { Follower } from "./follower.ts";
import type { Following } from "./following.ts";
import type { Leader } from "./leader.ts";
import type { Learner } from "./learner.ts";
import type { Membership } from "./membership.ts";
import type { Message } from "./message.ts";
import type { Nonvoters } from "./nonvoters.ts";
import type { Proposals } from "./proposals.ts";
import type { Reads } from "./reads.ts";

/** The parts of a replica that hear of its rounds. */
export interface RoundParts {
  readonly membership: Membership;
  readonly election: Election;
  readonly follower: Follower;
  readonly learner: Learner;
  readonly following: Following | undefined;
  readonly nonvoters: Nonvoters;
  readonly proposals: Proposals;
  readonly reads: Reads;
  leader(): Leader | undefined;
  /** Begins or ends the leadership where the election says so. */
  followElection(): void;
}

/** The time of a replica: ticks, and the rounds of heartbeats that they make up. With a round's end all parts hear that time has passed. */
export class Rounds {
  readonly #ctx: Context;
  readonly #parts: RoundParts;
  /** While this node's decidedEnd is below, it cannot lead: others let go of what it lacks. */
  unfitBelow = 0 as Slot;
  #ticksInRound = 0;
  #loopLagMsMax = 0;
  #diskRoom: DiskRoom = "enough";
  #promisedAtRoundBegin: Ballot;

  constructor(ctx: Context, parts: RoundParts) {
    this.#ctx = ctx;
    this.#parts = parts;
    this.#promisedAtRoundBegin = ctx.promising;
  }

  /** Whether what is proposed finds room on disks, as of the last tick; only of use on a leader. */
  get diskRoom(): DiskRoom {
    return this.#diskRoom;
  }

  onTick(event: TickEvent): void {
    const ctx = this.#ctx;
    ctx.ticks += 1;
    ctx.noteTime(event.monotonicMs);
    ctx.diskFull = event.diskFull;
    ctx.machines = event.machines ?? ctx.machines;
    if (!event.inReserve) ctx.refuses = "nothing";
    else if (this.#parts.election.othersHaveRoom) ctx.refuses = "everything";
    else if (ctx.refuses === "everything") ctx.refuses = "what it missed";
    this.#diskRoom = this.#parts.election.diskRoom(event.diskFull, this.#synced);
    ctx.wallOffsetMs = event.wallMs - event.monotonicMs;
    this.#ticksInRound += 1;
    this.#loopLagMsMax = Math.max(this.#loopLagMsMax, event.loopLagMs);
    if (!this.#parts.membership.started) this.#parts.membership.onTick();
    else if (this.#parts.election.round === 0) {
      this.#ticksInRound = 0;
      ctx.send(ctx.peers, this.#parts.election.startRound(ctx.visibleEnd));
    }
    const firstIsComplete = this.#parts.election.round === 1 && this.#parts.election.allReplied;
    if (this.#ticksInRound >= ctx.options.ticksPerRound || firstIsComplete) this.#endRound();
  }

  #endRound(): void {
    const ctx = this.#ctx;
    const { ticksPerRound, tickMs } = ctx.options;
    const loopLagMs = this.#loopLagMsMax;
    this.#ticksInRound = 0;
    this.#loopLagMsMax = 0;
    this.#parts.membership.onRound();
    if (!this.#parts.membership.started) return;
    const roundMs = ticksPerRound * tickMs;
    this.#parts.election.endRound({
      promised: ctx.promising,
      promisedInRound: ctx.promising.nodeId !== ctx.self && !sameBallot(ctx.promising, this.#promisedAtRoundBegin),
      unfit: ctx.isIncomplete || ctx.decidedEnd < this.unfitBelow,
      accepting: this.#parts.leader()?.replication !== undefined,
      late: loopLagMs > roundMs / 2,
      slowMs: Math.max(ctx.oldestSyncMs, loopLagMs),
      roundMs,
      diskFull: ctx.diskFull,
      stoppedMachines: ctx.machines.stopped,
      synced: this.#synced,
    });
    this.#parts.followElection();
    this.#promisedAtRoundBegin = ctx.promising;
    // Who leads now may be another than before.
    const leader = this.#parts.leader();
    leader?.onRound((peer) => this.#parts.election.report(peer)?.oldestSyncMs ?? 0);
    this.#parts.proposals.onRound(leader);
    this.#parts.learner.onRound(ticksPerRound);
    this.#parts.following?.onRound();
    this.#parts.nonvoters.onRound();
    if (
      ctx.role === "follower" &&
      ctx.phase === "recover" &&
      !this.#parts.learner.isLearning &&
      ctx.refuses !== "everything"
    ) {
      this.#parts.follower.askPrepare(this.#parts.election.leaderNode);
    }
    this.#parts.reads.onRound(ticksPerRound, this.#parts.election.leaderNode);
    ctx.send(ctx.peers, this.#parts.election.startRound(ctx.visibleEnd));
  }

  /** What a node answers to the heartbeat of a round of another one. */
  heartbeatReply(round: number): Message {
    const { flushedEnd, visibleEnd, oldestSyncMs, diskFull, machines, options } = this.#ctx;
    const { clientAddress } = options;
    const ends = { flushedEnd, visibleEnd, clientAddress };
    const health = { oldestSyncMs, loopLagMs: this.#loopLagMsMax, diskFull, unreadyMachines: machines.unready };
    return this.#parts.election.reply(round, { ...ends, ...health });
  }

  get #synced(): ReadonlySet<NodeId> {
    return this.#parts.leader()?.replication?.synced ?? new Set();
  }
}
