/**
 * What control entries hold (docs/formats.md). Little-endian; every field that a payload does not use is 0.
 *
 *   session   24 bytes: op u8 | guard u8 | index u16 | 0 u32 | a u64 | b u64
 *             open: a = ttl in ms, b = 1 where its end is announced; the session's id is the entry's slot, and its header names none
 *             keep, close, expire: the header names the session; one whose end is announced ends by a batch instead
 *             refused: the header names session and serial, a = actual, b = tail
 *   fence      8 bytes: token u64
 *   tick       nothing: its time is all it says
 */
import { readU64, viewOf, writeU64 } from "../base/bytes.ts";
import type { Position } from "../base/types.ts";
import type { Refusal } from "../core/guards.ts";

/** Stored: never renumber. */
const sessionOps = { open: 1, keep: 2, close: 3, expire: 4, refused: 5 } as const;
export type SessionOp = keyof typeof sessionOps;

/** Stored: never renumber. */
const guardNumbers: Readonly<Record<Refusal["guard"], number>> = {
  expectedTail: 1,
  fencingToken: 2,
  condition: 3,
  stream: 4,
};

export type SessionControl =
  | { readonly op: "open"; readonly ttlMs: number; readonly announceEnd: boolean }
  | { readonly op: "keep" | "close" | "expire" }
  | { readonly op: "refused"; readonly refusal: Refusal };

const sessionBytes = 24;
const fenceBytes = 8;

export function encodeSession(control: SessionControl): Uint8Array {
  const bytes = new Uint8Array(sessionBytes);
  const view = viewOf(bytes);
  view.setUint8(0, sessionOps[control.op]);
  if (control.op === "open") {
    writeU64(view, 8, control.ttlMs);
    writeU64(view, 16, control.announceEnd ? 1 : 0);
  }
  if (control.op === "refused") {
    const { guard, index, actual, tail } = control.refusal;
    view.setUint8(1, guardNumbers[guard]);
    view.setUint16(2, index, true);
    writeU64(view, 8, actual);
    writeU64(view, 16, tail);
  }
  return bytes;
}

/** The payload of a session entry; undefined where it is none that this version makes. */
export function decodeSession(bytes: Uint8Array): SessionControl | undefined {
  if (bytes.length !== sessionBytes) return undefined;
  const view = viewOf(bytes);
  const [a, b] = [readU64(view, 8), readU64(view, 16)];
  const op = nameOf(sessionOps, view.getUint8(0));
  switch (op) {
    case undefined:
      return undefined;
    case "open":
      return a > 0 && (b === 0 || b === 1) ? { op, ttlMs: a, announceEnd: b === 1 } : undefined;
    case "refused": {
      const guard = nameOf(guardNumbers, view.getUint8(1));
      if (guard === undefined || a < 0 || b < 1) return undefined;
      return { op, refusal: { guard, index: view.getUint16(2, true), actual: a, tail: b as Position } };
    }
    default:
      return { op };
  }
}

export function encodeFence(token: number): Uint8Array {
  const bytes = new Uint8Array(fenceBytes);
  writeU64(viewOf(bytes), 0, token);
  return bytes;
}

/** The token of a fence entry; undefined where the payload is none that this version makes. */
export function decodeFence(bytes: Uint8Array): number | undefined {
  if (bytes.length !== fenceBytes) return undefined;
  const token = readU64(viewOf(bytes), 0);
  return token < 0 ? undefined : token;
}

function nameOf<Name extends string>(numbers: Readonly<Record<Name, number>>, wanted: number): Name | undefined {
  for (const name in numbers) if (numbers[name] === wanted) return name;
  return undefined;
}
