import { AppendCaller } from "../transport/append-caller.ts";

interface PortCaller {
  readonly caller: AppendCaller;
  unanswered: number;
  /** Number of the message that tells the proxy that an append of it failed. */
  failedIn: number | undefined;
}

/**
 * The callers of one proxy as the backend's thread knows them, by the numbers that the proxy gives them. One is kept while an append
 * of it has no answer; one that failed is kept until the proxy has heard of it, since appends that it sent before then are under
 * way and must fail too.
 */
export class PortCallers {
  readonly #known = new Map<number, PortCaller>();
  /** Those that failed, in order. */
  #failed: number[] = [];

  get count(): number {
    return this.#known.size;
  }

  /** An append of the caller is handed to the backend. */
  begin(id: number): AppendCaller {
    let known = this.#known.get(id);
    if (known === undefined) {
      known = { caller: new AppendCaller(), unanswered: 0, failedIn: undefined };
      this.#known.set(id, known);
    }
    known.unanswered += 1;
    return known.caller;
  }

  /** Its answer goes out with this message, by number. */
  end(id: number, message: number): void {
    const known = this.#known.get(id);
    if (known === undefined) return;
    known.unanswered -= 1;
    if (known.failedIn === undefined && known.caller.refusal !== undefined) {
      known.failedIn = message;
      this.#failed.push(id);
    } else if (known.failedIn === undefined && known.unanswered === 0) {
      this.#known.delete(id);
    }
  }

  /** All that the proxy sent before it had received this message was handed over. */
  heard(message: number): void {
    let count = 0;
    while (count < this.#failed.length && this.#known.get(this.#failed[count]!)!.failedIn! <= message) {
      this.#known.delete(this.#failed[count]!);
      count += 1;
    }
    if (count > 0) this.#failed = this.#failed.slice(count);
  }
}
