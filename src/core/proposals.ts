import { assert } from "../base/assert.ts";
import { type Slot, slotPlus } from "../base/types.ts";
import type { Context } from "./context.ts";
import type { AppendAnswer } from "./effect.ts";
import type { Entry, EntryHeader } from "./entry.ts";
import type { AppendProposal, ProposeEvent } from "./event.ts";
import type { Leader } from "./leader.ts";
import type { Replication } from "./replication.ts";

interface Ordered {
  readonly slot: Slot;
  readonly requestId: number;
  readonly answer: AppendAnswer;
}

/** Orders proposals while this node leads, and answers each once its fate is known (P6). */
export class Proposals {
  readonly #ctx: Context;
  /** Ordered and undecided, in slot order: at most a window. */
  #waiting: Ordered[] = [];

  constructor(ctx: Context) {
    this.#ctx = ctx;
  }

  /** Called when a leader enters phase accept: the sequencer goes on from the log that it took over. */
  begin(): void {
    const { log, decidedEnd, acceptedEnd, options } = this.#ctx;
    const suffix = log.range(decidedEnd, acceptedEnd, Number.MAX_SAFE_INTEGER);
    const { wallMs, monotonicMs } = this.#ctx;
    options.sequencer.begin({
      position: log.positionAt(acceptedEnd),
      time: log.timeBefore(acceptedEnd),
      suffix,
      wallMs,
      monotonicMs,
    });
  }

  onPropose(event: ProposeEvent, leader: Leader | undefined): void {
    const replication = leader?.replication;
    if (leader === undefined || replication === undefined) {
      for (const { requestId } of event.proposals) this.#fail(requestId, "NOT_LEADER");
      return;
    }
    const entries: Entry[] = [];
    let { slots, bytes } = replication.room;
    for (const proposal of event.proposals) {
      if (slots === 0 || bytes <= 0) {
        this.#fail(proposal.requestId, "OVERLOADED");
        continue;
      }
      assert(proposal.kind === "append" && proposal.guards === undefined, "guards and sessions are not judged yet");
      const entry = this.#order(proposal, event.monotonicMs, leader, entries);
      entries.push(entry);
      slots -= 1;
      bytes -= entry.bytes.length;
    }
    replication.propose(entries);
  }

  /** Answers what is decided now. */
  onDecided(replication: Replication | undefined): void {
    if (replication === undefined) return;
    const { decidedEnd, effects, options } = this.#ctx;
    let count = 0;
    while (count < this.#waiting.length && this.#waiting[count]!.slot < decidedEnd) {
      const { requestId, answer } = this.#waiting[count]!;
      effects.push({ kind: "answer", requestId, answer });
      count += 1;
    }
    if (count === 0) return;
    this.#waiting.splice(0, count);
    options.sequencer.decided(decidedEnd);
  }

  /** The leadership is lost: what was ordered may be in the log, now or later. Never a guess. */
  onLost(): void {
    const answer: AppendAnswer = { kind: "failed", code: "LEADER_LOST", outcome: "unknown" };
    for (const { requestId } of this.#waiting) this.#ctx.effects.push({ kind: "answer", requestId, answer });
    this.#waiting = [];
  }

  #order(proposal: AppendProposal, monotonicMs: number, leader: Leader, before: readonly Entry[]): Entry {
    const { log, decidedEnd, options } = this.#ctx;
    const slot = slotPlus(log.acceptedEnd, before.length);
    const verdict = options.sequencer.order(proposal, { slot, monotonicMs });
    const header: EntryHeader = {
      slot,
      originBallot: leader.n,
      floor: decidedEnd,
      kind: "batch",
      firstPosition: verdict.firstPosition,
      recordCount: proposal.recordCount,
      time: verdict.time,
      session: 0,
      serial: 0,
      batchChecksum: proposal.batchChecksum,
      guardLength: proposal.payload.guards.length,
      prevHash: before[before.length - 1]?.hash ?? log.hashBefore(slot)!,
    };
    const { firstPosition, time } = verdict;
    const answer: AppendAnswer = { kind: "acknowledged", firstPosition, recordCount: proposal.recordCount, time };
    this.#waiting.push({ slot, requestId: proposal.requestId, answer });
    return options.makeEntry(header, proposal.payload);
  }

  #fail(requestId: number, code: "NOT_LEADER" | "OVERLOADED"): void {
    this.#ctx.effects.push({ kind: "answer", requestId, answer: { kind: "failed", code, outcome: "none" } });
  }
}
