import { assert } from "../base/assert.ts";
import { type NodeId, noNode, type Slot } from "../base/types.ts";
import {
  type Ballot,
  compareBallots,
  largerBallot,
  nextBallot,
  sameBallot,
  showBallot,
  untakenBallot,
} from "./ballot.ts";
import type { HeartbeatMessage, HeartbeatReplyMessage } from "./message.ts";
import type { Quorums } from "./quorum.ts";

/** What the election must know of the rest of the replica at the end of a round. */
export interface RoundInputs {
  readonly promised: Ballot;
  /**
   * This node promised another's larger ballot in this round. Its owner was alive then, whatever the replies say that were
   * gathered before: taking over now would only depose a leader that has just begun.
   */
  readonly promisedInRound: boolean;
  /** This node cannot lead now: it lacks what only a snapshot can bring. */
  readonly unfit: boolean;
  /** Whether this node leads in phase accept: then Qa must hear it, otherwise Qp. */
  readonly accepting: boolean;
  /** The round's timer was late by more than T/2: do not take over on what may be our own deafness. */
  readonly late: boolean;
  /** Age of the own oldest unfinished sync or lag of the own loop, whichever is larger, and T. */
  readonly slowMs: number;
  readonly roundMs: number;
  /** The own disk has no room for another segment. */
  readonly diskFull: boolean;
  /** Own machines that stopped, and take no commands before this node is started again. */
  readonly stoppedMachines: number;
  /**
   * Followers in sync: one of them must be twice as fast before a slow leader gives way, have room before a full one does, or have more
   * machines that take commands before one does that lacks some.
   */
  readonly synced: ReadonlySet<NodeId>;
}

/**
 * What a leader knows of the room on the voters' disks. "elsewhere": its own is full, and it gives way to a follower that has room.
 * "none": no quorum can be made of those that have room, so what is appended would end in their reserves.
 */
export type DiskRoom = "enough" | "elsewhere" | "none";

/** What the last heartbeat reply of a peer said. */
export interface PeerReport {
  readonly clientAddress: string;
  readonly flushedEnd: Slot;
  readonly visibleEnd: Slot;
  readonly oldestSyncMs: number;
}

type ElectionReport = Pick<HeartbeatReplyMessage, "kind" | "round" | "ballot" | "leader" | "happy">;

const lossesBeforeLift = 2;
/** A leader gives way at most once in so many rounds: an overloaded machine must not rotate leaders. */
const pauseRounds = 10;
/**
 * ... and says so for this long, while it lasts. Rounds are staggered: the last follower hears of it up to a round late and is
 * unhappy a round later, and only then does a follower hear nobody who is happy (rule 3).
 */
const reportRounds = 3;
/** Rounds that the promise of a leader-elect may take to be durable: nobody else can lead meanwhile. */
const promiseRoundsMax = 5;

/**
 * Ballot leader election, quorum-connected (docs/protocol.md, section 6, after OmniPaxos, EuroSys'23). Heartbeats go in rounds of T.
 * It only proposes whom to follow: safety rests on Prepare and Accept alone.
 */
export class Election {
  readonly #self: NodeId;
  /** A nonvoter only watches whom the voters follow. */
  readonly #stands: boolean;
  readonly #quorums: Quorums;
  readonly #promisedAtStart: Ballot;
  #own: Ballot;
  #leader: Ballot;
  #happy = false;
  /** The own ballot is the largest that this node may follow, but it can decide nothing: too few others still do. */
  #superseded = false;
  #unfit = false;
  #round = 0;
  #replies = new Map<NodeId, HeartbeatReplyMessage>();
  #previous = new Map<NodeId, HeartbeatReplyMessage>();
  #nLargest: number;
  /** Rounds in a row in which a voter was seen shut out by a larger promise. */
  #shutOutRounds = 0;
  /** The round until which a leader that gave way takes nothing over again. */
  #yieldUntilRound = 0;
  /** ... and until which it says that it is not happy, while it has reason to. */
  #reportUntilRound = 0;

  constructor(self: NodeId, quorums: Quorums, promised: Ballot) {
    this.#self = self;
    this.#stands = self !== noNode;
    this.#quorums = quorums;
    this.#promisedAtStart = promised;
    this.#own = untakenBallot(self);
    this.#leader = promised;
    this.#nLargest = promised.n;
  }

  get own(): Ballot {
    return this.#own;
  }

  get leader(): Ballot {
    return this.#leader;
  }

  get happy(): boolean {
    return this.#happy;
  }

  get round(): number {
    return this.#round;
  }

  /** Whether the ballot followed is one that this incarnation took. */
  get leadsOwn(): boolean {
    return this.#own.n >= 1 && sameBallot(this.#leader, this.#own);
  }

  /** Whether this node is to lead: not while others follow a larger ballot whose owner it does not hear (C21). */
  get shouldLead(): boolean {
    return this.leadsOwn && !this.#superseded && !this.#unfit;
  }

  /** The owner of the followed ballot, if this node is content with it and it is of use. */
  get leaderNode(): NodeId | undefined {
    const isContent = this.#happy && this.#leader.n >= 1 && (this.shouldLead || !this.leadsOwn);
    return isContent ? this.#leader.nodeId : undefined;
  }

  /** Last reports of the peers that were heard in this round or the one before. */
  report(peer: NodeId): PeerReport | undefined {
    return this.#replies.get(peer) ?? this.#previous.get(peer);
  }

  /** A ballot number was seen outside of heartbeats. */
  noteBallot(ballot: Ballot): void {
    this.#nLargest = Math.max(this.#nLargest, ballot.n);
  }

  /** Gives the own ballot up, so that another node takes over: until the end of a round that finds this node fit. */
  withdraw(): void {
    this.#unfit = true;
    this.#happy = false;
  }

  startRound(visibleEnd: Slot): HeartbeatMessage {
    this.#round += 1;
    this.#previous = this.#replies;
    this.#replies = new Map();
    return { kind: "heartbeat", round: this.#round, visibleEnd };
  }

  /** The answer to a peer's heartbeat. `told`: what this node says of itself beside the election. */
  reply(round: number, told: Omit<HeartbeatReplyMessage, keyof ElectionReport>): HeartbeatReplyMessage {
    const { own: ballot, leader, happy } = this;
    return { kind: "heartbeatReply", round, ballot, leader, happy, ...told };
  }

  /** A reply counts only for its round, and once per node. */
  onReply(from: NodeId, reply: HeartbeatReplyMessage): void {
    if (reply.round !== this.#round || this.#replies.has(from)) return;
    this.#replies.set(from, reply);
    this.noteBallot(reply.ballot);
    this.noteBallot(reply.leader);
  }

  /** Whether every peer replied: the first round need not wait longer. */
  get allReplied(): boolean {
    return this.#replies.size === this.#quorums.voterCount - (this.#stands ? 1 : 0);
  }

  /** Of those that were heard, whose disks have room; `synced` are the followers that could take over. */
  diskRoom(diskFull: boolean, synced: ReadonlySet<NodeId>): DiskRoom {
    const heard = [...new Map([...this.#previous, ...this.#replies])];
    const isRoomy = ([peer, reply]: readonly [NodeId, HeartbeatReplyMessage]): boolean =>
      !reply.diskFull && synced.has(peer);
    if (diskFull) return heard.some(isRoomy) ? "elsewhere" : "none";
    const full = heard.filter(([, reply]) => reply.diskFull).length;
    return full > 0 && 1 + heard.length - full < this.#quorums.accept ? "none" : "enough";
  }

  /** Whether the others that were heard and have room are a quorum without this node. */
  get othersHaveRoom(): boolean {
    const heard = new Map([...this.#previous, ...this.#replies]);
    return [...heard.values()].filter((reply) => !reply.diskFull).length >= this.#quorums.accept;
  }

  /** Rules 1 to 4, the ballot lift and the giving way of a leader that is slow, whose disk is full, or whose machines stopped. */
  endRound(inputs: RoundInputs): void {
    this.#unfit = inputs.unfit;
    this.noteBallot(inputs.promised);
    this.#adoptLargest();
    this.#judge(inputs);
    this.#giveWay(inputs);
    const mayTry = !this.#unfit && !inputs.late && !inputs.promisedInRound && this.#round > this.#yieldUntilRound;
    if (this.#stands && !this.#happy && mayTry && this.#mayTakeOver()) this.takeBallot();
    // Rule 4. It is never taken as one's own unless this incarnation took it (P10).
    this.#leader = largerBallot(this.#leader, inputs.promised);
    this.#liftForShutOut();
  }

  /** Takes a ballot above everything seen and stands for it (rule 3; also when a prepared log proved useless). */
  takeBallot(): void {
    assert(this.#stands, "a nonvoter takes no ballot");
    this.#nLargest = Math.max(this.#nLargest, this.#leader.n, this.#own.n);
    this.#own = nextBallot(this.#nLargest, this.#self);
    assert(
      compareBallots(this.#own, this.#promisedAtStart) > 0,
      `ballot ${showBallot(this.#own)} is not above the promise at start ${showBallot(this.#promisedAtStart)} (P10)`,
    );
    this.#leader = this.#own;
    this.#happy = true;
    this.#superseded = false;
    this.#shutOutRounds = 0;
  }

  /** Rule 1: only a sender's own ballot is adopted, never its leader field; gossip is what livelocks chains. */
  #adoptLargest(): void {
    for (const reply of this.#replies.values()) {
      if (reply.ballot.n >= 1) this.#leader = largerBallot(this.#leader, reply.ballot);
    }
  }

  /** Rule 2. A peer silent in this round counts with its reply of the round before. */
  #judge(inputs: RoundInputs): void {
    const heard = new Map([...this.#previous, ...this.#replies]);
    if (this.leadsOwn) {
      const needed = inputs.accepting ? this.#quorums.accept : this.#quorums.prepare;
      let following = 1;
      let superseded = false;
      for (const reply of heard.values()) {
        if (compareBallots(reply.leader, this.#own) <= 0) following += 1;
        else if (reply.happy) superseded = true;
      }
      this.#happy = (following >= needed || superseded) && !this.#unfit;
      this.#superseded = following < needed && superseded;
      return;
    }
    const owner = heard.get(this.#leader.nodeId);
    this.#happy =
      owner !== undefined &&
      this.#leader.n >= 1 &&
      owner.happy &&
      sameBallot(owner.ballot, this.#leader) &&
      sameBallot(owner.leader, this.#leader);
  }

  /**
   * Rule 3's condition, on this round's replies alone. In its first round a node leaves it to those with smaller ids that it hears:
   * nodes that start together would all stand at once, and depose each other with their first appends under way.
   */
  #mayTakeOver(): boolean {
    for (const [peer, reply] of this.#replies)
      if (reply.happy || (this.#round === 1 && peer < this.#self)) return false;
    return 1 + this.#replies.size >= this.#quorums.prepare;
  }

  #giveWay(inputs: RoundInputs): void {
    if (!this.leadsOwn || !this.#happy) return;
    const begins = this.#round > this.#yieldUntilRound;
    if (!begins && this.#round >= this.#reportUntilRound) return;
    if (![...this.#replies].some(([peer, reply]) => isBetterOff(peer, reply, inputs))) return;
    this.#happy = false;
    if (!begins) return;
    this.#yieldUntilRound = this.#round + pauseRounds;
    this.#reportUntilRound = this.#round + reportRounds;
  }

  /** Otherwise a voter that promised a dead candidate would stay shut out. */
  #liftForShutOut(): void {
    const leading = this.shouldLead && this.#happy;
    const shutOut = [...this.#replies.values()].some(
      (reply) => !reply.happy && compareBallots(reply.leader, this.#own) > 0,
    );
    this.#shutOutRounds = leading && shutOut ? this.#shutOutRounds + 1 : 0;
    if (this.#shutOutRounds >= lossesBeforeLift) this.takeBallot();
  }
}

/**
 * Whether a leader has reason to give way to this peer: it is slow, and the peer twice as fast; or its disk is full, and the peer's is
 * not; or more of its machines stopped than take no commands at the peer. A leader-elect has synced nobody yet: any peer will do, but only
 * after a longer wait, and it writes nothing.
 *
 * For its machines' sake it gives way only to one that is neither full nor slow, which would have reason to give the leadership back. So
 * two nodes do not pass it to and fro: the next leader gives way in its turn only to one with fewer still, and what stopped stays so.
 */
function isBetterOff(peer: NodeId, reply: HeartbeatReplyMessage, inputs: RoundInputs): boolean {
  const { accepting, slowMs, roundMs, diskFull, stoppedMachines, synced } = inputs;
  const peerSlowMs = Math.max(reply.oldestSyncMs, reply.loopLagMs);
  if (accepting && !synced.has(peer)) return false;
  if (accepting && diskFull && !reply.diskFull) return true;
  if (accepting && stoppedMachines > reply.unreadyMachines && !reply.diskFull && peerSlowMs <= roundMs) return true;
  const isSlow = slowMs > (accepting ? roundMs : promiseRoundsMax * roundMs);
  return isSlow && peerSlowMs * 2 <= slowMs;
}
