import { assert, assertNever } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import { type Slot, slotPlus } from "../base/types.ts";
import type { Context } from "./context.ts";
import type { AppendAnswer } from "./effect.ts";
import type { AppendProposal, Proposal, ProposeEvent, SearchedEvent } from "./event.ts";
import type { Leader } from "./leader.ts";
import { type Line, type LineHead, Lines } from "./lines.ts";
import { OrderingTurn } from "./ordering-turn.ts";
import type { Reads } from "./reads.ts";
import type { HistoryAnswer } from "./sequencer.ts";
import type { Snapshots } from "./snapshots.ts";

/** A request that is answered when its slot is decided. */
interface Ordered {
  readonly slot: Slot;
  readonly requestId: number;
  readonly answer: AppendAnswer;
}

/** A request that is refused, once the log that it was judged by is known to be the log (protocol 13). */
interface Refused {
  readonly requestId: number;
  readonly answer: AppendAnswer;
  /** Everything that was proposed when it was judged. */
  readonly end: Slot;
  /** A probe that began after it came has its majority. */
  confirmed: boolean;
}

/** Control entries that the passage of time asks for, of one round. */
const dueMax = 64;

const nothingSeen: readonly HistoryAnswer[] = [];

/** Orders proposals while this node leads, and answers each once its fate is known (P6). */
export class Proposals {
  readonly #ctx: Context;
  readonly #reads: Reads;
  readonly #snapshots: Snapshots;
  /** Ordered and undecided, in slot order: at most a window, and retries that joined. */
  #waiting: Ordered[] = [];
  /** In the order of their judgement, so of `end`. */
  #refused: Refused[] = [];
  readonly #lines = new Lines();
  /** The log broke the sequencer's rules: the node stops, and until then nothing more is ordered. */
  #isBroken = false;

  constructor(ctx: Context, reads: Reads, snapshots: Snapshots) {
    this.#ctx = ctx;
    this.#reads = reads;
    this.#snapshots = snapshots;
  }

  /** Called when a leader enters phase accept: the sequencer goes on from the log that it took over. */
  begin(): void {
    this.#fold();
    const { log, decidedEnd, acceptedEnd, options, wallOffsetMs } = this.#ctx;
    const suffix = log.range(decidedEnd, acceptedEnd, Number.MAX_SAFE_INTEGER);
    const position = log.positionAt(acceptedEnd);
    this.#stopOn(options.sequencer.begin({ position, suffix, wallOffsetMs }));
  }

  onPropose(event: ProposeEvent, leader: Leader | undefined): void {
    this.#ctx.noteTime(event.monotonicMs);
    const replication = leader?.replication;
    if (leader === undefined || replication === undefined || this.#isBroken) {
      for (const { requestId } of event.proposals) this.#fail(requestId, "NOT_LEADER");
      return;
    }
    const turn = new OrderingTurn(this.#ctx, leader, replication);
    for (const proposal of event.proposals) {
      const line = this.#lines.isEmpty ? undefined : this.#lines.lineOf(proposal);
      if (line !== undefined) {
        if (!this.#lines.join(line, proposal as AppendProposal)) this.#fail(proposal.requestId, "OVERLOADED");
      } else if (!turn.hasRoom) {
        this.#fail(proposal.requestId, "OVERLOADED");
      } else {
        const head = this.#judge(proposal, nothingSeen, turn);
        if (head !== undefined && !this.#lines.begin(head)) this.#fail(proposal.requestId, "OVERLOADED");
      }
    }
    turn.flush();
  }

  /** The history has answered: the head of its line is judged again. */
  onSearched(event: SearchedEvent, leader: Leader | undefined): void {
    this.#ctx.noteTime(event.monotonicMs);
    for (const line of this.#lines.all()) {
      const { head } = line;
      if (head.kind !== "search" || head.searchId !== event.searchId) continue;
      const seen = [...head.seen, { query: head.query, match: event.match }];
      line.head = { kind: "turn", proposal: head.proposal, seen };
    }
    this.#serveLines(leader);
  }

  /** At the end of a round: what the passage of time asks for. */
  onRound(leader: Leader | undefined): void {
    const replication = leader?.replication;
    if (leader === undefined || replication === undefined || this.#isBroken) return;
    const turn = new OrderingTurn(this.#ctx, leader, replication);
    for (let count = 0; count < dueMax && turn.hasRoom; count += 1) {
      const verdict = this.#ctx.options.sequencer.due(turn.at());
      if (verdict === undefined) break;
      turn.control(verdict);
    }
    if (turn.hasRoom) this.#orderSnapshot(turn);
    turn.flush();
  }

  #orderSnapshot(turn: OrderingTurn): void {
    const control = this.#snapshots.wanted();
    if (control === undefined) return;
    const at = turn.at();
    const verdict = this.#ctx.options.sequencer.snapshot(control, at);
    if (verdict === undefined) return;
    turn.control(verdict);
    this.#snapshots.ordered(slotPlus(at.slot, 1));
  }

  /** After each event, on every replica: takes note of what is decided, answers what has its fate, goes on with what waited. */
  onSettle(leader: Leader | undefined): void {
    this.#fold();
    if (leader?.replication === undefined) return;
    this.#answerDecided();
    if (this.#refused.length > 0) this.#answerRefused();
    if (!this.#lines.isEmpty) this.#serveLines(leader);
  }

  /** After what is visible was shown: asks the history what only it can say. */
  search(): void {
    if (this.#lines.isEmpty) return;
    const { log, visibleEnd, effects } = this.#ctx;
    const tail = log.positionAt(visibleEnd);
    for (const { head } of this.#lines.all()) {
      if (head.kind !== "search" || head.searchId !== undefined || head.query.end > tail) continue;
      head.searchId = this.#ctx.nextRequestId();
      effects.push({ kind: "search", searchId: head.searchId, query: head.query });
    }
  }

  /**
   * The leadership is lost. What was ordered may be in the log, now or later: never a guess. What was not has not happened, a
   * refusal that was not confirmed included.
   */
  onLost(): void {
    this.#fold();
    const { log, decidedEnd, effects, options } = this.#ctx;
    const answer: AppendAnswer = { kind: "failed", code: "LEADER_LOST", outcome: "unknown" };
    for (const { requestId } of this.#waiting) effects.push({ kind: "answer", requestId, answer });
    for (const { requestId } of this.#refused) this.#fail(requestId, "NOT_LEADER");
    const judged = new Set(this.#refused.map(({ requestId }) => requestId));
    for (const { requestId } of this.#lines.clear()) if (!judged.has(requestId)) this.#fail(requestId, "NOT_LEADER");
    this.#waiting = [];
    this.#refused = [];
    options.sequencer.end({ position: log.positionAt(decidedEnd), time: log.timeBefore(decidedEnd) });
  }

  /** The sequencer's base moves to what is decided, on every replica and before the log forgets it. */
  #fold(): void {
    const { options, decidedEnd, log } = this.#ctx;
    if (!this.#isBroken) this.#stopOn(options.sequencer.decided(decidedEnd, log));
  }

  #stopOn(fault: string | undefined): void {
    if (fault === undefined) return;
    this.#isBroken = true;
    this.#ctx.stop("INVARIANT_BROKEN", `the log breaks the rules of its sequencer: ${fault}`);
  }

  /** Orders a proposal, or answers it. Returns what it waits for where its verdict has to wait. */
  #judge(proposal: Proposal, seen: readonly HistoryAnswer[], turn: OrderingTurn): LineHead | undefined {
    const { requestId } = proposal;
    const isPlain = proposal.kind === "append" && proposal.guards === undefined;
    // A guard is judged by the whole log, this turn's entries included.
    if (!isPlain) turn.flush();
    const at = turn.at();
    const verdict = this.#ctx.options.sequencer.order(proposal, at, seen);
    switch (verdict.kind) {
      case "ordered": {
        assert(proposal.kind === "append", "only batches have positions");
        const { firstPosition, time } = verdict;
        const { recordCount } = proposal;
        turn.batch(proposal, firstPosition, time);
        this.#waiting.push({
          slot: at.slot,
          requestId,
          answer: { kind: "acknowledged", firstPosition, recordCount, time },
        });
        return undefined;
      }
      case "control":
        turn.control(verdict);
        this.#waiting.push({ slot: at.slot, requestId, answer: verdict.answer });
        return undefined;
      case "answered":
        this.#ctx.effects.push({ kind: "answer", requestId, answer: verdict.answer });
        return undefined;
      case "joined":
        this.#join({ slot: verdict.slot, requestId, answer: verdict.answer });
        return undefined;
      case "refused":
        return this.#refuse(proposal, verdict.answer, at.slot);
      case "unseen":
        assert(proposal.kind === "append", "only appends ask about types and tags");
        return { kind: "search", proposal, query: verdict.query, seen, searchId: undefined };
      default:
        return assertNever(verdict);
    }
  }

  /** A retry waits beside its first attempt, which may be in any slot of the window. */
  #join(retry: Ordered): void {
    let index = this.#waiting.length;
    while (index > 0 && this.#waiting[index - 1]!.slot > retry.slot) index -= 1;
    this.#waiting.splice(index, 0, retry);
  }

  #refuse(proposal: Proposal, answer: AppendAnswer, end: Slot): LineHead | undefined {
    if (this.#refused.length >= limits.heldProposals) {
      this.#fail(proposal.requestId, "OVERLOADED");
      return undefined;
    }
    const refused: Refused = { requestId: proposal.requestId, answer, end, confirmed: false };
    this.#refused.push(refused);
    this.#reads.confirm(() => {
      refused.confirmed = true;
    });
    const hasLine = proposal.kind === "append" && proposal.guards?.session === undefined && (proposal.caller ?? 0) > 0;
    return hasLine ? { kind: "refusal", proposal } : undefined;
  }

  #answerDecided(): void {
    const { decidedEnd, effects } = this.#ctx;
    let count = 0;
    while (count < this.#waiting.length && this.#waiting[count]!.slot < decidedEnd) {
      const { requestId, answer } = this.#waiting[count]!;
      effects.push({ kind: "answer", requestId, answer });
      count += 1;
    }
    if (count > 0) this.#waiting.splice(0, count);
  }

  #answerRefused(): void {
    const { decidedEnd, effects } = this.#ctx;
    const isKnown = ({ confirmed, end }: Refused) => confirmed && end <= decidedEnd;
    const answers = new Map(this.#refused.filter(isKnown).map(({ requestId, answer }) => [requestId, answer]));
    if (answers.size === 0) return;
    this.#refused = this.#refused.filter((refused) => !isKnown(refused));
    for (const [requestId, answer] of answers) effects.push({ kind: "answer", requestId, answer });
    for (const line of this.#lines.all()) {
      const answer = line.head.kind === "refusal" ? answers.get(line.head.proposal.requestId) : undefined;
      if (answer === undefined) continue;
      for (const { requestId } of this.#lines.dismissBehind(line)) effects.push({ kind: "answer", requestId, answer });
      this.#lines.advance(line);
    }
  }

  #serveLines(leader: Leader | undefined): void {
    const replication = leader?.replication;
    if (leader === undefined || replication === undefined || this.#isBroken) return;
    const turn = new OrderingTurn(this.#ctx, leader, replication);
    for (const line of this.#lines.all()) this.#serve(line, turn);
    turn.flush();
  }

  /** Judges those of a line whose turn it is, until one has to wait. */
  #serve(line: Line, turn: OrderingTurn): void {
    while (line.head.kind === "turn" && turn.hasRoom) {
      const head = this.#judge(line.head.proposal, line.head.seen, turn);
      if (head !== undefined) line.head = head;
      else if (!this.#lines.advance(line)) return;
    }
  }

  #fail(requestId: number, code: "NOT_LEADER" | "OVERLOADED"): void {
    this.#ctx.effects.push({ kind: "answer", requestId, answer: { kind: "failed", code, outcome: "none" } });
  }
}
