/**
 * Messages between nodes: src/core/message.ts on one side, proto/paxlog/v1/peer.proto on the other.
 *
 * The entries of a message are one field of the envelope, written last: entries as on disk, one after another. So a message is
 * encoded with one copy of its entries, and decoded with one more, into the memory where they stay, or with none.
 */
import { assertNever } from "../base/assert.ts";
import type { Hashing } from "../base/hashing.ts";
import type { NodeId } from "../base/types.ts";
import type { Entry } from "../core/entry.ts";
import type { Message } from "../core/message.ts";
import { decodeEntries, type EntryMemory } from "./entry.ts";
import { paxlog } from "./generated/wire.js";
import { framedMessage } from "./grpc-frame.ts";
import {
  entriesMessageOf,
  fetchOf,
  followOf,
  snapshotChunkOf,
  snapshotFetchOf,
  snapshotMetaBody,
  snapshotMetaOf,
} from "./peer-catch-up.ts";
import {
  acceptedOf,
  acceptOf,
  decideOf,
  prepareOf,
  promiseBody,
  promiseOf,
  syncBeginOf,
  syncChunkOf,
  syncEndOf,
} from "./peer-consensus.ts";
import { heartbeatReplyOf } from "./peer-heartbeats.ts";
import { genesisAckOf, genesisBody, genesisOf, helloBody, helloOf, refusedOf } from "./peer-membership.ts";
import { ballotOf, slotOf } from "./peer-values.ts";
import { bytesFieldHead } from "./wire-bytes.ts";
import { decoding, idBytesOf, malformed, present, safeNumber, uidOf } from "./wire-value.ts";

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
      return { hello: helloBody(message) };
    case "refused":
      return { refused: message };
    case "genesis":
      return { genesis: genesisBody(message) };
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
      return { promise: promiseBody(message) };
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
    case "snapshotMeta":
      return { snapshotMeta: snapshotMetaBody(message) };
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

function messageOf(envelope: paxlog.v1.Envelope, entries: readonly Entry[], hashing: Hashing): Message {
  const kind = envelope.message;
  if (kind === undefined) return malformed("an envelope without a message that is known here");
  if (entries.length > 0 && !carriesEntries.has(kind)) malformed(`a ${kind} carries entries`);
  switch (kind) {
    case "hello":
      return helloOf(present(envelope.hello, kind));
    case "refused":
      return refusedOf(present(envelope.refused, kind));
    case "genesis":
      return genesisOf(present(envelope.genesis, kind));
    case "genesisAck":
      return genesisAckOf(present(envelope.genesisAck, kind));
    case "started":
      return { kind, clusterId: uidOf(present(envelope.started, kind).clusterId, "clusterId") };
    case "heartbeat": {
      const body = present(envelope.heartbeat, kind);
      return { kind, round: safeNumber(body.round, "round"), visibleEnd: slotOf(body.visibleEnd, "visibleEnd") };
    }
    case "heartbeatReply":
      return heartbeatReplyOf(present(envelope.heartbeatReply, kind));
    case "prepare":
      return prepareOf(present(envelope.prepare, kind));
    case "promise":
      return promiseOf(present(envelope.promise, kind));
    case "prepareRequest":
      return { kind, promised: ballotOf(present(envelope.prepareRequest, kind).promised, "promised") };
    case "notAccepted":
      return { kind, promised: ballotOf(present(envelope.notAccepted, kind).promised, "promised") };
    case "syncBegin":
      return syncBeginOf(present(envelope.syncBegin, kind));
    case "syncChunk":
      return syncChunkOf(present(envelope.syncChunk, kind), entries);
    case "syncEnd":
      return syncEndOf(present(envelope.syncEnd, kind));
    case "accept":
      return acceptOf(present(envelope.accept, kind), entries);
    case "accepted":
      return acceptedOf(present(envelope.accepted, kind));
    case "decide":
      return decideOf(present(envelope.decide, kind));
    case "fetch":
      return fetchOf(present(envelope.fetch, kind));
    case "follow":
      return followOf(present(envelope.follow, kind));
    case "entries":
      return entriesMessageOf(present(envelope.entries, kind), entries);
    case "snapshotMeta":
      return snapshotMetaOf(present(envelope.snapshotMeta, kind), hashing);
    case "snapshotFetch":
      return snapshotFetchOf(present(envelope.snapshotFetch, kind));
    case "snapshotChunk":
      return snapshotChunkOf(present(envelope.snapshotChunk, kind));
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
