/** What a node says of itself in answer to a heartbeat: proto/paxlog/v1/peer.proto. */
import type { HeartbeatReplyMessage } from "../core/message.ts";
import type { paxlog } from "./generated/wire.js";
import { addressOf, ballotOf, slotOf } from "./peer-values.ts";
import { milliseconds, safeNumber } from "./wire-value.ts";

/** @throws PaxlogError as decodeEnvelope's values do. */
export function heartbeatReplyOf(body: paxlog.v1.HeartbeatReply.$Properties): HeartbeatReplyMessage {
  return {
    kind: "heartbeatReply",
    round: safeNumber(body.round, "round"),
    ballot: ballotOf(body.ballot, "ballot"),
    leader: ballotOf(body.leader, "leader"),
    happy: body.happy ?? false,
    flushedEnd: slotOf(body.flushedEnd, "flushedEnd"),
    visibleEnd: slotOf(body.visibleEnd, "visibleEnd"),
    oldestSyncMs: milliseconds(body.oldestSyncMs, "oldestSyncMs"),
    loopLagMs: milliseconds(body.loopLagMs, "loopLagMs"),
    diskFull: body.diskFull ?? false,
    unreadyMachines: body.unreadyMachines ?? 0,
    clientAddress: addressOf(body.clientAddress),
  };
}
