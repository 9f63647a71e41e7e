import { limits } from "../base/limits.ts";
import { type Position, type Slot, slotPlus } from "../base/types.ts";
import type { LogHead } from "../core/durable.ts";
import { type Hold, holdBefore, type Retained, type SnapshotControl } from "../core/retained.ts";
import { decodeHold, decodeSnapshotControl, decodeTrim } from "./retained-control.ts";
import type { UndoLog } from "./undo.ts";

/** What an entry says of itself, as far as this state looks at it. */
export interface RetainedFacts {
  readonly slot: Slot;
  readonly time: number;
  /** The position of the next record. */
  readonly firstPosition: Position;
}

/**
 * Head, holds and the last snapshot's mark: a function of the log's entries. Each `take` returns what is wrong with the entry where
 * no sequencer may have ordered it, and changes nothing then.
 */
export class RetainedState {
  #ordered: Retained;
  #decided: Retained;

  constructor(retained: Retained) {
    this.#ordered = retained;
    this.#decided = retained;
  }

  /** With what undecided entries did to it. */
  get ordered(): Retained {
    return this.#ordered;
  }

  /** The same object as long as no decided entry changes it. */
  get decided(): Retained {
    return this.#decided;
  }

  /** A hold that holds nothing any more at this log time. */
  expired(time: number): Hold | undefined {
    return this.#ordered.holds.find((hold) => hold.expiresAt <= time);
  }

  holdOf(name: string): Hold | undefined {
    return this.#ordered.holds.find((hold) => hold.name === name);
  }

  takeTrim(facts: RetainedFacts, content: Uint8Array, undo: UndoLog | undefined): string | undefined {
    const head = decodeTrim(content);
    if (head === undefined) return "a trim entry that this version does not know";
    const { head: before, holds } = this.#ordered;
    if (head.position <= before.position || head.slot < before.slot) return `the head would fall to ${head.position}`;
    const fault = this.#outside(head, facts);
    if (fault !== undefined) return fault;
    const hold = holdBefore(holds, head.position);
    if (hold !== undefined) return `the head would pass the hold ${hold.name} at ${hold.at.position}`;
    this.#change(facts.slot, { ...this.#ordered, head }, undo);
    return undefined;
  }

  takeHold(facts: RetainedFacts, content: Uint8Array, undo: UndoLog | undefined): string | undefined {
    const control = decodeHold(content);
    if (control === undefined) return "a hold entry that this version does not know";
    const name = control.op === "put" ? control.hold.name : control.name;
    const known = this.holdOf(name);
    const others = this.#ordered.holds.filter((hold) => hold !== known);
    const fault =
      control.op === "put"
        ? this.#faultOfPut(control.hold, known, facts)
        : faultOfEnd(control.op, name, known, facts.time);
    if (fault !== undefined) return fault;
    const holds = control.op === "put" ? [...others, control.hold].sort(byName) : others;
    this.#change(facts.slot, { ...this.#ordered, holds }, undo);
    return undefined;
  }

  takeSnapshot(facts: RetainedFacts, content: Uint8Array, undo: UndoLog | undefined): string | undefined {
    const control = decodeSnapshotControl(content);
    if (control === undefined) return "a snapshot entry that this version does not know";
    const mark = this.#ordered.snapshot;
    if (control.op === "compare" && !this.wants(control)) {
      return `it names the snapshot ${control.slot}, and the last one is ${mark?.slot ?? "none"}`;
    }
    const snapshot =
      control.op === "take"
        ? { slot: slotPlus(facts.slot, 1), rootHash: undefined }
        : { slot: control.slot, rootHash: control.rootHash };
    this.#change(facts.slot, { ...this.#ordered, snapshot }, undo);
    return undefined;
  }

  /** Whether such an entry has its place in the log now. */
  wants(control: SnapshotControl): boolean {
    const mark = this.#ordered.snapshot;
    return control.op === "take" || (mark?.slot === control.slot && mark.rootHash === undefined);
  }

  #faultOfPut(hold: Hold, known: Hold | undefined, facts: RetainedFacts): string | undefined {
    if (known !== undefined && known.owner !== hold.owner) return `the hold ${hold.name} belongs to ${known.owner}`;
    if (known === undefined && this.#ordered.holds.length >= limits.holdsMax) return "there are too many holds";
    if (hold.at.position < this.#ordered.head.position) return `the hold ${hold.name} would be below the head`;
    return this.#outside(hold.at, facts);
  }

  #outside({ position, slot }: LogHead, facts: RetainedFacts): string | undefined {
    if (position <= facts.firstPosition && slot <= facts.slot) return undefined;
    return `it names the position ${position} in slot ${slot}, which are behind it`;
  }

  #change(slot: Slot, after: Retained, undo: UndoLog | undefined): void {
    const before = this.#ordered;
    this.#ordered = after;
    if (undo === undefined) {
      this.#decided = after;
      return;
    }
    const restore = () => {
      this.#ordered = before;
    };
    undo.add(slot, restore, () => {
      this.#decided = after;
    });
  }
}

function faultOfEnd(op: "drop" | "expire", name: string, known: Hold | undefined, time: number): string | undefined {
  if (known === undefined) return `there is no hold ${name}`;
  if (op === "drop" || time >= known.expiresAt) return undefined;
  return `the hold ${name} expires at ${time}, before its time ${known.expiresAt}`;
}

/** By code units: the same order on every machine. */
const byName = (a: Hold, b: Hold): number => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
