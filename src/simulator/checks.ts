import { firstSlot, maxSlot, type NodeId, type Slot, slotPlus } from "../base/types.ts";
import { type Ballot, compareBallots, sameBallot, showBallot } from "../core/ballot.ts";
import type { Recovered } from "../core/durable.ts";
import type { Effect } from "../core/effect.ts";
import type { Entry } from "../core/entry.ts";
import type { AcceptedMessage, Message, PromiseMessage } from "../core/message.ts";
import type { Replica, ReplicaView } from "../core/replica.ts";
import type { Coverage } from "./coverage.ts";
import type { Ledger } from "./ledger.ts";
import type { Shadow } from "./shadow.ts";
import { check } from "./violation.ts";

/** What the checks look at of one node. The shadow outlives its crashes. */
export interface CheckedNode {
  readonly id: NodeId;
  readonly name: string;
  readonly shadow: Shadow;
  readonly incarnation: number;
}

interface Progress {
  decidedEnd: Slot;
  visibleEnd: Slot;
  head: Slot;
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
  readonly #coverage: Coverage;
  readonly #outcomesOnly: boolean;
  readonly #progress = new Map<NodeId, Progress>();
  /** Who leads a ballot: one incarnation of one node (P10). */
  readonly #leaders = new Map<string, string>();

  constructor(options: {
    readonly ledger: Ledger;
    readonly shadows: () => readonly Shadow[];
    readonly voterCount: number;
    readonly coverage: Coverage;
    /** Only what clients and readers can see is checked: the one history, and the answers. */
    readonly outcomesOnly: boolean;
  }) {
    this.#ledger = options.ledger;
    this.#shadows = options.shadows;
    this.#acceptQuorum = Math.floor(options.voterCount / 2) + 1;
    this.#coverage = options.coverage;
    this.#outcomesOnly = options.outcomesOnly;
  }

  /** A node opened its directory: nothing that was durable or shown is gone, nothing in it contradicts the history. */
  opened(node: CheckedNode, recovered: Recovered): void {
    const { base, state, logBegin } = recovered;
    const [end, head] = [base.slot, logBegin.slot];
    this.#progress.set(node.id, { decidedEnd: end, visibleEnd: end, head, promised: state.promised });
    if (this.#outcomesOnly) return;
    const found = node.shadow.recovered(recovered);
    check(typeof found !== "string", () => `${node.name}: ${found}`);
    this.#coverage.add("unreportedWriteSurvived", found.survived);
    this.#coverage.add("unreportedWriteLost", found.lost);
    check(
      base.slot <= this.#ledger.end,
      () =>
        `${node.name} recovers decidedEnd ${base.slot}, but nothing from ${this.#ledger.end} on was ever decided (P7)`,
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
  }

  /** After each step of a node. */
  stepped(node: CheckedNode, replica: Pick<Replica, "log" | "view">): void {
    const view = replica.view;
    const progress = this.#progress.get(node.id)!;
    this.#checkDecided(node, replica.log, progress.decidedEnd, view.decidedEnd);
    if (!this.#outcomesOnly) {
      this.#checkMonotone(node, view, progress);
      this.#checkShown(node, progress.visibleEnd, view.visibleEnd);
      this.#checkLeader(node, view);
    }
    progress.decidedEnd = view.decidedEnd;
    progress.visibleEnd = view.visibleEnd;
    progress.head = view.retained.head.slot;
    progress.promised = view.promised;
  }

  #checkDecided(node: CheckedNode, log: Replica["log"], from: Slot, end: Slot): void {
    // Where a snapshot took the place of the log it goes on further up.
    for (let slot = maxSlot(from, log.memoryBegin); slot < end; slot = slotPlus(slot, 1)) {
      const entry = log.at(slot);
      check(entry !== undefined, () => `${node.name} decides slot ${slot}, which it does not hold`);
      const { isNew } = this.#ledger.decided(node.name, entry);
      if (isNew && !this.#outcomesOnly) this.#checkQuorum(node.name, entry);
    }
  }

  #checkMonotone(node: CheckedNode, view: ReplicaView, before: Progress): void {
    const { decidedEnd, visibleEnd, flushedEnd, promised, acceptedBallot } = view;
    check(
      decidedEnd >= before.decidedEnd,
      () => `${node.name}: decidedEnd goes back from ${before.decidedEnd} to ${decidedEnd}`,
    );
    check(
      visibleEnd >= before.visibleEnd,
      () => `${node.name}: visibleEnd goes back from ${before.visibleEnd} to ${visibleEnd}`,
    );
    const { head } = view.retained;
    check(head.slot >= before.head, () => `${node.name}: the head goes back from slot ${before.head} to ${head.slot}`);
    check(visibleEnd <= decidedEnd, () => `${node.name} shows ${visibleEnd}, but decidedEnd is ${decidedEnd}`);
    check(visibleEnd <= flushedEnd, () => `${node.name} shows ${visibleEnd}, but flushedEnd is ${flushedEnd}`);
    check(
      compareBallots(promised, before.promised) >= 0,
      () => `${node.name}: the promise goes back to ${showBallot(promised)} (P1)`,
    );
    check(
      compareBallots(acceptedBallot, promised) <= 0,
      () => `${node.name}: accepted ${showBallot(acceptedBallot)} above promised ${showBallot(promised)} (P4)`,
    );
  }

  #checkShown(node: CheckedNode, from: Slot, end: Slot): void {
    for (let slot = maxSlot(from, node.shadow.begin); slot < end; slot = slotPlus(slot, 1)) {
      check(
        node.shadow.hashAt(slot) === this.#ledger.entryAt(slot)?.hash,
        () => `${node.name} shows slot ${slot}, which is not durable there`,
      );
    }
  }

  /** All that was ever decided is durable on a quorum. */
  decidedIsOnQuorum(): void {
    if (this.#outcomesOnly) return;
    for (let slot = firstSlot; slot < this.#ledger.end; slot = slotPlus(slot, 1)) {
      this.#checkQuorum("the cluster", this.#ledger.entryAt(slot)!);
    }
  }

  /** Decided means durable on a quorum, whoever says so and whenever. */
  #checkQuorum(who: string, entry: Entry): void {
    const holds = (shadow: Shadow) => entry.slot < shadow.begin || shadow.hashAt(entry.slot) === entry.hash;
    const holders = this.#shadows().filter(holds).length;
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
    if (this.#outcomesOnly) return;
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
