import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import type { Slot } from "../base/types.ts";
import type { SessionEnd, SessionOutcome, SessionSnapshot } from "../core/sequencer.ts";
import type { UndoLog } from "./undo.ts";

interface Session {
  readonly id: number;
  readonly ttlMs: number;
  /** A batch says when it ends: no other entry may end it. */
  readonly announceEnd: boolean;
  /** Log time from which on it may be expired. Moves with each of its entries. */
  expiresAt: number;
  /** By serial, ascending: the last limits.sessionWindow of them. */
  readonly outcomes: SessionOutcome[];
  /** Whether an outcome was dropped: older serials are not known any more. */
  forgotten: boolean;
  /** Of the outcomes, those in undecided slots. */
  inFlight: number;
}

/** How an entry ends a session. */
export interface EndFacts {
  readonly slot: Slot;
  readonly time: number;
  readonly end: SessionEnd;
  readonly isAnnounced: boolean;
}

/** What a request's serial says, before anything else is looked at. */
export type SerialVerdict =
  | { readonly kind: "new" }
  | { readonly kind: "known"; readonly outcome: SessionOutcome }
  /** The session is not known, or the serial is older than what it keeps. */
  | { readonly kind: "unknown" }
  /** A later serial was ordered first: this one never was and never will be. */
  | { readonly kind: "passed" }
  | { readonly kind: "overflow" };

/**
 * The exactly-once sessions of the log: a function of its entries, the same on every replica. Serials of a session stand in the log
 * in ascending order, so a request that comes again is found by its serial, and one that was overtaken is never ordered.
 */
export class Sessions {
  readonly #sessions = new Map<number, Session>();

  static load(snapshots: readonly SessionSnapshot[]): Sessions {
    const sessions = new Sessions();
    for (const { outcomes, ...session } of snapshots) {
      sessions.#sessions.set(session.id, { ...session, outcomes: [...outcomes], inFlight: 0 });
    }
    return sessions;
  }

  /** By id. The caller has seen to it that nothing is undecided. */
  save(): SessionSnapshot[] {
    return [...this.#sessions.values()]
      .sort((a, b) => a.id - b.id)
      .map(({ inFlight: _, outcomes, ...session }) => ({ ...session, outcomes: [...outcomes] }));
  }

  get count(): number {
    return this.#sessions.size;
  }

  ttlOf(id: number): number | undefined {
    return this.#sessions.get(id)?.ttlMs;
  }

  /** Whether a batch must say that it ends. */
  announces(id: number): boolean {
    return this.#sessions.get(id)?.announceEnd ?? false;
  }

  /** A session that may be expired at this log time, if there is one. */
  expired(time: number): number | undefined {
    for (const session of this.#sessions.values()) if (session.expiresAt <= time) return session.id;
    return undefined;
  }

  judge(id: number, serial: number): SerialVerdict {
    const session = this.#sessions.get(id);
    if (session === undefined) return { kind: "unknown" };
    const { outcomes } = session;
    const last = outcomes[outcomes.length - 1];
    if (last === undefined || serial > last.serial) {
      return session.inFlight >= limits.sessionWindow ? { kind: "overflow" } : { kind: "new" };
    }
    const outcome = find(outcomes, serial);
    if (outcome !== undefined) return { kind: "known", outcome };
    return session.forgotten && serial < outcomes[0]!.serial ? { kind: "unknown" } : { kind: "passed" };
  }

  // ---- What entries do. Each returns what is wrong with the entry, if anything is, and changes nothing then.

  open(
    id: Slot,
    { ttlMs, announceEnd }: { readonly ttlMs: number; readonly announceEnd: boolean },
    time: number,
    undo: UndoLog | undefined,
  ): string | undefined {
    if (this.#sessions.has(id)) return `session ${id} is opened twice`;
    const expiresAt = time + ttlMs;
    this.#sessions.set(id, { id, ttlMs, announceEnd, expiresAt, outcomes: [], forgotten: false, inFlight: 0 });
    undo?.add(id, () => this.#sessions.delete(id));
    return undefined;
  }

  keep(slot: Slot, id: number, time: number, undo: UndoLog | undefined): string | undefined {
    const session = this.#sessions.get(id);
    if (session === undefined) return `session ${id} is not open`;
    const { expiresAt } = session;
    session.expiresAt = time + session.ttlMs;
    undo?.add(slot, () => {
      session.expiresAt = expiresAt;
    });
    return undefined;
  }

  /** By an entry of this time, which says so in a record where the session asks for it, and only there. */
  end(id: number, { slot, time, end, isAnnounced }: EndFacts, undo: UndoLog | undefined): string | undefined {
    const session = this.#sessions.get(id);
    if (session === undefined) return `session ${id} is not open`;
    const { announceEnd, expiresAt } = session;
    if (announceEnd !== isAnnounced) return `the end of session ${id} must ${announceEnd ? "" : "not "}be announced`;
    if (end === "expired" && time < expiresAt) return `session ${id} expires at ${time}, before its time ${expiresAt}`;
    this.#sessions.delete(id);
    undo?.add(slot, () => this.#sessions.set(id, session));
    return undefined;
  }

  /** A request of the session stands in the log, as a batch or as a refusal. */
  take(id: number, outcome: SessionOutcome, undo: UndoLog | undefined): string | undefined {
    const session = this.#sessions.get(id);
    if (session === undefined) return `session ${id} is not open`;
    const { outcomes, expiresAt, forgotten } = session;
    const last = outcomes[outcomes.length - 1];
    if (last !== undefined && outcome.serial <= last.serial) {
      return `serial ${outcome.serial} of session ${id} comes behind ${last.serial}`;
    }
    outcomes.push(outcome);
    const dropped = outcomes.length > limits.sessionWindow ? outcomes.shift() : undefined;
    session.forgotten ||= dropped !== undefined;
    session.expiresAt = outcome.time + session.ttlMs;
    if (undo === undefined) return undefined;
    session.inFlight += 1;
    undo.add(
      outcome.slot,
      () => {
        outcomes.pop();
        if (dropped !== undefined) outcomes.unshift(dropped);
        session.forgotten = forgotten;
        session.expiresAt = expiresAt;
        session.inFlight -= 1;
      },
      () => {
        session.inFlight -= 1;
        assert(session.inFlight >= 0, "requests in flight are counted once");
      },
    );
    return undefined;
  }
}

/** Binary search by serial. */
function find(outcomes: readonly SessionOutcome[], serial: number): SessionOutcome | undefined {
  let low = 0;
  let high = outcomes.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (outcomes[middle]!.serial < serial) low = middle + 1;
    else high = middle;
  }
  return outcomes[low]?.serial === serial ? outcomes[low] : undefined;
}
