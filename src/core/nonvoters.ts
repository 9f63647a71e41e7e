import { limits } from "../base/limits.ts";
import { maxSlot, type NodeId, type Slot, slotPlus } from "../base/types.ts";
import { bytesOf, type Context } from "./context.ts";
import { type FollowMessage, type GenesisAckMessage, type HelloMessage, pushedEntries } from "./message.ts";

/** What this node feeds to a nonvoter: all that becomes visible here, as far as memory reaches back. */
interface Feed {
  nextSlot: Slot;
  /** What was pushed and not yet acknowledged, oldest first. */
  readonly inFlight: { readonly end: Slot; readonly bytes: number }[];
  inFlightBytes: number;
  /** Rounds without an acknowledgement although something is in flight. */
  idleRounds: number;
}

interface Nonvoter {
  readonly hello: HelloMessage;
  readonly stream: number;
  hasGenesis: boolean;
  visibleEnd: Slot;
  feed: Feed | undefined;
}

/** A nonvoter that is connected to this node, for status. */
export interface NonvoterView {
  readonly name: string;
  readonly clientAddress: string;
  readonly visibleEnd: Slot;
}

/** One that acknowledges nothing for so many rounds follows another node now, or lost what was pushed: it asks again by itself. */
const idleRoundsMax = 10;

/**
 * The nonvoters that dialed this node (docs/protocol.md, section 10). They are told the genesis and fed what becomes visible here;
 * no quorum counts them, nothing waits for them, and what is kept and sent for each is bounded.
 */
export class Nonvoters {
  readonly #ctx: Context;
  readonly #nonvoters = new Map<NodeId, Nonvoter>();

  constructor(ctx: Context) {
    this.#ctx = ctx;
  }

  has(id: NodeId): boolean {
    return this.#nonvoters.has(id);
  }

  views(): NonvoterView[] {
    return [...this.#nonvoters.values()].map(({ hello, visibleEnd }) => {
      const { name, clientAddress } = hello;
      return { name, clientAddress, visibleEnd };
    });
  }

  /** Its Hello was accepted. */
  welcome(id: NodeId, stream: number, hello: HelloMessage): void {
    const hasGenesis = hello.clusterId !== "";
    this.#nonvoters.set(id, { hello, stream, hasGenesis, visibleEnd: 0 as Slot, feed: undefined });
    this.tellGenesis();
  }

  /** The stream that it dialed ended. */
  onStreamEnd(id: NodeId, stream: number): void {
    if (this.#nonvoters.get(id)?.stream === stream) this.#nonvoters.delete(id);
  }

  /** To whoever has none yet, once the cluster has started: a nonvoter adopts it and waits for nobody. */
  tellGenesis(): void {
    const { genesis, started } = this.#ctx.durable;
    if (genesis === undefined || !started) return;
    const { clusterId, members } = genesis;
    for (const [id, nonvoter] of this.#nonvoters) {
      if (!nonvoter.hasGenesis) this.#ctx.send(id, { kind: "genesis", clusterId, members });
    }
  }

  onGenesisAck(from: NodeId, message: GenesisAckMessage): void {
    const nonvoter = this.#nonvoters.get(from);
    if (nonvoter?.hello.nodeUid === message.nodeUid) nonvoter.hasGenesis = true;
  }

  noteVisible(from: NodeId, visibleEnd: Slot): void {
    const nonvoter = this.#nonvoters.get(from);
    if (nonvoter !== undefined) nonvoter.visibleEnd = maxSlot(nonvoter.visibleEnd, visibleEnd);
  }

  onFollow(from: NodeId, message: FollowMessage): void {
    const nonvoter = this.#nonvoters.get(from);
    if (nonvoter === undefined) return;
    const { fromSlot, prevHash, begins } = message;
    if (begins) {
      nonvoter.feed = this.#canFeed(fromSlot, prevHash)
        ? { nextSlot: fromSlot, inFlight: [], inFlightBytes: 0, idleRounds: 0 }
        : this.#refuseFeed(from, fromSlot);
      return;
    }
    const { feed } = nonvoter;
    if (feed === undefined) return;
    while (feed.inFlight.length > 0 && feed.inFlight[0]!.end <= fromSlot) {
      feed.inFlightBytes -= feed.inFlight.shift()!.bytes;
    }
    feed.idleRounds = 0;
  }

  /** End of a turn: what became visible goes to all that are equally far in one message, encoded once. */
  sendPending(): void {
    if (this.#nonvoters.size === 0) return;
    const { log, visibleEnd } = this.#ctx;
    for (let more = true; more; ) {
      more = false;
      for (const [fromSlot, receivers] of this.#ready()) {
        const entries = log.range(fromSlot, visibleEnd, limits.messageEntryBytes);
        this.#ctx.send(receivers, { kind: "entries", requestId: pushedEntries, fromSlot, entries, visibleEnd });
        const end = slotPlus(fromSlot, entries.length);
        for (const receiver of receivers) this.#pushed(receiver, end, bytesOf(entries));
        more = true;
      }
    }
  }

  onRound(): void {
    if (this.#nonvoters.size === 0) return;
    this.tellGenesis();
    for (const nonvoter of this.#nonvoters.values()) {
      const { feed } = nonvoter;
      if (feed === undefined) continue;
      feed.idleRounds = feed.inFlight.length > 0 ? feed.idleRounds + 1 : 0;
      if (feed.idleRounds > idleRoundsMax) nonvoter.feed = undefined;
    }
  }

  /** Feeding reads memory alone. Whoever needs older entries fetches them, message by message, at its own pace. */
  #canFeed(fromSlot: Slot, prevHash: string): boolean {
    const { log } = this.#ctx;
    // A nonvoter may be ahead of this node: whether they agree there shows when this node gets there.
    return fromSlot >= log.memoryBegin && (fromSlot > log.acceptedEnd || log.hashBefore(fromSlot) === prevHash);
  }

  #refuseFeed(to: NodeId, fromSlot: Slot): undefined {
    const { visibleEnd } = this.#ctx;
    this.#ctx.send(to, { kind: "entries", requestId: pushedEntries, fromSlot, entries: [], visibleEnd });
  }

  /** Nonvoters that may be sent something, by the slot they need. One that fell out of the memory is fed no longer. */
  #ready(): Map<Slot, NodeId[]> {
    const { log, visibleEnd } = this.#ctx;
    const ready = new Map<Slot, NodeId[]>();
    for (const [id, nonvoter] of this.#nonvoters) {
      const { feed } = nonvoter;
      if (feed === undefined || feed.nextSlot >= visibleEnd) continue;
      if (feed.inFlightBytes >= limits.feedBytes) continue;
      if (feed.nextSlot < log.memoryBegin) {
        nonvoter.feed = this.#refuseFeed(id, feed.nextSlot);
        continue;
      }
      const group = ready.get(feed.nextSlot);
      if (group === undefined) ready.set(feed.nextSlot, [id]);
      else group.push(id);
    }
    return ready;
  }

  #pushed(to: NodeId, end: Slot, bytes: number): void {
    const feed = this.#nonvoters.get(to)!.feed!;
    feed.nextSlot = end;
    feed.inFlight.push({ end, bytes });
    feed.inFlightBytes += bytes;
  }
}
