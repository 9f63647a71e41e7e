import { firstPosition, type Position, type Slot } from "../base/types.ts";
import type { Watch, Watched } from "../transport/backend.ts";
import type { PortAnswer } from "./backend-port.ts";
import type { RequestsOwner } from "./proxy-requests.ts";
import { RemoteWatch } from "./remote-watch.ts";
import { TailWatchers } from "./tail-watchers.ts";

/** What the watches of a BackendProxy need of it. */
export interface WatchesOwner extends RequestsOwner {
  /** How many there are is different, or whether anyone listens. */
  onChange(): void;
}

/** The tail as a BackendProxy was told of it, and those who wait for it to move: for any record here, with a query at the other side. */
export class ProxyWatches {
  readonly #owner: WatchesOwner;
  #bounds: { readonly head: Position; readonly tail: Position } = { head: firstPosition, tail: firstPosition };
  readonly #listeners = new Set<() => void>();
  /** Those who wait for any record. */
  readonly #watchers = new TailWatchers(firstPosition);
  readonly #remote = new Map<number, RemoteWatch>();
  /** The other side was told that somebody listens to the tail. */
  #listens = false;

  constructor(owner: WatchesOwner) {
    this.#owner = owner;
  }

  get bounds(): { readonly head: Position; readonly tail: Position } {
    return this.#bounds;
  }

  get isListened(): boolean {
    return this.#listeners.size > 0 || !this.#watchers.isEmpty;
  }

  /** Watches that stand at the other side, or are on their way there. */
  get remoteCount(): number {
    return this.#remote.size;
  }

  watch(watched: Watched, onNews: (from: Position) => void): Watch {
    if (watched.query === undefined || this.#owner.ended() !== undefined) {
      const watch = this.#watchers.watch({ ...watched, query: undefined }, onNews);
      this.listenIfNeeded();
      return watch;
    }
    const watch = new RemoteWatch(watched.from, onNews, {
      tail: () => this.#bounds.tail,
      cancel: () => this.#cancel(watch.requestId),
    });
    watch.requestId = this.#owner.nextRequestId();
    this.#remote.set(watch.requestId, watch);
    this.#owner.send({ kind: "watch", requestId: watch.requestId, watched });
    return watch;
  }

  onTail(listener: () => void): () => void {
    this.#listeners.add(listener);
    this.listenIfNeeded();
    return () => {
      this.#listeners.delete(listener);
      this.#owner.onChange();
    };
  }

  /** Says so once; that nobody listens any more is said when the tail moves and nobody heard it. */
  listenIfNeeded(): void {
    this.#owner.onChange();
    if (this.#listens === this.isListened) return;
    this.#listens = this.isListened;
    this.#owner.send({ kind: "listen", requestId: this.#owner.nextRequestId(), on: this.#listens });
  }

  /** The other side told of these bounds. */
  setBounds(bounds: { readonly head: Position; readonly tail: Position }): void {
    this.#bounds = bounds;
  }

  /** Tells everybody who waits here of the bounds that were set. */
  tell(): void {
    this.#watchers.moved(this.#bounds.tail, noEntries);
    this.#tellListeners();
  }

  /** Of a watch at the other side. */
  onAnswer(answer: Extract<PortAnswer, { readonly kind: "watching" | "news" }>): void {
    const watch = this.#remote.get(answer.requestId);
    if (answer.kind === "watching") return watch?.stand();
    this.#remote.delete(answer.requestId);
    watch?.fire(answer.from);
  }

  /** The tail does not move any more: whoever waits finds out why. */
  end(): void {
    for (const watch of [...this.#remote.values()]) watch.fire(watch.searched);
    this.#remote.clear();
    this.#watchers.end();
    this.#tellListeners();
  }

  #cancel(requestId: number): void {
    if (this.#remote.delete(requestId)) this.#owner.send({ kind: "cancel", requestId });
  }

  #tellListeners(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

/** What this side watches for itself wants any record. */
const noEntries = { from: 0 as Slot, end: 0 as Slot, at: () => undefined };
