/**
 * Messages between nodes: src/core/message.ts on one side, proto/paxlog/v1/peer.proto on the other.
 *
 * The entries of a message are one field of the envelope, written last: entries as on disk, one after another. So a message is
 * encoded with one copy of its entries, and decoded with one more, into the memory where they stay, or with none.
 */
import { assert, assertNever } from "../base/assert.ts";
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import type { NodeId, Position, Slot } from "../base/types.ts";
import type { LogBase } from "../core/durable.ts";
import type { Entry } from "../core/entry.ts";
import type {
  Member,
  Message,
  PromiseId,
  PromiseMessage,
  RefusedMessage,
  SnapshotMetaMessage,
  WindowSlot,
} from "../core/message.ts";
import { decodeEntries, type EntryMemory } from "./entry.ts";
import { paxlog } from "./generated/wire.js";
import { framedMessage } from "./grpc-frame.ts";
import { heartbeatReplyOf } from "./heartbeat-message.ts";
import { addressOf, ballotOf, nameOf, slotOf } from "./peer-values.ts";
import { decodeManifest } from "./snapshot.ts";
import { bytesFieldHead } from "./wire-bytes.ts";
import {
  type Absent,
  boundedText,
  decoding,
  hashOf,
  idBytesOf,
  malformed,
  present,
  safeNumber,
  uidOf,
} from "./wire-value.ts";

const wire = paxlog.v1;

export type DecodedEnvelope =
  | { readonly kind: "ok"; readonly from: NodeId; readonly configId: number; readonly message: Message }
  | { readonly kind: "malformed"; readonly reason: string };

/** The bytes of a message, in their frame. The same bytes may go to any number of nodes. */
export function encodeEnvelope(from: NodeId, configId: number, message: Message): Buffer {
  const pieces = [wire.Envelope.encode({ from, configId, ...bodyOf(message) }).finish()];
  if ("entries" in message && message.entries.length > 0) {
    let length = 0;
    for (const entry of message.entries) length += entry.bytes.length;
    pieces.push(bytesFieldHead(entryBytesField, length));
    for (const entry of message.entries) pieces.push(entry.bytes);
  }
  return framedMessage(pieces);
}

const entryBytesField = 100;

/**
 * The message in these bytes, with every entry in it verified. Never throws, whatever the bytes are. Its entries are laid into
 * `memory` where one is given, and views of `bytes` otherwise.
 */
export function decodeEnvelope(bytes: Uint8Array, hashing: Hashing, memory?: EntryMemory): DecodedEnvelope {
  const decoded = decoding(() => {
    const envelope = wire.Envelope.decode(bytes);
    const entries = entriesOf(envelope.entryBytes, hashing, memory);
    return {
      from: envelope.from as NodeId,
      configId: envelope.configId,
      message: messageOf(envelope, entries, hashing),
    };
  });
  return decoded.kind === "ok" ? { kind: "ok", ...decoded.value } : decoded;
}

function entriesOf(bytes: Uint8Array, hashing: Hashing, memory: EntryMemory | undefined): readonly Entry[] {
  if (bytes.length === 0) return noEntries;
  // The copy is what is verified: what is written and shown is what the hashes are of.
  const own = memory === undefined ? bytes : memory.copyOf(bytes);
  const decoded = decodeEntries(own, hashing);
  if (decoded.kind === "malformed") malformed(`entry at byte ${decoded.offset}: ${decoded.reason}`);
  const last = decoded.entries[decoded.entries.length - 1];
  if (last !== undefined) memory?.hold(own, last.slot);
  return decoded.entries;
}

const noEntries: readonly Entry[] = [];

/** Most messages have the fields of their protobuf twin; the others carry hashes, uids or a window. */
function bodyOf(message: Message): paxlog.v1.Envelope.$Properties {
  switch (message.kind) {
    case "hello":
      return {
        hello: {
          ...message,
          clusterId: message.clusterId === "" ? noBytes : idBytesOf(message.clusterId),
          nodeUid: idBytesOf(message.nodeUid),
          names: [...message.names],
        },
      };
    case "refused":
      return { refused: message };
    case "genesis":
      return { genesis: { clusterId: idBytesOf(message.clusterId), members: message.members.map(memberBody) } };
    case "genesisAck":
      return { genesisAck: { clusterId: idBytesOf(message.clusterId), nodeUid: idBytesOf(message.nodeUid) } };
    case "started":
      return { started: { clusterId: idBytesOf(message.clusterId) } };
    case "heartbeat":
      return { heartbeat: message };
    case "heartbeatReply":
      return { heartbeatReply: message };
    case "prepare":
      return { prepare: message };
    case "promise":
      return { promise: { ...message, ...windowBody(message), decidedHash: idBytesOf(message.decidedHash) } };
    case "prepareRequest":
      return { prepareRequest: message };
    case "notAccepted":
      return { notAccepted: message };
    case "syncBegin":
      return { syncBegin: { ...message, prevHash: idBytesOf(message.prevHash) } };
    case "syncChunk":
      return { syncChunk: message };
    case "syncEnd":
      return { syncEnd: message };
    case "accept":
      return { accept: { ...message, prevHash: idBytesOf(message.prevHash) } };
    case "accepted":
      return { accepted: { ...message, hash: idBytesOf(message.hash) } };
    case "decide":
      return { decide: { ...message, hash: idBytesOf(message.hash) } };
    case "fetch":
      return { fetch: { ...message, n: message.n ?? null, prevHash: idBytesOf(message.prevHash) } };
    case "follow":
      return { follow: { ...message, prevHash: idBytesOf(message.prevHash) } };
    case "entries":
      return {
        entries: { requestId: message.requestId, fromSlot: message.fromSlot, visibleEnd: message.visibleEnd },
      };
    case "snapshotMeta": {
      const { requestId, manifest, logBegin } = message;
      return { snapshotMeta: { requestId, manifest, logBegin: { ...logBegin, hash: idBytesOf(logBegin.hash) } } };
    }
    case "snapshotFetch":
      return { snapshotFetch: { ...message, rootHash: idBytesOf(message.rootHash) } };
    case "snapshotChunk":
      return { snapshotChunk: message };
    case "probe":
      return { probe: message };
    case "probeAck":
      return { probeAck: message };
    case "readIndex":
      return { readIndex: message };
    case "readIndexReply":
      return { readIndexReply: message };
    default:
      return assertNever(message);
  }
}

const noBytes = new Uint8Array(0);

const memberBody = (member: Member): paxlog.v1.Member.$Properties => ({
  ...member,
  nodeUid: idBytesOf(member.nodeUid),
});

/** The manifest says what it is of; whether that is wanted is for the core to judge. */
function snapshotMetaOf(body: paxlog.v1.SnapshotMeta.$Properties, hashing: Hashing): SnapshotMetaMessage {
  const manifest = new Uint8Array(body.manifest ?? noBytes);
  const decoded = decodeManifest(manifest, hashing);
  if (decoded.kind === "malformed") return malformed(`a manifest: ${decoded.reason}`);
  if (decoded.kind === "unknownVersion") return malformed(`a manifest of version ${decoded.version}`);
  const begin = present(body.logBegin, "logBegin");
  const logBegin: LogBase = {
    slot: slotOf(begin.slot, "logBegin.slot"),
    hash: hashOf(begin.hash, "logBegin.hash"),
    position: safeNumber(begin.position, "logBegin.position") as Position,
    time: safeNumber(begin.time, "logBegin.time"),
  };
  const { base } = decoded.manifest;
  if (logBegin.slot < 1 || logBegin.position < 1) malformed("logBegin is out of its range");
  if (logBegin.slot > base.slot || logBegin.position > base.position) malformed("the log begins behind the snapshot");
  const requestId = safeNumber(body.requestId, "requestId");
  return { kind: "snapshotMeta", requestId, base, rootHash: decoded.rootHash, logBegin, manifest };
}

function messageOf(envelope: paxlog.v1.Envelope, entries: readonly Entry[], hashing: Hashing): Message {
  const kind = envelope.message;
  if (kind === undefined) return malformed("an envelope without a message that is known here");
  if (entries.length > 0 && !carriesEntries.has(kind)) malformed(`a ${kind} carries entries`);
  switch (kind) {
    case "hello":
      return helloOf(present(envelope.hello, kind));
    case "refused": {
      const body = present(envelope.refused, kind);
      return {
        kind,
        code: refusalCode(body.code ?? ""),
        reason: boundedText(body.reason, limits.reasonBytesMax, "reason"),
      };
    }
    case "genesis": {
      const body = present(envelope.genesis, kind);
      const members = body.members ?? [];
      if (members.length > limits.votersMax) malformed("more members than a cluster may have");
      return { kind, clusterId: uidOf(body.clusterId, "clusterId"), members: members.map(memberOf) };
    }
    case "genesisAck": {
      const body = present(envelope.genesisAck, kind);
      return { kind, clusterId: uidOf(body.clusterId, "clusterId"), nodeUid: uidOf(body.nodeUid, "nodeUid") };
    }
    case "started":
      return { kind, clusterId: uidOf(present(envelope.started, kind).clusterId, "clusterId") };
    case "heartbeat": {
      const body = present(envelope.heartbeat, kind);
      return { kind, round: safeNumber(body.round, "round"), visibleEnd: slotOf(body.visibleEnd, "visibleEnd") };
    }
    case "heartbeatReply":
      return heartbeatReplyOf(present(envelope.heartbeatReply, kind));
    case "prepare": {
      const body = present(envelope.prepare, kind);
      return {
        kind,
        n: ballotOf(body.n, "n"),
        decidedEnd: slotOf(body.decidedEnd, "decidedEnd"),
        acceptedBallot: ballotOf(body.acceptedBallot, "acceptedBallot"),
        acceptedEnd: slotOf(body.acceptedEnd, "acceptedEnd"),
      };
    }
    case "promise":
      return promiseOf(present(envelope.promise, kind));
    case "prepareRequest":
      return { kind, promised: ballotOf(present(envelope.prepareRequest, kind).promised, "promised") };
    case "notAccepted":
      return { kind, promised: ballotOf(present(envelope.notAccepted, kind).promised, "promised") };
    case "syncBegin": {
      const body = present(envelope.syncBegin, kind);
      return {
        kind,
        n: ballotOf(body.n, "n"),
        promiseId: promiseIdOf(body.promiseId),
        syncId: safeNumber(body.syncId, "syncId"),
        fromSlot: slotOf(body.fromSlot, "fromSlot"),
        prevHash: hashOf(body.prevHash, "prevHash"),
      };
    }
    case "syncChunk": {
      const body = present(envelope.syncChunk, kind);
      return {
        kind,
        n: ballotOf(body.n, "n"),
        syncId: safeNumber(body.syncId, "syncId"),
        chunk: body.chunk ?? 0,
        entries,
      };
    }
    case "syncEnd": {
      const body = present(envelope.syncEnd, kind);
      return {
        kind,
        n: ballotOf(body.n, "n"),
        syncId: safeNumber(body.syncId, "syncId"),
        chunkCount: body.chunkCount ?? 0,
        decidedEnd: slotOf(body.decidedEnd, "decidedEnd"),
      };
    }
    case "accept": {
      const body = present(envelope.accept, kind);
      const firstSlot = slotOf(body.firstSlot, "firstSlot");
      const prevHash = hashOf(body.prevHash, "prevHash");
      beginsAt(firstSlot, entries);
      if (entries[0] !== undefined && entries[0].prevHash !== prevHash)
        malformed("prevHash is not that of the entries");
      return {
        kind,
        n: ballotOf(body.n, "n"),
        firstSlot,
        prevHash,
        entries,
        decidedEnd: slotOf(body.decidedEnd, "decidedEnd"),
      };
    }
    case "accepted": {
      const body = present(envelope.accepted, kind);
      return {
        kind,
        n: ballotOf(body.n, "n"),
        syncId: safeNumber(body.syncId, "syncId"),
        matchedEnd: slotOf(body.matchedEnd, "matchedEnd"),
        hash: hashOf(body.hash, "hash"),
      };
    }
    case "decide": {
      const body = present(envelope.decide, kind);
      return {
        kind,
        n: ballotOf(body.n, "n"),
        decidedEnd: slotOf(body.decidedEnd, "decidedEnd"),
        hash: hashOf(body.hash, "hash"),
      };
    }
    case "fetch": {
      const body = present(envelope.fetch, kind);
      return {
        kind,
        requestId: safeNumber(body.requestId, "requestId"),
        fromSlot: slotOf(body.fromSlot, "fromSlot"),
        prevHash: hashOf(body.prevHash, "prevHash"),
        n: body.n === undefined || body.n === null ? undefined : ballotOf(body.n, "n"),
      };
    }
    case "follow": {
      const body = present(envelope.follow, kind);
      const fromSlot = slotOf(body.fromSlot, "fromSlot");
      return { kind, fromSlot, prevHash: hashOf(body.prevHash, "prevHash"), begins: body.begins ?? false };
    }
    case "entries": {
      const body = present(envelope.entries, kind);
      const fromSlot = slotOf(body.fromSlot, "fromSlot");
      beginsAt(fromSlot, entries);
      return {
        kind,
        requestId: safeNumber(body.requestId, "requestId"),
        fromSlot,
        entries,
        visibleEnd: slotOf(body.visibleEnd, "visibleEnd"),
      };
    }
    case "snapshotMeta":
      return snapshotMetaOf(present(envelope.snapshotMeta, kind), hashing);
    case "snapshotFetch": {
      const body = present(envelope.snapshotFetch, kind);
      return {
        kind,
        requestId: safeNumber(body.requestId, "requestId"),
        slot: slotOf(body.slot, "slot"),
        rootHash: hashOf(body.rootHash, "rootHash"),
        chunk: body.chunk ?? 0,
      };
    }
    case "snapshotChunk": {
      const body = present(envelope.snapshotChunk, kind);
      // A copy: it goes to another thread, without the message around it.
      const bytes = new Uint8Array(body.bytes ?? noBytes);
      if (bytes.length > limits.snapshotChunkBytes) malformed(`a chunk of ${bytes.length} bytes`);
      return { kind, requestId: safeNumber(body.requestId, "requestId"), chunk: body.chunk ?? 0, bytes };
    }
    case "probe": {
      const body = present(envelope.probe, kind);
      return { kind, n: ballotOf(body.n, "n"), probeId: safeNumber(body.probeId, "probeId") };
    }
    case "probeAck": {
      const body = present(envelope.probeAck, kind);
      return { kind, n: ballotOf(body.n, "n"), probeId: safeNumber(body.probeId, "probeId") };
    }
    case "readIndex":
      return { kind, requestId: safeNumber(present(envelope.readIndex, kind).requestId, "requestId") };
    case "readIndexReply": {
      const body = present(envelope.readIndexReply, kind);
      return {
        kind,
        requestId: safeNumber(body.requestId, "requestId"),
        accepted: body.accepted ?? false,
        r: slotOf(body.r, "r"),
      };
    }
    default:
      return assertNever(kind);
  }
}

const carriesEntries: ReadonlySet<string> = new Set<Message["kind"]>(["syncChunk", "accept", "entries"]);

function helloOf(body: paxlog.v1.Hello.$Properties): Message {
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

function promiseOf(body: paxlog.v1.Promise.$Properties): PromiseMessage {
  const decidedEnd = slotOf(body.decidedEnd, "decidedEnd");
  return {
    kind: "promise",
    n: ballotOf(body.n, "n"),
    promiseId: promiseIdOf(body.promiseId),
    acceptedBallot: ballotOf(body.acceptedBallot, "acceptedBallot"),
    acceptedEnd: slotOf(body.acceptedEnd, "acceptedEnd"),
    endCertain: body.endCertain ?? false,
    decidedEnd,
    decidedHash: hashOf(body.decidedHash, "decidedHash"),
    logBegin: slotOf(body.logBegin, "logBegin"),
    abstains: body.abstains ?? false,
    window: windowOf(decidedEnd, body.windowHashes ?? noBytes, body.windowStates ?? noBytes),
  };
}

/** By number as on the wire: never renumber. 0 stays unused, so that a missing state is no state. */
const windowStates: readonly (WindowSlot["state"] | undefined)[] = [undefined, "intact", "damaged", "unknown"];
const hashBytes = 16;

function windowBody(message: PromiseMessage): { windowHashes: Uint8Array; windowStates: Uint8Array } {
  const count = message.window.length;
  const hashes = Buffer.allocUnsafe(count * hashBytes);
  const states = Buffer.allocUnsafe(count);
  for (const [index, slot] of message.window.entries()) {
    assert(slot.slot === message.decidedEnd + index, "a promise's window begins at decidedEnd and has no gap");
    hashes.set(idBytesOf(slot.hash), index * hashBytes);
    states[index] = windowStates.indexOf(slot.state);
  }
  return { windowHashes: hashes, windowStates: states };
}

function windowOf(decidedEnd: Slot, hashes: Uint8Array, states: Uint8Array): WindowSlot[] {
  if (states.length > limits.windowSlots) malformed("the window has more slots than the protocol allows");
  if (hashes.length !== states.length * hashBytes) malformed("the window's hashes and states differ in number");
  const window: WindowSlot[] = [];
  for (let index = 0; index < states.length; index++) {
    const state = windowStates[states[index]!] ?? malformed(`slot state ${states[index]} is unknown`);
    const hash = hashOf(hashes.subarray(index * hashBytes, (index + 1) * hashBytes), "hash");
    window.push({ slot: (decidedEnd + index) as Slot, hash, state });
  }
  return window;
}

function memberOf(body: paxlog.v1.Member.$Properties): Member {
  return {
    nodeId: (body.nodeId ?? 0) as NodeId,
    nodeUid: uidOf(body.nodeUid, "nodeUid"),
    name: nameOf(body.name),
    peerAddress: addressOf(body.peerAddress),
    clientAddress: addressOf(body.clientAddress),
  };
}

function promiseIdOf(body: paxlog.v1.PromiseId.$Properties | Absent): PromiseId {
  const { incarnation, counter } = present(body, "promiseId");
  return { incarnation: safeNumber(incarnation, "incarnation"), counter: safeNumber(counter, "counter") };
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

function beginsAt(slot: Slot, entries: readonly Entry[]): void {
  if (entries[0] !== undefined && entries[0].slot !== slot)
    malformed(`the entries begin at ${entries[0].slot}, not ${slot}`);
}
