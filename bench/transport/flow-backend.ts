import { assert } from "#src/base/assert";
import { PaxlogError } from "#src/base/errors";
import type { Hashing } from "#src/base/hashing";
import { limits } from "#src/base/limits";
import {
  firstPosition,
  firstSlot,
  type Hash,
  type NodeId,
  type Position,
  positionPlus,
  type Slot,
} from "#src/base/types";
import type { Entry, EntryMaker } from "#src/core/entry";
import type { Guards } from "#src/core/guards";
import type { AcceptedMessage, AcceptMessage } from "#src/core/message";
import { makeEntryMaker } from "#src/format/entry";
import type {
  AppendResult,
  CheckedBatch,
  FenceResponse,
  KeepSessionResponse,
  LogBackend,
  NodeStatus,
  OpenSessionResponse,
  ReadPiece,
  Watch,
} from "#src/transport/backend";
import type { PeerNetwork } from "#src/transport/peer-network";

/** The only leader that there is. */
export const flowBallot = { configId: 1, n: 1, nodeId: 1 as NodeId };
export const noHash = "00".repeat(16) as Hash;

interface Sent {
  readonly endSlot: Slot;
  readonly bytes: number;
  readonly answers: readonly (() => void)[];
}

/**
 * A leader that sends what a leader sends and decides nothing: entries of all that waits in one turn go out in Accepts, and an
 * append is answered when one follower has answered for it. Nothing is kept. What is left is the cost of the messages: gRPC,
 * encoding, checksums. Without followers it answers at the end of the turn.
 */
export class FlowBackend implements LogBackend {
  /** Undefined: without followers. Set before the first append. */
  network: PeerNetwork | undefined;
  readonly #followers: readonly NodeId[];
  readonly #makeEntry: EntryMaker;
  readonly #matchedEnds = new Map<NodeId, Slot>();
  #waiting: { readonly batch: CheckedBatch; readonly done: (result: AppendResult) => void }[] = [];
  #waitingBytes = 0;
  #flushScheduled = false;
  #sent: Sent[] = [];
  #answeredEnd: Slot = firstSlot;
  #nextSlot: Slot = firstSlot;
  #tail: Position = firstPosition;
  #prevHash: Hash = noHash;
  #roomWaiters: (() => void)[] = [];

  constructor(followers: readonly NodeId[], hashing: Hashing) {
    this.#followers = followers;
    this.#makeEntry = makeEntryMaker(hashing);
    for (const follower of followers) this.#matchedEnds.set(follower, firstSlot);
  }

  append(batch: CheckedBatch, guards: Guards | undefined, done: (result: AppendResult) => void): void {
    assert(guards === undefined, "nothing is demanded of a log that is not there");
    this.#waiting.push({ batch, done });
    this.#waitingBytes += batch.batch.length;
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    setImmediate(() => this.#flush());
  }

  retain(): Promise<never> {
    return Promise.reject(new PaxlogError("UNAVAILABLE", "nothing is kept here"));
  }

  onAccepted(from: NodeId, { matchedEnd }: AcceptedMessage): void {
    assert(
      matchedEnd > this.#matchedEnds.get(from)! && matchedEnd <= this.#nextSlot,
      "an Accepted is of what was sent",
    );
    this.#matchedEnds.set(from, matchedEnd);
    const quorumEnd = Math.max(...this.#matchedEnds.values());
    const answeredBefore = this.#answeredEnd;
    for (const { endSlot, answers } of this.#sent) {
      if (endSlot > quorumEnd) break;
      if (endSlot <= answeredBefore) continue;
      for (const answer of answers) answer();
      this.#answeredEnd = endSlot;
    }
    // Until every follower has it, it counts against what may be under way.
    const allEnd = Math.min(...this.#matchedEnds.values());
    this.#sent = this.#sent.filter(({ endSlot }) => endSlot > allEnd);
    if (this.#answeredEnd > answeredBefore) {
      this.network?.send(this.#followers, {
        kind: "decide",
        n: flowBallot,
        decidedEnd: this.#answeredEnd,
        hash: this.#prevHash,
      });
    }
    this.#flush();
  }

  #flush(): void {
    this.#flushScheduled = false;
    while (this.#waiting.length > 0 && this.#underWay() < limits.inFlightBytesPerFollower) this.#sendOne();
    if (!this.hasRoom()) return;
    for (const waiter of this.#roomWaiters.splice(0)) waiter();
  }

  /** One Accept with as many entries as fit it. */
  #sendOne(): void {
    const entries: Entry[] = [];
    const answers: (() => void)[] = [];
    const firstSlotOfAccept = this.#nextSlot;
    const prevHash = this.#prevHash;
    let bytes = 0;
    while (this.#waiting.length > entries.length && bytes < limits.messageEntryBytes) {
      const { batch, done } = this.#waiting[entries.length]!;
      const { recordCount } = batch;
      const entry = this.#entryOf(batch);
      entries.push(entry);
      answers.push(() =>
        done({ kind: "acknowledged", firstPosition: entry.firstPosition, recordCount, time: entry.time }),
      );
      bytes += entry.bytes.length;
      this.#waitingBytes -= batch.batch.length;
    }
    this.#waiting = this.#waiting.slice(entries.length);
    if (this.network === undefined) {
      for (const answer of answers) answer();
      return;
    }
    this.#sent.push({ endSlot: this.#nextSlot, bytes, answers });
    const accept: AcceptMessage = {
      kind: "accept",
      n: flowBallot,
      firstSlot: firstSlotOfAccept,
      prevHash,
      entries,
      decidedEnd: this.#answeredEnd,
    };
    this.network.send(this.#followers, accept);
  }

  #entryOf({ batch, crc32c, recordCount }: CheckedBatch): Entry {
    const header = {
      slot: this.#nextSlot,
      originBallot: flowBallot,
      floor: firstSlot,
      kind: "batch",
      firstPosition: this.#tail,
      recordCount,
      time: Date.now(),
      session: 0,
      serial: 0,
      batchChecksum: crc32c,
      guardLength: 0,
      prevHash: this.#prevHash,
    } as const;
    const entry = this.#makeEntry(header, { batch, guards: new Uint8Array(0) });
    this.#nextSlot = (this.#nextSlot + 1) as Slot;
    this.#tail = positionPlus(this.#tail, recordCount);
    this.#prevHash = entry.hash;
    return entry;
  }

  #underWay(): number {
    return this.#sent.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  hasRoom(): boolean {
    return this.#waitingBytes < limits.proposalQueueBytes && this.#waiting.length < limits.proposalQueueCount;
  }

  whenRoom(callback: () => void): void {
    this.#roomWaiters.push(callback);
  }

  async linearize(): Promise<void> {}

  bounds(): { readonly head: Position; readonly tail: Position } {
    return { head: firstPosition, tail: this.#tail };
  }

  async openSession(): Promise<OpenSessionResponse> {
    throw keepsNothing();
  }

  async keepSession(): Promise<KeepSessionResponse> {
    throw keepsNothing();
  }

  async closeSession(): Promise<void> {
    throw keepsNothing();
  }

  async fence(): Promise<FenceResponse> {
    throw keepsNothing();
  }

  read(): ReadPiece {
    throw keepsNothing();
  }

  positionOfTime(): Position {
    throw keepsNothing();
  }

  watch(): Watch {
    throw keepsNothing();
  }

  onTail(): () => void {
    throw keepsNothing();
  }

  status(): NodeStatus {
    throw keepsNothing();
  }
}

function keepsNothing(): PaxlogError {
  return new PaxlogError(
    "INVALID_ARGUMENT",
    "this process only measures messages: it keeps no records and has no state",
  );
}
