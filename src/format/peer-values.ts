/** Values that several messages between nodes have. Each throws what `decodeEnvelope` takes for malformed. */
import { limits } from "../base/limits.ts";
import type { NodeId, Slot } from "../base/types.ts";
import type { Ballot } from "../core/ballot.ts";
import type { paxlog } from "./generated/wire.js";
import { type Absent, boundedText, present, safeNumber, type WireNumber } from "./wire-value.ts";

export function ballotOf(body: paxlog.v1.Ballot.$Properties | Absent, what: string): Ballot {
  const { configId, n, nodeId } = present(body, what);
  return { configId: configId ?? 0, n: safeNumber(n, `${what}.n`), nodeId: (nodeId ?? 0) as NodeId };
}

export const slotOf = (value: WireNumber, what: string): Slot => safeNumber(value, what) as Slot;
export const nameOf = (value: string | Absent): string => boundedText(value, limits.nameBytesMax, "name");
export const addressOf = (value: string | Absent): string => boundedText(value, limits.addressBytesMax, "address");
