/** Messages that order the log: Prepare and Promise, the sync of a follower, Accept, Accepted and Decide. */
import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import type { Slot } from "../base/types.ts";
import type { Entry } from "../core/entry.ts";
import type {
  AcceptedMessage,
  AcceptMessage,
  DecideMessage,
  PrepareMessage,
  PromiseMessage,
  SyncBeginMessage,
  SyncChunkMessage,
  SyncEndMessage,
  WindowSlot,
} from "../core/message.ts";
import type { paxlog } from "./generated/wire.js";
import { ballotOf, beginsAt, noBytes, promiseIdOf, slotOf } from "./peer-values.ts";
import { hashOf, idBytesOf, malformed, safeNumber } from "./wire-value.ts";

export function prepareOf(body: paxlog.v1.Prepare.$Properties): PrepareMessage {
  return {
    kind: "prepare",
    n: ballotOf(body.n, "n"),
    decidedEnd: slotOf(body.decidedEnd, "decidedEnd"),
    acceptedBallot: ballotOf(body.acceptedBallot, "acceptedBallot"),
    acceptedEnd: slotOf(body.acceptedEnd, "acceptedEnd"),
  };
}

export const promiseBody = (message: PromiseMessage): paxlog.v1.Promise.$Properties => ({
  ...message,
  ...windowBody(message),
  decidedHash: idBytesOf(message.decidedHash),
});

export function promiseOf(body: paxlog.v1.Promise.$Properties): PromiseMessage {
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

export function syncBeginOf(body: paxlog.v1.SyncBegin.$Properties): SyncBeginMessage {
  return {
    kind: "syncBegin",
    n: ballotOf(body.n, "n"),
    promiseId: promiseIdOf(body.promiseId),
    syncId: safeNumber(body.syncId, "syncId"),
    fromSlot: slotOf(body.fromSlot, "fromSlot"),
    prevHash: hashOf(body.prevHash, "prevHash"),
  };
}

export function syncChunkOf(body: paxlog.v1.SyncChunk.$Properties, entries: readonly Entry[]): SyncChunkMessage {
  return {
    kind: "syncChunk",
    n: ballotOf(body.n, "n"),
    syncId: safeNumber(body.syncId, "syncId"),
    chunk: body.chunk ?? 0,
    entries,
  };
}

export function syncEndOf(body: paxlog.v1.SyncEnd.$Properties): SyncEndMessage {
  return {
    kind: "syncEnd",
    n: ballotOf(body.n, "n"),
    syncId: safeNumber(body.syncId, "syncId"),
    chunkCount: body.chunkCount ?? 0,
    decidedEnd: slotOf(body.decidedEnd, "decidedEnd"),
  };
}

export function acceptOf(body: paxlog.v1.Accept.$Properties, entries: readonly Entry[]): AcceptMessage {
  const firstSlot = slotOf(body.firstSlot, "firstSlot");
  const prevHash = hashOf(body.prevHash, "prevHash");
  beginsAt(firstSlot, entries);
  if (entries[0] !== undefined && entries[0].prevHash !== prevHash) malformed("prevHash is not that of the entries");
  return {
    kind: "accept",
    n: ballotOf(body.n, "n"),
    firstSlot,
    prevHash,
    entries,
    decidedEnd: slotOf(body.decidedEnd, "decidedEnd"),
  };
}

export function acceptedOf(body: paxlog.v1.Accepted.$Properties): AcceptedMessage {
  return {
    kind: "accepted",
    n: ballotOf(body.n, "n"),
    syncId: safeNumber(body.syncId, "syncId"),
    matchedEnd: slotOf(body.matchedEnd, "matchedEnd"),
    hash: hashOf(body.hash, "hash"),
  };
}

export function decideOf(body: paxlog.v1.Decide.$Properties): DecideMessage {
  return {
    kind: "decide",
    n: ballotOf(body.n, "n"),
    decidedEnd: slotOf(body.decidedEnd, "decidedEnd"),
    hash: hashOf(body.hash, "hash"),
  };
}
