import { limits } from "../base/limits.ts";
import type { Effect } from "../core/effect.ts";
import type { Message, PromiseId } from "../core/message.ts";
import type { ReplicaView } from "../core/replica.ts";
import type { Coverage } from "./coverage.ts";
import type { Shadow } from "./shadow.ts";

/** Counts what one process lives through, for the coverage of a run. It judges nothing. */
export class Observer {
  readonly #coverage: Coverage;
  readonly #shadow: Shadow;
  /** The Promise sent last: a SyncBegin must name it. */
  #latestPromise: PromiseId | undefined;

  constructor(coverage: Coverage, shadow: Shadow) {
    this.#coverage = coverage;
    this.#shadow = shadow;
  }

  received(message: Message, before: ReplicaView, after: ReplicaView): void {
    if (message.kind === "entries" && after.decidedEnd > before.decidedEnd) this.#coverage.count("learnt");
    const isSynced = before.role === "follower" && before.phase === "prepare" && after.phase === "accept";
    if (isSynced) this.#coverage.count("syncTaken");
    const isFarBehind = message.kind === "promise" && after.acceptedEnd - message.acceptedEnd > limits.windowSlots;
    if (isFarBehind) this.#coverage.count("followerFarBehind");
    if (message.kind === "syncBegin" && !this.#isLatest(message.promiseId)) this.#coverage.count("syncBeginStale");
  }

  willCarryOut(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.kind === "send") this.#sends(effect.message);
      else if (effect.kind === "readReady" || effect.kind === "readRefused") this.#coverage.count(effect.kind);
      else if (effect.kind === "replaceGroup") {
        this.#coverage.count("replaceGroup");
        if (effect.base.slot < this.#shadow.end) this.#coverage.count("replaceThatCuts");
        if (effect.entries.length === 0) this.#coverage.count("replaceEmpty");
      }
    }
  }

  #sends(message: Message): void {
    this.#coverage.count(`sent.${message.kind}`);
    if (message.kind === "promise") this.#latestPromise = message.promiseId;
    if (message.kind === "syncChunk" && message.chunk > 0) this.#coverage.count("syncOfManyChunks");
  }

  #isLatest({ incarnation, counter }: PromiseId): boolean {
    return this.#latestPromise?.incarnation === incarnation && this.#latestPromise.counter === counter;
  }
}
