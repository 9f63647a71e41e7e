import { assert, assertSafe } from "../base/assert.ts";
import type { ErrorCode, ErrorFacts } from "../base/errors.ts";
import { firstSlot, maxSlot, minSlot, type NodeId, nodeId, noNode, type Slot } from "../base/types.ts";
import { type Ballot, compareBallots, showBallot } from "./ballot.ts";
import type { DurableState, Identity, LogBase, SnapshotReference } from "./durable.ts";
import type { Effect } from "./effect.ts";
import type { Entry } from "./entry.ts";
import type { MachineCounts } from "./event.ts";
import { Log } from "./log.ts";
import type { Message, PromiseId } from "./message.ts";
import { majorityQuorums, type Quorums } from "./quorum.ts";
import type { ReplicaOptions } from "./replica-options.ts";
import { type SuperblockPurpose, Writes } from "./writes.ts";

/** A nonvoter is one for as long as it runs: it is none of the voters. */
export type Role = "leader" | "follower" | "nonvoter";
/**
 * recover: must hear from a leader first; as nonvoter: fetches. prepare: promised (as leader: collecting promises). sync: a
 * leader-elect fetches what it lacks. accept: in step with the ballot. follow: a nonvoter to which a member pushes.
 */
export type Phase = "recover" | "prepare" | "sync" | "accept" | "follow";

/** Two million restarts with four billion requests each stay below 2^53. */
const requestsPerIncarnation = 2 ** 32;

/** The state that all parts of a replica share, with the few doors through which it moves. */
export class Context {
  readonly options: ReplicaOptions;
  readonly identity: Identity;
  /** noNode where this node is a nonvoter. */
  readonly self: NodeId;
  readonly voters: readonly NodeId[];
  readonly peers: readonly NodeId[];
  readonly quorums: Quorums;
  readonly log: Log;
  readonly writes = new Writes();

  role: Role = "follower";
  phase: Phase = "recover";
  /** Ticks since the start: the only clock of the core. */
  ticks = 0;
  /** For the time of entries alone: the monotonic clock, and what the wall clock was ahead of it at the last tick. */
  monotonicMs = 0;
  wallOffsetMs = 0;
  /** Where the current step puts its effects. */
  effects: Effect[] = [];

  /** Of the newest durable snapshot; 0: none. */
  snapshotSlot: Slot;
  /** First slot on the disk. */
  logBegin: Slot;
  #installing = false;

  #durable: DurableState;
  #submitted: DurableState;
  #logBallot: Ballot;
  #logBallotSubmitted: Ballot;
  #decidedEnd: Slot;
  #flushedEnd: Slot;
  #shownEnd: Slot;
  #promiseCount = 0;
  #requestCount = 0;
  /** The promise found at start: a ballot led by this incarnation is greater (P10). */
  readonly promisedAtStart: Ballot;

  /** As the last tick said. */
  diskFull = false;
  machines: MachineCounts = { stopped: 0, unready: 0 };
  /**
   * What this node does not take as a follower, as if it were lost, because its log ends in the reserve. It goes on to vote and to
   * show what it has. "everything": the others are enough without it. "what it missed": they are not, so no append is ordered either
   * and what is ordered makes room; but it refused some before, and to catch up may take more than there is.
   */
  refuses: "nothing" | "what it missed" | "everything" = "nothing";

  constructor(options: ReplicaOptions) {
    const { recovered, members } = options;
    this.options = options;
    this.identity = recovered.identity;
    const nonvoter = options.nonvoter === true;
    if (nonvoter) this.role = "nonvoter";
    const index = members.findIndex((member) => member.name === recovered.identity.name);
    assert(index >= 0 || nonvoter, `the node ${recovered.identity.name} is not in its own list of members`);
    assert(index < 0 || !nonvoter, `the nonvoter ${recovered.identity.name} is in the list of voters`);
    this.self = nonvoter ? noNode : nodeId(index + 1);
    this.voters = members.map((_, i) => nodeId(i + 1));
    this.peers = this.voters.filter((voter) => voter !== this.self);
    this.quorums = majorityQuorums(members.length);
    const { genesis } = recovered.state;
    const { base } = recovered;
    const hash = base.slot === firstSlot && genesis !== undefined ? options.firstHash(genesis.clusterId) : base.hash;
    this.log = new Log({ ...base, hash }, recovered.window);
    this.#durable = recovered.state;
    this.#submitted = recovered.state;
    this.#logBallot = recovered.state.acceptedBallot;
    this.#logBallotSubmitted = this.#logBallot;
    this.promisedAtStart = recovered.state.promised;
    this.snapshotSlot = recovered.snapshot?.slot ?? (0 as Slot);
    this.logBegin = recovered.logBegin.slot;
    // Everything below a snapshot is decided.
    this.#decidedEnd = maxSlot(recovered.base.slot, minSlot(this.snapshotSlot, this.log.acceptedEnd));
    this.#flushedEnd = this.log.acceptedEnd;
    this.#shownEnd = this.visibleEnd;
  }

  noteTime(monotonicMs: number): void {
    this.monotonicMs = Math.max(this.monotonicMs, monotonicMs);
  }

  /** What the superblock durably says. */
  get durable(): DurableState {
    return this.#durable;
  }

  get promised(): Ballot {
    return this.#durable.promised;
  }

  /** The durable accepted ballot: the larger of superblock and log (protocol 3). */
  get acceptedBallot(): Ballot {
    return compareBallots(this.#logBallot, this.#durable.acceptedBallot) > 0
      ? this.#logBallot
      : this.#durable.acceptedBallot;
  }

  /**
   * Ballot of the last REPLACE, durable or on its way: what a REPLACE of learnt entries carries. Never the superblock's, which
   * may be ahead of the log only where the log is damaged.
   */
  get logBallot(): Ballot {
    return this.#logBallotSubmitted;
  }

  get acceptedEnd(): Slot {
    return this.log.acceptedEnd;
  }

  /** All slots below are decided and held here. */
  get decidedEnd(): Slot {
    return this.#decidedEnd;
  }

  /** First slot that is not durable here. Falls when a REPLACE is submitted, but never below decidedEnd then. */
  get flushedEnd(): Slot {
    return this.#flushedEnd;
  }

  /** Shown to readers: decided, and durable here. Never falls. */
  get visibleEnd(): Slot {
    return minSlot(this.#decidedEnd, this.#flushedEnd);
  }

  /** Nothing may be added to the log: it is about to be replaced as a whole. */
  get isInstalling(): boolean {
    return this.#installing;
  }

  /**
   * A snapshot took the place of the log, and not all entries below it are here yet: what the sequencer knows is ahead of the log. So
   * this node promises nothing and leads nothing until they are fetched, and shows its readers nothing of the new log.
   */
  get isIncomplete(): boolean {
    return this.#installing || this.#flushedEnd < this.snapshotSlot;
  }

  /** Age of the oldest unfinished sync. */
  get oldestSyncMs(): number {
    const since = this.writes.oldestSince;
    return since === undefined ? 0 : (this.ticks - since) * this.options.tickMs;
  }

  /**
   * Names a question to a peer (Fetch, ReadIndex, Probe). Never used twice by a node, restarts included: an answer to the question
   * of an earlier incarnation may come in on a new stream, and must not pass for the answer to a new one (C19).
   */
  nextRequestId(): number {
    this.#requestCount += 1;
    assert(this.#requestCount < requestsPerIncarnation, "requests of one incarnation");
    return assertSafe(this.identity.incarnation * requestsPerIncarnation + this.#requestCount, "request id");
  }

  nextPromiseId(): PromiseId {
    this.#promiseCount += 1;
    return { incarnation: this.identity.incarnation, counter: this.#promiseCount };
  }

  /** Any other sender is a nonvoter, whatever number it has here: nothing of it ever counts. */
  isVoter(node: NodeId): boolean {
    return node >= 1 && node <= this.voters.length;
  }

  send(to: NodeId | readonly NodeId[], message: Message): void {
    const receivers = typeof to === "number" ? [to] : to;
    if (receivers.length > 0) this.effects.push({ kind: "send", to: receivers, message });
  }

  stop(code: ErrorCode, reason: string, facts: ErrorFacts = {}): void {
    this.effects.push({ kind: "stop", code, reason, facts });
  }

  /** Adds entries to log and disk. They continue the chain. */
  append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    this.log.append(entries);
    const ticket = this.writes.add({
      kind: "append",
      sinceTick: this.ticks,
      endSlot: this.acceptedEnd,
      bytes: bytesOf(entries),
    });
    this.effects.push({
      kind: "appendGroup",
      ticket,
      firstSlot: first.slot,
      prevHash: first.prevHash,
      entries,
      decidedEnd: this.visibleEnd,
    });
  }

  /** Voids the log from `firstSlot` on and puts `entries` there, under a ballot. Nothing decided is ever cut (P11). */
  replace(ballot: Ballot, firstSlot: Slot, entries: readonly Entry[]): void {
    assert(
      firstSlot >= this.#decidedEnd,
      `REPLACE at ${firstSlot} would cut decided slots below ${this.#decidedEnd} (P11)`,
    );
    const hash = this.log.hashBefore(firstSlot);
    assert(hash !== undefined, `REPLACE at ${firstSlot} has no slot before it in memory`);
    const base = {
      slot: firstSlot,
      hash,
      position: this.log.positionAt(firstSlot),
      time: this.log.timeBefore(firstSlot),
    };
    assert(compareBallots(ballot, this.#logBallotSubmitted) >= 0, "the log's ballot never goes back");
    this.#logBallotSubmitted = ballot;
    this.log.cut(firstSlot);
    this.log.append(entries);
    this.#flushedEnd = minSlot(this.#flushedEnd, firstSlot);
    const bytes = bytesOf(entries);
    const ticket = this.writes.add({
      kind: "replace",
      sinceTick: this.ticks,
      firstSlot,
      endSlot: this.acceptedEnd,
      ballot,
      bytes,
    });
    const decidedEnd = this.visibleEnd;
    this.effects.push({ kind: "replaceGroup", ticket, ballot, base, entries, decidedEnd });
  }

  /** Submits a superblock with some fields changed. They count only when the write is durable. */
  writeSuperblock(change: Partial<DurableState>, purpose: SuperblockPurpose): void {
    const state = { ...this.#submitted, ...change };
    assert(
      compareBallots(state.promised, this.#submitted.promised) >= 0,
      `the promise would go back from ${showBallot(this.#submitted.promised)} to ${showBallot(state.promised)} (P15)`,
    );
    assert(
      compareBallots(state.acceptedBallot, state.promised) <= 0,
      `accepted ballot ${showBallot(state.acceptedBallot)} above the promise ${showBallot(state.promised)} (P4)`,
    );
    this.#submitted = state;
    const ticket = this.writes.add({ kind: "superblock", sinceTick: this.ticks, state, purpose });
    this.effects.push({ kind: "writeSuperblock", ticket, state, decidedEnd: this.visibleEnd });
  }

  /** The promise as last submitted, durable or not: nothing smaller is answered any more. */
  get promising(): Ballot {
    return this.#submitted.promised;
  }

  /** Submits that a received snapshot takes the place of the log, which goes on at `begin`. */
  install(snapshot: SnapshotReference, begin: LogBase): void {
    assert(begin.slot > this.#decidedEnd, `an install at ${begin.slot} would cut what is decided (P11)`);
    assert(begin.slot <= snapshot.slot, "the log goes on at or below the snapshot (P16)");
    this.#installing = true;
    const ticket = this.writes.add({ kind: "install", sinceTick: this.ticks, bytes: 0 });
    this.effects.push({ kind: "installSnapshot", ticket, snapshot, begin });
  }

  isInstalled(snapshot: SnapshotReference, begin: LogBase): void {
    assert(this.#installing, "what is installed was submitted");
    this.#installing = false;
    this.snapshotSlot = snapshot.slot;
    this.log.restart(begin);
    this.#decidedEnd = begin.slot;
    this.#flushedEnd = begin.slot;
  }

  superblockIsDurable(state: DurableState): void {
    this.#durable = state;
  }

  appendIsDurable(end: Slot): void {
    this.#flushedEnd = maxSlot(this.#flushedEnd, minSlot(this.writes.capByPendingReplace(end), this.acceptedEnd));
  }

  replaceIsDurable(ballot: Ballot, end: Slot): void {
    this.#logBallot = ballot;
    this.appendIsDurable(end);
  }

  /** Moves decidedEnd forward; the caller has shown that [.., end) is decided and held here. */
  raiseDecided(end: Slot): void {
    if (end <= this.#decidedEnd) return;
    assert(end <= this.acceptedEnd, () => `decidedEnd ${end} above acceptedEnd ${this.acceptedEnd}`);
    this.#decidedEnd = end;
  }

  /** Tells readers about visible slots, once for each move. */
  show(): void {
    const visibleEnd = this.visibleEnd;
    assert(visibleEnd >= this.#shownEnd, () => `visibleEnd went back from ${this.#shownEnd} to ${visibleEnd}`);
    if (visibleEnd === this.#shownEnd) return;
    if (this.isIncomplete) return this.log.dropBelow(visibleEnd);
    this.#shownEnd = visibleEnd;
    this.effects.push({ kind: "show", visibleEnd, nextPosition: this.log.positionAt(visibleEnd) });
    this.log.dropBelow(visibleEnd);
  }
}

export function bytesOf(entries: readonly Entry[]): number {
  let bytes = 0;
  for (const entry of entries) bytes += entry.bytes.length;
  return bytes;
}
