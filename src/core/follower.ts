import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import { minSlot, type NodeId, type Slot, slotPlus } from "../base/types.ts";
import { type Ballot, compareBallots, largerBallot, sameBallot } from "./ballot.ts";
import type { Context } from "./context.ts";
import type { Entry } from "./entry.ts";
import type {
  AcceptMessage,
  DecideMessage,
  PrepareMessage,
  PrepareRequestMessage,
  PromiseId,
  PromiseMessage,
  SyncBeginMessage,
  SyncChunkMessage,
  SyncEndMessage,
  WindowSlot,
} from "./message.ts";

/** The parts of a sync as they come in. Chunks may come in any order; the group is written when all are there. */
interface IncomingSync {
  readonly begin: SyncBeginMessage;
  readonly stream: number;
  readonly chunks: Map<number, readonly Entry[]>;
  end: SyncEndMessage | undefined;
}

/** One period of agreement with a leader: from a SyncBegin to the end of its stream or a gap. */
interface CurrentSync {
  readonly n: Ballot;
  readonly syncId: number;
  readonly stream: number;
}

/** Chunks of one sync: what a window needs, with room for entries that fill a chunk badly. */
const chunksMax = 2 * Math.ceil(limits.replaceBytesMax / limits.messageEntryBytes);

/** The acceptor: promises, takes over the leader's log, accepts (protocol sections 7 and 8). */
export class Follower {
  readonly #ctx: Context;
  /** Whom the Promise of the ballot being promised goes to; waits until promise and log are durable (P1). */
  #answerTo: { readonly n: Ballot; readonly leader: NodeId } | undefined;
  /** The Promise that a SyncBegin must name. Forgotten with every change of what it showed. */
  #latestPromise: PromiseId | undefined;
  #incoming: IncomingSync | undefined;
  #sync: CurrentSync | undefined;
  /** Ticks when the leader of the promised ballot was last heard, and when the phase last changed. */
  #heardAt = 0;
  #phaseSince = 0;

  constructor(ctx: Context) {
    this.#ctx = ctx;
  }

  /** Ticks since the leader last sent anything of the log. */
  get silentTicks(): number {
    return this.#ctx.ticks - this.#heardAt;
  }

  get ticksInPhase(): number {
    return this.#ctx.ticks - this.#phaseSince;
  }

  /** Whether a Promise or a sync is on its way: waiting is right. */
  get isPromising(): boolean {
    return this.#answerTo !== undefined;
  }

  onPrepare(from: NodeId, message: PrepareMessage): void {
    const ctx = this.#ctx;
    if (message.n.nodeId !== from) return;
    const promising = ctx.promising;
    if (compareBallots(message.n, promising) < 0) {
      ctx.send(from, { kind: "notAccepted", promised: promising });
      return;
    }
    this.#heardAt = ctx.ticks;
    this.#enter("prepare");
    this.#answerTo = { n: message.n, leader: from };
    if (compareBallots(message.n, promising) > 0) ctx.writeSuperblock({ promised: message.n }, "promise");
    this.answerPrepare();
  }

  /** Sends the Promise once the promise is durable and the log that it shows is, too. Called after each completion. */
  answerPrepare(): void {
    const ctx = this.#ctx;
    const waiting = this.#answerTo;
    if (waiting === undefined || !sameBallot(waiting.n, ctx.promised) || !ctx.writes.logIsFlushed) return;
    this.#answerTo = undefined;
    const promise = makePromise(ctx, waiting.n);
    this.#latestPromise = promise.promiseId;
    ctx.send(waiting.leader, promise);
  }

  onSyncBegin(stream: number, message: SyncBeginMessage): void {
    const ctx = this.#ctx;
    // Any other is dropped without an answer: a repeated one would void what was acknowledged since (C1, C2).
    const latest = this.#latestPromise;
    if (ctx.phase !== "prepare" || latest === undefined || this.#answerTo !== undefined) return;
    if (!sameBallot(message.n, ctx.promised)) return;
    if (message.promiseId.incarnation !== latest.incarnation || message.promiseId.counter !== latest.counter) return;
    if (this.#incoming?.begin.syncId === message.syncId) return;
    this.#heardAt = ctx.ticks;
    this.#incoming = { begin: message, stream, chunks: new Map(), end: undefined };
  }

  onSyncChunk(stream: number, message: SyncChunkMessage): void {
    const incoming = this.#incomingOf(stream, message.n, message.syncId);
    if (incoming === undefined || message.chunk >= chunksMax) return;
    incoming.chunks.set(message.chunk, message.entries);
    this.#takeSync(incoming);
  }

  onSyncEnd(stream: number, message: SyncEndMessage): void {
    const incoming = this.#incomingOf(stream, message.n, message.syncId);
    if (incoming === undefined) return;
    incoming.end = message;
    this.#takeSync(incoming);
  }

  onAccept(stream: number, message: AcceptMessage): void {
    const ctx = this.#ctx;
    if (!this.#isCurrent(stream, message.n)) return;
    this.#heardAt = ctx.ticks;
    if (ctx.refuses === "everything") return this.recover();
    const end = slotPlus(message.firstSlot, message.entries.length);
    if (message.firstSlot > ctx.acceptedEnd) return this.#resync();
    const entries = message.entries.filter((entry) => entry.slot >= ctx.log.memoryBegin);
    const first = entries[0];
    if (first === undefined) {
      this.sendAccepted();
    } else {
      const from = this.#firstDifference(first.slot, first.prevHash, entries);
      if (from === undefined || from < minSlot(end, ctx.acceptedEnd)) return this.#resync();
      ctx.append(entries.slice(from - first.slot));
      // All of it was known: the acknowledgement may have been lost.
      if (from === end) this.sendAccepted();
    }
    ctx.raiseDecided(minSlot(message.decidedEnd, ctx.acceptedEnd));
  }

  onDecide(stream: number, message: DecideMessage): void {
    const ctx = this.#ctx;
    if (!this.#isCurrent(stream, message.n)) return;
    this.#heardAt = ctx.ticks;
    if (message.decidedEnd <= ctx.acceptedEnd) {
      const hash = ctx.log.hashBefore(message.decidedEnd);
      if (hash !== undefined && hash !== message.hash) return this.#resync();
    }
    ctx.raiseDecided(minSlot(message.decidedEnd, ctx.acceptedEnd));
  }

  /** REPLACE(n) is durable: now, not before, the superblock may say acceptedBallot = n (P3, C15). */
  onReplaceDurable(ballot: Ballot): void {
    const ctx = this.#ctx;
    if (this.#sync === undefined || !sameBallot(this.#sync.n, ballot)) return;
    if (!sameBallot(ctx.durable.acceptedBallot, ballot)) {
      ctx.writeSuperblock({ acceptedBallot: ballot }, "acceptedBallot");
    }
  }

  /** Acknowledges what is durable, if all of P2 and P3 holds. Called once for each completed sync. */
  sendAccepted(): void {
    const ctx = this.#ctx;
    const sync = this.#sync;
    if (sync === undefined || ctx.phase !== "accept" || ctx.role !== "follower") return;
    if (!sameBallot(sync.n, ctx.promised) || !sameBallot(sync.n, ctx.durable.acceptedBallot)) return;
    if (!sameBallot(sync.n, ctx.promising) || ctx.writes.replacePending) return;
    const matchedEnd = ctx.flushedEnd;
    const hash = ctx.log.hashBefore(matchedEnd);
    assert(hash !== undefined, "the durable end is in memory");
    ctx.send(sync.n.nodeId, { kind: "accepted", n: sync.n, syncId: sync.syncId, matchedEnd, hash });
  }

  /** The leader's stream ended: so does the agreement that lived on it. */
  onStreamEnd(stream: number): void {
    if (this.#incoming?.stream === stream) this.#incoming = undefined;
    if (this.#sync?.stream === stream && this.#ctx.phase === "accept") this.#resync();
  }

  /** Phase recover, and asks whoever may lead to prepare this node again. */
  askPrepare(leader?: NodeId): void {
    const ctx = this.#ctx;
    this.recover();
    const request: PrepareRequestMessage = { kind: "prepareRequest", promised: ctx.promising };
    ctx.send(leader === undefined || leader === ctx.self ? ctx.peers : leader, request);
  }

  /** Something was lost between the leader of this ballot and this node: begin anew with it. */
  #resync(): void {
    this.askPrepare(this.#ctx.promised.nodeId);
  }

  /** Phase recover: no Promise and no sync of before counts any more. */
  recover(): void {
    this.#enter("recover");
  }

  /** The node stood for a ballot itself: nothing of the follower's remains. */
  forget(): void {
    this.#answerTo = undefined;
    this.#latestPromise = undefined;
    this.#incoming = undefined;
    this.#sync = undefined;
  }

  #enter(phase: "recover" | "prepare"): void {
    this.forget();
    this.#ctx.phase = phase;
    this.#phaseSince = this.#ctx.ticks;
  }

  #isCurrent(stream: number, n: Ballot): boolean {
    const ctx = this.#ctx;
    if (ctx.role !== "follower" || ctx.phase !== "accept" || this.#sync === undefined) return false;
    return this.#sync.stream === stream && sameBallot(n, this.#sync.n) && sameBallot(n, ctx.promised);
  }

  #incomingOf(stream: number, n: Ballot, syncId: number): IncomingSync | undefined {
    const incoming = this.#incoming;
    if (incoming === undefined || this.#ctx.phase !== "prepare") return undefined;
    const matches = incoming.stream === stream && incoming.begin.syncId === syncId && sameBallot(incoming.begin.n, n);
    if (matches) this.#heardAt = this.#ctx.ticks;
    return matches ? incoming : undefined;
  }

  /** When all parts are there: one REPLACE group from the first slot that differs (P3, P11), and phase accept. */
  #takeSync(incoming: IncomingSync): void {
    const ctx = this.#ctx;
    const { begin, end } = incoming;
    if (end === undefined || end.chunkCount > chunksMax) return;
    const entries: Entry[] = [];
    for (let chunk = 0; chunk < end.chunkCount; chunk += 1) {
      const part = incoming.chunks.get(chunk);
      if (part === undefined) return;
      entries.push(...part);
    }
    if (ctx.refuses === "everything") return this.recover();
    const from = this.#firstDifference(begin.fromSlot, begin.prevHash, entries);
    if (from === undefined || from < ctx.decidedEnd) return this.#resync();
    this.#incoming = undefined;
    this.#latestPromise = undefined;
    this.#sync = { n: begin.n, syncId: begin.syncId, stream: incoming.stream };
    ctx.replace(begin.n, from, entries.slice(from - begin.fromSlot));
    // Accepts queue behind the group in the same order; only Accepted waits for the disk.
    ctx.phase = "accept";
    this.#phaseSince = ctx.ticks;
    ctx.raiseDecided(minSlot(end.decidedEnd, ctx.acceptedEnd));
  }

  /**
   * First slot at or above `fromSlot` where the own log ends or differs from `entries`; their end if it never does. undefined
   * if the chain before them differs, or they do not chain: nothing of them can be used.
   */
  #firstDifference(fromSlot: Slot, prevHash: string, entries: readonly Entry[]): Slot | undefined {
    const { log } = this.#ctx;
    if (fromSlot < log.memoryBegin || fromSlot > log.acceptedEnd || log.hashBefore(fromSlot) !== prevHash)
      return undefined;
    let expectedSlot = fromSlot;
    let expectedHash = prevHash;
    let difference: Slot | undefined;
    for (const entry of entries) {
      if (entry.slot !== expectedSlot || entry.prevHash !== expectedHash) return undefined;
      if (difference === undefined && log.at(entry.slot)?.hash !== entry.hash) difference = entry.slot;
      expectedSlot = slotPlus(expectedSlot, 1);
      expectedHash = entry.hash;
    }
    return difference ?? expectedSlot;
  }
}

/** The Promise of the present state. The log is wholly durable when this is called. */
export function makePromise(ctx: Context, n: Ballot): PromiseMessage {
  const { log, decidedEnd, acceptedEnd } = ctx;
  assert(ctx.flushedEnd === acceptedEnd, "a Promise shows only the durable log");
  assert(sameBallot(largerBallot(n, ctx.promised), n), "a Promise is for the promised ballot (P1)");
  const window: WindowSlot[] = [];
  for (let slot = decidedEnd; slot < acceptedEnd; slot = slotPlus(slot, 1)) {
    window.push({ slot, hash: log.at(slot)!.hash, state: "intact" });
  }
  assert(window.length <= 2 * limits.windowSlots, `a window of ${window.length} slots`);
  return {
    kind: "promise",
    n,
    promiseId: ctx.nextPromiseId(),
    acceptedBallot: ctx.acceptedBallot,
    acceptedEnd,
    endCertain: true,
    decidedEnd,
    decidedHash: log.hashBefore(decidedEnd)!,
    logBegin: ctx.logBegin,
    abstains: false,
    window,
  };
}
