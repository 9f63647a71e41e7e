import { limits } from "../base/limits.ts";
import type { NodeId } from "../base/types.ts";
import type { RefuseEffect } from "../core/effect.ts";
import { type DecideMessage, laneOf, type Message } from "../core/message.ts";
import type { PeerNetwork } from "../transport/peer-network.ts";

/**
 * Holds a Decide back for limits.decideDelayMs: the Accept that follows an answered append says the same, and where appends come
 * one after another, the messages and wake-ups of Decides would compete with the next append for the processors. Whatever else
 * goes out on the same lane sends the held one first, so a lane keeps its order and a held Decide is only a slow one.
 */
export class LateDecides implements PeerNetwork {
  readonly #network: PeerNetwork;
  #held: { readonly to: readonly NodeId[]; readonly message: DecideMessage } | undefined;
  /** Runs on after its Decide was overtaken, so that a busy leader does not set a timer for each. */
  #timer: NodeJS.Timeout | undefined;
  /** performance.now() at which the held Decide is due. */
  #due = 0;
  #closed = false;

  constructor(network: PeerNetwork) {
    this.#network = network;
  }

  send(to: readonly NodeId[], message: Message): void {
    const held = this.#held;
    if (message.kind === "decide") {
      // A newer Decide for the same peers says all that the held one does.
      if (held !== undefined && !covers(to, held.to)) this.#release();
      return this.#hold(to, message);
    }
    if (held !== undefined && laneOf[message.kind] === laneOf.decide) {
      if (message.kind === "accept" && covers(to, held.to)) this.#held = undefined;
      else this.#release();
    }
    this.#network.send(to, message);
  }

  refuse(effect: RefuseEffect): void {
    this.#network.refuse(effect);
  }

  bufferedBytes(to: NodeId): number {
    return this.#network.bufferedBytes(to);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#held = undefined;
    await this.#network.close();
  }

  #hold(to: readonly NodeId[], message: DecideMessage): void {
    if (this.#closed) return;
    this.#held = { to, message };
    this.#due = performance.now() + limits.decideDelayMs;
    this.#timer ??= setTimeout(() => this.#onTimer(), limits.decideDelayMs);
  }

  #onTimer(): void {
    this.#timer = undefined;
    if (this.#held === undefined) return;
    // Half a millisecond is below what a timer can measure.
    const leftMs = this.#due - performance.now();
    if (leftMs > 0.5) this.#timer = setTimeout(() => this.#onTimer(), leftMs);
    else this.#release();
  }

  #release(): void {
    const held = this.#held;
    this.#held = undefined;
    if (held !== undefined) this.#network.send(held.to, held.message);
  }
}

function covers(to: readonly NodeId[], peers: readonly NodeId[]): boolean {
  return peers.every((peer) => to.includes(peer));
}
