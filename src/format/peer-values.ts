/** Values that several messages between nodes have. Each throws what `decodeEnvelope` takes for malformed. */
import { limits } from "../base/limits.ts";
import type { NodeId, Slot } from "../base/types.ts";
import type { Ballot } from "../core/ballot.ts";
import type { Entry } from "../core/entry.ts";
import type { PromiseId } from "../core/message.ts";
import type { paxlog } from "./generated/wire.js";
import { type Absent, boundedText, malformed, present, safeNumber, type WireNumber } from "./wire-value.ts";

export function ballotOf(body: paxlog.v1.Ballot.$Properties | Absent, what: string): Ballot {
  const { configId, n, nodeId } = present(body, what);
  return { configId: configId ?? 0, n: safeNumber(n, `${what}.n`), nodeId: (nodeId ?? 0) as NodeId };
}

export function promiseIdOf(body: paxlog.v1.PromiseId.$Properties | Absent): PromiseId {
  const { incarnation, counter } = present(body, "promiseId");
  return { incarnation: safeNumber(incarnation, "incarnation"), counter: safeNumber(counter, "counter") };
}

/** What a message says of its entries must be so. */
export function beginsAt(slot: Slot, entries: readonly Entry[]): void {
  if (entries[0] !== undefined && entries[0].slot !== slot)
    malformed(`the entries begin at ${entries[0].slot}, not ${slot}`);
}

export const slotOf = (value: WireNumber, what: string): Slot => safeNumber(value, what) as Slot;
export const nameOf = (value: string | Absent): string => boundedText(value, limits.nameBytesMax, "name");
export const addressOf = (value: string | Absent): string => boundedText(value, limits.addressBytesMax, "address");

export const noBytes = new Uint8Array(0);
