import type { Position } from "../base/types.ts";
import type { Watch } from "../transport/backend.ts";

/** A watch that stands at the engine's thread, as the thread sees it that asked for it. */
export class RemoteWatch implements Watch {
  requestId = 0;
  readonly #from: Position;
  readonly #owner: { tail(): Position; cancel(): void };
  #onNews: ((from: Position) => void) | undefined;
  /** The engine has it: whatever this thread hears of the tail was looked at, or there is news. */
  #stands = false;
  #end: Position | undefined;

  constructor(from: Position, onNews: (from: Position) => void, owner: { tail(): Position; cancel(): void }) {
    this.#from = from;
    this.#onNews = onNews;
    this.#owner = owner;
  }

  get searched(): Position {
    if (this.#end !== undefined) return this.#end;
    const tail = this.#owner.tail();
    return this.#stands && tail > this.#from ? tail : this.#from;
  }

  stand(): void {
    this.#stands = true;
  }

  fire(from: Position): void {
    const onNews = this.#onNews;
    if (onNews === undefined) return;
    this.#end = from;
    this.#onNews = undefined;
    onNews(from);
  }

  cancel(): void {
    if (this.#onNews === undefined) return;
    this.#end = this.searched;
    this.#onNews = undefined;
    this.#owner.cancel();
  }
}
