import { isGuardVerdict, PaxlogError } from "../base/errors.ts";
import { AppendCaller } from "./append-caller.ts";
import type { CheckedAppend } from "./append-check.ts";
import type { AcknowledgedAppend, AppendOrder, FailedAppend } from "./backend.ts";

/** Has an append ordered. `done` is called exactly once, never within this call, in no order between calls. */
export type OrderAppend<Append extends CheckedAppend, Acknowledged> = (
  append: Append,
  done: (result: Acknowledged | FailedAppend) => void,
  order: AppendOrder,
) => void;

export interface AppendAnswers<Acknowledged> {
  /** The answer to the next unanswered append. */
  acknowledged(answer: Acknowledged): void;
  /** The next unanswered append was refused; those behind it are judged for themselves. */
  refused(error: PaxlogError): void;
}

/**
 * Appends in order, none of which waits for another's answer, with answers in order: an AppendStream without the stream. Of what
 * was handed on a prefix is in the log: after the first failure nothing more should be handed on, and `failure` says how it ends
 * once nothing is unanswered. A failed guard of an independent append is no failure but an answer like any other.
 */
export class AppendSequence<Append extends CheckedAppend, Acknowledged extends AcknowledgedAppend> {
  readonly #orderAppend: OrderAppend<Append, Acknowledged>;
  readonly #answers: AppendAnswers<Acknowledged>;
  readonly #dependent: AppendOrder;
  readonly #independent: AppendOrder;
  /** How many were handed on, and how many of them have an answer that is no failure. */
  #handedCount = 0;
  #settledCount = 0;
  #answeredCount = 0;
  /** Results that came before one in front of them, by number. */
  readonly #early = new Map<number, { readonly result: Acknowledged | FailedAppend; readonly independent: boolean }>();
  #failure: PaxlogError | undefined;
  /** Something behind the failure was not simply refused. */
  #doubt = false;

  constructor(orderAppend: OrderAppend<Append, Acknowledged>, answers: AppendAnswers<Acknowledged>) {
    this.#orderAppend = orderAppend;
    this.#answers = answers;
    const caller = new AppendCaller();
    this.#dependent = { caller, independent: false };
    this.#independent = { caller, independent: true };
  }

  get unansweredCount(): number {
    return this.#handedCount - this.#settledCount;
  }

  get failed(): boolean {
    return this.#failure !== undefined;
  }

  /** Hands one on. `settled` is called when nothing but its answer's way to the caller is left to do. */
  append(append: Append, settled: () => void): void {
    const number = this.#handedCount;
    this.#handedCount += 1;
    // What a session asks for is judged by its serial, whatever became of other requests.
    const alone = append.independent || append.guards?.session !== undefined;
    const done = (result: Acknowledged | FailedAppend): void => {
      this.#take(number, result, alone);
      settled();
    };
    this.#orderAppend(append, done, alone ? this.#independent : this.#dependent);
  }

  /**
   * The error as it ends the sequence, where `otherwise` says why it ends if nothing failed. Its outcome speaks for all that has no
   * answer: "none" only if each of them is known to be refused. How many have one stands in its facts, since a transport may drop
   * answers that arrive together with an error.
   */
  failure(otherwise?: PaxlogError): PaxlogError | undefined {
    const error = this.#failure ?? otherwise;
    if (error === undefined) return undefined;
    return new PaxlogError(error.code, error.message, {
      cause: error,
      outcome: this.#doubt ? "unknown" : error.outcome,
      retryable: error.retryable,
      facts: { ...error.facts, acknowledged: this.#answeredCount },
    });
  }

  #take(number: number, result: Acknowledged | FailedAppend, independent: boolean): void {
    if (number !== this.#settledCount) {
      this.#early.set(number, { result, independent });
      return;
    }
    this.#settle(result, independent);
    for (let next = this.#early.get(this.#settledCount); next !== undefined; ) {
      this.#early.delete(this.#settledCount);
      this.#settle(next.result, next.independent);
      next = this.#early.get(this.#settledCount);
    }
  }

  #settle(result: Acknowledged | FailedAppend, independent: boolean): void {
    this.#settledCount += 1;
    if (this.#failure !== undefined) {
      if (result.kind === "acknowledged" || result.error.outcome === "unknown") this.#doubt = true;
    } else if (result.kind === "acknowledged") {
      this.#answeredCount += 1;
      this.#answers.acknowledged(result);
    } else if (independent && isGuardVerdict(result.error.code)) {
      this.#answeredCount += 1;
      this.#answers.refused(result.error);
    } else {
      this.#failure = result.error;
    }
  }
}
