import { assertNever } from "../base/assert.ts";
import { firstSlot, type Hash, type Slot, type Ticket } from "../base/types.ts";
import { type Ballot, compareBallots, largerBallot, noBallot, sameBallot, showBallot } from "../core/ballot.ts";
import type { DurableState, Recovered } from "../core/durable.ts";
import type {
  AppendGroupEffect,
  Effect,
  InstallSnapshotEffect,
  ReplaceGroupEffect,
  WriteSuperblockEffect,
} from "../core/effect.ts";

type Write = AppendGroupEffect | ReplaceGroupEffect | WriteSuperblockEffect | InstallSnapshotEffect;

const writeKinds: ReadonlySet<string> = new Set<Write["kind"]>([
  "appendGroup",
  "replaceGroup",
  "writeSuperblock",
  "installSnapshot",
]);
const isWrite = (effect: Effect): effect is Write => writeKinds.has(effect.kind);

/** What a sequence of writes amounts to. */
interface Content {
  /** Hash of the entry in slot s at index s - 1. */
  readonly hashes: Hash[];
  /** Below it a snapshot stands for the entries. */
  begin: Slot;
  /** Ballot of the last REPLACE. */
  logBallot: Ballot;
  superblock: DurableState | undefined;
}

/** Writes that storage had not reported when the node crashed: how many were found again. */
export interface Survivors {
  readonly survived: number;
  readonly lost: number;
}

/**
 * What one node's disk must hold: the yardstick of the checks, worked out from what the core submitted and what storage reported
 * durable, and from nothing else. After a crash the disk must hold everything that was reported, and of what was not a
 * prefix in the order of submission.
 */
export class Shadow {
  readonly #durable: Content = { hashes: [], begin: firstSlot, logBallot: noBallot, superblock: undefined };
  #pending: Write[] = [];

  /** Takes note of the writes among a turn's effects. */
  submit(effects: readonly Effect[]): void {
    for (const effect of effects) if (isWrite(effect)) this.#pending.push(effect);
  }

  /** Storage reports everything up to this ticket durable. */
  reported(ticket: Ticket): void {
    while (this.#pending[0] !== undefined && this.#pending[0].ticket <= ticket) {
      apply(this.#durable, this.#pending.shift()!);
    }
  }

  /** First slot that is not durable. */
  get end(): Slot {
    return (this.#durable.hashes.length + 1) as Slot;
  }

  /** Entries below are not on this disk: an installed snapshot stands for them. */
  get begin(): Slot {
    return this.#durable.begin;
  }

  /** Hash of the durable entry in a slot. */
  hashAt(slot: Slot): Hash | undefined {
    return this.#durable.hashes[slot - 1];
  }

  get promised(): Ballot {
    return this.#durable.superblock?.promised ?? noBallot;
  }

  /** Whether the node durably knows that its cluster has started. */
  get isStarted(): boolean {
    return this.#durable.superblock?.started ?? false;
  }

  get logBallot(): Ballot {
    return this.#durable.logBallot;
  }

  /** The superblock's alone: what P3 asks for. */
  get superblockAcceptedBallot(): Ballot {
    return this.#durable.superblock?.acceptedBallot ?? noBallot;
  }

  get acceptedBallot(): Ballot {
    return acceptedBallotOf(this.#durable);
  }

  /**
   * The node opened its directory again. Finds how many of the unreported writes survived; says what is wrong where no prefix of
   * them explains what was found.
   */
  recovered(found: Recovered): Survivors | string {
    const pending = this.#pending;
    this.#pending = [];
    for (let survived = 0; ; survived += 1) {
      if (this.#explains(found)) {
        // What recovery reports is durable: the superblock was brought up to the log before the node begins (PROTOCOL 3).
        this.#durable.superblock = found.state;
        return { survived, lost: pending.length - survived };
      }
      const next = pending[survived];
      if (next === undefined) return this.#describe(found, pending.length);
      apply(this.#durable, next);
    }
  }

  #explains(found: Recovered): boolean {
    const foundEnd = found.base.slot + found.window.length;
    const lastHash = found.window[found.window.length - 1]?.hash ?? found.base.hash;
    if (foundEnd !== this.end) return false;
    if (foundEnd > 1 && lastHash !== this.hashAt((foundEnd - 1) as Slot)) return false;
    if (!sameBallot(found.state.acceptedBallot, this.acceptedBallot)) return false;
    if (!sameBallot(found.state.promised, this.promised)) return false;
    const superblock = this.#durable.superblock;
    const clusterId = superblock?.genesis?.clusterId;
    return found.state.genesis?.clusterId === clusterId && found.state.started === (superblock?.started ?? false);
  }

  #describe(found: Recovered, lost: number): string {
    const { state, base, window } = found;
    return (
      `recovery found promised ${showBallot(state.promised)}, accepted ${showBallot(state.acceptedBallot)}, started ${state.started}, ` +
      `decidedEnd ${base.slot}, end ${base.slot + window.length}; no prefix of the ${lost} unreported writes leads there: ` +
      `all of them give promised ${showBallot(this.promised)}, accepted ${showBallot(this.acceptedBallot)}, end ${this.end}`
    );
  }
}

function acceptedBallotOf(content: Content): Ballot {
  return largerBallot(content.logBallot, content.superblock?.acceptedBallot ?? noBallot);
}

function apply(content: Content, write: Write): void {
  switch (write.kind) {
    case "appendGroup":
      for (const entry of write.entries) content.hashes.push(entry.hash);
      return;
    case "replaceGroup":
      content.hashes.length = write.base.slot - 1;
      for (const entry of write.entries) content.hashes.push(entry.hash);
      if (compareBallots(write.ballot, content.logBallot) > 0) content.logBallot = write.ballot;
      return;
    case "writeSuperblock":
      content.superblock = write.state;
      return;
    case "installSnapshot": {
      const { slot, hash } = write.begin;
      content.hashes.length = 0;
      content.hashes[slot - 2] = hash;
      content.begin = slot;
      return;
    }
    default:
      assertNever(write);
  }
}
