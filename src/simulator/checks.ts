import { firstSlot, type NodeId, type Slot, slotPlus } from "../base/types.ts";
import { type Ballot, compareBallots, sameBallot, showBallot } from "../core/ballot.ts";
import type { Recovered } from "../core/durable.ts";
import type { Effect } from "../core/effect.ts";
import type { Entry } from "../core/entry.ts";
import type { AcceptedMessage, Message, PromiseMessage } from "../core/message.ts";
import type { Replica, ReplicaView } from "../core/replica.ts";
import { check, type Ledger } from "./ledger.ts";
import type { Shadow } from "./shadow.ts";

/** What the checks look at of one node. The shadow outlives its crashes. */
export interface CheckedNode {
  readonly id: NodeId;
  readonly name: string;
  readonly shadow: Shadow;
  readonly incarnation: number;
}

interface Progress {
  readonly incarnation: number;
  decidedEnd: Slot;
  visibleEnd: Slot;
  promised: Ballot;
}

/**
 * The checks of every step, over all nodes. They trust nothing that the core asserts of itself: what is durable comes from the
 * shadows, what is decided from the one history.
 */
export class Checks {
  readonly #ledger: Ledger;
  readonly #shadows: () => readonly Shadow[];
  readonly #acceptQuorum: number;
  readonly #progress = new Map<NodeId, Progress>();
  /** Who leads a ballot: one incarnation of one node (P10). */
  readonly #leaders = new Map<string, string>();

  constructor(ledger: Ledger, shadows: () => readonly Shadow[], voterCount: number) {
    this.#ledger = ledger;
    this.#shadows = shadows;
    this.#acceptQuorum = Math.floor(voterCount / 2) + 1;
  }

  /** A node opened its directory: nothing that was durable or shown is gone, nothing in it contradicts the history. */
  opened(node: CheckedNode, recovered: Recovered): void {
    const fault = node.shadow.recovered(recovered);
    check(fault === undefined, () => `${node.name}: ${fault}`);
    const { base, state } = recovered;
    check(
      base.slot <= this.#ledger.end,
      () =>
        `${node.name} recovers decidedEnd ${base.slot}, but only slots below ${this.#ledger.end} were ever decided (P7)`,
    );
    const expected = this.#ledger.hashBefore(base.slot);
    check(
      base.slot === 1 || expected === base.hash,
      () => `${node.name} recovers a log that differs from the history below ${base.slot}`,
    );
    check(
      compareBallots(state.acceptedBallot, state.promised) <= 0,
      () =>
        `${node.name} recovers accepted ${showBallot(state.acceptedBallot)} above promised ${showBallot(state.promised)} (P4)`,
    );
    this.#progress.set(node.id, {
      incarnation: node.incarnation,
      decidedEnd: base.slot,
      visibleEnd: base.slot,
      promised: state.promised,
    });
  }

  /** After each step of a node. */
  stepped(node: CheckedNode, replica: Pick<Replica, "log" | "view">): void {
    const view = replica.view;
    const progress = this.#progress.get(node.id)!;
    check(
      view.decidedEnd >= progress.decidedEnd,
      () => `${node.name}: decidedEnd goes back from ${progress.decidedEnd} to ${view.decidedEnd}`,
    );
    check(
      view.visibleEnd >= progress.visibleEnd,
      () => `${node.name}: visibleEnd goes back from ${progress.visibleEnd} to ${view.visibleEnd}`,
    );
    check(
      compareBallots(view.promised, progress.promised) >= 0,
      () => `${node.name}: the promise goes back to ${showBallot(view.promised)}`,
    );
    check(
      compareBallots(view.acceptedBallot, view.promised) <= 0,
      () => `${node.name}: accepted ${showBallot(view.acceptedBallot)} above the promise (P4)`,
    );
    check(
      view.visibleEnd <= view.decidedEnd && view.visibleEnd <= view.flushedEnd,
      () => `${node.name} shows what is not decided and durable`,
    );
    for (let slot = progress.decidedEnd; slot < view.decidedEnd; slot = slotPlus(slot, 1)) {
      const entry = replica.log.at(slot);
      check(entry !== undefined, () => `${node.name} decides slot ${slot}, which it does not hold`);
      if (this.#ledger.decided(node.name, entry).isNew) this.#checkQuorum(node.name, entry);
    }
    for (let slot = progress.visibleEnd; slot < view.visibleEnd; slot = slotPlus(slot, 1)) {
      check(
        node.shadow.hashAt(slot) === this.#ledger.entryAt(slot)?.hash,
        () => `${node.name} shows slot ${slot}, which is not durable there`,
      );
    }
    progress.decidedEnd = view.decidedEnd;
    progress.visibleEnd = view.visibleEnd;
    progress.promised = view.promised;
    this.#checkLeader(node, view);
  }

  /** All that was ever decided is durable on a quorum. */
  decidedIsOnQuorum(): void {
    for (let slot = firstSlot; slot < this.#ledger.end; slot = slotPlus(slot, 1)) {
      this.#checkQuorum("the cluster", this.#ledger.entryAt(slot)!);
    }
  }

  /** Decided means durable on a quorum, whoever says so and whenever. */
  #checkQuorum(who: string, entry: Entry): void {
    const holders = this.#shadows().filter((shadow) => shadow.hashAt(entry.slot) === entry.hash).length;
    check(
      holders >= this.#acceptQuorum,
      () => `${who} holds slot ${entry.slot} for decided, which is durable on ${holders} nodes only`,
    );
  }

  #checkLeader(node: CheckedNode, view: ReplicaView): void {
    if (view.role !== "leader" || view.phase !== "accept") return;
    const ballot = showBallot(view.ballot);
    const self = `${node.name} in incarnation ${node.incarnation}`;
    const leader = this.#leaders.get(ballot);
    check(leader === undefined || leader === self, () => `ballot ${ballot} is led by ${leader} and by ${self} (P10)`);
    this.#leaders.set(ballot, self);
  }

  /** Before the effects of a turn are carried out: what is said must be true on disk already (P1 to P3). */
  beforeEffects(node: CheckedNode, effects: readonly Effect[]): void {
    for (const effect of effects) if (effect.kind === "send") this.#checkMessage(node, effect.message);
  }

  #checkMessage(node: CheckedNode, message: Message): void {
    switch (message.kind) {
      case "promise":
        this.#checkPromise(node, message);
        return;
      case "prepare":
        check(
          sameBallot(node.shadow.promised, message.n),
          () =>
            `${node.name} sends Prepare ${showBallot(message.n)} while ${showBallot(node.shadow.promised)} is durably promised (P1)`,
        );
        return;
      case "accepted":
        this.#checkAccepted(node, message);
        return;
      case "decide":
        check(
          this.#ledger.hashBefore(message.decidedEnd) === message.hash || message.decidedEnd === 1,
          () => `${node.name} sends Decide ${message.decidedEnd} with a hash that the history does not have`,
        );
        return;
      case "accept":
      case "syncEnd":
        check(
          message.decidedEnd <= this.#ledger.end,
          () => `${node.name} sends decidedEnd ${message.decidedEnd}, which is not decided`,
        );
        return;
      case "entries":
        this.#checkEntries(node, message);
        return;
      default:
        return;
    }
  }

  #checkPromise(node: CheckedNode, message: PromiseMessage): void {
    const { shadow } = node;
    const what = () => `${node.name} sends Promise ${showBallot(message.n)}`;
    check(
      sameBallot(shadow.promised, message.n),
      () => `${what()} while ${showBallot(shadow.promised)} is durably promised (P1)`,
    );
    check(
      message.acceptedEnd === shadow.end,
      () => `${what()} with end ${message.acceptedEnd}; its durable log ends at ${shadow.end}`,
    );
    check(
      sameBallot(message.acceptedBallot, shadow.acceptedBallot),
      () =>
        `${what()} with accepted ${showBallot(message.acceptedBallot)}; durable is ${showBallot(shadow.acceptedBallot)}`,
    );
    for (const { slot, hash } of message.window) {
      check(hash === shadow.hashAt(slot), () => `${what()} with slot ${slot} that is not durable so`);
    }
  }

  #checkAccepted(node: CheckedNode, message: AcceptedMessage): void {
    const { shadow } = node;
    const what = () => `${node.name} sends Accepted ${showBallot(message.n)} up to ${message.matchedEnd}`;
    check(
      sameBallot(shadow.promised, message.n),
      () => `${what()} while ${showBallot(shadow.promised)} is durably promised (P2)`,
    );
    check(
      sameBallot(shadow.logBallot, message.n),
      () => `${what()} while the last durable REPLACE is of ${showBallot(shadow.logBallot)} (P2)`,
    );
    check(
      sameBallot(shadow.superblockAcceptedBallot, message.n),
      () => `${what()} while the superblock says accepted ${showBallot(shadow.superblockAcceptedBallot)} (P3)`,
    );
    check(message.matchedEnd <= shadow.end, () => `${what()}; its durable log ends at ${shadow.end} (P2)`);
    const last = message.matchedEnd - 1;
    check(
      last === 0 || shadow.hashAt(last as Slot) === message.hash,
      () => `${what()} with the hash of another log (P2)`,
    );
  }

  /** What a learner may take is decided, and every entry that leaves a node is as the history has it. */
  #checkEntries(node: CheckedNode, message: Extract<Message, { kind: "entries" }>): void {
    for (const entry of message.entries) {
      if (entry.slot >= message.visibleEnd) continue;
      const known = this.#ledger.entryAt(entry.slot);
      check(
        known?.hash === entry.hash,
        () => `${node.name} teaches slot ${entry.slot} otherwise than the history has it`,
      );
    }
  }
}
