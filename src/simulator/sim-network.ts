import { assert } from "../base/assert.ts";
import type { NodeId } from "../base/types.ts";
import type { RefuseEffect } from "../core/effect.ts";
import { laneOf, type Message } from "../core/message.ts";
import type { PeerHandlers, PeerNetwork } from "../transport/peer-network.ts";
import { fromMs, type VirtualClock } from "./clock.ts";
import type { Random } from "./random.ts";

/** How bad the network is. Rates are probabilities for each message, times are microseconds. */
export interface NetworkConditions {
  readonly delayMinUs: number;
  readonly delayMeanUs: number;
  /** Messages that take up to `tailUs` longer. */
  readonly tailRate: number;
  readonly tailUs: number;
  readonly lossRate: number;
  /** Messages that vanish from a stream that goes on: what a full send buffer does. */
  readonly dropRate: number;
  readonly duplicateRate: number;
  /** Messages that do not wait for those before them on the stream. */
  readonly reorderRate: number;
  /** Messages of a broken stream that arrive all the same. */
  readonly lateRate: number;
  /** How long an end takes to notice that its stream is dead. */
  readonly noticeMaxUs: number;
  readonly dialRetryUs: number;
}

export const calmNetwork: NetworkConditions = {
  delayMinUs: 50,
  delayMeanUs: 200,
  tailRate: 0,
  tailUs: 0,
  lossRate: 0,
  dropRate: 0,
  duplicateRate: 0,
  reorderRate: 0,
  lateRate: 0,
  noticeMaxUs: fromMs(5),
  dialRetryUs: fromMs(40),
};

/** One life of one node on the network. A message to an earlier life is lost. */
interface Attachment {
  readonly node: NodeId;
  readonly handlers: PeerHandlers;
}

/** One end of a bulk stream: its number there, and what that node has been told of it. */
interface StreamEnd {
  readonly attachment: Attachment;
  readonly stream: number;
  state: "opening" | "up" | "down";
  /** When the last message that this end sent arrives, so that the next does not overtake it. */
  lastArrivalUs: number;
}

/** One bulk connection: the dialer's requests go one way, the acceptor's answers the other. */
interface Connection {
  readonly dialer: StreamEnd;
  readonly acceptor: StreamEnd;
  isBroken: boolean;
}

/**
 * The network between simulated nodes, with the semantics of PeerNetwork: each node dials each peer; a stream opens with a
 * Hello either way; requests travel on the dialed stream, answers on the one that asked, heartbeats apart from both.
 *
 * A stream that loses a message breaks soon, as TCP would; until both ends notice, the rest of it still passes, which is more than
 * TCP allows: the protocol must not need order.
 */
export class SimNetwork {
  readonly #clock: VirtualClock;
  readonly #random: Random;
  readonly #nodes: readonly NodeId[];
  readonly #attached = new Map<NodeId, Attachment>();
  /** The newest connection by "dialer>acceptor". */
  readonly #connections = new Map<string, Connection>();
  /** Directions that pass nothing. */
  readonly #cut = new Set<string>();
  /** Directions that pass nothing before a time. */
  readonly #cloggedUntilUs = new Map<string, number>();
  readonly #onCount: (name: string) => void;
  #nextStream = 1;
  conditions: NetworkConditions = calmNetwork;

  constructor(options: {
    readonly clock: VirtualClock;
    readonly random: Random;
    readonly nodes: readonly NodeId[];
    readonly count: (name: string) => void;
  }) {
    this.#clock = options.clock;
    this.#random = options.random;
    this.#nodes = options.nodes;
    this.#onCount = options.count;
  }

  /** A node's process starts: it dials all its peers, and they it. */
  attach(node: NodeId, handlers: PeerHandlers): PeerNetwork {
    assert(!this.#attached.has(node), `node ${node} is on the network already`);
    const attachment: Attachment = { node, handlers };
    this.#attached.set(node, attachment);
    for (const peer of this.#nodes) if (peer !== node) this.#dialLater(attachment, peer, 0);
    return {
      send: (to, message) => {
        for (const peer of to) this.#send(attachment, peer, message);
      },
      refuse: (effect) => this.#refuse(attachment, effect),
      bufferedBytes: () => 0,
      close: () => {
        this.detach(node);
        return Promise.resolve();
      },
    };
  }

  /** A node's process ends. Its peers notice by and by. */
  detach(node: NodeId): void {
    this.#attached.delete(node);
    for (const connection of this.#connections.values()) {
      if (connection.dialer.attachment.node === node || connection.acceptor.attachment.node === node) {
        this.#break(connection);
      }
    }
  }

  /** From now on nothing passes from one node to the other; the opposite direction is not concerned. */
  cut(from: NodeId, to: NodeId): void {
    this.#cut.add(way(from, to));
  }

  heal(from: NodeId, to: NodeId): void {
    this.#cut.delete(way(from, to));
  }

  /** Ends all cuts and clogs. */
  healAll(): void {
    this.#cut.clear();
    this.#cloggedUntilUs.clear();
  }

  isCut(from: NodeId, to: NodeId): boolean {
    return this.#cut.has(way(from, to));
  }

  /** What is sent this way arrives no earlier than after `durationUs`. */
  clog(from: NodeId, to: NodeId, durationUs: number): void {
    this.#cloggedUntilUs.set(way(from, to), this.#clock.nowUs + durationUs);
  }

  /** Breaks the bulk connection that one node dialed to the other, if there is one. */
  reset(dialer: NodeId, acceptor: NodeId): void {
    const connection = this.#connections.get(way(dialer, acceptor));
    if (connection !== undefined) this.#break(connection);
  }

  #dialLater(attachment: Attachment, peer: NodeId, delayUs: number): void {
    this.#clock.after(delayUs, () => {
      if (this.#attached.get(attachment.node) !== attachment) return;
      const acceptor = this.#attached.get(peer);
      const isPassable = !this.isCut(attachment.node, peer) && !this.isCut(peer, attachment.node);
      if (acceptor !== undefined && isPassable) this.#connect(attachment, acceptor);
      else this.#dialLater(attachment, peer, this.#retryDelay());
    });
  }

  #retryDelay(): number {
    return Math.floor(this.conditions.dialRetryUs * (0.5 + this.#random.unit()));
  }

  /** Hello there and back; each end is told when it has the other's. */
  #connect(from: Attachment, to: Attachment): void {
    const connection: Connection = { dialer: this.#newEnd(from), acceptor: this.#newEnd(to), isBroken: false };
    this.#connections.set(way(from.node, to.node), connection);
    const hello = from.handlers.hello();
    this.#sendHello(connection, connection.dialer, connection.acceptor, hello, () => {
      this.#sendHello(connection, connection.acceptor, connection.dialer, to.handlers.hello(), () => {});
    });
  }

  #newEnd(attachment: Attachment): StreamEnd {
    const end: StreamEnd = { attachment, stream: this.#nextStream, state: "opening", lastArrivalUs: 0 };
    this.#nextStream += 1;
    return end;
  }

  /** A Hello is the first message of its stream: it is lost with it, and nothing overtakes it. */
  #sendHello(connection: Connection, own: StreamEnd, other: StreamEnd, hello: Message, andThen: () => void): void {
    const from = own.attachment.node;
    const to = other.attachment.node;
    if (this.#isLost(from, to)) {
      this.#break(connection);
      return;
    }
    const delayUs = this.#delay(from, to);
    own.lastArrivalUs = this.#clock.nowUs + delayUs;
    this.#clock.after(delayUs, () => {
      if (connection.isBroken || this.isCut(from, to)) {
        this.#break(connection);
        return;
      }
      other.state = "up";
      const direction = other === connection.acceptor ? "incoming" : "dialed";
      other.attachment.handlers.onLink(from, direction, other.stream, true);
      other.attachment.handlers.onMessage(from, other.stream, hello);
      andThen();
    });
  }

  #send(from: Attachment, to: NodeId, message: Message): void {
    const lane = laneOf[message.kind];
    if (lane === "heartbeatRequest" || lane === "heartbeatAnswer") {
      this.#sendHeartbeat(from, to, message);
      return;
    }
    const isRequest = lane === "bulkRequest";
    const connection = this.#connections.get(isRequest ? way(from.node, to) : way(to, from.node));
    if (connection === undefined) return;
    const sender = isRequest ? connection.dialer : connection.acceptor;
    const receiver = isRequest ? connection.acceptor : connection.dialer;
    // The newest stream may belong to an earlier life of the sender, or not be open at its end yet: what is sent now is dropped.
    if (sender.attachment !== from || sender.state !== "up") return;
    this.#deliver(connection, sender, receiver, () => {
      receiver.attachment.handlers.onMessage(from.node, receiver.stream, message);
    });
  }

  /** Heartbeats have connections of their own, which carry nothing else and whose ends nobody is told. */
  #sendHeartbeat(from: Attachment, to: NodeId, message: Message): void {
    const receiver = this.#attached.get(to);
    if (receiver === undefined || this.#isLost(from.node, to)) return;
    this.#clock.after(this.#delay(from.node, to), () => {
      if (this.#attached.get(to) !== receiver || this.isCut(from.node, to)) return;
      receiver.handlers.onMessage(from.node, 0, message);
    });
    if (!this.#random.chance(this.conditions.duplicateRate)) return;
    this.#clock.after(this.#delay(from.node, to) + this.#random.below(fromMs(1000)), () => {
      if (this.#attached.get(to) === receiver) receiver.handlers.onMessage(from.node, 0, message);
    });
  }

  #isLost(from: NodeId, to: NodeId): boolean {
    const isLost = this.#random.chance(this.conditions.lossRate);
    return isLost || this.isCut(from, to);
  }

  /** One message on a bulk stream, from one end to the other. */
  #deliver(connection: Connection, sender: StreamEnd, receiver: StreamEnd, action: () => void): void {
    const from = sender.attachment.node;
    const to = receiver.attachment.node;
    if (this.#isLost(from, to)) {
      this.#onCount("messageLost");
      this.#break(connection);
      return;
    }
    if (this.#random.chance(this.conditions.dropRate)) {
      this.#onCount("messageDropped");
      return;
    }
    const arrive = (isCopy: boolean): void => {
      if (this.#attached.get(to) !== receiver.attachment || receiver.state === "opening") return;
      if (this.isCut(from, to)) {
        this.#break(connection);
        return;
      }
      if (connection.isBroken) {
        if (!isCopy && !this.#random.chance(this.conditions.lateRate)) return;
        this.#onCount("messageLate");
      }
      action();
    };
    this.#clock.after(this.#delayBehindOthers(sender, from, to), () => arrive(false));
    if (!this.#random.chance(this.conditions.duplicateRate)) return;
    this.#onCount("messageDuplicated");
    this.#clock.after(this.#delay(from, to) + this.#random.below(fromMs(2000)), () => arrive(true));
  }

  /** Delay of a message on a stream: behind those before it, unless the conditions let it overtake. */
  #delayBehindOthers(sender: StreamEnd, from: NodeId, to: NodeId): number {
    const delayUs = this.#delay(from, to);
    const behindUs = sender.lastArrivalUs - this.#clock.nowUs;
    if (this.#random.chance(this.conditions.reorderRate)) {
      if (delayUs < behindUs) this.#onCount("messageReordered");
      return delayUs;
    }
    sender.lastArrivalUs = this.#clock.nowUs + Math.max(delayUs, behindUs);
    return Math.max(delayUs, behindUs);
  }

  #delay(from: NodeId, to: NodeId): number {
    const { delayMinUs, delayMeanUs, tailRate, tailUs } = this.conditions;
    let delayUs = delayMinUs + Math.floor(this.#random.exponential(delayMeanUs));
    if (this.#random.chance(tailRate)) delayUs += this.#random.below(tailUs + 1);
    const clogged = this.#cloggedUntilUs.get(way(from, to)) ?? 0;
    return Math.max(delayUs, clogged - this.#clock.nowUs);
  }

  /** The stream is dead. Each end notices in its own time, and the dialer then dials again. */
  #break(connection: Connection): void {
    if (connection.isBroken) return;
    connection.isBroken = true;
    const { dialer, acceptor } = connection;
    this.#noticeLater(connection, dialer, acceptor.attachment.node, "dialed");
    this.#noticeLater(connection, acceptor, dialer.attachment.node, "incoming");
  }

  #noticeLater(connection: Connection, end: StreamEnd, peer: NodeId, direction: "dialed" | "incoming"): void {
    this.#clock.after(this.#random.below(this.conditions.noticeMaxUs + 1), () => {
      if (this.#attached.get(end.attachment.node) !== end.attachment) return;
      if (end.state === "up") {
        end.state = "down";
        end.attachment.handlers.onLink(peer, direction, end.stream, false);
      }
      if (direction === "incoming") return;
      const key = way(end.attachment.node, peer);
      if (this.#connections.get(key) === connection) this.#connections.delete(key);
      this.#dialLater(end.attachment, peer, this.#retryDelay());
    });
  }

  /** The refusal goes out on the stream that it concerns, which then ends. */
  #refuse(from: Attachment, effect: RefuseEffect): void {
    for (const connection of this.#connections.values()) {
      for (const [own, other] of [
        [connection.acceptor, connection.dialer],
        [connection.dialer, connection.acceptor],
      ] as const) {
        if (own.attachment !== from || own.stream !== effect.stream) continue;
        this.#deliver(connection, own, other, () => {
          other.attachment.handlers.onMessage(from.node, other.stream, effect.message);
          this.#break(connection);
        });
      }
    }
  }
}

const way = (from: NodeId, to: NodeId): string => `${from}>${to}`;
