import { assert, assertNever } from "../base/assert.ts";
import type { NodeId, Slot } from "../base/types.ts";
import { compareBallots, sameBallot } from "./ballot.ts";
import { Context } from "./context.ts";
import type { Effect } from "./effect.ts";
import { type DiskRoom, Election } from "./election.ts";
import type { DurableEvent, Event, InstalledEvent, LinkEvent, ReceiveEvent } from "./event.ts";
import { Follower } from "./follower.ts";
import { Following } from "./following.ts";
import { checkBasic, checkDelta, checkpoint } from "./invariants.ts";
import { Leader } from "./leader.ts";
import { Learner } from "./learner.ts";
import type { Log } from "./log.ts";
import { Membership } from "./membership.ts";
import { type HelloMessage, type Message, nonvoterKinds, pushedEntries, type SnapshotMetaMessage } from "./message.ts";
import { Nonvoters } from "./nonvoters.ts";
import { Proposals } from "./proposals.ts";
import { Reads } from "./reads.ts";
import type { ReplicaOptions, ReplicaView } from "./replica-options.ts";
import { Rounds } from "./rounds.ts";
import { Snapshots } from "./snapshots.ts";
import type { PendingWrite } from "./writes.ts";

export type { ReplicaOptions, ReplicaView } from "./replica-options.ts";

/**
 * One node's part in the consensus: a function from an event to effects, with no clock, I/O or randomness of its own. It holds
 * the parts together and decides who may act; what each message means is told in the parts.
 */
export class Replica {
  readonly #ctx: Context;
  readonly #nonvoters: Nonvoters;
  readonly #membership: Membership;
  readonly #election: Election;
  readonly #follower: Follower;
  readonly #learner: Learner;
  /** Of a nonvoter. */
  readonly #following: Following | undefined;
  readonly #proposals: Proposals;
  readonly #reads: Reads;
  readonly #snapshots: Snapshots;
  #leader: Leader | undefined;
  readonly #rounds: Rounds;
  #toldLeader: NodeId | undefined;
  #toldSelf = false;

  constructor(options: ReplicaOptions) {
    this.#ctx = new Context(options);
    this.#nonvoters = new Nonvoters(this.#ctx);
    this.#membership = new Membership(this.#ctx, this.#nonvoters);
    this.#election = new Election(this.#ctx.self, this.#ctx.quorums, this.#ctx.promised);
    this.#follower = new Follower(this.#ctx);
    this.#snapshots = new Snapshots(this.#ctx);
    this.#learner = new Learner(this.#ctx, this.#follower, this.#election, this.#snapshots);
    if (this.#ctx.role === "nonvoter") {
      const following = new Following(this.#ctx, this.#learner, this.#election);
      this.#learner.onCaughtUp = (from) => following.onCaughtUp(from);
      this.#following = following;
    }
    this.#reads = new Reads(this.#ctx);
    this.#proposals = new Proposals(this.#ctx, this.#reads, this.#snapshots);
    this.#rounds = new Rounds(this.#ctx, {
      membership: this.#membership,
      election: this.#election,
      follower: this.#follower,
      learner: this.#learner,
      following: this.#following,
      nonvoters: this.#nonvoters,
      proposals: this.#proposals,
      reads: this.#reads,
      leader: () => this.#leader,
      followElection: () => this.#followElection(),
    });
  }

  /** Takes one event and adds what must be done to `effects`, in order. */
  step(event: Event, effects: Effect[]): void {
    const ctx = this.#ctx;
    const before = checkpoint(ctx);
    ctx.effects = effects;
    this.#dispatch(event);
    this.#settle();
    checkBasic(ctx);
    checkDelta(before, ctx);
  }

  /** What opens a stream now. */
  hello(): HelloMessage {
    return this.#membership.hello();
  }

  /** The end of the log in memory, for readers and for whoever carries out effects. Read-only outside of the core. */
  get log(): Log {
    return this.#ctx.log;
  }

  /** How much of what is proposed now would be ordered. Nothing where this node does not lead. */
  get room(): { readonly slots: number; readonly bytes: number } {
    return this.#leader?.replication?.room ?? { slots: 0, bytes: 0 };
  }

  /** Whether what is proposed finds room on disks, as of the last tick; only of use on a leader. */
  get diskRoom(): DiskRoom {
    return this.#rounds.diskRoom;
  }

  get acceptsProposals(): boolean {
    const { slots, bytes } = this.room;
    return slots > 0 && bytes > 0;
  }

  /** Everything below is shown to readers. */
  get visibleEnd(): Slot {
    return this.#ctx.visibleEnd;
  }

  get view(): ReplicaView {
    const ctx = this.#ctx;
    const peers = new Map<NodeId, { clientAddress: string; visibleEnd: Slot }>();
    for (const peer of ctx.peers) {
      const report = this.#election.report(peer);
      if (report !== undefined) peers.set(peer, { clientAddress: report.clientAddress, visibleEnd: report.visibleEnd });
    }
    return {
      nodeId: ctx.self,
      role: ctx.role,
      phase: ctx.phase,
      clusterId: this.#membership.genesis?.clusterId ?? "",
      started: this.#membership.started,
      missing: this.#membership.missing,
      promised: ctx.promised,
      acceptedBallot: ctx.acceptedBallot,
      leader: this.#election.leaderNode,
      ballot: this.#election.own,
      decidedEnd: ctx.decidedEnd,
      flushedEnd: ctx.flushedEnd,
      visibleEnd: ctx.visibleEnd,
      acceptedEnd: ctx.acceptedEnd,
      retained: this.#snapshots.retained,
      logBegin: this.#snapshots.logBegin.slot,
      snapshotSlot: this.#snapshots.durable?.slot ?? 0,
      established: this.#leader?.replication?.established ?? false,
      peers,
      nonvoters: this.#nonvoters.views(),
    };
  }

  #dispatch(event: Event): void {
    switch (event.kind) {
      case "tick":
        return this.#rounds.onTick(event);
      case "receive":
        return this.#onReceive(event);
      case "link":
        return this.#onLink(event);
      case "propose":
        return this.#proposals.onPropose(event, this.#leader);
      case "searched":
        return this.#proposals.onSearched(event, this.#leader);
      case "read":
        return this.#reads.onRead(event.requestId);
      case "durable":
        return this.#onDurable(event);
      case "snapshotDurable":
        return this.#snapshots.onSnapshotDurable(event.snapshot);
      case "trimmed":
        return this.#snapshots.onTrimmed(event.logBegin);
      case "snapshotReceiving":
        return this.#learner.onSnapshotReceiving(event);
      case "installed":
        return this.#onInstalled(event);
      case "turnEnd":
        return this.#onTurnEnd();
      default:
        return assertNever(event);
    }
  }

  /** After each event: what follows from the new state, whoever changed it. */
  #settle(): void {
    const ctx = this.#ctx;
    if (this.#leader?.outranked === true) {
      this.#election.takeBallot();
      this.#followElection();
    }
    this.#proposals.onSettle(this.#leader);
    this.#snapshots.onSettle();
    ctx.show();
    this.#proposals.search();
    const leader = this.#election.leaderNode;
    const self = this.#leader?.replication !== undefined;
    if (leader !== this.#toldLeader || self !== this.#toldSelf) {
      this.#toldLeader = leader;
      this.#toldSelf = self;
      ctx.effects.push({ kind: "leadership", leader, self });
    }
  }

  #onTurnEnd(): void {
    this.#leader?.replication?.sendPending();
    this.#nonvoters.sendPending();
    this.#reads.onTurnEnd(this.#leader, this.#election.leaderNode);
  }

  /** Rule 5 of the election: begin to lead one's own new ballot, or stop leading when another one is followed. */
  #followElection(): void {
    const ctx = this.#ctx;
    if (this.#election.shouldLead) {
      if (this.#leader !== undefined && sameBallot(this.#leader.n, this.#election.own)) return;
      // A ballot whose leadership was given up is never led again: others may have learnt what it knew nothing of. Where a
      // quorum follows it all the same, a larger one takes its place; where none does, only rule 3 may take one.
      if (compareBallots(this.#election.own, ctx.promising) <= 0) {
        if (!this.#election.happy) return;
        this.#election.takeBallot();
      }
      this.#stepDown();
      this.#follower.forget();
      this.#learner.abandon();
      this.#leader = new Leader(ctx, this.#learner, this.#election.own);
    } else if (this.#leader !== undefined) {
      this.#stepDown();
      this.#follower.askPrepare(this.#election.leaderNode);
    }
  }

  /** Ends the leadership, if there is one. The caller says what comes next. */
  #stepDown(): void {
    if (this.#leader === undefined) return;
    this.#leader = undefined;
    this.#ctx.role = "follower";
    this.#ctx.phase = "recover";
    this.#proposals.onLost();
    this.#snapshots.onLost();
    this.#reads.onLost();
  }

  #onLink(event: LinkEvent): void {
    const { peer, direction, stream, up } = event;
    this.#membership.onLink(peer, direction, up);
    if (direction === "incoming") {
      if (!up) this.#follower.onStreamEnd(stream);
      if (!up) this.#nonvoters.onStreamEnd(peer, stream);
      return;
    }
    if (!this.#membership.started) return;
    if (this.#following !== undefined) {
      if (up) this.#following.onLinkUp();
      else this.#following.onLinkDown(peer);
      return;
    }
    if (this.#leader !== undefined) {
      if (up) this.#leader.restart(peer);
      else this.#leader.lose(peer);
    } else if (up && this.#ctx.phase === "recover" && !this.#learner.isLearning) {
      this.#follower.askPrepare(peer);
    }
  }

  #onDurable(event: DurableEvent): void {
    const { writes } = this.#ctx;
    for (let write = writes.complete(event.ticket); write !== undefined; write = writes.complete(event.ticket)) {
      this.#onWriteDurable(write);
    }
    this.#follower.answerPrepare();
    this.#follower.sendAccepted();
    this.#leader?.replication?.decide();
    this.#leader?.onDurable();
    this.#learner.onDurable();
    this.#following?.onDurable();
  }

  #onWriteDurable(write: PendingWrite): void {
    const ctx = this.#ctx;
    if (write.kind === "install") return;
    if (write.kind === "append") return ctx.appendIsDurable(write.endSlot);
    if (write.kind === "replace") {
      ctx.replaceIsDurable(write.ballot, write.endSlot);
      if (this.#leader !== undefined) this.#leader.replication?.onReplaceDurable(write.ballot);
      else this.#follower.onReplaceDurable(write.ballot);
      return;
    }
    ctx.superblockIsDurable(write.state);
    if (write.purpose === "genesis") this.#membership.onGenesisDurable();
    else if (write.purpose === "started") this.#membership.onStartedDurable();
    else if (write.purpose === "promise") this.#leadAfterPromise();
  }

  #leadAfterPromise(): void {
    const hadReplication = this.#leader?.replication !== undefined;
    this.#leader?.onPromiseDurable();
    this.#beginProposals(hadReplication);
  }

  #beginProposals(hadReplication: boolean): void {
    if (!hadReplication && this.#leader?.replication !== undefined) this.#proposals.begin();
  }

  #onReceive(event: ReceiveEvent): void {
    const { from, stream, message } = event;
    assert(from !== this.#ctx.self, "a node does not hear itself");
    if (message.kind === "hello") return this.#membership.onHello(from, stream, message);
    if (message.kind === "refused") return this.#membership.onRefused(from, message);
    // Nobody is listened to whose Hello was not accepted.
    if (!this.#membership.isKnown(from)) return;
    if (!this.#ctx.isVoter(from)) return this.#onNonvoter(from, message);
    if (message.kind === "genesis") return this.#membership.onGenesis(from, message);
    if (message.kind === "genesisAck") return this.#membership.onGenesisAck(from, message);
    if (message.kind === "started") return this.#membership.onStarted(message);
    // P14: nothing of the configuration is handled before its start is durable here. Whoever says anything else has started.
    if (!this.#membership.started) return this.#membership.learnStarted();
    const hadReplication = this.#leader?.replication !== undefined;
    this.#onConsensus(from, stream, message);
    this.#beginProposals(hadReplication);
  }

  /** Its fetches, reads and heartbeats are answered as a voter's. What would count is not even looked at. */
  #onNonvoter(from: NodeId, message: Message): void {
    if (!nonvoterKinds.has(message.kind) || !this.#membership.started) return;
    if (message.kind === "fetch" && message.n !== undefined) return;
    if (message.kind === "genesisAck") return this.#nonvoters.onGenesisAck(from, message);
    this.#onConsensus(from, 0, message as ConsensusMessage);
  }

  #onConsensus(from: NodeId, stream: number, message: ConsensusMessage): void {
    switch (message.kind) {
      case "heartbeat":
        if (!this.#ctx.isVoter(from)) this.#nonvoters.noteVisible(from, message.visibleEnd);
        return this.#ctx.send(from, this.#rounds.heartbeatReply(message.round));
      case "heartbeatReply":
        return this.#election.onReply(from, message);
      case "prepare":
        return this.#onPrepare(from, message);
      case "promise":
        return this.#leader?.onPromise(from, message);
      case "prepareRequest":
        this.#election.noteBallot(message.promised);
        return this.#leader?.onPrepareRequest(from, message);
      case "notAccepted":
        return this.#election.noteBallot(message.promised);
      case "syncBegin":
        return this.#follower.onSyncBegin(stream, message);
      case "syncChunk":
        return this.#follower.onSyncChunk(stream, message);
      case "syncEnd":
        return this.#follower.onSyncEnd(stream, message);
      case "accept":
        return this.#follower.onAccept(stream, message);
      case "accepted":
        return this.#leader?.onAccepted(from, message);
      case "decide":
        return this.#follower.onDecide(stream, message);
      case "fetch":
        return this.#learner.onFetch(from, message);
      case "follow":
        return this.#nonvoters.onFollow(from, message);
      case "entries":
        if (message.requestId === pushedEntries) return this.#following?.onPushed(from, message);
        return this.#leader === undefined
          ? this.#learner.onEntries(from, message)
          : this.#leader.onEntries(from, message);
      case "snapshotMeta":
        return this.#onSnapshotMeta(from, message);
      case "snapshotFetch":
        return this.#learner.onSnapshotFetch(from, message);
      case "snapshotChunk":
        return this.#learner.onSnapshotChunk(from, message);
      case "probe":
        return this.#reads.onProbe(from, message);
      case "probeAck":
        return this.#reads.onProbeAck(from, message);
      case "readIndex":
        return this.#reads.onReadIndex(from, message, this.#leader);
      case "readIndexReply":
        return this.#reads.onReadIndexReply(from, message);
      default:
        return assertNever(message);
    }
  }

  /** A leader-elect that lacks what is gone elsewhere gives way: the log of its ballot would have to begin with a snapshot. */
  #onSnapshotMeta(from: NodeId, message: SnapshotMetaMessage): void {
    if (this.#leader === undefined) return this.#learner.onSnapshotMeta(from, message);
    if (!this.#leader.isAnsweredBy(from, message)) return;
    this.#rounds.unfitBelow = message.logBegin.slot;
    this.#election.withdraw();
    this.#stepDown();
    this.#follower.recover();
  }

  #onInstalled({ ticket, snapshot, logBegin, state }: InstalledEvent): void {
    this.#onDurable({ kind: "durable", ticket });
    this.#ctx.options.sequencer.restart(state);
    this.#snapshots.onInstalled(snapshot, logBegin);
    this.#ctx.isInstalled(snapshot, logBegin);
  }

  #onPrepare(from: NodeId, message: Extract<Message, { kind: "prepare" }>): void {
    this.#election.noteBallot(message.n);
    // Not before everything below the snapshot is here: the log would be behind what the sequencer knows. Nor may it end the fetch
    // of what is lacking: a leader that asks each round would never be answered (C25).
    if (this.#ctx.isIncomplete) return;
    // A leader that promises a larger ballot stops leading at once.
    if (this.#leader !== undefined && compareBallots(message.n, this.#leader.n) > 0) this.#stepDown();
    if (compareBallots(message.n, this.#ctx.promising) >= 0) this.#learner.abandon();
    this.#follower.onPrepare(from, message);
  }
}

type ConsensusMessage = Exclude<Message, { kind: "hello" | "refused" | "genesis" | "genesisAck" | "started" }>;
