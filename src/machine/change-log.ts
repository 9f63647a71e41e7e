import { assert } from "../base/assert.ts";
import type { StateReader, StateWriter } from "./state-bytes.ts";

/** One thing that happened to a state, as a machine holds it. */
export interface RecordedChange<Change> {
  readonly position: number;
  readonly time: number;
  readonly change: Change;
}

/** The changes of one moment: what it holds is shared with the log, which never changes a change. */
export class FrozenChanges<Change> {
  readonly #form: ChangeForm<Change>;
  readonly #reach: number;
  readonly #changes: readonly (RecordedChange<Change> | undefined)[];

  constructor(form: ChangeForm<Change>, reach: number, changes: readonly (RecordedChange<Change> | undefined)[]) {
    this.#form = form;
    this.#reach = reach;
    this.#changes = changes;
  }

  /** Hands on what is full, as the owner of the writer does. */
  *save(writer: StateWriter): Iterable<Uint8Array> {
    writer.number(this.#reach);
    writer.number(this.#changes.length);
    let before = { position: 0, time: 0 };
    for (const recorded of this.#changes) {
      const { position, time, change } = recorded!;
      // Neither ever falls.
      writer.number(position - before.position);
      writer.number(time - before.time);
      this.#form.write(writer, change);
      before = recorded!;
      if (writer.hasFull) yield* writer.full();
    }
  }
}

/** How the changes of a machine are saved, and what they count. */
export interface ChangeForm<Change> {
  /** About what one takes in memory. */
  sizeOf(change: Change): number;
  write(writer: StateWriter, change: Change): void;
  read(reader: StateReader): Change;
}

export interface ChangeBounds {
  /** The oldest are forgotten when there are more, */
  readonly count: number;
  /** ... or when all together are larger. */
  readonly bytes: number;
}

/**
 * The last changes of a machine's state, for those who watch it: part of the state, so that every replica remembers equally far back,
 * also one that began with a snapshot.
 */
export class ChangeLog<Change> {
  readonly #bounds: ChangeBounds;
  readonly #form: ChangeForm<Change>;
  /** Oldest first; those before `begin` are forgotten. */
  #changes: (RecordedChange<Change> | undefined)[] = [];
  #begin = 0;
  #bytes = 0;
  /** Every change at this position and later is here. Invariant: above the position of all that was forgotten. */
  #reach = 0;

  constructor(bounds: ChangeBounds, form: ChangeForm<Change>) {
    this.#bounds = bounds;
    this.#form = form;
  }

  /** Changes below it may be forgotten. */
  get reach(): number {
    return this.#reach;
  }

  /** Behind all before it; a command may make many at its position. */
  add(position: number, time: number, change: Change): void {
    const last = this.#changes.at(-1);
    assert(last === undefined || position >= last.position, () => `a change at ${position} behind ${last!.position}`);
    this.#changes.push({ position, time, change });
    this.#bytes += this.#form.sizeOf(change);
    const { count, bytes } = this.#bounds;
    while (this.#changes.length - this.#begin > count || this.#bytes > bytes) this.#forgetOldest();
  }

  /**
   * The changes from a position on that `concerns` picks, oldest first; undefined where the log does not reach back so far. At most `max`,
   * but always all of a position: whoever goes on does so behind the position of the last one.
   */
  since(
    from: number,
    max: number,
    concerns: (change: Change) => boolean,
  ): readonly RecordedChange<Change>[] | undefined {
    if (from < this.#reach) return undefined;
    const found: RecordedChange<Change>[] = [];
    for (let index = this.#indexOf(from); index < this.#changes.length; index += 1) {
      const recorded = this.#changes[index]!;
      if (found.length >= max && recorded.position !== found.at(-1)!.position) break;
      if (concerns(recorded.change)) found.push(recorded);
    }
    return found;
  }

  /** As it is now, to be saved later. */
  freeze(): FrozenChanges<Change> {
    return new FrozenChanges(this.#form, this.#reach, this.#changes.slice(this.#begin));
  }

  static load<Change>(reader: StateReader, bounds: ChangeBounds, form: ChangeForm<Change>): ChangeLog<Change> {
    const log = new ChangeLog(bounds, form);
    const reach = reader.number();
    let [position, time] = [0, 0];
    for (let left = reader.number(); left > 0; left -= 1) {
      position += reader.number();
      time += reader.number();
      log.add(position, time, form.read(reader));
    }
    log.#reach = Math.max(log.#reach, reach);
    return log;
  }

  /** The first change at `position` or later. */
  #indexOf(position: number): number {
    let [low, high] = [this.#begin, this.#changes.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#changes[middle]!.position < position) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #forgetOldest(): void {
    const oldest = this.#changes[this.#begin]!;
    this.#changes[this.#begin] = undefined;
    this.#bytes -= this.#form.sizeOf(oldest.change);
    this.#reach = oldest.position + 1;
    this.#begin += 1;
    // So rarely that each change is moved about once.
    if (this.#begin < 1024 || this.#begin * 2 < this.#changes.length) return;
    this.#changes = this.#changes.slice(this.#begin);
    this.#begin = 0;
  }
}
