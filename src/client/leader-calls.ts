import { type ErrorCode, PaxlogError, withOutcome } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import { cancelled } from "./abort.ts";
import { LeaderSearch } from "./leader-search.ts";
import type { AskBounds, NodeLink } from "./node-link.ts";
import { type Nodes, noConnection } from "./nodes.ts";
import { closedError, endOfLog } from "./outcomes.ts";
import type { Settings } from "./settings.ts";

/** No other node, and no later moment, would give another answer. */
const verdicts: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "INVALID_ARGUMENT",
  "UNKNOWN_LOG",
  "FENCED",
  "POSITION_PAST_TAIL",
  "POSITION_BELOW_HEAD",
  "HOLD_TAKEN",
  "SESSION_UNKNOWN",
]);

/** What was asked was surely not done. */
const refusals: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["NOT_LEADER", "OVERLOADED"]);

/** Asks the leader, wherever it is, for things that may be asked for twice: sessions, the fence, trims and holds. */
export class LeaderCalls {
  readonly #nodes: Nodes;
  readonly #settings: Settings;
  readonly #closing: AbortSignal;

  constructor(nodes: Nodes, settings: Settings, closing: AbortSignal) {
    this.#nodes = nodes;
    this.#settings = settings;
    this.#closing = closing;
  }

  /**
   * Asks one node after another, for up to `deadlineMs`, until the leader answers. Rejects with its verdict, with CANCELLED or
   * CLOSED, or with the last error; the outcome is "unknown" where an attempt may have been heard.
   */
  async ask<Answer>(
    question: (link: NodeLink, bounds: AskBounds) => Promise<Answer>,
    signal: AbortSignal | undefined,
    deadlineMs = this.#settings.deadlineMs,
  ): Promise<Answer> {
    const search = new LeaderSearch(this.#nodes);
    const end = performance.now() + deadlineMs;
    let outcome: "none" | "unknown" = "none";
    for (;;) {
      if (this.#closing.aborted) throw closedError(outcome, endOfLog(this.#closing));
      if (signal?.aborted) throw cancelled(signal, outcome);
      const leftMs = Math.max(1, end - performance.now());
      const { address } = search;
      let sent = false;
      try {
        if (!(await this.#nodes.connected(address, Math.min(leftMs, limits.clientConnectMs), signal))) {
          throw noConnection(address);
        }
        sent = true;
        const askMs = Math.min(leftMs, limits.clientAskMs);
        const answer = await question(this.#nodes.link(address), { deadlineMs: askMs, signal });
        search.found();
        return answer;
      } catch (error) {
        if (!(error instanceof PaxlogError) || verdicts.has(error.code)) throw error;
        if (sent && !refusals.has(error.code)) outcome = "unknown";
        search.failed(error);
        await search.pause(end - performance.now(), signal);
        if (performance.now() + limits.clientRetryMsFirst >= end)
          throw error.outcome === outcome ? error : withOutcome(error, outcome);
      }
    }
  }
}
