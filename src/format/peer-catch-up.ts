/** Messages by which a node gets what it lacks: entries that are asked for or pushed, and snapshots. */
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import type { Position } from "../base/types.ts";
import type { LogBase } from "../core/durable.ts";
import type { Entry } from "../core/entry.ts";
import type {
  EntriesMessage,
  FetchMessage,
  FollowMessage,
  SnapshotChunkMessage,
  SnapshotFetchMessage,
  SnapshotMetaMessage,
} from "../core/message.ts";
import type { paxlog } from "./generated/wire.js";
import { ballotOf, beginsAt, noBytes, slotOf } from "./peer-values.ts";
import { decodeManifest } from "./snapshot.ts";
import { hashOf, idBytesOf, malformed, present, safeNumber } from "./wire-value.ts";

export function fetchOf(body: paxlog.v1.Fetch.$Properties): FetchMessage {
  return {
    kind: "fetch",
    requestId: safeNumber(body.requestId, "requestId"),
    fromSlot: slotOf(body.fromSlot, "fromSlot"),
    prevHash: hashOf(body.prevHash, "prevHash"),
    n: body.n === undefined || body.n === null ? undefined : ballotOf(body.n, "n"),
  };
}

export function followOf(body: paxlog.v1.Follow.$Properties): FollowMessage {
  const fromSlot = slotOf(body.fromSlot, "fromSlot");
  return { kind: "follow", fromSlot, prevHash: hashOf(body.prevHash, "prevHash"), begins: body.begins ?? false };
}

export function entriesMessageOf(body: paxlog.v1.Entries.$Properties, entries: readonly Entry[]): EntriesMessage {
  const fromSlot = slotOf(body.fromSlot, "fromSlot");
  beginsAt(fromSlot, entries);
  return {
    kind: "entries",
    requestId: safeNumber(body.requestId, "requestId"),
    fromSlot,
    entries,
    visibleEnd: slotOf(body.visibleEnd, "visibleEnd"),
  };
}

export function snapshotMetaBody({
  requestId,
  manifest,
  logBegin,
}: SnapshotMetaMessage): paxlog.v1.SnapshotMeta.$Properties {
  return { requestId, manifest, logBegin: { ...logBegin, hash: idBytesOf(logBegin.hash) } };
}

/** The manifest says what it is of; whether that is wanted is for the core to judge. */
export function snapshotMetaOf(body: paxlog.v1.SnapshotMeta.$Properties, hashing: Hashing): SnapshotMetaMessage {
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

export function snapshotFetchOf(body: paxlog.v1.SnapshotFetch.$Properties): SnapshotFetchMessage {
  return {
    kind: "snapshotFetch",
    requestId: safeNumber(body.requestId, "requestId"),
    slot: slotOf(body.slot, "slot"),
    rootHash: hashOf(body.rootHash, "rootHash"),
    chunk: body.chunk ?? 0,
  };
}

export function snapshotChunkOf(body: paxlog.v1.SnapshotChunk.$Properties): SnapshotChunkMessage {
  // A copy: it goes to another thread, without the message around it.
  const bytes = new Uint8Array(body.bytes ?? noBytes);
  if (bytes.length > limits.snapshotChunkBytes) malformed(`a chunk of ${bytes.length} bytes`);
  return { kind: "snapshotChunk", requestId: safeNumber(body.requestId, "requestId"), chunk: body.chunk ?? 0, bytes };
}
