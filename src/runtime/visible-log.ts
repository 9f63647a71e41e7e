import { assert } from "../base/assert.ts";
import { firstPosition, type Position, type Slot } from "../base/types.ts";
import type { Log } from "../core/log.ts";
import type { ReadPiece, ReadStep, Watch, Watched } from "../transport/backend.ts";
import { belowHead } from "../transport/read-begin.ts";
import type { History } from "./history.ts";
import { HistoryReads } from "./history-reads.ts";
import { TailWatchers } from "./tail-watchers.ts";

/** The log as readers of this node may see it: what is decided and durable here, from the head to the tail. */
export class VisibleLog {
  readonly #log: Log;
  readonly #history: History;
  readonly #reads: HistoryReads;
  readonly #watchers: TailWatchers;
  readonly #listeners = new Set<() => void>();
  #end: Slot;
  #head: Position = firstPosition;
  /** Position after the last visible record. */
  #tail: Position;

  /** `checksum` is CRC32C. */
  constructor(log: Log, end: Slot, history: History, checksum: (bytes: Uint8Array) => number) {
    this.#log = log;
    this.#history = history;
    this.#reads = new HistoryReads(history, checksum);
    this.#end = end;
    this.#tail = log.positionAt(end);
    this.#watchers = new TailWatchers(this.#tail);
  }

  /** First slot that is not visible. */
  get end(): Slot {
    return this.#end;
  }

  get head(): Position {
    return this.#head;
  }

  get tail(): Position {
    return this.#tail;
  }

  /** More became visible. Tells everybody who waits for it. */
  show(end: Slot, tail: Position): void {
    assert(end >= this.#end, "what was visible stays visible");
    const from = this.#end;
    this.#end = end;
    if (tail === this.#tail) return;
    this.#tail = tail;
    this.#watchers.moved(tail, { from, end, at: (slot) => this.#log.at(slot) });
    this.#tellListeners();
  }

  read(step: ReadStep): ReadPiece {
    const { direction, from } = step;
    const { head, tail } = this;
    if (direction === "forward" && from >= tail) return { batches: [], next: from, fromDisk: false };
    if (direction === "backward" && from < head) return { batches: [], next: 0, fromDisk: false };
    if (from < head) throw belowHead(from, head);
    assert(from < tail, "a read backward begins below the tail");
    return this.#reads.read(step, { head, tail, end: this.#end });
  }

  positionOfTime(time: number): Position {
    const slot = this.#history.slotOfTime(time, this.#end);
    const found = slot >= this.#end ? this.#tail : this.#history.positionAt(slot);
    return Math.max(found, this.#head) as Position;
  }

  watch(watched: Watched, onNews: (from: Position) => void): Watch {
    return this.#watchers.watch(watched, onNews);
  }

  onTail(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Nothing more becomes visible: whoever waits finds out why. */
  stop(): void {
    this.#watchers.end();
    this.#tellListeners();
  }

  #tellListeners(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
