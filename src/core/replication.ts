import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import { maxSlot, type NodeId, type Slot, slotPlus } from "../base/types.ts";
import { type Ballot, sameBallot } from "./ballot.ts";
import { hashBefore } from "./choice.ts";
import { bytesOf, type Context } from "./context.ts";
import type { Entry } from "./entry.ts";
import type { AcceptedMessage, AcceptMessage, DecideMessage, PromiseMessage } from "./message.ts";
import { reachedByAtLeast } from "./quorum.ts";

/** What the leader knows of a follower that it synced in this ballot. */
interface Progress {
  readonly syncId: number;
  nextSlot: Slot;
  /** Durable there, in this ballot and sync. */
  matchedEnd: Slot;
  /** What was sent and not yet acknowledged, oldest first. */
  readonly inFlight: { readonly end: Slot; readonly bytes: number }[];
  inFlightBytes: number;
  /** The decidedEnd that it was last told. */
  toldDecidedEnd: Slot;
  /** Rounds without an acknowledgement although something is in flight. */
  idleRounds: number;
}

/** A follower that acknowledges nothing for so many rounds is asked to begin anew: a message must have been lost. */
const idleRoundsMax = 3;

/** The leader in phase accept: syncs followers, sends Accepts, counts what is durable, decides (protocol 7.4, 8). */
export class Replication {
  readonly #ctx: Context;
  readonly #n: Ballot;
  /** End of the log as of REPLACE(n): everything that may have been chosen in an earlier ballot lies below it. */
  readonly electedEnd: Slot;
  readonly #followers = new Map<NodeId, Progress>();
  #syncCount = 0;
  #established = false;
  #undecidedBytes: number;

  constructor(ctx: Context, n: Ballot) {
    this.#ctx = ctx;
    this.#n = n;
    this.electedEnd = ctx.acceptedEnd;
    this.#undecidedBytes = bytesOf(ctx.log.range(ctx.decidedEnd, ctx.acceptedEnd, Number.MAX_SAFE_INTEGER));
  }

  /** The log as of REPLACE(n) is decided in n: linearizable reads may be served from now on. */
  get established(): boolean {
    return this.#established;
  }

  /**
   * Room for proposals: W slots and windowBytes may be undecided, and only so much may wait for the own disk. Where the others
   * decide without this disk, nothing else bounds what a leader whose disk is slower than theirs holds in memory.
   */
  get room(): { readonly slots: number; readonly bytes: number } {
    const { acceptedEnd, decidedEnd, flushedEnd, writes } = this.#ctx;
    const undecided = limits.windowSlots - (acceptedEnd - decidedEnd);
    const unflushed = limits.unflushedSlots - (acceptedEnd - flushedEnd);
    const bytes = Math.min(limits.windowBytes - this.#undecidedBytes, limits.unflushedBytes - writes.bytes);
    return { slots: Math.max(0, Math.min(undecided, unflushed)), bytes: Math.max(0, bytes) };
  }

  get synced(): ReadonlySet<NodeId> {
    return new Set(this.#followers.keys());
  }

  /** New entries, ordered by this leader. They go to the own disk now and to followers at the end of the turn (P5). */
  propose(entries: readonly Entry[]): void {
    this.#ctx.append(entries);
    this.#undecidedBytes += bytesOf(entries);
  }

  forget(follower: NodeId): void {
    this.#followers.delete(follower);
  }

  /**
   * Answers a Promise with a sync, if memory and bounds allow; a follower too far behind learns first, by itself. Returns false
   * if the Promise shows decided entries that this leader's log lacks or contradicts: a larger ballot has decided them, and the
   * follower learnt them without promising it (C18).
   */
  sync(follower: NodeId, promise: PromiseMessage): boolean {
    const { log } = this.#ctx;
    this.#followers.delete(follower);
    if (promise.decidedEnd < log.memoryBegin) return true;
    if (log.hashBefore(promise.decidedEnd) !== promise.decidedHash) return false;
    let fromSlot = promise.decidedEnd;
    while (
      fromSlot < promise.acceptedEnd &&
      log.hashBefore(slotPlus(fromSlot, 1)) === hashBefore(promise, slotPlus(fromSlot, 1))
    ) {
      fromSlot = slotPlus(fromSlot, 1);
    }
    const entries = this.#syncEntries(fromSlot);
    if (entries !== undefined) this.#sendSync(follower, promise, fromSlot, entries);
    return true;
  }

  /**
   * What the sync must carry. Until this leader is established it must reach to electedEnd: a follower that says "accepted in n"
   * with less would outrank, in a later choice, those who hold an entry chosen before n (C17). What is more follows as Accepts.
   */
  #syncEntries(fromSlot: Slot): Entry[] | undefined {
    const { log } = this.#ctx;
    const mustReach = this.#established ? fromSlot : maxSlot(fromSlot, this.electedEnd);
    if (mustReach - fromSlot > limits.windowSlots) return undefined;
    const must = log.range(fromSlot, mustReach, Number.MAX_SAFE_INTEGER);
    const bytes = bytesOf(must);
    if (bytes > limits.replaceBytesMax) return undefined;
    if (bytes >= limits.messageEntryBytes || mustReach === log.acceptedEnd) return must;
    const more = log.range(mustReach, log.acceptedEnd, limits.messageEntryBytes - bytes);
    return must.concat(more.slice(0, limits.windowSlots - must.length));
  }

  #sendSync(follower: NodeId, promise: PromiseMessage, fromSlot: Slot, entries: readonly Entry[]): void {
    const ctx = this.#ctx;
    const n = this.#n;
    this.#syncCount += 1;
    const syncId = this.#syncCount;
    const prevHash = ctx.log.hashBefore(fromSlot)!;
    ctx.send(follower, { kind: "syncBegin", n, promiseId: promise.promiseId, syncId, fromSlot, prevHash });
    let chunk = 0;
    for (const part of chunksOf(entries)) {
      ctx.send(follower, { kind: "syncChunk", n, syncId, chunk, entries: part });
      chunk += 1;
    }
    ctx.send(follower, { kind: "syncEnd", n, syncId, chunkCount: chunk, decidedEnd: ctx.decidedEnd });
    const end = slotPlus(fromSlot, entries.length);
    const bytes = bytesOf(entries);
    this.#followers.set(follower, {
      syncId,
      nextSlot: end,
      matchedEnd: 0 as Slot,
      inFlight: [{ end, bytes }],
      inFlightBytes: bytes,
      toldDecidedEnd: ctx.decidedEnd,
      idleRounds: 0,
    });
  }

  onAccepted(from: NodeId, message: AcceptedMessage): void {
    const ctx = this.#ctx;
    const progress = this.#followers.get(from);
    if (progress === undefined || progress.syncId !== message.syncId) return;
    if (message.matchedEnd > progress.nextSlot || message.matchedEnd > ctx.acceptedEnd) {
      ctx.stop("INVARIANT_BROKEN", `node ${from} acknowledges up to ${message.matchedEnd}, beyond what it was sent`);
      return;
    }
    const hash = ctx.log.hashBefore(message.matchedEnd);
    if (hash !== undefined && hash !== message.hash) {
      ctx.stop("INVARIANT_BROKEN", `node ${from} holds another history below slot ${message.matchedEnd}`);
      return;
    }
    progress.matchedEnd = maxSlot(progress.matchedEnd, message.matchedEnd);
    while (progress.inFlight.length > 0 && progress.inFlight[0]!.end <= progress.matchedEnd) {
      progress.inFlightBytes -= progress.inFlight.shift()!.bytes;
    }
    progress.idleRounds = 0;
    this.decide();
  }

  /** Moves decidedEnd to what a Qa of voters holds durably in ballot n. The leader counts itself like any other (C4). */
  decide(): void {
    const ctx = this.#ctx;
    const matched = ctx.peers.map((peer): number => this.#followers.get(peer)?.matchedEnd ?? 0);
    const counted = reachedByAtLeast([...matched, this.#selfMatchedEnd], ctx.quorums.accept) as Slot;
    if (counted >= this.electedEnd) this.#established = true;
    if (counted <= ctx.decidedEnd) return;
    this.#undecidedBytes -= bytesOf(ctx.log.range(ctx.decidedEnd, counted, Number.MAX_SAFE_INTEGER));
    assert(this.#undecidedBytes >= 0, "undecided bytes are counted once");
    ctx.raiseDecided(counted);
  }

  /** 0 until REPLACE(n) and the superblock's acceptedBallot = n are durable and while promised = n. */
  get #selfMatchedEnd(): Slot {
    const ctx = this.#ctx;
    const counts = sameBallot(ctx.durable.acceptedBallot, this.#n) && sameBallot(ctx.promising, this.#n);
    return counts ? ctx.flushedEnd : (0 as Slot);
  }

  /** REPLACE(n) is durable: now the superblock may say so (P3, C15). */
  onReplaceDurable(ballot: Ballot): void {
    if (sameBallot(ballot, this.#n)) this.#ctx.writeSuperblock({ acceptedBallot: ballot }, "acceptedBallot");
  }

  /** Followers in whose sync something was lost, or that fell out of the leader's memory. Called once a round. */
  stalled(oldestSyncMs: (peer: NodeId) => number): NodeId[] {
    const stalled: NodeId[] = [];
    for (const [peer, progress] of this.#followers) {
      const waiting = progress.inFlight.length > 0 && oldestSyncMs(peer) === 0;
      progress.idleRounds = waiting ? progress.idleRounds + 1 : 0;
      if (progress.idleRounds > idleRoundsMax) stalled.push(peer);
      else if (progress.nextSlot < this.#ctx.log.memoryBegin) stalled.push(peer);
      // A lost Decide is healed by saying it again.
      else progress.toldDecidedEnd = 0 as Slot;
    }
    return stalled;
  }

  /** End of a turn: one Accept, the same bytes, for all followers that are equally far; Decide where no Accept told it. */
  sendPending(): void {
    const ctx = this.#ctx;
    for (let more = true; more; ) {
      more = false;
      for (const [nextSlot, followers] of this.#ready()) {
        const entries = ctx.log.range(nextSlot, ctx.acceptedEnd, limits.messageEntryBytes);
        this.#sendAccept(followers, nextSlot, entries);
        more = true;
      }
    }
    this.#sendDecide();
  }

  /** Followers that may be sent something, by the slot they need. */
  #ready(): Map<Slot, NodeId[]> {
    const { log } = this.#ctx;
    const ready = new Map<Slot, NodeId[]>();
    for (const [peer, progress] of this.#followers) {
      const { nextSlot, inFlightBytes } = progress;
      if (nextSlot >= log.acceptedEnd || nextSlot < log.memoryBegin) continue;
      if (inFlightBytes >= limits.inFlightBytesPerFollower) continue;
      const group = ready.get(nextSlot);
      if (group === undefined) ready.set(nextSlot, [peer]);
      else group.push(peer);
    }
    return ready;
  }

  #sendAccept(followers: readonly NodeId[], firstSlot: Slot, entries: readonly Entry[]): void {
    const ctx = this.#ctx;
    const { decidedEnd } = ctx;
    const prevHash = ctx.log.hashBefore(firstSlot)!;
    const message: AcceptMessage = { kind: "accept", n: this.#n, firstSlot, prevHash, entries, decidedEnd };
    ctx.send(followers, message);
    const end = slotPlus(firstSlot, entries.length);
    const bytes = bytesOf(entries);
    for (const follower of followers) {
      const progress = this.#followers.get(follower)!;
      progress.nextSlot = end;
      progress.inFlight.push({ end, bytes });
      progress.inFlightBytes += bytes;
      progress.toldDecidedEnd = decidedEnd;
    }
  }

  #sendDecide(): void {
    const ctx = this.#ctx;
    const { decidedEnd } = ctx;
    const untold = [...this.#followers].filter(([, progress]) => progress.toldDecidedEnd < decidedEnd);
    if (untold.length === 0) return;
    const hash = ctx.log.hashBefore(decidedEnd)!;
    const message: DecideMessage = { kind: "decide", n: this.#n, decidedEnd, hash };
    ctx.send(
      untold.map(([peer]) => peer),
      message,
    );
    for (const [, progress] of untold) progress.toldDecidedEnd = decidedEnd;
  }
}

/** Entries in chunks of at most one message each, at least one entry in each. */
function* chunksOf(entries: readonly Entry[]): Generator<Entry[]> {
  let part: Entry[] = [];
  let bytes = 0;
  for (const entry of entries) {
    if (part.length > 0 && bytes + entry.bytes.length > limits.messageEntryBytes) {
      yield part;
      part = [];
      bytes = 0;
    }
    part.push(entry);
    bytes += entry.bytes.length;
  }
  if (part.length > 0) yield part;
}
