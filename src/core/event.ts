import type { NodeId, Position, Ticket } from "../base/types.ts";
import type { LogBase, LogHead, SnapshotReference } from "./durable.ts";
import type { Payload } from "./entry.ts";
import type { Guards } from "./guards.ts";
import type { Message } from "./message.ts";
import type { SequencerSnapshot } from "./sequencer.ts";

/** Everything that can enter the core. */
export type Event =
  | TickEvent
  | ReceiveEvent
  | LinkEvent
  | ProposeEvent
  | SearchedEvent
  | ReadEvent
  | DurableEvent
  | SnapshotDurableEvent
  | TrimmedEvent
  | SnapshotReceivingEvent
  | InstalledEvent
  | TurnEndEvent;

/** How many machines of a node take no commands. */
export interface MachineCounts {
  /** For good, until the node is started again: the log has activated other code, or the machine failed here. Never falls. */
  readonly stopped: number;
  /** These, and those that take none yet, or no more because the node is about to end. */
  readonly unready: number;
}

/** One unit of logical time (a T / ticksPerRound). */
export interface TickEvent {
  readonly kind: "tick";
  /** Both clocks at the same moment. The wall clock enters the time of entries only, and only when a leader takes its ballot. */
  readonly wallMs: number;
  readonly monotonicMs: number;
  /** How long the engine's loop was late for this tick. */
  readonly loopLagMs: number;
  /** The disk has no room for another segment. */
  readonly diskFull: boolean;
  /** It is full, and the log has gone on into what is kept for this: there is room for little more. */
  readonly inReserve: boolean;
  /** Of the machines that this node runs; undefined: it runs none. */
  readonly machines?: MachineCounts | undefined;
}

export interface ReceiveEvent {
  readonly kind: "receive";
  readonly from: NodeId;
  /** The incoming stream's number, never used twice by a node: an Accept counts only on the stream that brought its SyncBegin. */
  readonly stream: number;
  readonly message: Message;
}

/**
 * A link to a peer came up (its Hellos were exchanged and accepted) or went down. "dialed": this node's own bulk stream to the
 * peer, which carries its requests. "incoming": the peer's bulk stream to this node, numbered by `stream`.
 */
export interface LinkEvent {
  readonly kind: "link";
  readonly peer: NodeId;
  readonly direction: "dialed" | "incoming";
  readonly stream: number;
  readonly up: boolean;
}

/** What may be ordered. Each is answered once, by an `answer` effect with its request id. */
export type Proposal =
  | AppendProposal
  | OpenSessionProposal
  | KeepSessionProposal
  | CloseSessionProposal
  | FenceProposal
  | TrimProposal
  | PutHoldProposal
  | DropHoldProposal;

export interface AppendProposal {
  readonly kind: "append";
  /** Names the request in its answer; never used twice by a node. */
  readonly requestId: number;
  readonly payload: Payload;
  readonly batchChecksum: number;
  readonly recordCount: number;
  readonly guards?: Guards | undefined;
  /**
   * Names a caller whose appends keep their order: behind one that waits for its verdict they wait, and behind one that is
   * refused they are refused, until the refusal is answered: from then on whoever hands them over refuses them. Not so in a
   * session, where each request is judged by its own guards. 0 or none: nobody in particular.
   */
  readonly caller?: number | undefined;
}

export interface OpenSessionProposal {
  readonly kind: "openSession";
  readonly requestId: number;
  /** The session expires when so much log time has passed since its last entry. Brought within the limits. */
  readonly ttlMs: number;
  /** Its end, whatever brings it, is a batch of one record in the log (protocol 14). */
  readonly announceEnd?: boolean | undefined;
}

/** Counts as an entry of the session: it does not expire for another ttl. */
export interface KeepSessionProposal {
  readonly kind: "keepSession";
  readonly requestId: number;
  readonly session: number;
}

export interface CloseSessionProposal {
  readonly kind: "closeSession";
  readonly requestId: number;
  readonly session: number;
}

/** Raises the log's fence to the token; refused where it is above already. */
export interface FenceProposal {
  readonly kind: "fence";
  readonly requestId: number;
  readonly token: number;
}

/** Moves the head to `to`, or to the first hold on the way there. Where it is behind that already nothing changes. */
export interface TrimProposal {
  readonly kind: "trim";
  readonly requestId: number;
  /** Looked up in the visible log, so that every replica need not. */
  readonly to: LogHead;
}

/** Makes a hold, or moves and renews it; refused below the head, and where another owner has the name. */
export interface PutHoldProposal {
  readonly kind: "putHold";
  readonly requestId: number;
  readonly name: string;
  readonly owner: string;
  /** Looked up in the visible log. */
  readonly at: LogHead;
  /** Brought within the limits. */
  readonly ttlMs: number;
}

export interface DropHoldProposal {
  readonly kind: "dropHold";
  readonly requestId: number;
  readonly name: string;
}

/** Proposals in their order. The caller has checked `acceptsProposals`; what does not fit is answered OVERLOADED. */
export interface ProposeEvent {
  readonly kind: "propose";
  readonly monotonicMs: number;
  readonly proposals: readonly Proposal[];
}

/** The answer to a `search` effect. */
export interface SearchedEvent {
  readonly kind: "searched";
  readonly searchId: number;
  readonly monotonicMs: number;
  /** Position of the first or the last record that matches; 0 where none does. */
  readonly match: Position | 0;
}

/** Asks for a linearizable read index. Answered by a `readReady` or `readRefused` effect. */
export interface ReadEvent {
  readonly kind: "read";
  readonly requestId: number;
}

/** Everything submitted with a ticket up to this one is durable. */
export interface DurableEvent {
  readonly kind: "durable";
  readonly ticket: Ticket;
}

/** The answer to a `writeSnapshot` effect. */
export interface SnapshotDurableEvent {
  readonly kind: "snapshotDurable";
  readonly snapshot: SnapshotReference;
}

/** The log on the disk begins here from now on. */
export interface TrimmedEvent {
  readonly kind: "trimmed";
  readonly logBegin: LogBase;
}

/** The answer to a `receiveSnapshot` effect: chunks below this number are durable. */
export interface SnapshotReceivingEvent {
  readonly kind: "snapshotReceiving";
  readonly receiving: SnapshotReference & { readonly chunksDurable: number; readonly chunkCount: number };
}

/** The answer to an `installSnapshot` effect, in the place of `durable`: all that was submitted before is durable or gone. */
export interface InstalledEvent {
  readonly kind: "installed";
  readonly ticket: Ticket;
  readonly snapshot: SnapshotReference;
  readonly logBegin: LogBase;
  readonly state: SequencerSnapshot;
}

/** All that waited was stepped: Accepts, Decides and groups that gathered in this turn go out now. */
export interface TurnEndEvent {
  readonly kind: "turnEnd";
}
