import type { Slot } from "../base/types.ts";

/** A change that an undecided slot made, and what its fate means. */
interface Change {
  readonly slot: Slot;
  readonly undo: () => void;
  readonly decide: (() => void) | undefined;
}

/**
 * The overlay: what undecided slots changed, in slot order. The state itself always stands at the end of what was ordered; where a
 * ballot is lost the changes are taken back, the newest first, and what is left is the decided base. At most a window of slots.
 */
export class UndoLog {
  #changes: Change[] = [];
  #begin = 0;

  add(slot: Slot, undo: () => void, decide?: () => void): void {
    this.#changes.push({ slot, undo, decide });
  }

  /** Slots below `end` are decided: their changes stay. */
  decided(end: Slot): void {
    while (this.#begin < this.#changes.length && this.#changes[this.#begin]!.slot < end) {
      this.#changes[this.#begin]!.decide?.();
      this.#begin += 1;
    }
    if (this.#begin === this.#changes.length && this.#begin > 0) {
      this.#changes = [];
      this.#begin = 0;
    } else if (this.#begin >= 1024) {
      this.#changes = this.#changes.slice(this.#begin);
      this.#begin = 0;
    }
  }

  /** Takes back what is undecided. */
  undoAll(): void {
    while (this.#changes.length > this.#begin) this.#changes.pop()!.undo();
    this.#changes = [];
    this.#begin = 0;
  }
}
