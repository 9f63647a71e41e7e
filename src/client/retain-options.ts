import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import { isWellFormed } from "../format/utf8.ts";
import type { HoldOptions } from "./log.ts";

/** What goes to the leader, with nothing left open. */
export interface CheckedHold {
  readonly name: string;
  readonly owner: string;
  readonly position: number;
  /** 0: as the log likes. */
  readonly ttlMs: number;
  readonly signal: AbortSignal | undefined;
}

/** Where a trim is to end. Throws INVALID_ARGUMENT, as do the others. */
export function checkTrim(position: number): number {
  refuse([faultOfPosition(position)]);
  return position;
}

export function checkHoldName(name: string): string {
  refuse([faultOfText("name", name, 1, limits.nameBytesMax)]);
  return name;
}

export function checkHold(name: string, { position, owner, ttlMs = 0, signal }: HoldOptions): CheckedHold {
  const isTtl = ttlMs === 0 || (Number.isSafeInteger(ttlMs) && ttlMs >= 1);
  refuse([
    faultOfText("name", name, 1, limits.nameBytesMax),
    faultOfText("owner", owner, 0, limits.holdOwnerBytesMax),
    faultOfPosition(position),
    isTtl ? undefined : "ttlMs must be a whole number from 1 on",
  ]);
  return { name, owner, position, ttlMs, signal };
}

function faultOfPosition(position: unknown): string | undefined {
  return Number.isSafeInteger(position) && (position as number) >= 1
    ? undefined
    : "position must be a whole number from 1 on";
}

function faultOfText(what: string, text: unknown, bytesMin: number, bytesMax: number): string | undefined {
  if (typeof text === "string" && isWellFormed(text)) {
    const bytes = Buffer.byteLength(text);
    if (bytes >= bytesMin && bytes <= bytesMax) return undefined;
  }
  return `${what} must be text of ${bytesMin} to ${bytesMax} bytes`;
}

function refuse(faults: readonly (string | undefined)[]): void {
  const found = faults.filter((fault) => fault !== undefined);
  if (found.length > 0) throw new PaxlogError("INVALID_ARGUMENT", found.join("; "));
}
