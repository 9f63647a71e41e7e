import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import { maxSlot, type NodeId, type Slot, slotPlus } from "../base/types.ts";
import { type Ballot, compareBallots, sameBallot, showBallot } from "./ballot.ts";
import { chooseLog } from "./choice.ts";
import type { Context } from "./context.ts";
import type { Entry } from "./entry.ts";
import { makePromise } from "./follower.ts";
import type { Learner } from "./learner.ts";
import type {
  AcceptedMessage,
  EntriesMessage,
  PrepareMessage,
  PrepareRequestMessage,
  PromiseMessage,
  SnapshotMetaMessage,
} from "./message.ts";
import { Replication } from "./replication.ts";

/** A leader-elect's fetch of what the chosen log holds and its own does not. */
interface LogFetch {
  readonly from: NodeId;
  /** All below is decided and is written as it comes; the rest is gathered for REPLACE(n). */
  readonly decidedEnd: Slot;
  readonly end: Slot;
  readonly suffix: Entry[];
  /**
   * One for the whole fetch: asked again after a round, it takes the answer to any of the questions for `nextSlot`, or an answer
   * that takes longer than a round would never be taken.
   */
  readonly requestId: number;
  nextSlot: Slot;
  /** Nothing is asked for until more of what came is on the own disk. */
  waitsForDisk: boolean;
  /** Rounds without progress. */
  idleRounds: number;
}

const idleRoundsMax = 2;

/** One leadership, from taking its ballot to losing it (docs/protocol.md, section 7). */
export class Leader {
  readonly n: Ballot;
  readonly #ctx: Context;
  readonly #learner: Learner;
  /** Fresh Promises of this ballot; a follower's is forgotten when its link or its sync ends. */
  readonly #promises = new Map<NodeId, PromiseMessage>();
  #fetch: LogFetch | undefined;
  /** The ballot must be given up for a larger one: promises contradict each other, or what was fetched does not fit. */
  outranked = false;
  #replication: Replication | undefined;

  constructor(ctx: Context, learner: Learner, n: Ballot) {
    assert(n.n >= 1 && n.nodeId === ctx.self, `${showBallot(n)} is not a ballot of this node`);
    assert(compareBallots(n, ctx.promisedAtStart) > 0, `${showBallot(n)} is not above the promise at start (P10)`);
    assert(compareBallots(n, ctx.promising) > 0, `${showBallot(n)} is not above the promise`);
    this.#ctx = ctx;
    this.#learner = learner;
    this.n = n;
    ctx.role = "leader";
    ctx.phase = "prepare";
    ctx.writeSuperblock({ promised: n }, "promise");
  }

  /** Present in phase accept. */
  get replication(): Replication | undefined {
    return this.#replication;
  }

  /** The own promise is durable, and with it all that was submitted before: Prepare goes out (P1). */
  onPromiseDurable(): void {
    const ctx = this.#ctx;
    if (!sameBallot(ctx.promised, this.n) || this.#promises.has(ctx.self)) return;
    this.#promises.set(ctx.self, makePromise(ctx, this.n));
    ctx.send(ctx.peers, this.#prepare());
    this.#chooseIfReady();
  }

  onPromise(from: NodeId, promise: PromiseMessage): void {
    if (!sameBallot(promise.n, this.n)) return;
    const known = this.#promises.get(from)?.promiseId;
    const { incarnation, counter } = promise.promiseId;
    // Only the latest shows the log as it is; one that was overtaken on the way is dropped.
    if (known !== undefined && (incarnation - known.incarnation || counter - known.counter) <= 0) return;
    this.#promises.set(from, promise);
    if (this.#replication === undefined) this.#chooseIfReady();
    else if (!this.#replication.sync(from, promise)) this.outranked = true;
  }

  onAccepted(from: NodeId, message: AcceptedMessage): void {
    if (sameBallot(message.n, this.n)) this.#replication?.onAccepted(from, message);
  }

  onPrepareRequest(from: NodeId, message: PrepareRequestMessage): void {
    if (compareBallots(message.promised, this.n) <= 0) this.restart(from);
  }

  /** The dialed link to a follower came up: the agreement begins anew. */
  restart(follower: NodeId): void {
    this.lose(follower);
    if (this.#promises.has(this.#ctx.self)) this.#ctx.send(follower, this.#prepare());
  }

  /** The link to a follower went down: what it promised and matched counts no more. */
  lose(follower: NodeId): void {
    this.#promises.delete(follower);
    this.#replication?.forget(follower);
  }

  /** At the end of a round: say again what may have been lost. */
  onRound(oldestSyncMs: (peer: NodeId) => number): void {
    const ctx = this.#ctx;
    if (!this.#promises.has(ctx.self)) return;
    for (const follower of this.#replication?.stalled(oldestSyncMs) ?? []) this.lose(follower);
    const silent = ctx.peers.filter((peer) => !this.#promises.has(peer));
    ctx.send(silent, this.#prepare());
    const fetch = this.#fetch;
    if (fetch === undefined || fetch.waitsForDisk) return;
    fetch.idleRounds += 1;
    if (fetch.idleRounds > idleRoundsMax) this.outranked = true;
    else this.#request(fetch);
  }

  onEntries(from: NodeId, message: EntriesMessage): void {
    const fetch = this.#fetch;
    if (fetch === undefined || fetch.from !== from || fetch.requestId !== message.requestId) return;
    if (message.entries.length === 0 || message.fromSlot !== fetch.nextSlot) return;
    if (!this.#takeFetched(fetch, message.entries)) this.outranked = true;
  }

  /** The chosen log begins, where it was asked for, behind what this node has: it cannot lead now. */
  isAnsweredBy(from: NodeId, meta: SnapshotMetaMessage): boolean {
    return this.#fetch?.from === from && this.#fetch.requestId === meta.requestId;
  }

  #prepare(): PrepareMessage {
    const { decidedEnd, acceptedBallot, acceptedEnd } = this.#ctx;
    return { kind: "prepare", n: this.n, decidedEnd, acceptedBallot, acceptedEnd };
  }

  #chooseIfReady(): void {
    const ctx = this.#ctx;
    if (this.#fetch !== undefined || this.#replication !== undefined || !this.#promises.has(ctx.self)) return;
    const voting = [...this.#promises.values()].filter((promise) => !promise.abstains);
    if (voting.length < ctx.quorums.prepare) return;
    const choice = chooseLog(ctx, this.#promises);
    if (choice.kind === "outranked") {
      this.outranked = true;
      return;
    }
    const { best, decidedEnd, end, fetchFrom } = choice;
    if (fetchFrom === end) {
      this.#lead(decidedEnd, end, end, []);
      return;
    }
    ctx.phase = "sync";
    const requestId = ctx.nextRequestId();
    const progress = { nextSlot: fetchFrom, waitsForDisk: false, idleRounds: 0 };
    this.#fetch = { from: best, decidedEnd, end, suffix: [], requestId, ...progress };
    this.#request(this.#fetch);
  }

  /** Something became durable: a fetch that waited for it may go on. */
  onDurable(): void {
    if (this.#fetch?.waitsForDisk === true) this.#request(this.#fetch);
  }

  #request(fetch: LogFetch): void {
    const ctx = this.#ctx;
    fetch.waitsForDisk = ctx.writes.bytes > limits.windowBytes / 2;
    if (fetch.waitsForDisk) return;
    const { requestId, nextSlot: fromSlot } = fetch;
    const prevHash = fetch.suffix[fetch.suffix.length - 1]?.hash ?? ctx.log.hashBefore(fromSlot)!;
    ctx.send(fetch.from, { kind: "fetch", requestId, fromSlot, prevHash, n: this.n });
  }

  /** Returns false where what came does not chain: the promiser's log is not what it promised. */
  #takeFetched(fetch: LogFetch, entries: readonly Entry[]): boolean {
    const ctx = this.#ctx;
    const wanted = entries.filter((entry) => entry.slot < fetch.end);
    const decided = wanted.filter((entry) => entry.slot < fetch.decidedEnd);
    // What is decided is written as it comes, in the manner of a Learn (which it is not: it came with n).
    if (decided.length > 0 && !this.#learner.takeDecided(this.#withOwnBefore(decided))) return false;
    for (const entry of wanted.slice(decided.length)) {
      const before = fetch.suffix[fetch.suffix.length - 1]?.hash ?? ctx.log.hashBefore(entry.slot);
      if (entry.prevHash !== before) return false;
      fetch.suffix.push(entry);
    }
    fetch.idleRounds = 0;
    fetch.nextSlot = slotPlus(fetch.nextSlot, wanted.length);
    if (fetch.nextSlot < fetch.end) {
      this.#request(fetch);
      return true;
    }
    this.#fetch = undefined;
    const from = fetch.suffix[0]?.slot ?? fetch.end;
    this.#lead(fetch.decidedEnd, fetch.end, from, fetch.suffix);
    return true;
  }

  /** Decided entries may begin behind the own decidedEnd where the logs agree in between. */
  #withOwnBefore(decided: readonly Entry[]): Entry[] {
    const { log, decidedEnd } = this.#ctx;
    const first = decided[0]!.slot;
    return first > decidedEnd ? [...log.range(decidedEnd, first, Number.MAX_SAFE_INTEGER), ...decided] : [...decided];
  }

  /** REPLACE(n) and phase accept: the whole suffix is accepted again in ballot n, with no barrier entry. */
  #lead(decidedEnd: Slot, end: Slot, from: Slot, suffix: readonly Entry[]): void {
    const ctx = this.#ctx;
    const differs = suffix.findIndex((entry) => ctx.log.at(entry.slot)?.hash !== entry.hash);
    const first = differs >= 0 ? suffix[differs]!.slot : maxSlot(from, end);
    ctx.replace(this.n, first, differs >= 0 ? suffix.slice(differs) : []);
    assert(ctx.acceptedEnd === end, `the log ends at ${ctx.acceptedEnd}, not at the chosen end ${end}`);
    ctx.raiseDecided(decidedEnd);
    ctx.phase = "accept";
    this.#replication = new Replication(ctx, this.n);
    for (const [node, promise] of this.#promises) {
      if (node !== ctx.self && !this.#replication.sync(node, promise)) this.outranked = true;
    }
  }
}
