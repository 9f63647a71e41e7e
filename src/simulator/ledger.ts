import type { Hash, Position, Slot } from "../base/types.ts";
import type { AppendAnswer } from "../core/effect.ts";
import { type Entry, nextPositionOf } from "../core/entry.ts";
import { type AnnouncedEnd, SessionEnds } from "./session-ends.ts";
import { check } from "./violation.ts";

interface Append {
  readonly id: number;
  fate: "running" | "acknowledged" | "none" | "unknown";
  /** Slot in the one history, once it is decided. */
  slot: Slot | undefined;
  readonly beganUs: number;
  decidedUs: number;
}

/** An append in the one history, and when the first node knew that it was decided. */
export interface LandedAppend {
  readonly id: number;
  readonly entry: Entry;
  readonly beganUs: number;
  readonly decidedUs: number;
}

/**
 * The one history: what the first node that knew a slot decided said, which every node must repeat for ever; and the appends
 * and reads of all clients, held against it.
 */
export class Ledger {
  /** Decided entry of slot s at index s - 1. */
  readonly #entries: Entry[] = [];
  readonly #appends = new Map<number, Append>();
  readonly #appendOf: (entry: Entry) => number | undefined;
  readonly #sessionEnds = new SessionEnds();
  /** Everything below is acknowledged to someone, or was the result of a finished linearizable read. */
  #floor = 1 as Position;
  #acknowledged = 0;

  readonly #nowUs: () => number;

  /** `appendOf` names the append that an entry's payload came from. */
  constructor(appendOf: (entry: Entry) => number | undefined, nowUs: () => number = () => 0) {
    this.#appendOf = appendOf;
    this.#nowUs = nowUs;
  }

  /** First slot that nobody knows to be decided. */
  get end(): Slot {
    return (this.#entries.length + 1) as Slot;
  }

  get nextPosition(): Position {
    const last = this.#entries[this.#entries.length - 1];
    return last === undefined ? (1 as Position) : nextPositionOf(last);
  }

  /** Position that a linearizable read that begins now must reach. */
  get floor(): Position {
    return this.#floor;
  }

  /** The batches that announce the end of a session. */
  get announcedEnds(): readonly AnnouncedEnd[] {
    return this.#sessionEnds.announced;
  }

  get acknowledged(): number {
    return this.#acknowledged;
  }

  entryAt(slot: Slot): Entry | undefined {
    return this.#entries[slot - 1];
  }

  hashBefore(slot: Slot): Hash | undefined {
    return this.#entries[slot - 2]?.hash;
  }

  /** A node says that this entry is decided. `isNew` is true for the first that says so of this slot. */
  decided(node: string, entry: Entry): { readonly isNew: boolean } {
    const known = this.entryAt(entry.slot);
    if (known !== undefined) {
      check(
        known.hash === entry.hash,
        () => `${node} shows ${describe(entry)} as decided, the one history has ${describe(known)}`,
      );
      return { isNew: false };
    }
    const last = this.#entries[this.#entries.length - 1];
    check(entry.slot === this.end, () => `${node} decides slot ${entry.slot}, but the one history ends at ${this.end}`);
    check(
      last === undefined || entry.prevHash === last.hash,
      () => `${node} decides ${describe(entry)}, which does not follow ${describe(last!)}`,
    );
    check(
      entry.firstPosition === this.nextPosition,
      () => `positions are not dense: ${describe(entry)} begins at ${entry.firstPosition}, not ${this.nextPosition}`,
    );
    check(last === undefined || entry.time >= last.time, () => `time goes back at ${describe(entry)}`);
    this.#entries.push(entry);
    const isAnnouncement = this.#sessionEnds.take(entry, this.#nowUs());
    if (entry.kind === "batch" && !isAnnouncement) this.#land(entry);
    return { isNew: true };
  }

  /** Each append lands at most once, and never after its client was told that nothing happened. */
  #land(entry: Entry): void {
    const id = this.#appendOf(entry);
    const append = id === undefined ? undefined : this.#appends.get(id);
    check(append !== undefined, () => `nobody appended what ${describe(entry)} holds`);
    check(append.slot === undefined, () => `append ${append.id} is in slots ${append.slot} and ${entry.slot}`);
    check(
      append.fate !== "none",
      () => `append ${append.id} was refused with outcome none and is decided in slot ${entry.slot}`,
    );
    append.slot = entry.slot;
    append.decidedUs = this.#nowUs();
  }

  /** The append, if it is known to be decided. */
  landed(id: number): LandedAppend | undefined {
    const append = this.#appends.get(id);
    if (append?.slot === undefined) return undefined;
    const { beganUs, decidedUs } = append;
    return { id, entry: this.entryAt(append.slot)!, beganUs, decidedUs };
  }

  /** All that are known to be decided. */
  *allLanded(): IterableIterator<LandedAppend> {
    for (const id of this.#appends.keys()) {
      const landed = this.landed(id);
      if (landed !== undefined) yield landed;
    }
  }

  appendBegins(id: number): void {
    this.#appends.set(id, { id, fate: "running", slot: undefined, beganUs: this.#nowUs(), decidedUs: 0 });
  }

  appendEnds(id: number, answer: AppendAnswer | "lost"): void {
    const append = this.#appends.get(id);
    check(append?.fate === "running", () => `append ${id} is answered a second time`);
    if (answer === "lost" || (answer.kind === "failed" && answer.outcome === "unknown")) {
      append.fate = "unknown";
      return;
    }
    if (answer.kind === "failed") {
      check(
        append.slot === undefined,
        () => `append ${id} is answered ${answer.code}, outcome none, but is decided in slot ${append.slot}`,
      );
      append.fate = "none";
      return;
    }
    if (answer.kind === "refused") {
      check(
        append.slot === undefined,
        () => `append ${id} is refused by its ${answer.refusal.guard}, but is decided in slot ${append.slot}`,
      );
      append.fate = "none";
      return;
    }
    check(answer.kind === "acknowledged", () => `append ${id} is answered ${answer.kind}`);
    const slot = append.slot;
    check(slot !== undefined, () => `append ${id} is acknowledged at position ${answer.firstPosition} but not decided`);
    const entry = this.entryAt(slot)!;
    check(
      entry.firstPosition === answer.firstPosition &&
        entry.recordCount === answer.recordCount &&
        entry.time === answer.time,
      () =>
        `append ${id} is acknowledged at ${answer.firstPosition} (${answer.recordCount} records), but is in ${describe(entry)}`,
    );
    append.fate = "acknowledged";
    this.#acknowledged += 1;
    this.#raiseFloor(nextPositionOf(entry));
  }

  /** A linearizable read that began when the floor was `floor` shows what is before `tail`. */
  readEnds(node: string, floor: Position, tail: Position): void {
    check(
      tail >= floor,
      () =>
        `${node} serves a linearizable read up to ${tail}; when it began, ${floor} was already acknowledged or read`,
    );
    this.#raiseFloor(tail);
  }

  #raiseFloor(position: Position): void {
    if (position > this.#floor) this.#floor = position;
  }
}

const describe = (entry: Entry): string =>
  `slot ${entry.slot} (${entry.kind}, position ${entry.firstPosition}, hash ${entry.hash.slice(0, 8)})`;
