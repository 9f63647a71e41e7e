import { isGuardVerdict, PaxlogError } from "../base/errors.ts";

let lastId = 0;

/**
 * Somebody whose appends go into the log in the order in which they were handed over, or not at all: of what a caller sent, a
 * prefix is in the log. Once one of its appends failed the backend orders none of its later ones, those included that it was
 * handed before.
 */
export class AppendCaller {
  /** From 1, never used twice in a thread. */
  readonly id: number;
  #failure: PaxlogError | undefined;

  constructor() {
    lastId += 1;
    this.id = lastId;
  }

  /** Notes how an append of this caller failed. The first failure that is more than the verdict on an independent append counts. */
  failed(error: PaxlogError, independent: boolean): void {
    if (independent && isGuardVerdict(error.code)) return;
    this.#failure ??= error;
  }

  /** Why nothing more of this caller is ordered; undefined as long as nothing failed. */
  get refusal(): PaxlogError | undefined {
    const failure = this.#failure;
    if (failure === undefined) return undefined;
    const { code, message, retryable, facts } = failure;
    return new PaxlogError(code, `an append in front of it failed: ${message}`, { retryable, facts, cause: failure });
  }
}
