import { assert } from "../base/assert.ts";
import { concat } from "../base/bytes.ts";
import { StateReader, StateWriter } from "./state-bytes.ts";

/** One thing that happened to a state, as a machine holds it. */
export interface RecordedChange<Change> {
  readonly position: number;
  readonly time: number;
  readonly change: Change;
}

/** How the changes of a machine are kept and saved. */
export interface ChangeForm<Change> {
  write(writer: StateWriter, change: Change): void;
  read(reader: StateReader): Change;
}

export interface ChangeBounds {
  /** So many are remembered at least, and a 64th more at most, */
  readonly count: number;
  /** ... unless all together take more than this. */
  readonly bytes: number;
}

/** Changes in a row, as bytes: of each how much further its position and time are than those before it, and the change. */
interface Chunk<Change> {
  count: number;
  readonly firstPosition: number;
  lastPosition: number;
  lastTime: number;
  length: number;
  readonly pieces: Uint8Array[];
  /** The same as values, where somebody is likely to ask for them: of the last two chunks. */
  changes: RecordedChange<Change>[] | undefined;
}

type FrozenChunk = Omit<Chunk<never>, "changes">;

const chunksPerLog = 64;

/**
 * The last changes of a machine's state, for those who watch it: part of the state, so that every replica remembers equally far back,
 * also one that began with a snapshot. They are kept in chunks of bytes, as they are saved: so each is written once however often the
 * state is saved, the collector has nothing to look at, and a start reads none of them. Where a chunk ends follows from the changes alone.
 */
export class ChangeLog<Change> {
  readonly #bounds: ChangeBounds;
  readonly #form: ChangeForm<Change>;
  /** What the last chunk has beside its pieces. */
  readonly #writer = new StateWriter();
  /** Oldest first; the last one may grow. None is empty. */
  readonly #chunks: Chunk<Change>[] = [];
  #count = 0;
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
    const last = this.#chunks.at(-1);
    assert(
      last === undefined || position >= last.lastPosition,
      () => `a change at ${position} behind ${last!.lastPosition}`,
    );
    const chunk = last === undefined || this.#isFull(last) ? this.#begin(position) : last;
    chunk.changes ??= this.#read(chunk);
    chunk.changes.push({ position, time, change });
    const before = this.#writer.length;
    // Neither ever falls.
    this.#writer.number(position - chunk.lastPosition);
    this.#writer.number(time - chunk.lastTime);
    this.#form.write(this.#writer, change);
    const length = this.#writer.length - before;
    chunk.count += 1;
    chunk.lastPosition = position;
    chunk.lastTime = time;
    chunk.length += length;
    this.#count += 1;
    this.#bytes += length;
    while (this.#isOver()) this.#forgetOldest();
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
    for (let index = this.#indexOf(from); index < this.#chunks.length; index += 1) {
      for (const recorded of this.#changesOf(index)) {
        if (recorded.position < from) continue;
        if (found.length >= max && recorded.position !== found.at(-1)!.position) return found;
        if (concerns(recorded.change)) found.push(recorded);
      }
    }
    return found;
  }

  /** As it is now, to be saved later. */
  freeze(): FrozenChanges {
    this.#flush();
    const chunks = this.#chunks.map(({ changes, pieces, ...rest }) => ({ ...rest, pieces: [...pieces] }));
    return new FrozenChanges(this.#reach, chunks);
  }

  /** @throws RangeError for bytes that `FrozenChanges.save` did not write. */
  static load<Change>(reader: StateReader, bounds: ChangeBounds, form: ChangeForm<Change>): ChangeLog<Change> {
    const log = new ChangeLog(bounds, form);
    log.#reach = reader.number();
    for (let left = reader.number(); left > 0; left -= 1) {
      const count = reader.number();
      const firstPosition = reader.number();
      const lastPosition = firstPosition + reader.number();
      const lastTime = reader.number();
      const bytes = Uint8Array.from(reader.bytes());
      const { length } = bytes;
      log.#chunks.push({ count, firstPosition, lastPosition, lastTime, length, pieces: [bytes], changes: undefined });
      log.#count += count;
      log.#bytes += length;
    }
    return log;
  }

  #begin(position: number): Chunk<Change> {
    this.#flush();
    const chunks = this.#chunks;
    const behindLast = chunks.at(-2);
    if (behindLast !== undefined) behindLast.changes = undefined;
    const chunk: Chunk<Change> = {
      count: 0,
      firstPosition: position,
      lastPosition: position,
      lastTime: 0,
      length: 0,
      pieces: [],
      changes: [],
    };
    chunks.push(chunk);
    return chunk;
  }

  #isFull({ count, length }: Chunk<Change>): boolean {
    return count >= this.#bounds.count / chunksPerLog || length >= this.#bounds.bytes / chunksPerLog;
  }

  #isOver(): boolean {
    const oldest = this.#chunks[0];
    if (oldest === undefined) return false;
    return this.#count - oldest.count >= this.#bounds.count || this.#bytes > this.#bounds.bytes;
  }

  #forgetOldest(): void {
    // What the writer has is of the last chunk, which may be this one.
    this.#flush();
    const { count, length, lastPosition } = this.#chunks.shift()!;
    this.#count -= count;
    this.#bytes -= length;
    this.#reach = lastPosition + 1;
  }

  #flush(): void {
    this.#chunks.at(-1)?.pieces.push(...this.#writer.rest());
  }

  /** The first chunk that has changes at `position` or later. */
  #indexOf(position: number): number {
    const index = this.#chunks.findIndex(({ lastPosition }) => lastPosition >= position);
    return index < 0 ? this.#chunks.length : index;
  }

  #changesOf(index: number): readonly RecordedChange<Change>[] {
    const chunk = this.#chunks[index]!;
    if (chunk.changes !== undefined) return chunk.changes;
    const changes = this.#read(chunk);
    if (index >= this.#chunks.length - 2) chunk.changes = changes;
    return changes;
  }

  /** @throws RangeError for bytes that `add` did not write. */
  #read(chunk: Chunk<Change>): RecordedChange<Change>[] {
    if (chunk === this.#chunks.at(-1)) this.#flush();
    const reader = new StateReader([concat(chunk.pieces)]);
    const changes: RecordedChange<Change>[] = [];
    let [position, time] = [chunk.firstPosition, 0];
    for (let left = chunk.count; left > 0; left -= 1) {
      position += reader.number();
      time += reader.number();
      changes.push({ position, time, change: this.#form.read(reader) });
    }
    reader.end();
    return changes;
  }
}

/** The changes of one moment. */
export class FrozenChanges {
  readonly #reach: number;
  readonly #chunks: readonly FrozenChunk[];

  constructor(reach: number, chunks: readonly FrozenChunk[]) {
    this.#reach = reach;
    this.#chunks = chunks;
  }

  /** Hands on what is full, as the owner of the writer does. */
  *save(writer: StateWriter): Iterable<Uint8Array> {
    writer.number(this.#reach);
    writer.number(this.#chunks.length);
    for (const { count, firstPosition, lastPosition, lastTime, pieces } of this.#chunks) {
      writer.number(count);
      writer.number(firstPosition);
      writer.number(lastPosition - firstPosition);
      writer.number(lastTime);
      writer.bytes(concat(pieces));
      if (writer.hasFull) yield* writer.full();
    }
  }
}
