/**
 * What TRIM, HOLD and SNAPSHOT entries hold (docs/formats.md). Little-endian; every field that a payload does not use is 0.
 *
 *   trim      16 bytes: position u64 | slot u64: the head from here on
 *   hold      32 bytes and text: op u8 | nameLength u8 | ownerLength u16 | 0 u32 | position u64 | slot u64 | expiresAt u64 | name | owner
 *             put: everything. drop, expire: the name alone
 *   snapshot  32 bytes: op u8 | 0 u8 x 7 | slot u64 | rootHash 16 bytes
 *             take: nothing more; the snapshot's slot is the one behind the entry. compare: both
 */
import { readU64, toHex, viewOf, writeHex, writeU64 } from "../base/bytes.ts";
import { limits } from "../base/limits.ts";
import type { Hash, Position, Slot } from "../base/types.ts";
import type { LogHead } from "../core/durable.ts";
import type { Hold, SnapshotControl } from "../core/retained.ts";

/** Stored: never renumber. */
const holdOps = { put: 1, drop: 2, expire: 3 } as const;
const snapshotOps = { take: 1, compare: 2 } as const;

export type HoldControl =
  | { readonly op: "put"; readonly hold: Hold }
  | { readonly op: "drop" | "expire"; readonly name: string };

const trimBytes = 16;
const holdBytes = 32;
const snapshotBytes = 32;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function encodeTrim({ position, slot }: LogHead): Uint8Array {
  const bytes = new Uint8Array(trimBytes);
  writeU64(viewOf(bytes), 0, position);
  writeU64(viewOf(bytes), 8, slot);
  return bytes;
}

/** undefined where the payload is none that this version makes; so for the other kinds. */
export function decodeTrim(bytes: Uint8Array): LogHead | undefined {
  return bytes.length === trimBytes ? placeOf(viewOf(bytes), 0) : undefined;
}

export function encodeHold(control: HoldControl): Uint8Array {
  const name = encoder.encode(control.op === "put" ? control.hold.name : control.name);
  const owner = control.op === "put" ? encoder.encode(control.hold.owner) : new Uint8Array(0);
  const bytes = new Uint8Array(holdBytes + name.length + owner.length);
  const view = viewOf(bytes);
  view.setUint8(0, holdOps[control.op]);
  view.setUint8(1, name.length);
  view.setUint16(2, owner.length, true);
  if (control.op === "put") {
    const { at, expiresAt } = control.hold;
    writeU64(view, 8, at.position);
    writeU64(view, 16, at.slot);
    writeU64(view, 24, expiresAt);
  }
  bytes.set(name, holdBytes);
  bytes.set(owner, holdBytes + name.length);
  return bytes;
}

export function decodeHold(bytes: Uint8Array): HoldControl | undefined {
  if (bytes.length < holdBytes) return undefined;
  const view = viewOf(bytes);
  const nameEnd = holdBytes + view.getUint8(1);
  if (nameEnd + view.getUint16(2, true) !== bytes.length) return undefined;
  const name = textOf(bytes.subarray(holdBytes, nameEnd));
  const owner = textOf(bytes.subarray(nameEnd));
  if (name === undefined || name === "" || owner === undefined) return undefined;
  switch (view.getUint8(0)) {
    case holdOps.put: {
      const at = placeOf(view, 8);
      const expiresAt = readU64(view, 24);
      if (at === undefined || expiresAt < 0) return undefined;
      return { op: "put", hold: { name, owner, at, expiresAt } };
    }
    case holdOps.drop:
      return { op: "drop", name };
    case holdOps.expire:
      return { op: "expire", name };
    default:
      return undefined;
  }
}

export function encodeSnapshotControl(control: SnapshotControl): Uint8Array {
  const bytes = new Uint8Array(snapshotBytes);
  viewOf(bytes).setUint8(0, snapshotOps[control.op]);
  if (control.op === "compare") {
    writeU64(viewOf(bytes), 8, control.slot);
    writeHex(bytes, 16, control.rootHash);
  }
  return bytes;
}

export function decodeSnapshotControl(bytes: Uint8Array): SnapshotControl | undefined {
  if (bytes.length !== snapshotBytes) return undefined;
  const view = viewOf(bytes);
  if (view.getUint8(0) === snapshotOps.take) return { op: "take" };
  if (view.getUint8(0) !== snapshotOps.compare) return undefined;
  const slot = readU64(view, 8);
  return slot < 1 ? undefined : { op: "compare", slot: slot as Slot, rootHash: toHex(bytes, 16, 32) as Hash };
}

/** Whether a hold may have this name and owner: what people see in a list, and what fits its entry. */
export const fitsHold = (name: string, owner: string): boolean =>
  name !== "" &&
  encoder.encode(name).length <= limits.nameBytesMax &&
  encoder.encode(owner).length <= limits.holdOwnerBytesMax;

function placeOf(view: DataView, offset: number): LogHead | undefined {
  const [position, slot] = [readU64(view, offset), readU64(view, offset + 8)];
  return position < 1 || slot < 1 ? undefined : { position: position as Position, slot: slot as Slot };
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    // A decoder refuses shared memory in some runtimes, so it gets a copy.
    return decoder.decode(new Uint8Array(bytes));
  } catch {
    return undefined;
  }
}
