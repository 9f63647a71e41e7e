import type { Entry } from "../core/entry.ts";
import { batchOf } from "../format/entry.ts";
import { decodeSession } from "../sequencer/control.ts";
import { check } from "./violation.ts";

/** The end of a session as it stands in the one history. */
export interface AnnouncedEnd {
  readonly entry: Entry;
  readonly decidedUs: number;
}

/**
 * Holds the one history against the promise of announced ends: a session that asked for it ends by one batch, a session that did not by
 * none, and nothing of a session comes behind its end.
 */
export class SessionEnds {
  /** Open sessions, and whether their end is announced. */
  readonly #open = new Map<number, boolean>();
  readonly #ends: AnnouncedEnd[] = [];

  /** All that are decided, in the order of the log. */
  get announced(): readonly AnnouncedEnd[] {
    return this.#ends;
  }

  /** The next decided entry. Returns whether it is the announcement of an end, which nobody appended. */
  take(entry: Entry, decidedUs: number): boolean {
    const { kind, slot, session, serial } = entry;
    const control = kind === "session" ? decodeSession(batchOf(entry)) : undefined;
    if (control?.op === "open") {
      this.#open.set(slot, control.announceEnd);
      return false;
    }
    if (session === 0) return false;
    const isAnnounced = this.#open.get(session);
    check(isAnnounced !== undefined, () => `slot ${slot} is of session ${session}, which is not open`);
    const isAnnouncement = kind === "batch" && serial === 0;
    const isEnd = isAnnouncement || control?.op === "close" || control?.op === "expire";
    if (!isEnd) return false;
    check(isAnnouncement === isAnnounced, () => `slot ${slot} ends session ${session} by a ${kind} entry`);
    this.#open.delete(session);
    if (isAnnouncement) this.#ends.push({ entry, decidedUs });
    return isAnnouncement;
  }
}
