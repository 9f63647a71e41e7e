import { assertNever } from "../base/assert.ts";
import { showBallot } from "../core/ballot.ts";
import type { AppendAnswer, Effect } from "../core/effect.ts";
import type { Entry } from "../core/entry.ts";
import type { Event } from "../core/event.ts";
import type { Message } from "../core/message.ts";

/** One line for the trace. */
export function describeMessage(message: Message): string {
  switch (message.kind) {
    case "hello":
      return `hello ${message.clusterId.slice(0, 6)} incarnation=${message.incarnation} started=${message.started}`;
    case "refused":
      return `refused ${message.code}`;
    case "heartbeat":
      return `heartbeat ${message.round}`;
    case "heartbeatReply": {
      const { round, ballot, leader, happy } = message;
      return `heartbeatReply ${round} ballot=${showBallot(ballot)} leader=${showBallot(leader)} ${happy ? "happy" : "unhappy"}`;
    }
    case "prepare":
      return `prepare ${showBallot(message.n)} decided=${message.decidedEnd} accepted=${showBallot(message.acceptedBallot)}:${message.acceptedEnd}`;
    case "promise": {
      const { n, promiseId, acceptedBallot, acceptedEnd, decidedEnd } = message;
      return (
        `promise ${showBallot(n)} id=${promiseId.incarnation}.${promiseId.counter} decided=${decidedEnd} ` +
        `accepted=${showBallot(acceptedBallot)}:${acceptedEnd}`
      );
    }
    case "prepareRequest":
    case "notAccepted":
      return `${message.kind} promised=${showBallot(message.promised)}`;
    case "syncBegin": {
      const { n, promiseId, syncId, fromSlot } = message;
      return `syncBegin ${showBallot(n)} id=${promiseId.incarnation}.${promiseId.counter} sync=${syncId} from=${fromSlot}`;
    }
    case "syncChunk":
      return `syncChunk ${showBallot(message.n)} sync=${message.syncId} ${message.chunk}: ${describeEntries(message.entries)}`;
    case "syncEnd":
      return `syncEnd ${showBallot(message.n)} sync=${message.syncId} chunks=${message.chunkCount} decided=${message.decidedEnd}`;
    case "accept":
      return `accept ${showBallot(message.n)} ${describeEntries(message.entries)} decided=${message.decidedEnd}`;
    case "accepted":
      return `accepted ${showBallot(message.n)} sync=${message.syncId} end=${message.matchedEnd}`;
    case "decide":
      return `decide ${showBallot(message.n)} end=${message.decidedEnd}`;
    case "fetch":
      return `fetch ${message.requestId} from=${message.fromSlot} n=${message.n === undefined ? "-" : showBallot(message.n)}`;
    case "entries":
      return `entries ${message.requestId} ${describeEntries(message.entries)} visible=${message.visibleEnd}`;
    case "probe":
    case "probeAck":
      return `${message.kind} ${showBallot(message.n)} ${message.probeId}`;
    case "readIndex":
      return `readIndex ${message.requestId}`;
    case "readIndexReply":
      return `readIndexReply ${message.requestId} ${message.accepted ? `r=${message.r}` : "refused"}`;
    default:
      return message.kind;
  }
}

function describeEntries(entries: readonly Entry[]): string {
  const first = entries[0];
  const last = entries[entries.length - 1];
  if (first === undefined || last === undefined) return "[)";
  return `[${first.slot},${last.slot + 1}) ..${last.hash.slice(0, 6)}`;
}

export function describeEvent(event: Event): string {
  switch (event.kind) {
    case "tick":
      return event.loopLagMs > 0 ? `tick lag=${event.loopLagMs}` : "tick";
    case "receive":
      return `from ${event.from}/${event.stream}: ${describeMessage(event.message)}`;
    case "link":
      return `link ${event.direction} ${event.peer}/${event.stream} ${event.up ? "up" : "down"}`;
    case "propose":
      return `propose ${event.proposals.map((proposal) => proposal.requestId).join(",")}`;
    case "read":
      return `read ${event.requestId}`;
    case "snapshotDurable":
      return `snapshot ${event.snapshot.slot} durable, root ${event.snapshot.rootHash.slice(0, 6)}`;
    case "trimmed":
      return `log begins at ${event.logBegin.slot}`;
    case "durable":
      return `durable ${event.ticket}`;
    default:
      return event.kind;
  }
}

export function describeEffect(effect: Effect): string {
  switch (effect.kind) {
    case "appendGroup":
      return `append ${effect.ticket}: ${describeEntries(effect.entries)}`;
    case "replaceGroup":
      return `REPLACE ${effect.ticket}: ${showBallot(effect.ballot)} from=${effect.base.slot} ${describeEntries(effect.entries)}`;
    case "writeSuperblock": {
      const { promised, acceptedBallot, started } = effect.state;
      return `superblock ${effect.ticket}: promised=${showBallot(promised)} accepted=${showBallot(acceptedBallot)} started=${started}`;
    }
    case "send":
      return `to ${effect.to.join(",")}: ${describeMessage(effect.message)}`;
    case "sendEntries":
      return `entries to ${effect.to} for ${effect.requestId}: [${effect.fromSlot},${effect.end})`;
    case "refuse":
      return `refuse ${effect.to}/${effect.stream} ${effect.message.code}: ${effect.message.reason}`;
    case "answer": {
      return `answer ${effect.requestId} ${describeAnswer(effect.answer)}`;
    }
    case "search":
      return `search ${effect.searchId}: ${effect.query.want} in [${effect.query.from},${effect.query.end})`;
    case "readReady":
    case "readRefused":
      return `${effect.kind} ${effect.requestId}`;
    case "show":
      return `show ${effect.visibleEnd} (${effect.nextPosition})`;
    case "retained":
      return `head ${effect.retained.head.position}, ${effect.retained.holds.length} holds`;
    case "writeSnapshot":
      return `snapshot ${effect.base.slot}`;
    case "trimLog":
      return `trim to ${effect.head.position} in slot ${effect.head.slot}`;
    case "leadership":
      return `leadership ${effect.leader ?? "nobody"}${effect.self ? " (self)" : ""}`;
    case "stop":
      return `STOP ${effect.code}: ${effect.reason}`;
    default:
      return "";
  }
}

/** Heartbeats and ticks fill a trace with what everybody knows. */
export const isChatter = (event: Event): boolean =>
  (event.kind === "tick" && event.loopLagMs === 0) ||
  event.kind === "turnEnd" ||
  (event.kind === "receive" && (event.message.kind === "heartbeat" || event.message.kind === "heartbeatReply"));

export const isChatterEffect = (effect: Effect): boolean =>
  effect.kind === "send" && (effect.message.kind === "heartbeat" || effect.message.kind === "heartbeatReply");

function describeAnswer(answer: AppendAnswer): string {
  switch (answer.kind) {
    case "acknowledged":
      return `at ${answer.firstPosition}`;
    case "refused":
      return `refused: ${answer.refusal.guard} ${answer.refusal.index}, actual ${answer.refusal.actual}, tail ${answer.refusal.tail}`;
    case "session":
      return `session ${answer.session}, time ${answer.time}`;
    case "fenced":
      return `fence ${answer.fence}, tail ${answer.tail}`;
    case "trimmed":
      return `head ${answer.head}${answer.hold === undefined ? "" : `, held by ${answer.hold.name}`}`;
    case "held":
      return `holds from ${answer.hold.at.position} on`;
    case "dropped":
      return answer.existed ? "dropped" : "not there";
    case "belowHead":
      return `below the head ${answer.head}`;
    case "holdTaken":
      return `taken by ${answer.owner}`;
    case "failed":
      return `${answer.code} ${answer.outcome}`;
    default:
      return assertNever(answer);
  }
}
