import type { NodeId } from "../base/types.ts";
import type { RefuseEffect } from "../core/effect.ts";
import type { HelloMessage, Message } from "../core/message.ts";

/** What the engine gives to the network between nodes. */
export interface PeerHandlers {
  /** This node's Hello as of now; opens every stream in both directions. */
  hello(): HelloMessage;
  /**
   * Messages in the order of their stream. Every entry in them is verified. Heartbeats are given only while a bulk stream is up
   * whose Hello named the same uid and incarnation; the Hellos of heartbeat streams are not given at all. A refusal is given
   * with the number of its stream, whether a link was up there or not.
   */
  onMessage(from: NodeId, stream: number, message: Message): void;
  /** A bulk stream's Hellos were exchanged, or it ended. The peer's Hello is given to onMessage after `up` is told. */
  onLink(peer: NodeId, direction: "dialed" | "incoming", stream: number, up: boolean): void;
}

/** What the network offers to the engine. */
export interface PeerNetwork {
  /** Encodes once, sends to each on the lane of the message's kind; silently dropped where no stream is up. Never blocks. */
  send(to: readonly NodeId[], message: Message): void;
  /** Sends the refusal on that stream and ends it. */
  refuse(effect: RefuseEffect): void;
  /** Bytes handed to a peer's stream and not yet taken by its socket: the engine holds Accepts back above a bound. */
  bufferedBytes(to: NodeId): number;
  close(): Promise<void>;
}
