import { assert } from "../base/assert.ts";
import type { Position, Slot } from "../base/types.ts";
import type { LogHead } from "../core/durable.ts";
import type { Log } from "../core/log.ts";
import type { ReplicaView } from "../core/replica.ts";
import type { Retained } from "../core/retained.ts";
import type { ReadPiece, ReadStep, Watch, Watched } from "../transport/backend.ts";
import { belowHead } from "../transport/read-begin.ts";
import type { History, MissingIndex } from "./history.ts";
import { HistoryReads } from "./history-reads.ts";
import { placeIn } from "./retaining.ts";
import { TailWatchers } from "./tail-watchers.ts";

/** The log as readers of this node may see it: what is decided and durable here, from the head to the tail. */
export class VisibleLog {
  readonly #log: Log;
  readonly #history: History;
  readonly #reads: HistoryReads;
  readonly #watchers: TailWatchers;
  readonly #listeners = new Set<() => void>();
  #end: Slot;
  #retained: Retained;
  /** Position after the last visible record. */
  #tail: Position;

  /** `checksum` is CRC32C. */
  constructor(
    log: Log,
    view: Pick<ReplicaView, "visibleEnd" | "retained">,
    history: History,
    checksum: (bytes: Uint8Array) => number,
  ) {
    this.#log = log;
    this.#history = history;
    this.#reads = new HistoryReads(history, checksum);
    this.#end = view.visibleEnd;
    this.#retained = view.retained;
    this.#tail = log.positionAt(view.visibleEnd);
    this.#watchers = new TailWatchers(this.#tail);
  }

  /** First slot that is not visible. */
  get end(): Slot {
    return this.#end;
  }

  get head(): Position {
    return this.#retained.head.position;
  }

  get headPlace(): LogHead {
    return this.#retained.head;
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

  /** What is kept changed. Whoever waits at the tail hears of a head that moved. */
  retain(retained: Retained): void {
    const { head } = this;
    this.#retained = retained;
    assert(this.head >= head, "the head never moves back");
    // A head above the tail is that of an installed snapshot: what becomes visible with it is told next.
    if (this.head > head && this.head <= this.#tail) this.#tellListeners();
  }

  /** Where a position stands: for what is looked up once, so that no replica has to. @throws PaxlogError POSITION_PAST_TAIL. */
  placeOf(position: Position): LogHead {
    return placeIn(position, {
      head: this.#retained.head,
      tail: { position: this.#tail, slot: this.#end },
      slotOf: (wanted) => this.#history.slotOf(wanted, this.#end),
    });
  }

  /** A query that can wait does not search a segment without its index. */
  read(step: ReadStep, canWait: boolean): ReadPiece | MissingIndex {
    const { direction, from } = step;
    const { head, tail } = this;
    if (direction === "forward" && from >= tail) return { batches: [], next: from, fromDisk: false };
    if (direction === "backward" && from < head) return { batches: [], next: 0, fromDisk: false };
    if (from < head) throw belowHead(from, head);
    assert(from < tail, "a read backward begins below the tail");
    return this.#reads.read(step, { head, headSlot: this.#retained.head.slot, tail, end: this.#end }, canWait);
  }

  positionOfTime(time: number): Position {
    const slot = this.#history.slotOfTime(time, this.#end);
    const found = slot >= this.#end ? this.#tail : this.#history.positionAt(slot);
    return Math.max(found, this.head) as Position;
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
