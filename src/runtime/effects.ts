import { assertNever } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import type { NodeId } from "../base/types.ts";
import type {
  AppendAnswer,
  Effect,
  InstallSnapshotEffect,
  LeadershipEffect,
  RetainedEffect,
  SearchEffect,
  SendEntriesEffect,
  SendSnapshotEffect,
  ShowEffect,
  StopEffect,
  WriteSnapshotEffect,
} from "../core/effect.ts";
import type { Message } from "../core/message.ts";
import { type BackgroundWrite, flattenWrite, type StoreWrite } from "../storage/write.ts";
import type { PeerNetwork } from "../transport/peer-network.ts";

/** Where the effects of a turn go. */
export interface EffectTargets {
  readonly network: PeerNetwork;
  /** All writes of a turn, in order, in one hand-over; `accepts`: followers are sent entries in the same turn. */
  submit(writes: readonly StoreWrite[], accepts: boolean): void;
  /** What becomes durable when there is time. */
  submitBackground(write: BackgroundWrite): void;
  writeSnapshot(effect: WriteSnapshotEffect): void;
  /** Entries from segments for a peer that is far behind. */
  readEntries(effect: SendEntriesEffect): Extract<Message, { kind: "entries" }>;
  /** A chunk, or a Meta of the newest snapshot. */
  readSnapshot(effect: SendSnapshotEffect): Message | undefined;
  answer(requestId: number, answer: AppendAnswer): void;
  /** Searches the history in pieces; the answer comes as an event. */
  search(effect: SearchEffect): void;
  readReady(requestId: number): void;
  readRefused(requestId: number): void;
  show(effect: ShowEffect): void;
  retained(effect: RetainedEffect): void;
  leadership(effect: LeadershipEffect): void;
  stop(effect: StopEffect): void;
}

/**
 * Carries out what a turn asked for. Writes go first and together, so that the storage thread works while the rest goes out:
 * nothing that is sent or answered depends on a submission, only on its completion, which is an event of a later turn. What
 * follows a stop is not carried out, since a node that must not go on must not speak either.
 */
export function carryOut(effects: readonly Effect[], targets: EffectTargets): void {
  const stopIndex = effects.findIndex((effect) => effect.kind === "stop");
  const legal = stopIndex < 0 ? effects : effects.slice(0, stopIndex + 1);

  const writes: StoreWrite[] = [];
  for (const effect of legal) {
    if (effect.kind === "installSnapshot") writes.push(installWrite(effect));
    if (effect.kind === "appendGroup" || effect.kind === "replaceGroup" || effect.kind === "writeSuperblock") {
      writes.push(flattenWrite(effect));
    }
  }
  const accepts = legal.some((effect) => effect.kind === "send" && effect.message.kind === "accept");
  if (writes.length > 0) targets.submit(writes, accepts);
  for (const effect of legal) carryOutOne(effect, targets);
}

function carryOutOne(effect: Effect, targets: EffectTargets): void {
  switch (effect.kind) {
    case "appendGroup":
    case "replaceGroup":
    case "writeSuperblock":
    case "installSnapshot":
      return;
    case "send":
      return sendBounded(targets.network, effect.to, effect.message);
    case "sendEntries":
      return sendBounded(targets.network, [effect.to], targets.readEntries(effect));
    case "refuse":
      return targets.network.refuse(effect);
    case "answer":
      return targets.answer(effect.requestId, effect.answer);
    case "search":
      return targets.search(effect);
    case "readReady":
      return targets.readReady(effect.requestId);
    case "readRefused":
      return targets.readRefused(effect.requestId);
    case "show":
      return targets.show(effect);
    case "retained":
      return targets.retained(effect);
    case "writeSnapshot":
      return targets.writeSnapshot(effect);
    case "receiveSnapshot":
      return targets.submitBackground({ ...effect, kind: "receive" });
    case "sendSnapshot":
      return sendSnapshot(effect, targets);
    case "trimLog":
      return targets.submitBackground({ kind: "trim", head: effect.head });
    case "leadership":
      return targets.leadership(effect);
    case "stop":
      return targets.stop(effect);
    default:
      return assertNever(effect);
  }
}

const installWrite = ({ ticket, snapshot, begin }: InstallSnapshotEffect): StoreWrite => ({
  kind: "install",
  ticket,
  ...snapshot,
  begin,
});

/** Nothing is sent where the disk has no such thing any more: the peer asks again. */
function sendSnapshot(effect: SendSnapshotEffect, targets: EffectTargets): void {
  const message = targets.readSnapshot(effect);
  if (message !== undefined) sendBounded(targets.network, [effect.to], message);
}

/**
 * A peer that does not take its bytes gets no more of them: to the protocol that is a lost message, which it survives, and
 * memory stays bounded.
 */
function sendBounded(network: PeerNetwork, to: readonly NodeId[], message: Message): void {
  let receivers = to;
  for (const peer of to) {
    if (network.bufferedBytes(peer) > limits.peerBufferBytes) {
      receivers = receivers.filter((receiver) => receiver !== peer);
    }
  }
  if (receivers.length > 0) network.send(receivers, message);
}
