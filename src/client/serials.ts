import { limits } from "../base/limits.ts";
import type { SessionRequest } from "../core/guards.ts";
import type { OutgoingBatch } from "./pending-append.ts";

/** The serials of one session: each new batch gets the next one, unless its caller counts. */
export class Serials {
  readonly session: number;
  #next: number;

  constructor(session: number, next: number) {
    this.session = session;
    this.#next = next;
  }

  /** The first serial that was never taken. */
  get next(): number {
    return this.#next;
  }

  /** The name of a batch; a serial that the caller gave may have been taken before. */
  take(given: number | undefined): SessionRequest {
    const serial = given ?? this.#next;
    this.#next = Math.max(this.#next, serial + 1);
    return { id: this.session, serial };
  }

  /** Whether another batch may be sent while `oldest` is the oldest one in flight: the log remembers so many answers. */
  hasRoom(given: number | undefined, oldest: OutgoingBatch | undefined): boolean {
    const serial = oldest?.guards?.session?.serial;
    return serial === undefined || (given ?? this.#next) - serial < limits.sessionWindow;
  }
}
