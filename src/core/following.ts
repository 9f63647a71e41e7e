import { limits } from "../base/limits.ts";
import type { NodeId, Slot } from "../base/types.ts";
import type { Context } from "./context.ts";
import type { Election } from "./election.ts";
import type { Learner } from "./learner.ts";
import type { EntriesMessage } from "./message.ts";

/** Rounds in which a source that shows more may bring nothing before this node asks anew, perhaps somebody else. */
const stalledRoundsMax = 5;

/**
 * A nonvoter's way to its entries (docs/protocol.md, section 10). Far behind, it fetches, like any learner; near the end it has one
 * member push to it what becomes visible there. Whatever a member shows is decided, so it may come from anyone at any time.
 */
export class Following {
  readonly #ctx: Context;
  readonly #learner: Learner;
  readonly #election: Election;
  /** The member that was asked to push. */
  #source: NodeId | undefined;
  /** decidedEnd when it was last seen to move, and the rounds since in which the source showed more. */
  #lastEnd: Slot;
  #stalledRounds = 0;
  /** decidedEnd when the last fetch began. */
  #fetchedFrom: Slot | undefined;
  /** What came since is not acknowledged: the disk has enough to do. */
  #owesAcknowledgement = false;

  constructor(ctx: Context, learner: Learner, election: Election) {
    this.#ctx = ctx;
    this.#learner = learner;
    this.#election = election;
    this.#lastEnd = ctx.decidedEnd;
  }

  /** A stream to a member came up: do not wait for the end of the round. */
  onLinkUp(): void {
    if (this.#source === undefined && !this.#learner.isLearning) this.#begin();
  }

  onLinkDown(peer: NodeId): void {
    if (this.#source === peer) this.#source = undefined;
  }

  /** Entries that the source pushed. Those of a former source are as true, but only the present one is acknowledged. */
  onPushed(from: NodeId, message: EntriesMessage): void {
    const ctx = this.#ctx;
    if (ctx.refuses !== "nothing") return;
    const took = this.#learner.takeDecided(message.entries.filter((entry) => entry.slot < message.visibleEnd));
    if (from !== this.#source) return;
    if (took) this.#acknowledge();
    else if (message.visibleEnd > ctx.decidedEnd && message.fromSlot >= ctx.decidedEnd) this.#fetchMissing(from);
  }

  /** What was fetched is in; the member that gave it goes on by itself. */
  onCaughtUp(from: NodeId): void {
    this.#follow(from);
  }

  onDurable(): void {
    if (this.#owesAcknowledgement) this.#acknowledge();
  }

  onRound(): void {
    const { decidedEnd } = this.#ctx;
    const source = this.#source;
    const shown = source === undefined ? undefined : this.#election.report(source)?.visibleEnd;
    const waits = shown !== undefined && shown > decidedEnd && decidedEnd === this.#lastEnd;
    this.#stalledRounds = waits ? this.#stalledRounds + 1 : 0;
    this.#lastEnd = decidedEnd;
    const best = this.#furthest();
    if (this.#ctx.refuses !== "nothing") {
      this.#source = undefined;
      if (best !== undefined && !this.#learner.isLearning && this.#learner.mayAsk) this.#fetchFrom(best.peer);
      return;
    }
    const lags = shown !== undefined && best !== undefined && best.visibleEnd - shown > limits.windowSlots;
    const leads = source !== undefined && source === this.#election.leaderNode && best?.peer !== source;
    if (shown === undefined || lags || leads || this.#stalledRounds > stalledRoundsMax) this.#source = undefined;
    if (this.#source === undefined && !this.#learner.isLearning) this.#begin();
  }

  #begin(): void {
    const best = this.#furthest();
    if (best === undefined) return;
    if (best.visibleEnd - this.#ctx.decidedEnd > limits.windowSlots) this.#fetchFrom(best.peer);
    else this.#follow(best.peer);
  }

  /**
   * A member that shows as much as any, about: one that does not lead, since the leader has other work; nonvoters with different
   * uids choose different ones.
   */
  #furthest(): { readonly peer: NodeId; readonly visibleEnd: Slot } | undefined {
    const { peers, identity } = this.#ctx;
    const heard = peers.flatMap((peer) => {
      const report = this.#election.report(peer);
      return report === undefined ? [] : [{ peer, visibleEnd: report.visibleEnd }];
    });
    const most = Math.max(...heard.map(({ visibleEnd }) => visibleEnd));
    const near = heard.filter(({ visibleEnd }) => most - visibleEnd <= limits.windowSlots);
    const others = near.filter(({ peer }) => peer !== this.#election.leaderNode);
    const choice = others.length > 0 ? others : near;
    return choice[Number.parseInt(identity.nodeUid.slice(0, 8), 16) % choice.length];
  }

  #follow(source: NodeId): void {
    this.#source = source;
    this.#ctx.phase = "follow";
    this.#stalledRounds = 0;
    this.#owesAcknowledgement = false;
    this.#sendFollow(source, true);
  }

  #fetchFrom(source: NodeId): void {
    this.#source = undefined;
    this.#fetchedFrom = this.#ctx.decidedEnd;
    this.#learner.fetch(source);
  }

  /** The source has not in memory what comes next, or a push was lost. Where fetching brought nothing, the next round will do. */
  #fetchMissing(source: NodeId): void {
    if (this.#fetchedFrom === this.#ctx.decidedEnd) this.#source = undefined;
    else this.#fetchFrom(source);
  }

  /** Only while the disk keeps up: the source holds back what is not acknowledged. */
  #acknowledge(): void {
    this.#owesAcknowledgement = this.#ctx.writes.bytes > limits.windowBytes / 2;
    if (!this.#owesAcknowledgement && this.#source !== undefined) this.#sendFollow(this.#source, false);
  }

  #sendFollow(to: NodeId, begins: boolean): void {
    const { decidedEnd, log } = this.#ctx;
    this.#ctx.send(to, { kind: "follow", fromSlot: decidedEnd, prevHash: log.hashBefore(decidedEnd)!, begins });
  }
}
