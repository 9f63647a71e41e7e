import type { Log } from "paxlog";
import { type Cart, emptyCart, evolve } from "./cart.ts";
import { eventOf, type ShopEvent } from "./events.ts";

/** A cart and the position of its last event: the revision of its stream, 0 where there is none. */
export interface CartAtRevision {
  readonly cart: Cart;
  readonly revision: number;
}

/**
 * The shop in memory: all events, applied in order, and kept up to date by following the log. It may be behind; whoever decides by
 * it says to the log how far it had read, and the log refuses what was decided by an old view.
 */
export class ShopView {
  /** The last position that was applied. */
  position = 0;
  readonly #carts = new Map<string, CartAtRevision>();
  readonly #customersByName = new Map<string, string>();
  readonly #stop = new AbortController();
  readonly #following: Promise<void>;
  #waiting: { readonly position: number; readonly done: () => void }[] = [];

  constructor(log: Log) {
    this.#following = this.#follow(log);
  }

  cart(id: string): CartAtRevision {
    return this.#carts.get(id) ?? { cart: emptyCart, revision: 0 };
  }

  customerNamed(name: string): string | undefined {
    return this.#customersByName.get(name);
  }

  /** Resolves once everything up to this position, included, was applied; rejects if the log cannot be followed any more. */
  reached(position: number): Promise<void> {
    if (position <= this.position) return Promise.resolve();
    const reached = new Promise<void>((done) => this.#waiting.push({ position, done }));
    return Promise.race([reached, this.#following.then(() => Promise.reject(new Error("the view is closed")))]);
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#following;
  }

  async #follow(log: Log): Promise<void> {
    for await (const record of log.read({ follow: true, signal: this.#stop.signal })) {
      this.#apply(record.position, eventOf(record));
      this.position = record.position;
      for (const { done } of this.#waiting.filter((each) => each.position <= this.position)) done();
      this.#waiting = this.#waiting.filter((each) => each.position > this.position);
    }
  }

  #apply(position: number, event: ShopEvent): void {
    if (event.type === "CustomerNamed") this.#customersByName.set(event.name, event.customer);
    else this.#carts.set(event.cart, { cart: evolve(this.cart(event.cart).cart, event), revision: position });
  }
}
