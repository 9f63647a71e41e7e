/** Messages by which nodes come to know each other: Hello, its refusal, and the genesis of the cluster. */
import { limits } from "../base/limits.ts";
import type { NodeId } from "../base/types.ts";
import type { GenesisAckMessage, GenesisMessage, HelloMessage, Member, RefusedMessage } from "../core/message.ts";
import type { paxlog } from "./generated/wire.js";
import { addressOf, nameOf, noBytes } from "./peer-values.ts";
import { boundedText, idBytesOf, malformed, safeNumber, uidOf } from "./wire-value.ts";

export const helloBody = (message: HelloMessage): paxlog.v1.Hello.$Properties => ({
  ...message,
  clusterId: message.clusterId === "" ? noBytes : idBytesOf(message.clusterId),
  nodeUid: idBytesOf(message.nodeUid),
  names: [...message.names],
});

export function helloOf(body: paxlog.v1.Hello.$Properties): HelloMessage {
  const names = body.names ?? [];
  if (names.length > limits.votersMax) malformed("more names than a cluster may have members");
  return {
    kind: "hello",
    clusterId: (body.clusterId ?? noBytes).length === 0 ? "" : uidOf(body.clusterId, "clusterId"),
    configId: body.configId ?? 0,
    nodeUid: uidOf(body.nodeUid, "nodeUid"),
    incarnation: safeNumber(body.incarnation, "incarnation"),
    name: nameOf(body.name),
    protocolVersion: body.protocolVersion ?? 0,
    peerAddress: addressOf(body.peerAddress),
    clientAddress: addressOf(body.clientAddress),
    started: body.started ?? false,
    names: names.map(nameOf),
    nonvoter: body.nonvoter ?? false,
  };
}

export function refusedOf(body: paxlog.v1.Refused.$Properties): RefusedMessage {
  const reason = boundedText(body.reason, limits.reasonBytesMax, "reason");
  return { kind: "refused", code: refusalCode(body.code ?? ""), reason };
}

const refusalCodes: ReadonlySet<string> = new Set<RefusedMessage["code"]>([
  "FOREIGN_CLUSTER",
  "NODE_REPLACED",
  "OLD_INCARNATION",
  "CLUSTER_MISMATCH",
  "MOVED",
]);

function refusalCode(code: string): RefusedMessage["code"] {
  if (!refusalCodes.has(code)) malformed("an unknown code of refusal");
  return code as RefusedMessage["code"];
}

export const genesisBody = ({ clusterId, members }: GenesisMessage): paxlog.v1.Genesis.$Properties => ({
  clusterId: idBytesOf(clusterId),
  members: members.map(memberBody),
});

export function genesisOf(body: paxlog.v1.Genesis.$Properties): GenesisMessage {
  const members = body.members ?? [];
  if (members.length > limits.votersMax) malformed("more members than a cluster may have");
  return { kind: "genesis", clusterId: uidOf(body.clusterId, "clusterId"), members: members.map(memberOf) };
}

export function genesisAckOf(body: paxlog.v1.GenesisAck.$Properties): GenesisAckMessage {
  return { kind: "genesisAck", clusterId: uidOf(body.clusterId, "clusterId"), nodeUid: uidOf(body.nodeUid, "nodeUid") };
}

const memberBody = (member: Member): paxlog.v1.Member.$Properties => ({
  ...member,
  nodeUid: idBytesOf(member.nodeUid),
});

function memberOf(body: paxlog.v1.Member.$Properties): Member {
  return {
    nodeId: (body.nodeId ?? 0) as NodeId,
    nodeUid: uidOf(body.nodeUid, "nodeUid"),
    name: nameOf(body.name),
    peerAddress: addressOf(body.peerAddress),
    clientAddress: addressOf(body.clientAddress),
  };
}
