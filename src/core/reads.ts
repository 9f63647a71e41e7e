import type { NodeId, Slot } from "../base/types.ts";
import { sameBallot } from "./ballot.ts";
import type { Context } from "./context.ts";
import type { Leader } from "./leader.ts";
import type { ProbeAckMessage, ProbeMessage, ReadIndexMessage, ReadIndexReplyMessage } from "./message.ts";

/** A read that waits for its index: asked for here, or by a follower on behalf of its own readers. */
interface Read {
  readonly requestId: number;
  readonly from: NodeId;
  readonly sinceTick: number;
  /** Not a read, but a refusal that waits to be confirmed. It ends with the leadership. */
  readonly confirmed?: () => void;
}

/** A question to a majority: do you still follow n? All reads that waited when it began share it. */
interface Probe {
  readonly message: ProbeMessage;
  readonly acks: Set<NodeId>;
  readonly reads: readonly Read[];
  /** decidedEnd when the probe began: everything acknowledged before its reads arrived is below it. */
  readonly r: Slot;
}

/** A follower's question to the leader, for all its reads that waited when it began. */
interface IndexRequest {
  readonly requestId: number;
  readonly to: NodeId;
  readonly reads: readonly Read[];
}

/** Rounds after which a read that found no leader is refused. */
const roundsMax = 25;

/** Linearizable reads (docs/protocol.md, section 13): no lease, no clock. */
export class Reads {
  readonly #ctx: Context;
  #waiting: Read[] = [];
  #probe: Probe | undefined;
  #indexRequest: IndexRequest | undefined;
  /** Reads with an index, until this node shows everything below it. */
  #indexed: { readonly read: Read; readonly r: Slot }[] = [];

  constructor(ctx: Context) {
    this.#ctx = ctx;
  }

  onRead(requestId: number): void {
    this.#waiting.push({ requestId, from: this.#ctx.self, sinceTick: this.#ctx.ticks });
  }

  /**
   * Calls back once a probe that begins after this call has its majority: this node led at a moment after the call. Never where
   * the leadership is lost before.
   */
  confirm(confirmed: () => void): void {
    this.#waiting.push({ requestId: 0, from: this.#ctx.self, sinceTick: this.#ctx.ticks, confirmed });
  }

  /** A follower asks. Only a leader that is, or soon will be, established takes the question. */
  onReadIndex(from: NodeId, message: ReadIndexMessage, leader: Leader | undefined): void {
    const { requestId } = message;
    if (leader === undefined) {
      const r = this.#ctx.decidedEnd;
      this.#ctx.send(from, { kind: "readIndexReply", requestId, accepted: false, r });
      return;
    }
    // A follower has one question open at a time: a newer one takes the place of the older.
    this.#waiting = this.#waiting.filter((read) => read.from !== from);
    this.#waiting.push({ requestId, from, sinceTick: this.#ctx.ticks });
  }

  onReadIndexReply(from: NodeId, message: ReadIndexReplyMessage): void {
    const request = this.#indexRequest;
    if (request === undefined || request.requestId !== message.requestId || request.to !== from) return;
    this.#indexRequest = undefined;
    if (message.accepted) for (const read of request.reads) this.#indexed.push({ read, r: message.r });
    else this.#waiting.unshift(...request.reads);
  }

  /** A voter's acknowledgement is a vote: only while n is the largest ballot that it promised, durably or not yet. */
  onProbe(from: NodeId, message: ProbeMessage): void {
    const { n, probeId } = message;
    if (sameBallot(n, this.#ctx.promised) && sameBallot(n, this.#ctx.promising)) {
      this.#ctx.send(from, { kind: "probeAck", n, probeId });
    }
  }

  onProbeAck(from: NodeId, message: ProbeAckMessage): void {
    const probe = this.#probe;
    if (probe === undefined || probe.message.probeId !== message.probeId) return;
    if (sameBallot(probe.message.n, message.n)) probe.acks.add(from);
  }

  /** End of a turn: begin the next probe or question, finish what can be finished. */
  onTurnEnd(leader: Leader | undefined, leaderNode: NodeId | undefined): void {
    this.#finishProbe();
    if (leader !== undefined) this.#beginProbe(leader);
    else this.#askLeader(leaderNode);
    this.#finishProbe();
    this.#finishIndexed();
  }

  /** This node leads no longer: no answer of that ballot may be given. Own reads go on with the next leader. */
  onLost(): void {
    const { self, decidedEnd } = this.#ctx;
    const reads = [...(this.#probe?.reads ?? []), ...this.#waiting];
    this.#probe = undefined;
    this.#waiting = reads.filter((read) => read.from === self && read.confirmed === undefined);
    for (const { from, requestId } of reads) {
      if (from === self) continue;
      this.#ctx.send(from, { kind: "readIndexReply", requestId, accepted: false, r: decidedEnd });
    }
  }

  /** Ask again what may have been lost; refuse what found no leader for long. */
  onRound(ticksPerRound: number, leaderNode: NodeId | undefined): void {
    const probe = this.#probe;
    if (probe !== undefined) {
      this.#ctx.send(
        this.#ctx.peers.filter((peer) => !probe.acks.has(peer)),
        probe.message,
      );
    }
    const oldest = this.#ctx.ticks - roundsMax * ticksPerRound;
    const isOld = (read: Read) => read.sinceTick < oldest && read.confirmed === undefined;
    const request = this.#indexRequest;
    if (request !== undefined && request.to === leaderNode && !request.reads.some(isOld)) {
      // The same question: an answer that takes longer than a round is taken all the same.
      this.#ctx.send(request.to, { kind: "readIndex", requestId: request.requestId });
    } else if (request !== undefined) {
      this.#waiting.unshift(...request.reads);
      this.#indexRequest = undefined;
    }
    for (const read of this.#waiting.filter(isOld)) this.#refuse(read);
    this.#waiting = this.#waiting.filter((read) => !isOld(read));
    for (const { read } of this.#indexed.filter(({ read }) => isOld(read))) this.#refuse(read);
    this.#indexed = this.#indexed.filter(({ read }) => !isOld(read));
  }

  #refuse(read: Read): void {
    if (read.from === this.#ctx.self) this.#ctx.effects.push({ kind: "readRefused", requestId: read.requestId });
  }

  #beginProbe(leader: Leader): void {
    const ctx = this.#ctx;
    if (this.#probe !== undefined || this.#waiting.length === 0 || leader.replication?.established !== true) return;
    const message: ProbeMessage = { kind: "probe", n: leader.n, probeId: ctx.nextRequestId() };
    this.#probe = { message, acks: new Set(), reads: this.#waiting, r: ctx.decidedEnd };
    this.#waiting = [];
    ctx.send(ctx.peers, message);
  }

  #finishProbe(): void {
    const ctx = this.#ctx;
    const probe = this.#probe;
    if (probe === undefined || ctx.role !== "leader" || !sameBallot(probe.message.n, ctx.promising)) return;
    if (1 + probe.acks.size < ctx.quorums.accept) return;
    this.#probe = undefined;
    for (const read of probe.reads) {
      const { from, requestId, confirmed } = read;
      if (confirmed !== undefined) confirmed();
      else if (from === ctx.self) this.#indexed.push({ read, r: probe.r });
      else ctx.send(from, { kind: "readIndexReply", requestId, accepted: true, r: probe.r });
    }
  }

  #askLeader(leaderNode: NodeId | undefined): void {
    if (this.#indexRequest !== undefined || this.#waiting.length === 0) return;
    if (leaderNode === undefined || leaderNode === this.#ctx.self) return;
    const requestId = this.#ctx.nextRequestId();
    this.#indexRequest = { requestId, to: leaderNode, reads: this.#waiting };
    this.#waiting = [];
    this.#ctx.send(leaderNode, { kind: "readIndex", requestId });
  }

  #finishIndexed(): void {
    // What is visible of an incomplete log is not shown: a reader would be sent to the log of before.
    if (this.#indexed.length === 0 || this.#ctx.isIncomplete) return;
    const { visibleEnd, effects } = this.#ctx;
    for (const { read, r } of this.#indexed) {
      if (r <= visibleEnd) effects.push({ kind: "readReady", requestId: read.requestId });
    }
    this.#indexed = this.#indexed.filter(({ r }) => r > visibleEnd);
  }
}
